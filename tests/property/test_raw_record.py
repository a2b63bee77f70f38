"""Records of an exposure that several processes change at the same time: no recorded file is lost.

Covered: two or three processes that record, copy, forget or are killed, in any order of their calls of the archive;
archives of a single record. Not covered: the content of a record (unit/test_take_in), removal of raw files
(test_retention).
"""

from __future__ import annotations

import itertools
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.effort import EVERYTHING
from tests.unit.test_exposure_grouping import PROFILE

from gozen.archive.raw.exposure_record import RawExposure, Setup, Taken, raw_exposures, read_record, record_exposure
from gozen.archive.raw.forget import forget
from gozen.archive.raw.record_note import Note, RecordChange
from gozen.errors import StorageUnavailable
from gozen.frames.incoming_files import read_arrivals
from gozen.frames.take_in import take_in
from gozen.instrument.profile import parse_profile
from gozen.workflow.night_exposures import exposures_of_night

from ..interruptions import Killed, Life, MemoryStore, Watched, interleave
from .test_arrivals_in_portions import write

NIGHT = "20240301"
RECORD = f"raw/{NIGHT}/00000007/exposure.json"
CAMERA = parse_profile(PROFILE, "tiny")
SETUP = Setup("tiny", "R", 30.0, "low")
order = st.lists(st.tuples(st.integers(0, 9), st.sampled_from([False] * 7 + [True])), max_size=40)
some = settings(max_examples=1000 if EVERYTHING else 60, deadline=None, derandomize=True)


def key(name: str) -> str:
    return f"raw/{NIGHT}/e1/{name}.fits"


def files(sensor: str, *names: str) -> RawExposure:
    found = tuple(map(key, names))
    taken = {one: Taken(60370.5 + number) for number, one in enumerate(found)}
    return RawExposure(NIGHT, "e1", "M 67", "OBJECT", 60370.5, {sensor: found}, SETUP, taken)


def recorded(store: MemoryStore) -> set[str]:
    record = read_record(store, NIGHT, "e1")
    return set() if record is None else {one for found in record.sensors.values() for one in found}


@some
@given(order=order, before=st.booleans(), twice=st.booleans())
def test_no_file_that_somebody_has_recorded_is_lost(order, before, twice) -> None:
    store = MemoryStore()
    if before:
        record_exposure(store, files("0", "old"))

    def work(sensor: str) -> set[str]:
        done = set()
        for part in "ab" if twice else "a":
            record_exposure(Watched(store), files(sensor, f"{sensor}{part}"))
            done.add(key(f"{sensor}{part}"))
        return done

    lives = [Life(lambda sensor=sensor: work(sensor)) for sensor in "123"]
    interleave(lives, order)
    done = {one for life in lives if life.result is not Killed for one in life.result}
    assert recorded(store) >= done | ({key("old")} if before else set())
    for sensor in "123":  # whoever was killed is run again
        work(sensor)
    assert len(recorded(store)) == 3 * (1 + twice) + before
    assert store.list("raw") == [f"raw/{NIGHT}/e1/exposure.json"]  # the notes are gone, those of the killed too


@some
@given(order=order)
def test_what_is_taken_out_is_not_lost_nor_comes_back_beside_one_who_records(order) -> None:
    store = MemoryStore()
    for name in ("1a", "1b"):
        store.write(key(name), name.encode())
    record_exposure(store, files("1", "1a", "1b"))
    now = datetime(2024, 3, 2, tzinfo=UTC)
    out = Life(lambda: forget(Watched(store), NIGHT, "e1", ["1b"], now=now))
    more = Life(lambda: record_exposure(Watched(store), files("2", "2a")))
    interleave([out, more], [(which, False) for which, _ in order])
    assert recorded(store) == {key("1a"), key("2a")}
    record = read_record(store, NIGHT, "e1")
    assert record is not None
    assert [one.key for one in record.forgotten] == [key("1b")]


@pytest.fixture(scope="module")
def shots(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    words = {"OBJECT": "M 67", "FILTER": "R", "DEC": 20.0, "EXP_ID": "7"}
    shots = [{**words, "step": step, "CHIP": chip} for step, chip in ((7, "1"), (1, "2"), (40, "1"))]
    return write(tmp_path_factory.mktemp("shots"), shots)


def intake(store: object, path: Path) -> list[str]:
    _, refused = take_in(store, CAMERA, read_arrivals([path], CAMERA)[0])
    return [str(one) for one in refused]


def test_several_intakes_of_one_exposure_leave_nothing_to_be_missed_by_a_reduction(shots: list[Path]) -> None:
    calls = itertools.count()
    ended = False
    while not ended:  # the first is overtaken by the others, wholly or in part, before each of its calls
        first, second, third = next(calls), 0, False
        while not third:
            store = MemoryStore()
            one, two = (Life(partial(intake, Watched(store), path)) for path in shots[:2])
            for life, number in ((one, first), (two, second)):
                for _ in range(number):
                    life.go()
            ended, third = one.over, two.over
            assert intake(store, shots[2]) == two.finish() == one.finish() == []
            (found,) = exposures_of_night(store, CAMERA, NIGHT, ["00000007"])
            assert {sensor: len(names) for sensor, names in found.sensors.items()} == {"1": 2, "2": 1}, (first, second)
            assert raw_exposures(store, NIGHT) == [found]
            assert [key for key in store.list("raw") if not key.endswith(".fits")] == [RECORD]
            second += 1
    assert first > 5


@pytest.mark.parametrize("at", ["record/", "exposure.json"])
def test_a_change_that_fails_and_is_made_again_leaves_no_note(at: str) -> None:
    class Full(MemoryStore):
        full = False

        def write(self, key: str, data: bytes) -> None:
            if self.full and at in key:
                raise StorageUnavailable("the disk is full")
            super().write(key, data)

    store = Full()
    record_exposure(store, files("1", "1a"))
    store.full = True
    with suppress(StorageUnavailable):
        record_exposure(store, files("2", "2a"))
    store.full = False
    record_exposure(store, files("2", "2a"))
    assert recorded(store) == {key("1a"), key("2a")}
    assert store.list("raw") == [f"raw/{NIGHT}/e1/exposure.json"]


def test_a_note_of_another_machine_counts_until_a_day_has_passed() -> None:
    store = MemoryStore()
    record_exposure(store, files("1", "1a"))
    note = Note(RecordChange(add=files("2", "2a")), "pod.1", 17, datetime.now(UTC) - timedelta(hours=23))
    at = f"raw/{NIGHT}/e1/record/0.json"
    store.write(at, note.to_json())
    record_exposure(store, files("3", "3a"))
    assert store.exists(at)
    store.write(at, replace(note, since=note.since - timedelta(hours=2)).to_json())
    record_exposure(store, files("3", "3a"))
    assert recorded(store) == {key("1a"), key("2a"), key("3a")}
    assert store.list("raw") == [f"raw/{NIGHT}/e1/exposure.json"]


def test_the_record_of_an_earlier_gozen_is_read_and_continued() -> None:
    store = MemoryStore()
    old = b'{"data_type": "OBJECT", "exposure": "e1", "mjd": 60370.5, "night": "20240301", "object": "M 67", "sensors": {"1": ["raw/20240301/e1/1a.fits"]}}'  # noqa: E501 - as it was written
    store.write(f"raw/{NIGHT}/e1/exposure.json", old)
    record_exposure(store, files("2", "2a"))
    assert recorded(store) == {key("1a"), key("2a")}
    assert store.list("raw") == [f"raw/{NIGHT}/e1/exposure.json"]
