"""``gozen run`` and ``gozen watch`` killed at every stage: started again, they end in the same archive bit by bit.

Covered: SIGKILL of the process group, of the main process, and of a worker, in rotation over the stages (intake,
masters, reduction, commit, table, log), and at random moments of an undisturbed run's duration; no commit is written
twice; nothing is left behind. The expected archive was made by the installed command; the killed processes come from
`fork_server`, which saves the seconds of each start.

The number of histories with kills at random moments is in tests/effort.py. ``GOZEN_SEED`` replays a failure, whose
message names it. Not covered: failing storage and changing input (test_disturbed.py).
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import random
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.effort import SEED, rounds

from .fork_client import ForkServer, Life
from .lives import Mark, all_gone, by_command, committed, differences, digests, left_in, mark, members, place, start

HOW = ("group", "main", "worker")
"""Who is killed: a plug that is pulled, or an out-of-memory kill that takes one process."""
STAGES = {
    "intake": "raw/*/*/*",
    "masters": "calib/*/*",
    "reduction": "st*/*/0000000[34]/**/*",
    "commit": "exposures/*/0000000[34]/*/*.json",
    "table": "catalogs/*/*/dataset/*/*/*",
    "log": "tables/*/*",
}
"""The stages of a night, in their order, by what is written in the archive when one has begun."""
ATTEMPTS = 8

log = logging.getLogger(__name__)
pytestmark = pytest.mark.xdist_group("lives")


@dataclass
class History:
    """What befell one folder until a life came to its end."""

    name: str
    folder: Path
    kills: list[str] = field(default_factory=list)
    lives: list[Life] = field(default_factory=list)

    def __str__(self) -> str:
        said = (self.folder / "said").read_text(errors="replace")
        return f"seed {SEED}, {self.name}, killed {self.kills}; it said:\n{said[-3000:]}"


def kill(life: Life, how: str, rng: random.Random) -> bool:
    """Kill what is meant of a life; False when there was no such process any more."""
    workers = members(life.pid) if how == "worker" else []
    send = os.kill if workers or how == "main" else os.killpg
    try:
        send(rng.choice(workers) if workers else life.pid, signal.SIGKILL)
    except ProcessLookupError:  # it ended by itself just now
        return False
    return bool(workers) or life.end() == -signal.SIGKILL


MORE = 100_000
"""Number of the first of further histories; they are lived if none of the others was long enough for a kill."""


def lived(history: History, begin: Callable[[], Life], length_s: float, rng: random.Random) -> History:
    """Kill and start again until a life ends by itself; what was committed before must stay as it is."""
    safe: dict[str, Mark] = {}
    while True:
        life = begin()
        history.lives.append(life)
        moment, how = rng.uniform(0, length_s), rng.choice(HOW)
        # The moment is what is tested: nothing else is waited for, but a life that is over is not outwaited.
        if not life.ends_within(moment) and kill(life, how, rng):
            history.kills.append(f"{how} after {moment:.3f} s")
        if life.end() == 0:
            break
        assert life.end() == -signal.SIGKILL, str(history)
        if how != "main":  # its workers may still write, as they may when the next life begins
            all_gone([life])
            safe = still_safe(history, safe)
    all_gone(history.lives)
    still_safe(history, safe)
    return history


def still_safe(history: History, before: dict[str, Mark]) -> dict[str, Mark]:
    """Return what is committed now; fail where something that was committed before has been written again."""
    now = committed(history.folder)
    assert {key: now.get(key) for key in before} == before, str(history)
    return now


def written(folder: Path, stage: str) -> set[tuple[Path, Mark]]:
    """Return what there is of a stage."""
    found = set()
    for path in (folder / "archive").glob(STAGES[stage]):
        with contextlib.suppress(FileNotFoundError):  # one that is just replaced
            found.add((path, mark(path)))
    return found


def has_begun(folder: Path, stage: str, before: set[tuple[Path, Mark]], life: Life) -> bool:
    """Wait for something new of a stage; False when the life ends first."""
    while not written(folder, stage) - before:
        if life.ends_within(0.001):
            return False
    return True


def lived_through(history: History, begin: Callable[[], Life], rotation: int, rng: random.Random) -> set[str]:
    """Kill at each stage, start again and go on; return the stages at which it was killed."""
    killed: set[str] = set()
    safe: dict[str, Mark] = {}
    life = begin()
    history.lives.append(life)
    for number, stage in enumerate(STAGES):
        before = written(history.folder, stage)
        how = HOW[(number + rotation) % len(HOW)]
        if has_begun(history.folder, stage, before, life) and kill(life, how, rng):
            killed.add(stage)
            history.kills.append(f"{how} at {stage}")
            if life.code is None:  # it goes on without a worker
                continue
        if life.end() != 0:
            assert life.end() == -signal.SIGKILL, str(history)
            if how != "main":  # its workers may still write, as they may when the next life begins
                all_gone([life])
                safe = still_safe(history, safe)
            life = begin()
            history.lives.append(life)
    assert life.end() == 0, str(history)
    all_gone(history.lives)
    still_safe(history, safe)
    return killed


@pytest.fixture(scope="module", params=["run", "watch"])
def kind(request: pytest.FixtureRequest) -> str:
    """Return one of the two ways from raw files to a table."""
    return str(request.param)


@pytest.fixture(scope="module")
def right(kind: str, simulated: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of an undisturbed life of the installed command."""
    folder = by_command(place(simulated, tmp_path_factory.mktemp("right") / kind, os.link), kind)
    assert list((folder / "archive" / "neo").iterdir())
    return folder


