"""Test the load of a watch: rates, how long the free space lasts, warnings and their order, and backing off."""

from __future__ import annotations

import pytest

from gozen.archive.raw.exposure_record import RawExposure
from gozen.errors import StorageUnavailable
from gozen.settings import WatchSettings
from gozen.watch.backoff import LONGEST_S, Backoff
from gozen.watch.pressure import Paces, changes, duration, lasting, pressure_of, warnings_of
from gozen.watch.waiting_cubes import QueuedCube, State

MB = 1_000_000
SIZE = 90 * MB


def queued(count, seen=0.0, state=State.WAITING):
    return [
        QueuedCube(RawExposure("20260115", str(n), "f", "OBJECT", 0.0), "111", False, seen, seen, SIZE, state=state)
        for n in range(count)
    ]


def replay(pace_in, pace_out, limit, seconds, settings):
    """Follow a queue that fills and empties evenly; return the warnings of each ten seconds."""
    paces, waiting, said, came, went = Paces(0.0), 0, [], 0.0, 0.0
    for now in range(seconds):
        came, went = came + pace_in, went + min(pace_out, waiting + came - went)
        for _ in range(int(came)):
            paces.came(float(now), SIZE)
            waiting += 1
        for _ in range(min(int(went), waiting)):
            paces.went(float(now), SIZE)
            waiting -= 1
        came, went = came % 1, went % 1
        if now % 10 == 9:
            found = pressure_of(queued(waiting, now - 5.0), paces, float(now), unread=0, free=None, limit=limit)
            said.append([one.name for one in warnings_of(found, settings)])
    return said


@pytest.mark.parametrize("excess", [1.05, 1.5, 2.0, 4.0])
def test_the_limit_is_announced_before_it_is_reached(excess):
    settings = WatchSettings(warn_s=600)
    said = replay(excess, 1.0, 300 * SIZE * (excess - 1), 400, settings)
    short = next(place for place, names in enumerate(said) if "RawRoomShort" in names)
    used_up = next(place for place, names in enumerate(said) if "RawRoomUsedUp" in names)
    assert short < used_up


@pytest.mark.parametrize("load", [0.3, 0.7, 0.95])
def test_a_camera_that_is_slower_than_the_analysis_warns_nobody(load):
    assert not any(replay(load, 1.0, 1000 * SIZE, 600, WatchSettings(warn_s=600)))


def test_paces_are_those_of_the_last_minutes():
    paces = Paces(0.0)
    for second in range(600):
        paces.came(float(second), SIZE)
        if second >= 300:
            paces.went(float(second), SIZE)
    assert paces.cubes(600.0) == pytest.approx((1.0, 1.0), rel=0.01)
    assert paces.growth(600.0) == pytest.approx(0.0, abs=SIZE / 100)
    assert paces.cubes(1200.0) == (0.0, 0.0)


def test_files_of_one_cube_are_one_cube():
    paces = Paces(0.0)
    for number in range(18):
        paces.came(60.0, MB, first=number == 0)
    assert paces.cubes(60.0)[0] == pytest.approx(1 / 60)
    assert paces.growth(60.0) == pytest.approx(18 * MB / 60)


def test_a_disk_that_fills_is_seen_after_a_minute_and_not_before():
    paces = Paces(0.0)
    for second in range(0, 100, 10):
        paces.room(float(second), 1e9 - second * MB)
        assert paces.shrinkage(float(second)) == (pytest.approx(MB) if second >= 60 else 0.0)


def test_the_smaller_room_counts():
    paces = Paces(0.0)
    for second in range(100):
        paces.came(float(second), SIZE)
    found = pressure_of(queued(10), paces, 100.0, unread=0, free=1e15, limit=20 * SIZE)
    assert found.room_bytes == 10 * SIZE
    assert found.room_s == pytest.approx(10, rel=0.05)
    without = pressure_of(queued(10), paces, 100.0, unread=0, free=None, limit=None)
    assert (without.room_bytes, without.room_s) == (None, None)


def test_room_that_grows_lasts_for_ever():
    assert lasting(5.0, 2.5) == 2.0
    assert lasting(5.0, -1.0) == float("inf")
    assert lasting(-5.0, -1.0) == 0.0


def test_falling_behind_and_a_full_queue_are_said_with_numbers():
    paces = Paces(0.0)
    for second in range(100):
        paces.came(float(second), SIZE)
    cubes = [*queued(3), *queued(2, state=State.IN_FOLDER)]
    found = pressure_of(cubes, paces, 100.0, unread=1, free=None, limit=None)
    said = {one.name: one.message for one in warnings_of(found, WatchSettings(queue_length=3))}
    assert set(said) == {"FallingBehind", "QueueFull"}
    assert "1.00 sensor exposures arrive per second and 0.00 are reduced" in said["FallingBehind"]
    assert "2 more wait in the folder" in said["QueueFull"]
    assert found.line() == "queue 5 (2 in the folder), oldest 100 s, in 1.00/s, out 0.00/s"


def test_only_what_is_held_makes_no_queue():
    found = pressure_of(queued(4, state=State.HELD), Paces(0.0), 9.0, unread=0, free=None, limit=None)
    assert (found.unreduced, found.held, found.oldest_s) == (0, 4, 0.0)


def test_a_warning_is_said_when_it_begins_and_when_it_ends():
    paces = Paces(0.0)
    full = warnings_of(
        pressure_of(queued(3), paces, 1.0, unread=0, free=None, limit=2 * SIZE), WatchSettings(queue_length=3)
    )
    begun, over = changes([], full)
    assert ([one.name for one in begun], over) == (["RawRoomUsedUp"], [])
    assert changes(full, full) == ([], [])
    assert changes(full, []) == ([], ["RawRoomUsedUp"])


@pytest.mark.parametrize(("free", "limit"), [(0.0, None), (None, 2.0 * SIZE)])
def test_the_warning_fits_a_full_disk_and_a_limit(free, limit):
    found = pressure_of(queued(3), Paces(0.0), 1.0, unread=0, free=free, limit=limit)
    (warned,) = warnings_of(found, WatchSettings())
    assert warned.name == "RawRoomUsedUp"
    assert warned.message.startswith("there is no space for more raw data; 0.27 GB of them are not reduced")


@pytest.mark.parametrize(("seconds", "text"), [(4.2, "4 s"), (119, "119 s"), (300, "5 min"), (9000, "2.5 h")])
def test_times_are_said_as_people_say_them(seconds, text):
    assert duration(seconds) == text


def test_trouble_is_waited_for_longer_each_time_and_said_once(caplog):
    trouble, waits = Backoff("the archive"), []
    for _ in range(9):
        trouble.failed(StorageUnavailable("the disk is full"), 100.0)
        waits.append(trouble.until - 100.0)
    assert waits[:4] == [1.0, 2.0, 4.0, 8.0]
    assert max(waits) == LONGEST_S
    assert caplog.text.count("the disk is full") == 1
    trouble.succeeded()
    assert (trouble.message, trouble.until) == ("", 0.0)
    trouble.failed(StorageUnavailable("the disk is full"), 100.0)
    assert trouble.until == 101.0
