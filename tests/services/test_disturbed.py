"""``gozen run`` and ``gozen watch`` with failing storage or changing input.

Covered: a disk that is full at a random stage, an archive or a watched folder that cannot be written for some time, raw
files that are exchanged, truncated or overwritten while they are copied and reduced. The command ends with a named
error and exit code 75, or the watch waits. Afterwards the archive is the same bit by bit, and a commit is that of the
old bytes, of the new ones, or says CorruptFile. Not covered: kills (test_killed.py).
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from tests.effort import SEED, rounds

from .fork_client import ForkServer, Life
from .lives import COMMANDS, ENVIRONMENT, all_gone, differences, digests, left_in, place, start, until
from .test_night_by_command import stat_of

ROUNDS = "changes under a reduction"
STORAGE = 75
SKY = ("00000003", "00000004")
WATCH = ["watch", "incoming", "--recipe", "asked.yaml", "--status", "status.json"]
needs_root = pytest.mark.skipif(os.getuid() != 0 and not os.environ.get("CI"), reason="mounting needs root")
pytestmark = pytest.mark.xdist_group("lives")


@dataclass(frozen=True)
class Right:
    """What an undisturbed life ends in, how many bytes it writes, and how long it takes."""

    digests: dict[str, str]
    written: int
    length_s: float


@pytest.fixture(scope="module")
def right(simulated: Path, forks: ForkServer, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Right]:
    """Return the archive of an undisturbed life of one kind; test_killed.py compares it with the installed command."""
    known: dict[str, Right] = {}

    def of(kind: str) -> Right:
        if kind not in known:
            folder = place(simulated, tmp_path_factory.mktemp("right") / kind)
            began = time.monotonic()
            life = start(forks, folder, kind)
            assert life.end() == 0, life.said()
            length_s, root = time.monotonic() - began, folder / "archive"
            linked = ("truth", "raw") if kind == "watch" else ("truth",)
            written = (key for key in digests(folder) if not key.startswith(linked))
            known[kind] = Right(digests(folder), sum((root / key).stat().st_size for key in written), length_s)
        return known[kind]

    return of


def mount(*words: str | Path) -> None:
    subprocess.run(["mount", *words], check=True)


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[Callable[[int | None], None]]:
    """Mount a disk on a folder; yield a function that leaves so many bytes of it free, or plenty."""

    def leave(room: int | None) -> None:
        found = os.statvfs(folder)
        used = found.f_frsize * (found.f_blocks - found.f_bfree)
        mount("-o", f"remount,size={used + room if room is not None else 1 << 30}", folder)

    folder.mkdir()
    mount("-t", "tmpfs", "-o", f"size={1 << 30}", "none", folder)
    try:
        yield leave
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


@contextlib.contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Make a folder one that cannot be written; modes do not hinder root."""
    mount("--bind", folder, folder)
    try:
        # It is busy while a file is open for writing.
        command = ["mount", "-o", "remount,ro,bind", folder]
        until(lambda: subprocess.run(command, capture_output=True).returncode == 0, lambda: "it stays busy")
        yield
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def status(folder: Path) -> dict[str, object]:
    """Return the state that a watch wrote last."""
    try:
        return json.loads((folder / "status.json").read_text())
    except FileNotFoundError:
        return {}


def finish_watch(life: Life, folder: Path) -> None:
    """Wait until a watch has done all that there is, then stop it."""
    until(lambda: not left_in(folder), life.said)
    os.kill(life.pid, signal.SIGTERM)
    assert life.end() == 130, life.said()
    all_gone([life])


@needs_root
@pytest.mark.parametrize("kind", COMMANDS)
def test_a_disk_that_is_full_at_any_stage_loses_nothing(kind, simulated, forks, right, tmp_path) -> None:
    rng = random.Random(f"{SEED} full {kind}")
    for number in rounds(ROUNDS):
        room = rng.randrange(right(kind).written)
        disk, log = tmp_path / f"disk {number}", tmp_path / f"said {number}"
        with small_disk(disk) as leave:
            folder = place(simulated, disk / "place")
            leave(room)
            life = start(forks, folder, kind, log)
            where = f"seed {SEED}, {room} bytes free"
            assert life.end() == STORAGE, f"{where}: {life.end()}\n{life.said()}"
            assert "StorageUnavailable" in life.said(), where
            assert "disk is full" in life.said(), where
            assert not list((folder / "archive" / ".partial").glob("*")), where
            leave(None)
            again = start(forks, folder, kind, log)
            assert again.end() == 0, f"{where}\n{again.said()}"
            assert differences(digests(folder), right(kind).digests) == [], f"{where}\n{again.said()}"


