"""Test the decisions of a watch: what is reduced first, what waits for what, what is published, in which portions."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import pytest

from gozen.archive.raw.exposure_record import RawExposure
from gozen.errors import UnreadableInput
from gozen.watch.waiting_cubes import (
    QueuedCube,
    State,
    in_order,
    next_to_run,
    next_to_take,
    portions,
    publishable,
)

LATER = 1e9


def cube(exposure, sensor="111", kind="OBJECT", express=False, state=State.WAITING, last=0.0, night="20260115"):
    raw = RawExposure(night, exposure, "field", kind, 60000.0 + int(exposure) / 1000)
    return QueuedCube(raw, sensor, express=express, seen=0.0, last=last, state=state)


def names(cubes):
    return [one.raw.exposure for one in cubes]


def test_calibration_then_express_then_the_oldest_whatever_the_order_of_arrival():
    cubes = [cube("5"), cube("3"), cube("7", express=True), cube("9", kind="FLAT"), cube("4")]
    for arrived in permutations(cubes):
        assert names(in_order(arrived)) == ["9", "7", "3", "4", "5"]


def test_what_could_not_be_recorded_waits_for_no_masters():
    one = cube("1")
    one.hold(UnreadableInput("raw/20260115/1/exposure.json is not a record of an exposure"))
    assert not one.may_lack_masters
    one.raw = replace(one.raw, sensors={"111": ("raw/20260115/1/a.fits",)})
    assert one.may_lack_masters


def drained(cubes):
    """Reduce cubes one after the other; return the order."""
    order = []
    while (one := next_to_run(cubes, LATER)) is not None:
        one.state = State.DONE
        order.append(one.raw.exposure)
    return order


def test_all_are_served_once_and_in_order():
    cubes = [
        cube(str(number), express=number % 4 == 0, kind="DARK" if number == 1 else "OBJECT") for number in range(12)
    ]
    assert drained(cubes[::-1]) == ["1", "0", "4", "8", "2", "3", "5", "6", "7", "9", "10", "11"]


def test_the_sky_waits_for_the_calibration_of_its_sensor_alone():
    dark = cube("1", kind="DARK", state=State.RUNNING)
    cubes = [dark, cube("2"), cube("3", sensor="112")]
    assert names([next_to_run(cubes, LATER)]) == ["3"]
    cubes[2].state = State.DONE
    assert next_to_run(cubes, LATER) is None
    dark.state = State.DONE
    assert names([next_to_run(cubes, LATER)]) == ["2"]


def test_calibration_that_is_still_in_the_folder_is_waited_for():
    assert next_to_run([cube("1", kind="DARK", state=State.IN_FOLDER), cube("2")], LATER) is None


def test_calibrations_of_a_sensor_go_one_after_the_other():
    dark, flat = cube("1", kind="DARK"), cube("2", kind="FLAT")
    assert next_to_run([flat, dark], LATER) is dark
    dark.state = State.RUNNING
    assert next_to_run([flat, dark], LATER) is None


def test_calibration_that_cannot_be_made_stops_nobody():
    dark = cube("1", kind="DARK")
    dark.hold(UnreadableInput("no"))
    assert names([next_to_run([dark, cube("2")], LATER)]) == ["2"]


def test_a_cube_of_single_frames_waits_until_no_more_come():
    assert next_to_run([cube("1", last=10.0)], 9.0) is None
    assert next_to_run([cube("1", last=10.0)], 10.0) is not None


def test_a_full_queue_takes_only_what_goes_before_it():
    held = [cube("1"), cube("2", state=State.RUNNING)]
    later = [cube("3", state=State.IN_FOLDER), cube("4", state=State.IN_FOLDER, express=True)]
    assert names([next_to_take([*held, *later], 3)]) == ["4"]
    assert names([next_to_take([*held, *later], 2)]) == ["4"]
    assert next_to_take([*held, later[0]], 2) is None
    assert names([next_to_take([*held, later[0]], 3)]) == ["3"]


@pytest.mark.parametrize("state", [State.IN_FOLDER, State.WAITING, State.RUNNING])
def test_nothing_is_published_before_what_stands_ahead_of_it(state):
    done = [cube("1", state=State.DONE), cube("3", state=State.DONE)]
    assert publishable([*done, cube("2", state=state)]) == [("20260115", "1")]
    assert publishable(done) == [("20260115", "1"), ("20260115", "3")]


def test_an_exposure_is_published_when_all_its_sensors_are_done():
    one, two = cube("1", state=State.DONE), cube("1", sensor="112", state=State.RUNNING)
    assert publishable([one, two]) == []
    two.state = State.HELD
    assert publishable([one, two]) == [("20260115", "1")]


def test_what_is_held_alone_is_not_published():
    assert publishable([cube("1", state=State.HELD)]) == []


def test_portions_are_full_until_nothing_else_comes_and_of_one_night():
    same = [("20260115", str(number)) for number in range(5)]
    assert [len(one) for one in portions(same, 2, idle=False)] == [2, 2]
    assert [len(one) for one in portions(same, 2, idle=True)] == [2, 2, 1]
    assert [len(one) for one in portions([*same[:1], ("20260116", "9")], 2, idle=True)] == [1, 1]
    assert portions([], 2, idle=True) == []


def test_where_portions_are_cut_does_not_hang_on_how_often_it_is_asked():
    same = [("20260115", str(number)) for number in range(7)]
    at_once, rest, step_by_step = portions(same, 3, idle=True), list(same), []
    for known in range(1, 8):
        ready = [one for one in same[:known] if one in rest]
        for part in portions(ready, 3, idle=known == 7):
            step_by_step.append(part)
            rest = [one for one in rest if one not in part]
    assert step_by_step == at_once


def test_the_record_of_a_cube_names_its_own_files():
    one = replace(cube("1"), keys=("raw/a.fits",))
    assert one.raw_exposure.sensors == {"111": ("raw/a.fits",)}
