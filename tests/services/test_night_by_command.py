"""A night from recipe to table on the command line, as an observer types it.

Covered: all commands of a night; nothing is done twice; after a kill, an interrupt or a full disk the archive ends the
same, bit by bit; messages about bad data and requests, and the exit codes. Not covered: pixels (tests/unit), accuracy
(tests/real), look-ups and the demo (their own modules).
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from gozen.archive.commit import read_commit
from gozen.archive.keys import Processing
from gozen.archive.stores.open_store import open_store
from gozen.catalog import open_catalog
from gozen.simulator.camera.damaged_files import damage

from .conftest import CAMERA, NIGHT
from .small_demo import GOZEN

EXPOSURES = ("00000003", "00000004")
"""Of the sky; the two before them are the dark and the flat."""


def contents(folder: Path) -> dict[str, bytes]:
    """Return every object of an archive."""
    root = folder / "archive"
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def products(folder: Path) -> dict[str, bytes]:
    """Return what reductions of the sky made: commits, stacks and staged rows."""
    made = ("exposures", "stack", "staging")
    found = {key: data for key, data in contents(folder).items() if key.split("/")[0] in made}
    return {key: data for key, data in found.items() if key.split("/")[2] in EXPOSURES}


def test_raw_data_outside_the_archive_give_the_same_and_stay_as_they_are(night, reduced, command, monkeypatch):
    elsewhere = night / "elsewhere"
    for exposure in EXPOSURES:
        shutil.move(night / "archive" / "raw" / NIGHT / exposure, elsewhere / exposure)
        (elsewhere / exposure / "exposure.json").unlink()
    before = {path: path.read_bytes() for path in elsewhere.rglob("*.fits")}
    words = ("reduce", NIGHT, EXPOSURES[0], "--raw-url", f"file://{elsewhere / EXPOSURES[0]}")
    refused = command(*words, cwd=night, check=False)
    assert refused.returncode == 64
    assert "raw_url_prefixes" in refused.stderr
    monkeypatch.setenv("GOZEN_RAW_URL_PREFIXES", json.dumps([f"file://{elsewhere}"]))
    command(*words, cwd=night)
    processing = Processing(NIGHT, EXPOSURES[0])
    for sensor in ("111", "112"):
        ours, usual = (read_commit(open_store(f / "archive"), processing, sensor) for f in (night, reduced))
        assert ours.products["staging"] is not None
        assert ours.provenance.inputs == usual.provenance.inputs
        assert ours.status == "reduced"
    assert {path: path.read_bytes() for path in elsewhere.rglob("*.fits")} == before
    assert not (night / "archive" / "raw" / NIGHT / EXPOSURES[0]).exists()
    both = command("reduce", NIGHT, *EXPOSURES, *words[-2:], cwd=night, check=False)
    assert "is the folder of one exposure" in both.stderr


def test_masters_of_raw_data_outside_the_archive(night, command, monkeypatch):
    elsewhere = night / "elsewhere"
    shutil.move(night / "archive" / "raw" / NIGHT / "00000001", elsewhere)
    shutil.rmtree(night / "archive" / "calib")
    shutil.rmtree(night / "archive" / "exposures")
    monkeypatch.setenv("GOZEN_RAW_URL_PREFIXES", json.dumps([f"file://{elsewhere}"]))
    words = ("masters", "--exposure", "00000001", "--raw-url", f"file://{elsewhere}")
    assert "needs --night" in command(*words, cwd=night, check=False).stderr
    said = command(*words, "--night", NIGHT, cwd=night).stdout
    assert "dark master of sensor 111" in said
    (elsewhere / "empty").mkdir()
    nothing = command(*words[:-1], f"file://{elsewhere}/empty", "--night", NIGHT, cwd=night, check=False)
    assert (nothing.returncode, "has no raw files of small" in nothing.stderr) == (65, True)


def start(folder: Path, *words: str) -> subprocess.Popen[str]:
    """Start ``gozen`` in a process group of its own, so that all of it can be killed."""
    environment = {**os.environ, "GOZEN_INSTRUMENT": str(CAMERA), "GOZEN_WORKERS": "1"}
    return subprocess.Popen(
        [GOZEN, *words],
        cwd=folder,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        # A test runner started in the background may ignore SIGINT, and its children with it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


def wait_for_commit(folder: Path, process: subprocess.Popen[str]) -> None:
    """Return as soon as the first sensor is committed; fail when the run ends before."""
    while not list((folder / "archive").glob("exposures/*/0000000[34]/*/*.json")):
        assert process.poll() is None, process.communicate()
        os.sched_yield()


def wait_until_gone(group: int) -> None:
    """Return when no process of a group runs any more; fail after a minute, which a worker takes on no machine."""
    deadline = time.monotonic() + 60
    while running := [
        stat for stat in map(stat_of, Path("/proc").glob("[0-9]*")) if stat[2] == group and stat[0] != "Z"
    ]:
        assert time.monotonic() < deadline, running
        os.sched_yield()


def stat_of(process: Path) -> tuple[str, int, int]:
    """Return state, parent and group of a process; zeros for one that has just ended."""
    try:
        state, parent, group = (process / "stat").read_text(errors="replace").rpartition(")")[2].split()[:3]
    except (FileNotFoundError, ProcessLookupError):
        return "Z", 0, 0
    return state, int(parent), int(group)


def test_a_recipe_becomes_a_table(reduced: Path) -> None:
    catalog = open_catalog(open_store(reduced / "archive"), "lightcurves")
    rows = catalog.table()
    assert rows.num_rows > 2000
    assert set(rows["exposure"].to_pylist()) == {"00000003", "00000004"}
    assert set(rows["sensor"].to_pylist()) == {111, 112}
    assert set(rows["frame"].to_pylist()) == set(range(6))


def test_the_log_knows_every_sensor(reduced: Path, command) -> None:
    said = command("exposures", "--csv", "--data-type", "OBJECT", cwd=reduced).stdout
    assert said.count(',"reduced",') == 4
    assert said.count("field_dith1") == 2
    assert command("exposures", "--csv", "--data-type", "FLAT", cwd=reduced).stdout.count(',"reduced",') == 2


def test_running_again_does_nothing(reduced: Path, command) -> None:
    before = {path: path.stat().st_mtime_ns for path in (reduced / "archive").rglob("*") if path.is_file()}
    said = command("run", "recipe.yaml", cwd=reduced).stdout
    command("night", "append", NIGHT, cwd=reduced)
    after = {path: path.stat().st_mtime_ns for path in (reduced / "archive").rglob("*") if path.is_file()}
    assert "4 reduced, 0 rejected, 0 failed (4 of them done before)" in said
    touched = {path for path in before if before[path] != after[path]}
    assert not {path for path in touched if path.parts[-5:][0] in ("exposures", "stack", "staging", "raw", "calib")}
    assert set(before) == set(after)


def test_killed_and_run_again_it_ends_in_the_same_archive(night: Path, reduced: Path, command) -> None:
    process = start(night, "run", "recipe.yaml")
    wait_for_commit(night, process)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    wait_until_gone(process.pid)
    kept = products(night)
    committed = [key for key in kept if key.startswith("exposures/")]
    assert 1 <= len(committed) < 4
    said = command("run", "recipe.yaml", cwd=night).stdout
    assert f"({len(committed)} of them done before)" in said
    command("night", "append", NIGHT, cwd=night)
    assert contents(night) == contents(reduced)


@pytest.mark.parametrize(
    "end",
    [lambda pid: os.killpg(pid, signal.SIGINT), lambda pid: os.kill(pid, signal.SIGTERM)],
    ids=["Ctrl-C", "the end of a pod"],
)
def test_an_interrupt_stops_the_workers_and_says_how_to_go_on(night: Path, reduced: Path, command, end) -> None:
    process = start(night, "run", "recipe.yaml")
    wait_for_commit(night, process)
    end(process.pid)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "run the same command again" in said
    assert "Traceback" not in said
    wait_until_gone(process.pid)
    command("run", "recipe.yaml", cwd=night)
    assert products(night) == products(reduced)


@pytest.mark.skipif(os.getuid() != 0 and not os.environ.get("CI"), reason="mounting a small disk needs root")
def test_a_full_disk_loses_nothing(night: Path, simulated: Path, reduced: Path, command, tmp_path_factory) -> None:
    disk = tmp_path_factory.mktemp("disk")
    size = sum(len(data) for data in contents(simulated).values())
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={3 * size}", "none", disk], check=True)
    try:
        subprocess.run(["cp", "-r", simulated / "archive", simulated / "recipe.yaml", disk], check=True)
        used = os.statvfs(disk).f_frsize * (os.statvfs(disk).f_blocks - os.statvfs(disk).f_bfree)
        subprocess.run(["mount", "-o", f"remount,size={used + 400_000}", disk], check=True)
        refused = command("run", "recipe.yaml", cwd=disk, check=False)
        assert refused.returncode == 75
        assert "StorageUnavailable" in refused.stdout + refused.stderr
        assert "disk is full" in refused.stdout + refused.stderr
        assert not list((disk / "archive" / ".partial").glob("*"))
        subprocess.run(["mount", "-o", f"remount,size={3 * size}", disk], check=True)
        command("run", "recipe.yaml", cwd=disk)
        assert products(disk) == products(reduced)
    finally:
        subprocess.run(["umount", disk], check=True)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("truncated", "CorruptFile"),
        ("wrong-shape", "CorruptFile"),
        ("missing-word", "CorruptFile"),
        ("contradicting-times", "InconsistentTime"),
        ("impossible-pointing", "InconsistentPointing"),
    ],
)
def test_a_broken_file_is_recorded_and_stops_no_other(night: Path, command, kind: str, reason: str) -> None:
    store = open_store(night / "archive")
    broken = next(key for key in store.list(f"raw/{NIGHT}/00000003") if key.endswith("11.fits"))
    damage(store, broken, kind)
    said = command("run", "recipe.yaml", cwd=night).stdout
    assert "3 reduced, 1 rejected, 0 failed" in said
    assert f"rejected, {reason}: 00000003/111" in said
    commit = read_commit(store, Processing(NIGHT, "00000003"), "111")
    assert commit is not None
    assert commit.rejection is not None
    assert commit.rejection.name == reason
    assert not commit.products
    assert command("exposures", "--reason", reason, "--csv", cwd=night).stdout.count(',"rejected",') == 1


def test_without_masters_it_says_how_to_make_them(night: Path, command) -> None:
    for path in (night / "archive" / "calib").rglob("*.fits"):
        path.unlink()
    done = command("run", "recipe.yaml", cwd=night, check=False)
    assert done.returncode == 65
    assert "gozen masters" in done.stdout
    assert not products(night)


def test_an_exposure_that_was_not_taken_is_named_and_the_rest_is_done(night: Path, command) -> None:
    recipe = night / "recipe.yaml"
    recipe.write_text(recipe.read_text().replace("field_dith2", "another field"))
    done = command("run", "recipe.yaml", cwd=night, check=False)
    assert done.returncode == 65
    assert "no raw OBJECT exposure of 'another field'" in done.stderr
    assert "field_dith1, field_dith2" in done.stderr
    assert "2 reduced" in done.stdout


def test_an_operation_that_does_not_exist_is_refused_with_its_line(night: Path, command) -> None:
    recipe = night / "recipe.yaml"
    recipe.write_text(recipe.read_text().replace("- Pointing", "- Pointin"))
    done = command("run", "recipe.yaml", cwd=night, check=False)
    assert done.returncode == 64
    assert "recipe.yaml line 5" in done.stderr
    assert "'Pointin'" in done.stderr
    assert not products(night)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("reduce", "20260116"), "no raw data of the night 20260116"),
        (("reduce", NIGHT, "00000099"), "has no exposure 00000099; it has 00000001, 00000002, 00000003, 00000004"),
        (("reduce", NIGHT, "--sensor", "900"), "has no sensor 900; it has 111, 112"),
        (("reduce", NIGHT, "--pipelines", "wsc"), "unknown pipeline wsc"),
        (("night", "append", "20260116"), "no exposure of the night 20260116 is reduced"),
        (("run", "recipe.yaml", "--night", "2026-01-15"), "'2026-01-15' is not a date of the form YYYYMMDD"),
        (("run", "nowhere.yaml"), "nowhere.yaml"),
        (("run", "recipe.yaml", "--raw", "nowhere"), "there is no file or folder nowhere"),
        (("masters", "recipe.yaml"), "none of the 1 files can be read"),
        (("simulate", "--sensors", "111,999"), "no sensor 999"),
        (("simulate", "--seed", "5"), "belongs to another simulated sky"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused(simulated: Path, command, words, sentence: str) -> None:
    before = contents(simulated)
    done = command(*words, cwd=simulated, check=False)
    assert done.returncode == 64, done.stdout + done.stderr
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    assert contents(simulated) == before


def test_an_archive_that_cannot_be_written_is_named(simulated: Path, command) -> None:
    done = command("simulate", "--archive", "/proc/gozen", cwd=simulated, check=False)
    assert done.returncode == 75
    assert "StorageUnavailable" in done.stderr
    assert "/proc/gozen" in done.stderr


def test_another_run_stands_beside_the_first_and_replaces_its_rows(night: Path, command) -> None:
    command("reduce", NIGHT, "--run", "r1", cwd=night)
    command("night", "append", NIGHT, cwd=night)
    command("reduce", NIGHT, "00000003", "--run", "r2", cwd=night)
    said = command("night", "append", NIGHT, cwd=night).stdout
    assert "replaced" in said
    rows = open_catalog(open_store(night / "archive"), "lightcurves").table()
    runs = set(zip(rows["exposure"].to_pylist(), rows["run"].to_pylist(), strict=True))
    assert runs == {("00000003", "r2"), ("00000004", "r1")}


def test_pods_that_share_an_exposure_end_as_one_run_does(night: Path, reduced: Path, command) -> None:
    for exposure in ("00000001", "00000002"):
        for part in ("0", "1"):
            command("masters", "--night", NIGHT, "--exposure", exposure, "--part", part, "--part-size", "1", cwd=night)
    for exposure in EXPOSURES:
        for part in ("0", "1"):
            words = ("--pipelines", "wcs,stack", "--part", part, "--part-size", "1")
            command("reduce", NIGHT, exposure, *words, cwd=night)
    command("night", "append", "--exposure", EXPOSURES[0], "--exposure", EXPOSURES[1], "--result", "r.json", cwd=night)
    rows = open_catalog(open_store(reduced / "archive"), "lightcurves").table().num_rows
    version = open_catalog(open_store(night / "archive"), "lightcurves").manifest.version
    assert json.loads((night / "r.json").read_text()) == {"exposures": 2, "rows": rows, "manifest": version}
    assert set(contents(night)) == set(contents(reduced))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("night", "append"), "nothing is selected"),
        (("night", "append", "--region", "10,20"), "is not a circle"),
        (("night", "append", "--region", "10,95,1"), "must be from -90 to 90"),
        (("night", "append", NIGHT, "--region", "10,-80,1"), "no exposure of the night 20260115 that is selected"),
        (("night", "append", "--exposure", "nobody"), "no selected exposure is reduced"),
        (("night", "append", NIGHT, "--run", "r9"), "no exposure of the night"),
        (("reduce", NIGHT, "--part", "9"), "have no such group"),
        (("masters", "--night", NIGHT, "--exposure", "nobody"), "no exposure nobody"),
    ],
)
def test_a_selection_of_nothing_is_refused(reduced: Path, command, words, message) -> None:
    done = command(*words, cwd=reduced, check=False)
    assert done.returncode == 64
    assert message in done.stderr


def test_a_region_selects_the_sensors_that_it_touches(reduced: Path, tmp_path: Path, command) -> None:
    folder = shutil.copytree(reduced, tmp_path / "copy")
    commit = read_commit(open_store(folder / "archive"), Processing(NIGHT, EXPOSURES[0]), "111")
    where = f"{commit.summary.ra},{commit.summary.dec},0.001"
    command("night", "append", "--region", where, "--table", "small", cwd=folder)
    rows = open_catalog(open_store(folder / "archive"), "small").table()
    assert set(rows["sensor"].to_pylist()) == {111}