def check_end(history: History, right: Path) -> None:
    """Check that a folder has come to the right end, and remove it."""
    assert differences(digests(history.folder), digests(right)) == [], str(history)
    assert left_in(history.folder) == left_in(right), str(history)
    shutil.rmtree(history.folder)


def test_killed_at_every_stage_it_ends_in_the_same_archive(
    kind: str, simulated: Path, right: Path, forks: ForkServer, tmp_path: Path
) -> None:
    killed: set[str] = set()
    for number in range(ATTEMPTS):
        folder = place(simulated, tmp_path / str(number), os.link)
        history = History(f"{kind} {number}", folder)
        rotation = number + ("run", "watch").index(kind)
        rng = random.Random(f"{SEED} {history.name}")
        killed |= lived_through(history, lambda at=folder: start(forks, at, kind), rotation, rng)
        log.info("%s: killed %s", history.name, history.kills)
        check_end(history, right)
        if killed == set(STAGES):  # a stage may be over before this process has seen it
            return
    raise AssertionError(f"in {ATTEMPTS} nights it was killed at {sorted(killed)} only")


def test_killed_at_random_moments_it_ends_in_the_same_archive(
    kind: str, simulated: Path, right: Path, forks: ForkServer, tmp_path: Path
) -> None:
    lengths_s = []
    for name in ("quiet", "again"):  # the first one may have compiled what the others find
        began = time.monotonic()
        quiet = start(forks, place(simulated, tmp_path / name, os.link), kind)
        assert quiet.end() == 0, quiet.said()
        lengths_s.append(time.monotonic() - began)
        assert differences(digests(tmp_path / name), digests(right)) == []
    length_s = min(lengths_s)
    kills: Counter[str] = Counter()
    numbers = rounds("kills at random moments", ("run", "watch").index(kind), 2)
    for number in itertools.chain(numbers, itertools.takewhile(lambda _: not kills, range(MORE, MORE + 10))):
        name = f"{kind} {number}"
        folder = place(simulated, tmp_path / str(number), os.link)
        began = time.monotonic()
        history = lived(
            History(name, folder), lambda at=folder: start(forks, at, kind), length_s, random.Random(f"{SEED} {name}")
        )
        if not history.kills:  # the machine has become faster since the quiet lives
            length_s = min(length_s, time.monotonic() - began)
        check_end(history, right)
        kills.update(one.split()[0] for one in history.kills)
    log.info("%s: killed %s, in lives of %.1f s each", kind, dict(kills), length_s)
    assert kills, "no history was long enough for a kill"
