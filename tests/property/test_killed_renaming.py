"""Exposures are renamed by a process that is killed, or fails, before any call of the archive.

Covered: no file is lost, and after the next command none is in two exposures; the names are the same as without a kill;
a commit that is written meanwhile; a second process. Not covered: the grouping rules (unit/test_exposure_grouping).
"""

from __future__ import annotations

import itertools
import json
from collections import Counter
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from gozen.archive.raw.exposure_record import raw_exposures
from gozen.archive.stores.open_store import Store
from gozen.errors import StorageUnavailable
from gozen.frames.incoming_files import read_arrivals
from gozen.frames.take_in import record_missing, take_in

from ..interruptions import Life, MemoryStore, Watched
from .test_arrivals_in_portions import CAMERA, held, write

NIGHT = "20240301"
PLAN = f"raw/{NIGHT}/renaming/plan.json"
SHOTS = [
    {"OBJECT": "M 67", "FILTER": name, "DEC": 20.0, "CHIP": chip, "step": step}
    for step, name, chip in (
        (7, "V", "1"),
        (1, "V", "2"),
        (40, "R", "1"),
        (1, "R", "2"),
        (40, "B", "1"),
        (3000, "R", "1"),
    )
]


@pytest.fixture(scope="module")
def shots(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return write(tmp_path_factory.mktemp("shots"), SHOTS)


def intake(store: object, paths: list[Path]) -> object:
    exposures, refused = take_in(store, CAMERA, read_arrivals(paths, CAMERA)[0])  # type: ignore[arg-type]
    assert refused == []
    return exposures


def contents(store: MemoryStore) -> Counter[bytes]:
    return Counter(data for key, data in store.objects.items() if key.endswith(".fits"))


def frames(store: Store) -> list[str]:
    """Return the keys that records name, one for each naming."""
    return [key for one in raw_exposures(store, NIGHT) for files in one.sensors.values() for key in files]


@pytest.fixture
def expected(shots: list[Path]) -> MemoryStore:
    store = MemoryStore()
    intake(store, shots)
    assert {name: len(files) for name, files in held(store).items()} == {
        "m-67": 2, "m-67-2": 2, "m-67-3": 1, "m-67-4": 1
    }  # fmt: skip
    return store


def late_first(shots: list[Path]) -> MemoryStore:
    """Return an archive that has the later files, under the names that they get alone."""
    store = MemoryStore()
    intake(store, shots[2:])
    return store


@pytest.mark.parametrize("then", ["take in", "reduce"])
def test_a_kill_at_any_call_loses_nothing_and_leaves_no_frame_in_two_exposures(
    shots: list[Path], expected: MemoryStore, then: str
) -> None:
    for calls in itertools.count(1):
        store = late_first(shots)
        before = contents(store)
        life = Life(partial(intake, Watched(store), shots[:2]))
        for _ in range(calls):
            life.go()
        ended = life.over
        life.kill()
        assert not before - contents(store), calls
        if then == "reduce":  # `gozen reduce` with the night alone, before anybody takes the files in again
            assert record_missing(store, NIGHT, CAMERA) == []
            named = frames(store)
            assert sorted(named) == sorted(key for key in store.objects if key.endswith(".fits")), calls
            assert max(contents(store).values()) == 1, calls
        intake(store, shots[:2])
        assert store.objects == expected.objects, calls
        if ended:
            break
    assert calls > 40


class Failing(Watched):
    """An archive whose calls fail from some number on."""

    left = 10**9

    def __getattr__(self, name: str) -> object:
        found = getattr(self._target, name)
        if not callable(found):
            return found

        def call(*args: object, **words: object) -> object:
            self.left -= 1
            if self.left < 0:
                raise StorageUnavailable("the disk is full")
            return found(*args, **words)

        return call


def test_an_archive_that_fails_on_the_way_is_mended_by_the_same_process(
    shots: list[Path], expected: MemoryStore
) -> None:
    for calls in itertools.count():
        store = late_first(shots)
        failing = Failing(store)
        failing.left = calls
        try:
            intake(failing, shots[:2])
            break
        except StorageUnavailable:
            intake(store, shots[:2])
        assert store.objects == expected.objects, calls
    assert calls > 40


def test_a_commit_that_comes_while_files_move_keeps_them(shots: list[Path]) -> None:
    for calls in itertools.count(1):
        store = late_first(shots)
        life = Life(partial(intake, Watched(store), shots[:2]))
        for _ in range(calls):
            life.go()
        ended = life.over
        if not ended:
            store.write(f"exposures/{NIGHT}/m-67/r1/1.json", b"{}")
        with suppress(StorageUnavailable):  # it came before the plan: nothing has changed, and it says to run again
            life.finish()
        intake(store, shots[:2])
        assert contents(store) == Counter(path.read_bytes() for path in shots), calls
        named = frames(store)
        assert sorted(named) == sorted(key for key in store.objects if key.endswith(".fits")), calls
        if ended:
            break


def test_a_second_process_waits_for_the_first(shots: list[Path], expected: MemoryStore) -> None:
    store = late_first(shots)
    life = Life(partial(intake, Watched(store), shots[:2]))
    while PLAN not in store.objects:
        life.go()
    with pytest.raises(StorageUnavailable, match=r"another process moves files of 20240301 .*run again"):
        intake(store, shots[:2])
    life.finish()
    assert store.objects == expected.objects


def test_a_process_of_another_machine_is_over_after_ten_minutes(shots: list[Path], expected: MemoryStore) -> None:
    store = late_first(shots)
    life = Life(partial(intake, Watched(store), shots[:2]))
    while PLAN not in store.objects:
        life.go()
    life.kill()
    plan = json.loads(store.read(PLAN))
    for begun, is_at_work in (("2124-03-02T00:00:00+00:00", True), ("2024-03-02T00:00:00+00:00", False)):
        for note in plan["changes"].values():
            note["machine"], note["since"] = "another", begun
        store.write(PLAN, json.dumps(plan).encode())
        if is_at_work:
            with pytest.raises(StorageUnavailable):
                intake(store, shots[:2])
    intake(store, shots[:2])
    assert store.objects == expected.objects