@needs_root
def test_a_watch_waits_for_room_and_goes_on(simulated, forks, right, tmp_path) -> None:
    with small_disk(tmp_path / "disk") as leave:
        folder = place(simulated, tmp_path / "disk" / "place")
        leave(3_000_000)
        life = forks.live(folder, tmp_path / "said", [*WATCH[:-1], str(tmp_path / "status.json")], **ENVIRONMENT)
        until(lambda: "disk is full" in str(status(tmp_path).get("trouble", "")), life.said)
        leave(None)
        finish_watch(life, folder)
        assert "StorageUnavailable" in life.said()
        assert "is over" in life.said()
        assert differences(digests(folder), right("watch").digests) == []


@needs_root
@pytest.mark.parametrize("kind", COMMANDS)
def test_an_archive_that_cannot_be_written_for_a_while_loses_nothing(kind, simulated, forks, right, tmp_path) -> None:
    rng = random.Random(f"{SEED} read-only {kind}")
    for number in rounds(ROUNDS):
        folder = place(simulated, tmp_path / str(number))
        moment = rng.uniform(0, 0.7 * right(kind).length_s)
        life = start(forks, folder, kind)
        time.sleep(moment)  # at which the disk goes; nothing is waited for
        with read_only(folder / "archive"):
            code = life.end()
        assert code in (0, STORAGE), f"seed {SEED}, after {moment} s: {code}\n{life.said()}"
        assert code == 0 or "mounted read-only" in life.said(), life.said()
        again = start(forks, folder, kind)
        assert again.end() == 0, again.said()
        assert differences(digests(folder), right(kind).digests) == [], f"seed {SEED}, after {moment} s\n{again.said()}"
        shutil.rmtree(folder)


@needs_root
@pytest.mark.parametrize("which", ["archive", "incoming"])
@pytest.mark.parametrize("done", [0, 2, 4])
def test_a_watch_waits_until_a_folder_can_be_written_again(which, done, simulated, forks, right, tmp_path) -> None:
    folder = place(simulated, tmp_path / "place")
    life = forks.live(folder, folder / "said", WATCH, **ENVIRONMENT)
    until(lambda: len(list(folder.glob("archive/exposures/*/*/*/*.json"))) >= done, life.said)
    with read_only(folder / which):
        until(lambda: "read-only" in str(status(folder).get("trouble", "")), life.said)
    finish_watch(life, folder)
    assert differences(digests(folder), right("watch").digests) == [], life.said()


def other_film(path: Path) -> bytes:
    """Return a raw file with the frames in the opposite order: what moves goes back, the header is the same."""
    data = path.read_bytes()
    with fits.open(path, do_not_scale_image_data=True, memmap=False) as hdus:
        place = hdus[0].fileinfo()["datLoc"]
        turned = np.ascontiguousarray(hdus[0].data[::-1]).tobytes()
    return data[:place] + turned + data[place + len(turned) :]


@pytest.fixture(scope="module")
def films(simulated: Path) -> dict[str, tuple[bytes, bytes]]:
    """Return the old and the new bytes of each raw file of the sky."""
    found = (path for path in (simulated / "archive" / "raw").rglob("*.fits") if path.parent.name in SKY)
    return {path.name: (path.read_bytes(), other_film(path)) for path in found}


@pytest.fixture(scope="module")
def good(simulated, forks, films, right, tmp_path_factory) -> dict[str, list[bytes]]:
    """Return the commits of the sky that there may be: those of the old bytes and those of the new."""
    old, new = (place(simulated, tmp_path_factory.mktemp("good") / name) for name in ("old", "new"))
    for name, (_, other) in films.items():
        (new / "incoming" / name).write_bytes(other)
    for folder in (old, new):
        life = start(forks, folder, "run")
        assert life.end() == 0, life.said()
    both = [commits(folder) for folder in (old, new)]
    assert all(both[0][key] != both[1][key] for key in both[0])
    return {key: [one[key] for one in both] for key in both[0]}


def commits(folder: Path) -> dict[str, bytes]:
    """Return the commits of the sky, by exposure and sensor."""
    found = (folder / "archive" / "exposures").glob("*/*/r1/*.json")
    return {f"{p.parts[-3]}/{p.stem}": p.read_bytes() for p in found if p.parts[-3] in SKY}


