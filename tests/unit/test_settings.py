"""Test the settings: precedence of their sources, messages about errors, and a description for each."""

import re
from pathlib import Path

import pytest

from gozen.errors import BadRequest
from gozen.settings import explain_settings, load_settings


@pytest.fixture(autouse=True)
def nowhere(tmp_path, monkeypatch):
    """Work in an empty folder, without settings from outside."""
    monkeypatch.chdir(tmp_path)
    for name in ("GOZEN_CONFIG", "GOZEN_ARCHIVE", "GOZEN_RUN"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def file(tmp_path):
    def write(text, name="gozen.toml"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


def source_of(name, **flags):
    return next(setting.source for setting in explain_settings(**flags) if setting.name == name)


def test_flags_win_over_the_environment_which_wins_over_the_file(file, monkeypatch):
    assert load_settings().archive == "archive"
    file('archive = "of-file"\n')
    assert (load_settings().archive, source_of("archive")) == ("of-file", "gozen.toml")
    monkeypatch.setenv("GOZEN_ARCHIVE", "of-environment")
    assert (load_settings().archive, source_of("archive")) == ("of-environment", "environment")
    assert load_settings(archive="of-flag").archive == "of-flag"
    assert source_of("archive", archive="of-flag") == "flag"
    assert load_settings(archive=None).archive == "of-environment"


def test_groups_are_merged_setting_by_setting(file, monkeypatch):
    file("[gates]\nnoise_ratio = 5.0\nsaturated_fraction = 0.5\n")
    monkeypatch.setenv("GOZEN_GATES__NOISE_RATIO", "4")
    gates = load_settings().gates
    assert (gates.noise_ratio, gates.saturated_fraction, gates.pointing_offset_deg) == (4.0, 0.5, 1.0)
    assert source_of("gates.noise_ratio") == "environment"
    assert source_of("gates.saturated_fraction") == "gozen.toml"
    assert source_of("gates.pointing_offset_deg") == "default"


def test_another_file_can_be_named(file, monkeypatch):
    path = file('run = "r7"\n', "site.toml")
    monkeypatch.setenv("GOZEN_CONFIG", str(path))
    assert (load_settings().run, source_of("run")) == ("r7", str(path))


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("GOZEN_ARCHVE", "write GOZEN_ARCHIVE"),
        ("gozen_worker", "write GOZEN_WORKERS"),
        ("GOZEN_GATES_NOISE_RATIO", "write GOZEN_GATES__NOISE_RATIO"),
        ("GOZEN_GATE__NOISE_RATIO", "write GOZEN_GATES__NOISE_RATIO"),
        ("GOZEN_NOTHING__ELSE", "`gozen config` lists all settings"),
    ],
)
def test_a_misspelt_variable_is_refused(monkeypatch, name, advice):
    monkeypatch.setenv(name, "3")
    with pytest.raises(BadRequest, match=re.escape(f"{name} is not a setting: {advice}")):
        load_settings()


@pytest.mark.parametrize(
    "name",
    [
        "GOZEN_CACHE", "GOZEN_PROFILES", "GOZEN_PORT", "GOZEN_SERVICE_HOST", "GOZEN_OBSERVER_PORT_8080_TCP_ADDR",
        "GOZEN_OBSERVER_SERVICE_PORT_HTTP", "GOZEN_OPERATOR_RESYNC_S", "GOZEN_OPERATOR_PODS__IMAGE",
    ],
)  # fmt: skip
def test_variables_of_others_are_let_alone(monkeypatch, name):
    monkeypatch.setenv(name, "3")
    assert load_settings() == load_settings(run="r1")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("archve = 'x'", "unknown setting 'archve' (in gozen.toml); `gozen config` lists all of them"),
        ("[gates]\nnoise = 3", "unknown setting 'gates.noise'"),
        ("[gates]\nnoise_ratio = 0.5", "setting gates.noise_ratio = 0.5 (in gozen.toml): it should be greater than 1"),
        ("run = 'no good'", "setting run = 'no good'"),
        ("workers = 0", "setting workers = 0 (in gozen.toml): it should be greater than or equal to 1"),
        ("archive = ", "cannot read the settings file gozen.toml"),
        ("gates = 3", "setting gates = 3"),
        ("[photometry]\nfurther_diameters_px = [10]", "remove the setting, and write aperture_diameters_px"),
    ],
)
def test_a_mistake_in_the_file_is_told_with_name_and_value(file, text, says):
    file(text)
    with pytest.raises(BadRequest, match=re.escape(says)):
        load_settings()


