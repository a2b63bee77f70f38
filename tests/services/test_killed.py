"""``gozen run`` and ``gozen watch`` killed at random moments: started again they end in the same archive, bit by bit.

Covered: SIGKILL of the whole process group, of the main process alone, and of a worker, at moments drawn over the
length of an undisturbed life, so that intake, masters, reduction, commits, table and log are all hit; nothing that was
committed is written again; nothing is left behind. The archive that counts was made by the installed command; the
lives that are killed come from `tests.services.zygote`, which saves the seconds of each start.

``GOZEN_KILLS`` is the number of kills: 40 by default, 200 in ``make soak``. ``GOZEN_SEED`` replays a
failure, whose message names it. Not here: storage in trouble and inputs that change (test_disturbed.py).
"""

from __future__ import annotations

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

from .lives import Mark, all_gone, by_command, committed, differences, digests, left_in, members, place, start
from .zygote import Life, Zygote

KILLS = int(os.environ.get("GOZEN_KILLS", "40"))
SEED = int(os.environ.get("GOZEN_SEED", "1"))
HOW = ("group", "group", "main", "worker")
"""Who is killed: a plug that is pulled, or an out-of-memory kill that takes one process."""

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


@pytest.mark.parametrize("kind", ["run", "watch"])
def test_killed_at_random_moments_it_ends_in_the_same_archive(
    kind: str, simulated: Path, zygote: Zygote, tmp_path: Path
) -> None:
    right = digests(by_command(place(simulated, tmp_path / "right", os.link), kind))
    assert [key for key in right if key.startswith("neo/")]
    lengths_s = []
    for name in ("quiet", "again"):  # the first one may have compiled what the others find
        began = time.monotonic()
        quiet = start(zygote, place(simulated, tmp_path / name, os.link), kind)
        assert quiet.end() == 0, quiet.said()
        lengths_s.append(time.monotonic() - began)
        assert differences(digests(tmp_path / name), right) == []
    length_s = min(lengths_s)
    kills: Counter[str] = Counter()
    for number in itertools.count():
        name = f"{kind} {number}"
        folder = place(simulated, tmp_path / str(number), os.link)
        history = lived(
            History(name, folder), lambda at=folder: start(zygote, at, kind), length_s, random.Random(f"{SEED} {name}")
        )
        assert differences(digests(folder), right) == [], str(history)
        assert left_in(folder) == left_in(tmp_path / "right"), str(history)
        shutil.rmtree(folder)
        kills.update(one.split()[0] for one in history.kills)
        if kills.total() >= KILLS / 2:
            break
    log.info("%s: killed %s in %d histories, each %.1f s long undisturbed", kind, dict(kills), number + 1, length_s)
