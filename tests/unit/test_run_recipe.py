"""Test a recipe and the data of a night: plan, exit code, and no reduction without the masters that it requests.

Which exposure matches which step: test_raw_for_steps. The printed messages: test_cli_run.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.interruptions import MemoryStore

from gozen.archive.raw.exposure_record import RawExposure
from gozen.errors import BadRequest, ExitCode, GozenError, StorageUnavailable, UnreadableInput
from gozen.instrument.profile import parse_profile
from gozen.observing.recipe_of_night import observations_of, read_recipe, steps_of
from gozen.reduction.sensor_masters import MasterResult
from gozen.reduction.sensor_work import SensorResult
from gozen.settings import Settings
from gozen.simulator.simulate_night import Target
from gozen.workflow.run_recipe import RecipePlan, plan_recipe, run_recipe
from gozen.workflow.simulate_raw import fields_of_recipe

from .test_exposure_grouping import PROFILE

NIGHT = "20240301"
CAMERA = parse_profile(PROFILE, "tiny")
RECIPE = """\
Observer: o
Project: p
Operations:
- Pointing: {ra: 150.0, dec: 20.0}
- SetParameter: {tinteg_sec: 30, nframe: 2}
- Exposure: M 67
- SetParameter: {datatype: FLAT}
- Exposure: cap
"""
OTHER = RECIPE.replace("M 67", "M 44").replace("- SetParameter: {datatype: FLAT}\n- Exposure: cap\n", "")


def raw(name: str, target: str, kind: str = "OBJECT") -> RawExposure:
    return RawExposure(NIGHT, name, target, kind, 60370.0 + int(name), {"1": (f"raw/{NIGHT}/{name}/1.fits",)})


SKY, FLAT = raw("1", "M 67"), raw("2", "cap", "FLAT")


def plan(*exposures: RawExposure, recipes: tuple[str, ...] = (RECIPE,)) -> RecipePlan:
    observations = [one for text in recipes for one in observations_of(text, "r.yaml", NIGHT, CAMERA)]
    return plan_recipe(observations, exposures, CAMERA, "r1")


@pytest.mark.parametrize(
    ("exposures", "code"),
    [
        ((SKY, FLAT), ExitCode.DONE),
        ((SKY, FLAT, raw("3", "M 31")), ExitCode.NOT_ASKED_FOR),
        ((SKY,), ExitCode.UNREADABLE_INPUT),
        ((SKY, raw("3", "M 31")), ExitCode.UNREADABLE_INPUT),
    ],
)
def test_a_plan_ends_with_what_is_missing_or_not_asked_for(exposures: tuple[RawExposure, ...], code: ExitCode) -> None:
    assert plan(*exposures).exit_code == code


class Steps:
    """Masters that end in given errors and reductions that all succeed, in place of the real ones."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *errors: GozenError | None) -> None:
        self.errors, self.told, self.works = list(errors), [], []
        monkeypatch.setattr("gozen.workflow.run_recipe.make_night_masters", self.masters)
        monkeypatch.setattr("gozen.workflow.run_recipe.reduce_exposures", self.reduce)

    def masters(self, store, settings, profile, exposures, *, progress, finished):
        self.told.append(f"masters of {exposures[0].exposure}")
        made = [MasterResult(sensor, "flat", "2", None, error) for sensor, error in enumerate(self.errors)]
        for one in made:
            finished(one)
        return made

    def reduce(self, store, settings, works, *, progress):
        self.works = works
        return [SensorResult(work, None, UnreadableInput("x") if work.object == "M 44" else None) for work in works]

    def run(self, plan: RecipePlan):
        settings = Settings(instrument="tomoe", run="r1")
        return run_recipe(
            MemoryStore(),
            settings,
            CAMERA,
            plan,
            begun=lambda _, answered: self.told.append(answered.pairs[0][1].object),
            master_finished=lambda one: self.told.append(one.error),
        )


def test_masters_come_before_the_sky_observation_by_observation(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = Steps(monkeypatch, None)
    result = steps.run(plan(SKY, FLAT, raw("3", "M 44"), recipes=(OTHER, RECIPE)))
    assert steps.told == ["M 44", "M 67", "masters of 2", None]
    assert [work.object for work in steps.works] == ["M 44", "M 67"]
    assert (len(result.masters), len(result.sensors)) == (1, 2)
    assert result.exit_code == ExitCode.UNREADABLE_INPUT  # that of M 44's sensor


@pytest.mark.parametrize(
    "errors",
    [
        (StorageUnavailable("full"),),
        (None, StorageUnavailable("full")),
        (UnreadableInput("x"), StorageUnavailable("y")),
    ],
)
def test_the_sky_waits_for_masters_that_the_archive_could_not_store(
    errors: tuple[GozenError | None, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = Steps(monkeypatch, *errors)
    result = steps.run(plan(SKY, FLAT))
    assert (result.sensors, steps.works) == (None, [])
    assert result.exit_code in (ExitCode.STORAGE, ExitCode.UNREADABLE_INPUT)


def test_the_sky_is_reduced_where_a_master_failed_for_its_own_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = Steps(monkeypatch, UnreadableInput("x"))
    result = steps.run(plan(SKY, FLAT))
    assert [work.object for work in steps.works] == ["M 67"]
    assert result.exit_code == ExitCode.UNREADABLE_INPUT


def test_steps_have_the_defaults_of_the_camera() -> None:
    (observation,) = observations_of(RECIPE, "r.yaml", NIGHT, CAMERA)
    sky = steps_of(observation, CAMERA, "r9")[0]
    assert (sky.gain, sky.exposure.spec.instrument, sky.exposure.spec.run) == ("low", "tiny", "r9")
    assert tuple(sky.exposure.spec.pipelines) == tuple(CAMERA.default_pipelines)


def test_a_recipe_that_cannot_be_read_and_a_night_that_is_no_date_are_refused(tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes(b"\xe9")
    for name in ("latin.yaml", "none.yaml"):
        with pytest.raises(BadRequest, match=f"cannot read the recipe .*{name}"):
            read_recipe(tmp_path / name)
    with pytest.raises(BadRequest, match="night '20240231' is not a date"):
        observations_of(RECIPE, "r.yaml", "20240231", CAMERA)


def test_a_simulation_takes_its_fields_from_a_recipe(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(RECIPE)
    assert fields_of_recipe(path, NIGHT, CAMERA) == ([Target("M 67", 150.0, 20.0)], 2)
    path.write_text(OTHER + "- SetParameter: {nframe: 3}\n- Exposure: M 44\n")
    with pytest.raises(BadRequest, match=r"has exposures with different numbers of frames, \[2, 3\]"):
        fields_of_recipe(path, NIGHT, CAMERA)
    path.write_text(RECIPE.replace("- Exposure: M 67\n", ""))
    with pytest.raises(BadRequest, match=r"r\.yaml has no exposure of the sky"):
        fields_of_recipe(path, NIGHT, CAMERA)