def test_a_mistake_in_the_environment_is_told(monkeypatch):
    monkeypatch.setenv("GOZEN_WORKERS", "many")
    with pytest.raises(BadRequest, match="setting workers = 'many'"):
        load_settings()
    monkeypatch.setenv("GOZEN_WORKERS", "2")
    with monkeypatch.context() as once:
        once.setenv("GOZEN_PHOTOMETRY__FURTHER_DIAMETERS_PX", "[10, 15]")
        with pytest.raises(BadRequest, match=r"photometry\.further_diameters_px is not a setting any more"):
            load_settings()
    monkeypatch.setenv("GOZEN_GATES", "{not json")
    with pytest.raises(BadRequest, match="written as JSON in the environment"):
        load_settings()


@pytest.mark.parametrize(
    ("text", "variables", "flags", "source"),
    [
        ("[gates]\nnoise_ratio = 0.5", {"GATES": '{"saturated_fraction": 0.5}'}, {}, "(in gozen.toml)"),
        ("[gates]\nnoise_ratio = 0.5", {"GATES__SATURATED_FRACTION": "0.5"}, {}, "(in gozen.toml)"),
        ("[gates]\nnoise_ratio = 0.5", {}, {"saturated_fraction": 0.5}, "(in gozen.toml)"),
        (
            "[gates]\nnoise_ratio = 4",
            {"GATES": '{"noise_ratio": 0.5}'},
            {"saturated_fraction": 0.5},
            "(environment variable GOZEN_GATES)",
        ),
        (
            "[gates]\nnoise_ratio = 4",
            {"GATES": '{"noise_ratio": 3}', "GATES__NOISE_RATIO": "0.5"},
            {},
            "(environment variable GOZEN_GATES__NOISE_RATIO)",
        ),
        ("gates = 3", {"GATES__NOISE_RATIO": "0.5"}, {}, "(environment variable GOZEN_GATES__NOISE_RATIO)"),
        ("[gates]\nnoise_ratio = 4", {"GATES__NOISE_RATIO": "3"}, {"noise_ratio": 0.5}, "(given on the command line"),
    ],
)
def test_the_source_of_a_wrong_setting_is_the_one_that_sets_it(file, monkeypatch, text, variables, flags, source):
    file(text)
    for name, value in variables.items():
        monkeypatch.setenv(f"GOZEN_{name}", value)
    with pytest.raises(BadRequest) as raised:
        load_settings(gates=flags or None)
    assert re.fullmatch(rf"setting gates\.noise_ratio = '?0\.5'? {re.escape(source)}.*", str(raised.value))


def test_an_unknown_setting_of_a_file_is_not_one_of_the_environment(file, monkeypatch):
    file("[gates]\nnoise = 3")
    monkeypatch.setenv("GOZEN_GATES", '{"noise_ratio": 4}')
    with pytest.raises(BadRequest, match=re.escape("unknown setting 'gates.noise' (in gozen.toml)")):
        load_settings()


def test_a_file_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setenv("GOZEN_CONFIG", "/no/such.toml")
    with pytest.raises(BadRequest, match=r"/no/such\.toml"):
        load_settings()


def test_every_setting_is_explained_and_documented():
    page = (Path(__file__).parents[2] / "docs" / "reference" / "settings.md").read_text(encoding="utf-8")
    for setting in explain_settings():
        assert len(setting.meaning) > 10, setting.name
        assert f"`{setting.name}`" in page, setting.name
