"""Test the command line: exit codes, one-line errors, groups of commands, output formats, start-up time.

Most calls go through `gozen.cli.call.run` in this process. Signals, pipes and imports are tested with ``python -m
gozen``. Not covered: the functions that the commands call, which have their own tests.
"""

import csv
import errno
import io
import json
import subprocess
import sys
import textwrap

import pyarrow.parquet as pq
import pytest

from gozen.archive import keys
from gozen.archive.commit import put_product, write_commit
from gozen.archive.log.observation_log import rebuild_night
from gozen.archive.raw.exposure_record import RawExposure, record_exposure
from gozen.archive.raw.retain import Retained
from gozen.archive.stores.open_store import open_store
from gozen.cli.app import command
from gozen.cli.bucket import days_of_rule
from gozen.cli.call import run
from gozen.cli.invocation import hoist
from gozen.cli.table_output import text_of
from gozen.errors import BadRequest, CorruptFile

from .archive_samples import NIGHT, commit, processing_of, refused


@pytest.fixture(autouse=True)
def nowhere(tmp_path, monkeypatch):
    """Work in an empty folder, without settings from outside."""
    monkeypatch.chdir(tmp_path)
    for name in ("GOZEN_CONFIG", "GOZEN_ARCHIVE", "GOZEN_INSTRUMENT"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def call(capsys):
    """Run ``gozen`` in this process; return exit code, standard output and standard error."""

    def run_here(*args):
        code = run([str(arg) for arg in args])
        printed = capsys.readouterr()
        return int(code), printed.out, printed.err

    return run_here


def process(*args, **options):
    """Run ``python -m gozen`` in a process of its own."""
    command = [sys.executable, "-m", "gozen", *args]
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


@pytest.fixture
def archive(tmp_path):
    """Return an archive with two sensors of one exposure, one of them refused."""
    store = open_store(tmp_path / "archive")
    one = commit(sensor="111")
    stack = put_product(store, keys.stack(processing_of(one), one.frame_id), b"pixels")
    for each in (commit(sensor="111", products={"stack": stack}), refused(sensor="112")):
        write_commit(store, processing_of(each), each)
        store.write(keys.raw(NIGHT, "e1", each.frame_id), b"raw")
    rebuild_night(store, NIGHT)
    return store


def test_the_start_imports_nothing_heavy():
    code = """
        import sys
        import gozen, gozen.cli
        light = len(sys.modules)
        from gozen.cli.call import run
        assert light < 150, light
        assert run(["--help"]) == 0
        heavy = "numpy scipy astropy numba pandas pyarrow matplotlib sep pydantic fsspec cdshealpix astrometry".split()
        print([name for name in heavy if name in sys.modules], file=sys.stderr)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == "[]", done.stderr


def test_help_groups_the_verbs_by_their_job(call):
    code, out, _ = call("--help")
    assert code == 0
    places = [out.index(text) for text in ("─ Look up ─", "│ exposures ", "│ quality ", "─ Maintain ─", "│ doctor ")]
    assert places == sorted(places)
    assert call()[1] == out


def test_the_version_is_printed(call):
    code, out, _ = call("--version")
    assert (code, out.split()[0]) == (0, "gozen")


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["exposure"], "No such command 'exposure'"),
        (["exposures", "--nigth", "1"], "No such option: --nigth"),
        (["exposures", "--radius", "wide"], "invalid value 'wide' for --radius"),
        (["instrument", "check"], "Missing argument 'PROFILE'"),
        (["exposures", "--night", "tonight"], "night 'tonight' is not a date of the form YYYYMMDD"),
        (["exposures", "--ra", "10"], "a circle needs both --ra and --dec"),
        (["exposures", "--csv", "--json"], "give only one of --csv, --json and --parquet"),
        (["--config", "no.toml", "config"], "cannot read the settings file"),
        (["--archive", "nosuch://x", "exposures"], "cannot open the archive 'nosuch://x'"),
    ],
)
def test_what_makes_no_sense_is_one_line_and_64(call, args, says):
    code, out, err = call(*args)
    assert (code, out) == (64, "")
    assert err.startswith("gozen: BadRequest: ")
    assert says in err
    assert len(err.splitlines()) == 1


def test_an_unreadable_profile_is_65(call, tmp_path):
    (tmp_path / "p.yaml").write_text("name: x\n")
    code, _, err = call("instrument", "show", "p.yaml")
    assert code == 65
    assert err.startswith("gozen: UnreadableInput: the instrument profile p.yaml is not valid")
    assert call("instrument", "check", "nosuch", "a.fits")[0] == 65


@pytest.fixture
def verbs(tmp_path, monkeypatch):
    """Install a package of verbs that fail in every way, as a plug-in."""
    site = tmp_path / "site"
    info = site / "failing-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: failing\nVersion: 1.0\n")
    names = ("bug", "lost", "interrupt", "many", "broken")
    (info / "entry_points.txt").write_text("[gozen.commands]\n" + "".join(f"{n} = failing:{n}\n" for n in names))
    (site / "failing.py").write_text(
        textwrap.dedent(
            """
            import os, signal, typer
            from gozen.errors import WorkerLost
            def bug():
                "Fail unforeseen."
                raise KeyError("zero")
            def lost():
                "Lose a worker."
                raise WorkerLost("worker 3 was killed\\nby signal 9")
            def interrupt():
                "Press Ctrl-C."
                signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
                os.kill(os.getpid(), signal.SIGINT)
            def many():
                "Print more than a pipe holds."
                for number in range(100000):
                    typer.echo(f"line {number}")
            """
        )
    )
    monkeypatch.setenv("PYTHONPATH", str(site))
    monkeypatch.syspath_prepend(str(site))
    command.cache_clear()
    yield
    command.cache_clear()


@pytest.mark.usefixtures("verbs")
def test_other_packages_add_verbs_and_a_broken_one_does_no_harm(call):
    code, out, err = call("--help")
    assert code == 0
    assert out.index("─ On a cluster ─") < out.index("│ cancel ") < out.index("─ From other packages ─")
    assert out.index("─ From other packages ─") < out.index("Fail unforeseen.")
    assert " broken " not in out
    assert "'broken' of failing:broken cannot be loaded" in err


@pytest.mark.usefixtures("verbs")
def test_an_unforeseen_error_is_a_bug_that_says_so(call):
    code, _, err = call("bug")
    assert code == 70
    assert "gozen: Bug: KeyError: 'zero'. This is a bug in Gozen" in err
    assert "Traceback" not in err
    code, _, err = call("bug", "--debug")
    assert code == 70
    assert "Traceback" in err
    assert "in bug" in err


@pytest.mark.usefixtures("verbs")
def test_a_lost_worker_is_75_in_one_line(call):
    code, _, err = call("lost")
    assert code == 75
    assert err.splitlines()[-1] == "gozen: WorkerLost: worker 3 was killed by signal 9"


@pytest.mark.usefixtures("verbs")
def test_an_interrupt_is_130_and_says_how_to_go_on():
    done = process("interrupt")
    assert done.returncode == 130
    assert done.stderr.splitlines()[-1].startswith(
        "gozen: interrupted: committed results are kept; run the same command"
    )
    assert "Traceback" not in done.stderr


@pytest.mark.usefixtures("verbs")
def test_a_reader_that_goes_away_is_no_error():
    with subprocess.Popen(
        [sys.executable, "-m", "gozen", "many"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout.readline() == "line 0\n"
        running.stdout.close()
        said = running.stderr.read()
    assert "Traceback" not in said
    assert "BrokenPipe" not in said
    assert running.returncode in (0, 1)


def test_a_full_archive_is_75(call, archive, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    code, _, err = call("archive", "rebuild", NIGHT)
    assert code == 75
    assert err.startswith("gozen: StorageUnavailable: cannot write")


def test_global_options_may_stand_anywhere():
    assert hoist(["exposures", "--archive", "a", "--csv", "--debug"]) == [
        "--archive",
        "a",
        "--debug",
        "exposures",
        "--csv",
    ]
    assert hoist(["x", "--archive=a b", "--", "--debug"]) == ["--archive=a b", "x", "--", "--debug"]


@pytest.mark.parametrize(
    ("args", "option"),
    [
        (["exposures", "--archive"], "--archive"),
        (["exposures", "--config"], "--config"),
        (["--archive"], "--archive"),
        (["exposures", "--archive", "--csv"], "--archive"),
        (["exposures", "--archive="], "--archive"),
        (["exposures", "--config", ""], "--config"),
    ],
)
def test_a_global_option_without_a_value_is_64_and_leaves_the_verb_alone(call, args, option):
    assert call(*args) == (64, "", f"gozen: BadRequest: the option {option} needs a value\n")


def test_a_verb_that_is_the_value_of_a_global_option_is_named(call):
    code, out, err = call("--archive", "exposures")
    assert (code, out) == (64, "")
    assert "no verb (such as reduce), because 'exposures' is read as the value of --archive" in err


def test_exposures_are_printed_for_people_and_for_programs(call, archive, tmp_path):
    code, out, _ = call("exposures")
    assert code == 0
    assert "2 sensor exposures" in out
    assert "SaturatedField" in out
    rows = list(csv.DictReader(io.StringIO(call("exposures", "--csv")[1])))
    assert [row["sensor"] for row in rows] == ["111", "112"]
    (row,) = json.loads(call("exposures", "--json", "--status", "rejected")[1])
    assert (row["reason"], row["value"], row["zero_point"]) == ("SaturatedField", 25000.0, 23.4)
    assert call("exposures", "--parquet", "found.parquet")[0] == 0
    assert pq.read_table(tmp_path / "found.parquet")["object"].to_pylist() == ["J0118+2942"] * 2


def test_quality_prints_frames_or_gates(call, archive):
    frames = json.loads(call("quality", "--json", "--sensor", "111")[1])
    assert [row["frame"] for row in frames] == [0, 1]
    gates = json.loads(call("quality", "--json", "--gates", "--sensor", "111")[1])
    assert [(row["gate"], row["limit"]) for row in gates] == [("NoisyFrame", 3.0)]
    assert [row["frame"] for row in json.loads(call("quality", "--json", "--refused")[1])] == [1]


def test_a_damaged_product_is_found(call, archive):
    assert call("archive", "verify")[1].splitlines()[-1] == "2 commits, 1 products, 0.0 MB: all as committed"
    (key,) = archive.list("stack")
    archive.write(key, b"pixelz")
    code, out, _ = call("archive", "verify")
    assert code == 65
    assert key in out
    assert json.loads(call("archive", "verify", "--json")[1])["commits"] == 2


def test_raw_files_expire_when_asked(call, archive):
    code, out, _ = call("archive", "expire", "--dry-run")
    assert code == 0
    assert "2 raw files, 0.0 MB: would be deleted" in out
    assert call("archive", "retain", NIGHT, "e1")[0] == 0
    assert "kept: retained" in call("archive", "expire")[1]
    assert call("archive", "retain", NIGHT, "e1", "--undo")[0] == 0
    assert "2 raw files, 0.0 MB: deleted" in call("archive", "expire", "--keep-days", "1")[1]
    assert archive.list("raw") == []
    assert "no raw files" in call("archive", "expire")[1]


def test_only_what_is_there_can_be_retained(call, archive):
    assert call("archive", "retain", NIGHT, "e1")[1] == "2 raw files retained\n"
    code, _, err = call("archive", "retain", NIGHT, "e2")
    assert code == 64
    assert "no raw files of the exposure e2" in err


def test_what_cannot_be_retained_any_more_is_named(call, archive):
    here = [key for key in archive.list("raw") if key.endswith(".fits")]
    gone = keys.raw(NIGHT, "e1", "gone")
    record_exposure(archive, RawExposure(NIGHT, "e1", "M 67", "OBJECT", 60314.5, {"111": (*here, gone)}))
    assert call("archive", "retain", NIGHT, "e1")[1] == f"{gone}: already deleted\n2 raw files retained\n"


def test_raw_files_that_expire_during_the_command_are_not_called_retained(call, archive, monkeypatch):
    monkeypatch.setattr("gozen.archive.raw.retain.retain", lambda *_: Retained(0, ("raw/a.fits",)))
    code, out, err = call("archive", "retain", NIGHT, "e1")
    assert (code, out) == (64, "raw/a.fits: already deleted\n")
    assert f"the raw files of the exposure e1 of {NIGHT} cannot be protected: they expired during this command" in err


def test_the_log_can_be_made_again(call, archive):
    archive.delete(keys.log_table("exposures", NIGHT))
    assert call("archive", "rebuild")[1] == "20240105: 2 sensor exposures\n"
    assert len(json.loads(call("exposures", "--json")[1])) == 2


def test_the_archive_says_what_it_holds(call, archive):
    folders = json.loads(call("archive", "info", "--json")[1])["folders"]
    assert folders["stack"] == {"objects": 1, "bytes": 6}
    assert folders["raw"]["objects"] == 2
    assert call("archive", "sweep")[1] == "0 half-written files removed\n"


def test_settings_say_where_they_come_from(call, monkeypatch):
    monkeypatch.setenv("GOZEN_GATES__NOISE_RATIO", "4")
    found = {one["name"]: one for one in json.loads(call("config", "--json", "--archive", "here")[1])}
    assert (found["archive"]["value"], found["archive"]["source"]) == ("here", "flag")
    assert (found["gates.noise_ratio"]["value"], found["gates.noise_ratio"]["source"]) == (4.0, "environment")
    assert "gates.noise_ratio" in call("config")[1]


def test_a_settings_file_can_be_given_after_the_verb(call, tmp_path):
    (tmp_path / "site.toml").write_text('instrument = "elsewhere.yaml"\n')
    found = {one["name"]: one for one in json.loads(call("config", "--json", "--config", "site.toml")[1])}
    assert found["instrument"]["value"] == "elsewhere.yaml"
    assert found["instrument"]["source"].endswith("site.toml")


@pytest.mark.parametrize(
    "verb",
    [
        ["apply", "one.yaml"],
        ["get"],
        ["get", "exposures"],
        ["describe", "exp", "a"],
        ["logs", "exp", "a"],
        ["cancel", "exp", "a"],
    ],
)
def test_a_verb_of_the_cluster_without_its_packages_names_them(call, tmp_path, monkeypatch, verb):
    (tmp_path / "one.yaml").write_text(
        "apiVersion: gozen.astro/v1alpha1\nkind: Exposure\nmetadata: {name: a}\n"
        "spec: {night: '20240105', exposureId: 1, object: M 67, nframe: 2}\n"
    )
    for name in [name for name in sys.modules if name.split(".")[0] == "kubernetes"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "kubernetes", None)
    code, out, err = call(*verb)
    assert (code, out) == (64, "")
    assert err.startswith("gozen: BadRequest: ")
    assert "pip install 'gozen[operator]'" in err


def test_the_help_of_logs_names_only_the_kinds_that_have_pods(call):
    _, out, _ = call("logs", "--help")
    assert "exp (Exposure) or lcj (LightCurveJob)" in " ".join(out.split())
    assert "obs" not in out


def test_the_doctor_says_what_is_missing_and_how_to_get_it(call, monkeypatch):
    found = {one["name"]: one for one in json.loads(call("doctor", "--json")[1])}
    assert found["numpy"]["state"] == found["Python"]["state"] == "ok"
    monkeypatch.setenv("GOZEN_INSTRUMENT", "nosuch.yaml")
    monkeypatch.setenv("GOZEN_ASTROMETRY__INDEX_FILES", '["/no/such/folder"]')
    code, out, _ = call("doctor", "--json")
    found = {one["name"]: one for one in json.loads(out)}
    assert code == 65
    assert found["instrument profile"]["state"] == "missing"
    assert found["astrometry index files"]["state"] == "optional"
    assert "apt install" in found["astrometry index files"]["hint"]


def test_profiles_are_listed_and_shown(call):
    assert call("instrument", "list")[1].startswith("tomoe: Tomo-e Gozen")
    shown = call("instrument", "show", "tomoe")[1]
    assert "pixel_scale_arcsec: 1.189" in shown
    assert json.loads(call("instrument", "show", "--json")[1])["name"] == "tomoe"


def test_a_verb_of_verbs_alone_prints_its_help_and_no_error(call):
    code, out, err = call("archive")
    assert code == 64
    assert "verify" in out + err
    assert "BadRequest" not in err


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (("simulate", "--night", "2026011"), "night '2026011' is not a date"),
        (("simulate", "--night", "20260231"), "night '20260231' is not a date"),
        (("simulate", "--dec", "95"), "invalid value '95' for --dec: it should be less than or equal to 90"),
        (("reduce", "2020-01-01"), "night '2020-01-01' is not a date"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(call, tmp_path, asked, said):
    code, _, err = call(*asked)
    assert code == 64
    assert said in err
    assert list(tmp_path.iterdir()) == []


def test_files_that_the_profile_cannot_read_are_one_message(call, tmp_path):
    for number in range(3):
        (tmp_path / f"{number}.fits").write_bytes(b"no FITS")
    code, _, err = call("masters", "0.fits", "1.fits", "2.fits")
    assert code == 64
    assert err.count("left out, CorruptFile") == 1
    assert "0.fits and 2 more: it is not a FITS file" in err
    assert "gozen instrument check tomoe 0.fits" in err


def test_a_record_that_is_damaged_ends_the_command_with_its_exit_code(call, archive):
    key = f"raw/{NIGHT}/e1/exposure.json"
    archive.write(key, b"{}")
    code, _, err = call("archive", "forget", NIGHT, "e1")
    assert (code, err.split(": ")[1]) == (65, "UnreadableInput")
    assert key in err


def test_the_rule_of_a_bucket_has_days_that_a_bucket_can_count():
    assert [days_of_rule(keep) for keep in (0.0, 6.5, 7.0)] == [3, 9, 9]
    with pytest.raises(BadRequest, match=r"keep_raw_days is inf.*write --days"):
        days_of_rule(float("inf"))


def test_no_error_ends_a_command_as_if_all_were_done(monkeypatch, capsys):
    def refuse(args):
        raise CorruptFile("a.fits: the file is empty; copy it again")

    monkeypatch.setattr("gozen.cli.call._call", refuse)
    assert run(["exposures"]) == 65
    assert "gozen: CorruptFile: a.fits" in capsys.readouterr().err


def test_numbers_are_given_to_the_digits_that_matter():
    assert [text_of(value) for value in (58568.188284, 20800.0, 1109.31873, 0.0531742, None, 18)] == [
        "58568.18828",
        "20800",
        "1109.3",
        "0.053174",
        "",
        "18",
    ]
