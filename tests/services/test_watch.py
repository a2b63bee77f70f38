"""``gozen watch`` as an observatory runs it: real processes, and files that are complete, half-written or broken.

Covered: the way from a folder to the table; the same result as `gozen run`, bit by bit also after a kill; half-written
files, express cubes, a full queue, broken files, storage that fails for some time, Ctrl-C, and two watches at the same
time. Not covered: the decisions (tests/unit/test_watch_*), the speed (benchmarks/night.py).
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gozen.archive.commit import read_commit
from gozen.archive.keys import Processing
from gozen.archive.stores.open_store import open_store
from gozen.catalog import open_catalog

from .conftest import CAMERA, NIGHT
from .fork_client import ForkServer
from .small_demo import GOZEN
from .test_night_by_command import wait_until_gone

FIRST, SECOND = "00000003", "00000004"
PATIENT_S = 120
QUICK = {"GOZEN_WATCH__INTERVAL_S": "0.05", "GOZEN_WATCH__REPORT_S": "0.1"}


def contents(folder: Path) -> dict[str, bytes]:
    """Return every object of an archive."""
    root = folder / "archive"
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def waiting(folder: Path) -> list[str]:
    """Return the files in the watched folder and its spool."""
    return sorted(p.name for p in (folder / "incoming").rglob("*.fits"))


def until(holds: Callable[[], bool], process: subprocess.Popen[str] | None = None) -> None:
    """Wait for a condition; fail when the process ends before, or after two minutes."""
    deadline = time.monotonic() + PATIENT_S
    while not holds():
        assert time.monotonic() < deadline
        assert process is None or process.poll() is None, process.communicate()
        os.sched_yield()


def copy_of(simulated: Path, folder: Path) -> Path:
    """Make a folder with the raw files in ``incoming`` and an archive that knows the stars alone."""
    (folder / "incoming").mkdir(parents=True)
    for path in (simulated / "archive" / "raw").rglob("*.fits"):
        shutil.copyfile(path, folder / "incoming" / path.name)
    shutil.copytree(simulated / "archive" / "truth", folder / "archive" / "truth")
    shutil.copyfile(simulated / "recipe.yaml", folder / "recipe.yaml")
    return folder


@pytest.fixture
def place(simulated: Path, tmp_path: Path) -> Path:
    """Return a folder that a camera has filled and nobody has looked at."""
    return copy_of(simulated, tmp_path / "place")


@pytest.fixture(scope="module")
def watched(simulated: Path, tmp_path_factory: pytest.TempPathFactory, command) -> Path:
    """Return such a folder after an undisturbed watch; not to be changed."""
    folder = copy_of(simulated, tmp_path_factory.mktemp("watched") / "place")
    command("watch", "incoming", "--once", "--recipe", "recipe.yaml", cwd=folder)
    return folder


Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(place: Path, forks: ForkServer, tmp_path: Path) -> Iterator[Start]:
    """Start a watch in a process group of its own; end what is left of it after the test.

    One that is ``installed`` is started as users do; others by the fork server, which saves seconds.
    """
    program = forks.program(tmp_path) / "gozen"
    started: list[subprocess.Popen[str]] = []

    def begin(*words: str, workers: int = 1, installed: bool = False, **settings: str) -> subprocess.Popen[str]:
        environment = {
            **os.environ, "GOZEN_INSTRUMENT": str(CAMERA), "GOZEN_WORKERS": str(workers), **QUICK, **settings
        }  # fmt: skip
        process = subprocess.Popen(
            [GOZEN if installed else program, "watch", "incoming", "--status", "status.json", *words],
            cwd=place, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            start_new_session=True,
            # A test runner started in the background may ignore SIGINT, and its children with it.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )  # fmt: skip
        started.append(process)
        return process

    yield begin
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    forks.count(tmp_path)


def status(folder: Path) -> dict[str, object]:
    """Return the state that a watch wrote last."""
    try:
        return json.loads((folder / "status.json").read_text())
    except FileNotFoundError:
        return {}


def committed(folder: Path) -> list[str]:
    """Return the commits of exposures of the sky."""
    return sorted(p.as_posix() for p in (folder / "archive").glob("exposures/*/0000000[34]/*/*.json"))


def test_what_lies_in_the_folder_ends_in_the_table_as_by_gozen_run(watched: Path, reduced: Path) -> None:
    mine, theirs = contents(watched), contents(reduced)
    made = ("raw", "calib", "exposures", "stack", "staging", "tables")
    pick = [{key: data for key, data in one.items() if key.split("/")[0] in made} for one in (mine, theirs)]
    assert pick[0] == pick[1]
    # Own ids of sources without a star are given in the order of the appends; everything else is the same.
    of_a_row = ["exposure", "sensor", "frame", "x", "y", "mjd", "flux", "flux_err", "mag"]
    tables = [open_catalog(open_store(one / "archive"), "lightcurves").table() for one in (watched, reduced)]
    mine_rows, their_rows = (
        one.select(of_a_row).sort_by([(name, "ascending") for name in of_a_row[:5]]) for one in tables
    )
    assert mine_rows.num_rows > 2000
    assert mine_rows.equals(their_rows)
    assert waiting(watched) == []


def test_killed_and_started_again_it_ends_in_the_same_archive(place: Path, watched: Path, start, command) -> None:
    process = start("--recipe", "recipe.yaml", installed=True)
    until(lambda: len(committed(place)) > 0, process)
    process.kill()
    process.communicate()
    wait_until_gone(process.pid)  # workers do not outlive the watch
    before = {path: Path(path).stat().st_mtime_ns for path in committed(place)}
    assert waiting(place)
    command("watch", "incoming", "--once", "--recipe", "recipe.yaml", cwd=place)
    assert contents(place) == contents(watched)
    assert {path: Path(path).stat().st_mtime_ns for path in before} == before
    assert waiting(place) == []


def test_ctrl_c_ends_it_and_it_goes_on_where_it_was(place: Path, watched: Path, start, command) -> None:
    process = start("--recipe", "recipe.yaml", installed=True)
    until(lambda: len(committed(place)) > 0, process)
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "run the same command again" in said
    assert "Traceback" not in said
    assert not list((place / "archive" / ".partial").glob("*"))
    command("watch", "incoming", "--once", "--recipe", "recipe.yaml", cwd=place)
    assert contents(place) == contents(watched)


def test_a_half_written_file_waits_and_express_goes_first(place: Path, start) -> None:
    late = next((place / "incoming").glob(f"*{FIRST}11.fits"))
    data = late.read_bytes()
    late.unlink()
    half = late.with_name("half.fits")
    with half.open("wb") as stream:
        stream.write(data[: len(data) // 2])
        stream.flush()
        process = start("--express", "*dith2")
        until(lambda: len(committed(place)) == 3 and status(place).get("unread") == 1, process)
        assert "half.fits" in waiting(place)
        stream.write(data[len(data) // 2 :])
    until(lambda: len(committed(place)) == 4 and waiting(place) == [], process)
    os.kill(process.pid, signal.SIGTERM)
    said, messages = process.communicate(timeout=60)
    assert process.returncode == 130, messages
    order = [line.split()[1].rstrip(":") for line in said.splitlines() if "OBJECT" in line]
    assert order[0] == SECOND
    assert set(order[1:]) == {FIRST}
    assert f"{SECOND}: OBJECT 'field_dith2', express: sensors: 2 reduced" in said
    assert "Corrupt" not in messages


def test_broken_files_are_kept_and_stop_no_other(place: Path, start) -> None:
    (place / "incoming" / "noise.fits").write_bytes(os.urandom(5000))
    files = sorted((place / "incoming").glob("TMQ*.fits"))
    short = next(path for path in files if path.name.startswith(f"TMQ1{NIGHT}{FIRST}"))
    short.write_bytes(short.read_bytes()[: short.stat().st_size // 2])
    process = start("--once", GOZEN_WATCH__PATIENCE_S="0.2")
    said, messages = process.communicate(timeout=PATIENT_S)
    assert process.returncode == 0, messages
    assert messages.count("left out, CorruptFile: noise.fits") == 1
    assert waiting(place) == ["noise.fits"]
    assert (place / "incoming" / "refused" / "noise.fits").stat().st_size == 5000
    assert f"{FIRST}: OBJECT 'field_dith1': sensors: 1 CorruptFile, 1 reduced" in said
    commits = [read_commit(open_store(place / "archive"), Processing(NIGHT, FIRST), one) for one in ("111", "112")]
    assert sorted(commit.status for commit in commits if commit) == ["reduced", "rejected"]


def test_a_file_that_comes_again_is_nothing_new_and_another_of_its_name_is_kept_apart(place: Path, command) -> None:
    first = sorted((place / "incoming").glob("*.fits"))[0]
    again, other = first.read_bytes(), bytearray(first.read_bytes())
    other[-1] ^= 1
    command("watch", "incoming", "--once", cwd=place)
    before = contents(place)
    first.write_bytes(again)
    assert command("watch", "incoming", "--once", cwd=place).returncode == 0
    assert contents(place) == before
    assert waiting(place) == []
    first.write_bytes(other)
    done = command("watch", "incoming", "--once", cwd=place)
    assert "CorruptFile" in done.stderr
    assert "a different file, which is not overwritten" in done.stderr
    assert contents(place) == before
    assert waiting(place) == [first.name]


def test_storage_that_is_away_for_a_while_is_named_and_waited_for(place: Path, watched: Path, start) -> None:
    (place / "archive" / "exposures").write_text("in the way")
    process = start("--recipe", "recipe.yaml")
    until(lambda: "exposures" in str(status(place).get("trouble", "")), process)
    assert not committed(place)
    (place / "archive" / "exposures").unlink()
    until(lambda: len(committed(place)) == 4 and waiting(place) == [], process)
    os.kill(process.pid, signal.SIGTERM)
    _, messages = process.communicate(timeout=60)
    assert "StorageUnavailable" in messages
    assert "is over" in messages
    assert contents(place) == contents(watched)


def test_with_once_storage_in_trouble_ends_it_with_75(place: Path, command) -> None:
    (place / "archive" / "raw").write_text("in the way")
    done = command("watch", "incoming", "--once", cwd=place, check=False)
    assert done.returncode == 75
    assert "a file has the name of a folder" in done.stderr
    assert len(waiting(place)) == 8


def test_a_full_queue_leaves_files_in_the_folder_and_says_so(place: Path, start) -> None:
    process = start("--once", GOZEN_WATCH__QUEUE_LENGTH="1")
    said, messages = process.communicate(timeout=PATIENT_S)
    assert process.returncode == 0, messages
    assert "QueueFull: 1 sensor exposures wait in the archive" in messages
    assert "QueueFull is over" in messages
    assert said.count("sensors: 2 reduced") == 4


def test_without_masters_it_waits_for_them(place: Path, start) -> None:
    aside = place / "aside"
    aside.mkdir()
    for path in sorted((place / "incoming").glob("*.fits"))[:4]:
        assert path.name[12:20] in ("00000001", "00000002")
        path.rename(aside / path.name)
    process = start()
    until(lambda: status(place).get("held") == 4, process)
    for path in sorted(aside.glob("*.fits")):
        path.rename(place / "incoming" / path.name)
    until(lambda: len(committed(place)) == 4 and waiting(place) == [], process)
    os.kill(process.pid, signal.SIGTERM)
    _, messages = process.communicate(timeout=60)
    assert "held, UnreadableInput" in messages
    assert "take such dark exposures" in messages


def test_kept_files_stay_and_nothing_is_done_twice(place: Path, command) -> None:
    names = waiting(place)
    command("watch", "incoming", "--once", "--keep", cwd=place)
    before = contents(place)
    command("watch", "incoming", "--once", "--keep", cwd=place)
    assert contents(place) == before
    assert waiting(place) == names
    assert not (place / "incoming" / ".gozen").exists()


def test_a_second_watch_is_refused(place: Path, start, command) -> None:
    process = start()
    until(lambda: bool(status(place)), process)
    done = command("watch", "incoming", "--once", cwd=place, check=False)
    assert done.returncode == 64
    assert "another `gozen watch` already watches incoming" in done.stderr


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("nowhere",), "the folder nowhere does not exist"),
        (("archive",), "overlap"),
        ((".",), "overlap"),
        (("incoming", "--pipelines", "wsc"), "unknown pipeline wsc"),
        (("incoming", "--recipe", "none.yaml"), "cannot read the recipe none.yaml"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused(place: Path, command, words, sentence: str) -> None:
    before = contents(place)
    done = command("watch", *words, "--once", cwd=place, check=False)
    assert done.returncode == 64
    assert sentence in done.stderr
    assert contents(place) == before
