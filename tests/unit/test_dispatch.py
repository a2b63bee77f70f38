"""Test which cubes a watch gives to its workers, and when it tries again, with simulated workers.

Covered: storage that fails in some workers or during the search for a cube's recipe; damaged records. Not covered: the
order of cubes (test_waiting_cubes), the copy of files into the archive (test_watch_storage_failures), real workers
(services/test_watch).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest
from tests.interruptions import MemoryStore

from gozen.archive.keys import Processing
from gozen.archive.raw.exposure_record import RawExposure
from gozen.errors import GozenError, StorageUnavailable, UnreadableInput
from gozen.reduction.process_pool import WorkerPool
from gozen.reduction.sensor_masters import MasterResult
from gozen.reduction.sensor_work import SensorWork
from gozen.settings import WatchSettings
from gozen.watch.dispatch import Outbound, first_error
from gozen.watch.ingest import Inbound
from gozen.watch.messages import Reporter
from gozen.watch.recipes_of_cubes import Orders
from gozen.watch.waiting_cubes import QueuedCube, State
from gozen.watch.watch_context import WatchContext

AWAY = StorageUnavailable("the archive does not answer")


class Workers:
    """Workers whose tasks end when the test says so."""

    workers = 7

    def __init__(self) -> None:
        self.tasks: list[Any] = []
        self.results: list[tuple[Any, object]] = []

    def __len__(self) -> int:
        return len(self.tasks)

    def submit(self, name: object, do: object, what: object) -> None:
        self.tasks.append(name)

    def finished(self, timeout_s: float, sleep: Callable[[float], None]) -> list[tuple[Any, object]]:
        found, self.results = self.results, []
        return found


class Recipes:
    """Recipes of which some look-ups fail."""

    def __init__(self) -> None:
        self.errors: dict[str, GozenError] = {}

    def work(self, cube: QueuedCube) -> SensorWork:
        if cube.raw.exposure in self.errors:
            raise self.errors[cube.raw.exposure]
        return SensorWork(Processing(*cube.name, "r1"), cube.sensor, ())


class Nothing:
    """The way into the archive, on which there are no files."""

    def has_more(self, name: object) -> bool:
        return False


class Desk:
    """The dispatch of a watch with some cubes that wait."""

    def __init__(self, count: int) -> None:
        self.workers, self.recipes = Workers(), Recipes()
        reporter = Reporter(lambda _: None, WatchSettings(), MemoryStore(), None, 0.0)
        context = WatchContext(WatchSettings(), cast("Orders", self.recipes), reporter)
        self.cubes = context.cubes
        for number in range(count):
            raw = RawExposure("20260115", f"{number}", "field", "OBJECT", float(number), {"1": (f"{number}.fits",)})
            self.cubes["20260115", f"{number}", "1"] = QueuedCube(raw, "1", False, 0.0, 0.0, state=State.WAITING)
        inbound = cast("Inbound", Nothing())
        self.outbound = Outbound(cast("WorkerPool", self.workers), context, inbound, quiet_s=0.0)
        self.workers.tasks.clear()

    def end(self, result: object, *times: float) -> None:
        """Let tasks end with a result, each at its time."""
        for now in times:
            self.workers.results.append((self.workers.tasks.pop(0), result))
            self.outbound.collect(0.0, lambda now=now: now, lambda _: None)

    @property
    def states(self) -> list[State]:
        return [cube.state for cube in self.cubes.values()]


def test_one_outage_is_one_failure_however_many_workers_meet_it() -> None:
    desk = Desk(8)
    desk.outbound.step(100.0)
    assert desk.states == [State.RUNNING] * 8
    desk.end(AWAY, *(100.0 + number / 10 for number in range(7)), 105.0)
    assert desk.states == [State.WAITING] * 8
    assert desk.outbound.trouble.until == 106.0
    desk.outbound.step(105.9)
    assert desk.workers.tasks == []
    desk.outbound.step(106.0)
    desk.end(AWAY, 107.0, 107.5, 120.0)
    assert desk.outbound.trouble.until == 122.0
    desk.end(AWAY, *[121.0] * 5)
    desk.outbound.step(123.0)
    desk.end(AWAY, 124.0)
    assert desk.outbound.trouble.until == 128.0


def test_storage_that_fails_while_a_recipe_is_looked_up_is_waited_for() -> None:
    desk = Desk(3)
    desk.recipes.errors["1"] = AWAY
    desk.outbound.step(100.0)
    assert desk.states == [State.RUNNING, State.WAITING, State.WAITING]
    assert desk.outbound.trouble.message == str(AWAY)
    desk.recipes.errors.clear()
    desk.outbound.step(100.5)
    assert len(desk.workers) == 1
    desk.outbound.step(101.0)
    assert desk.states == [State.RUNNING] * 3


def test_a_cube_whose_recipe_a_damaged_record_hides_is_held_and_named_and_stops_no_other(
    caplog: pytest.LogCaptureFixture,
) -> None:
    desk = Desk(3)
    desk.recipes.errors["1"] = UnreadableInput("exposure.json is not a record")
    desk.outbound.step(100.0)
    assert desk.states == [State.RUNNING, State.HELD, State.RUNNING]
    assert "held, UnreadableInput: 1/1: exposure.json is not a record" in caplog.text


def test_a_storage_error_of_one_master_is_tried_again_whatever_the_others_are() -> None:
    errors: list[GozenError | None] = [None, UnreadableInput("no dark"), AWAY]
    results = [MasterResult("1", "flat", str(number), None, one) for number, one in enumerate(errors)]
    assert first_error(results) is AWAY
    assert first_error(results[:2]) is errors[1]
    assert first_error(results[:1]) is None


def test_an_answer_ends_the_trouble_with_the_storage_whatever_it_says(caplog: pytest.LogCaptureFixture) -> None:
    desk = Desk(2)
    desk.recipes.errors["0"] = AWAY
    desk.outbound.step(100.0)
    assert desk.outbound.trouble.message == str(AWAY)
    desk.recipes.errors.clear()
    desk.outbound.step(101.0)
    desk.end(UnreadableInput("no dark"), 105.0)
    assert desk.states == [State.HELD, State.RUNNING]
    assert desk.outbound.trouble.message == ""
    assert desk.outbound.trouble.until == 0.0


def test_trouble_with_a_cube_that_needs_nothing_any_more_is_over() -> None:
    for happens in (lambda desk: desk.recipes.errors.update({"0": UnreadableInput("no record")}), forget_cubes):
        desk = Desk(1)
        desk.recipes.errors["0"] = AWAY
        desk.outbound.step(100.0)
        happens(desk)
        desk.outbound.step(100.5)
        assert desk.outbound.trouble.message == str(AWAY)  # nothing is tried before the pause is over
        desk.outbound.step(101.0)
        assert desk.outbound.trouble.message == ""
        assert desk.outbound.is_idle


def forget_cubes(desk: Desk) -> None:
    """Let the files of all cubes belong to another exposure."""
    desk.cubes.clear()


def test_trouble_lasts_while_a_cube_is_tried_again() -> None:
    desk = Desk(1)
    desk.outbound.step(100.0)
    desk.end(AWAY, 100.0)
    desk.outbound.step(101.0)
    assert desk.states == [State.RUNNING]
    assert desk.outbound.trouble.message == str(AWAY)


def test_rows_that_cannot_be_read_end_the_trouble_with_the_storage() -> None:
    desk = Desk(2)
    for cube in desk.cubes.values():
        cube.state = State.DONE
    desk.outbound.step(100.0)
    desk.end(AWAY, 100.0)
    assert desk.outbound.trouble.message == str(AWAY)
    desk.outbound.step(101.0)
    desk.end(UnreadableInput("no rows"), 102.0)
    assert desk.states == [State.HELD] * 2
    assert desk.outbound.trouble.message == ""