def change(path: Path, old: bytes, new: bytes, rng: random.Random) -> None:
    """Swap a file, cut it short, or write over it; one that is gone stays so."""
    how, data = rng.choice(["swap", "cut", "over", "over"]), rng.choice([old, new])
    with contextlib.suppress(FileNotFoundError):
        if how == "swap":
            path.stat()
            fresh = path.with_name(".fresh")
            fresh.write_bytes(data)
            fresh.replace(path)
        elif how == "cut":
            os.truncate(path, rng.randrange(len(old)))
        else:
            with path.open("r+b", buffering=0) as stream:
                for at in range(0, len(data), 1 << 18):
                    stream.write(data[at : at + (1 << 18)])
                    time.sleep(0.001)  # as a slow copy, so that a reader comes in between


def restless(life: Life, paths: list[Path], films, rng: random.Random, length_s: float) -> None:
    """Change files again and again while a life reads them, then give all that are still there their old bytes back."""
    deadline = time.monotonic() + length_s
    while time.monotonic() < deadline and is_alive(life):
        path = rng.choice(paths)
        change(path, *films[path.name], rng)
        time.sleep(rng.uniform(0, 0.02))
    for path in paths:
        if path.exists():
            fresh = path.with_name(".fresh")
            fresh.write_bytes(films[path.name][0])
            fresh.replace(path)


def is_alive(life: Life) -> bool:
    return stat_of(Path(f"/proc/{life.pid}"))[0] != "Z"


def check(folder: Path, good: dict[str, list[bytes]], said: str) -> list[str]:
    """Check that each commit is one of those that may be, or says CorruptFile; return those that say so."""
    found = commits(folder)
    wrong = [key for key, data in found.items() if data not in good[key]]
    for key in wrong:
        assert (json.loads(found[key])["rejection"] or {}).get("name") == "CorruptFile", f"{key}\n{said}"
    return wrong


@pytest.mark.parametrize("where", ["incoming", "archive"])
def test_input_that_changes_under_a_run_gives_no_wrong_commit(
    where, simulated, forks, films, good, right, tmp_path
) -> None:
    for number in rounds(ROUNDS):
        rng = random.Random(f"{SEED} restless {where} {number}")
        folder = place(simulated, tmp_path / str(number))
        paths = [folder / "incoming" / name for name in films]
        words = COMMANDS["run"]
        if where == "archive":
            shutil.copytree(simulated / "archive" / "raw", folder / "archive" / "raw")
            shutil.copytree(simulated / "archive" / "calib", folder / "archive" / "calib")
            paths = [path for path in (folder / "archive" / "raw").rglob("*.fits") if path.name in films]
            words = [["run", "asked.yaml"], words[1]]
        for again in itertools.count():
            life = forks.live(folder, folder / "said", *words, **ENVIRONMENT)
            if again < 2:
                restless(life, paths, films, rng, right("run").length_s)
            assert life.end() in (0, STORAGE), f"seed {SEED}, {number}: {life.end()}\n{life.said()}"
            corrupt = check(folder, good, f"seed {SEED}, {number}\n{life.said()}")
            if life.end() == 0 and again >= 2:
                break
            assert again < 3, life.said()
        assert len(commits(folder)) == len(good)
        for key in corrupt:
            assert any(line.startswith("rejected, CorruptFile") and key in line for line in life.said().splitlines())
        if where == "incoming":
            for name, (old, _) in films.items():
                (taken,) = (folder / "archive" / "raw").rglob(name)
                assert taken.read_bytes() == old or f"{name}: the archive already contains" in life.said()
        shutil.rmtree(folder)


def test_input_that_changes_under_a_watch_gives_no_wrong_commit(simulated, forks, films, good, right, tmp_path) -> None:
    for number in rounds(ROUNDS):
        rng = random.Random(f"{SEED} restless watch {number}")
        folder = place(simulated, tmp_path / str(number))
        paths = [folder / "incoming" / name for name in films]
        life = start(forks, folder, "watch")
        restless(life, paths, films, rng, right("watch").length_s)
        while life.end() == STORAGE:
            life = start(forks, folder, "watch")
        where = f"seed {SEED}, {number}\n{life.said()}"
        assert life.end() == 0, where
        check(folder, good, where)
        assert len(commits(folder)) == len(good), where
        kept = [path.name for path in (folder / "incoming").rglob("*.fits*")]
        assert all(f"{name}: the archive already contains" in life.said() for name in kept), where
        shutil.rmtree(folder)
