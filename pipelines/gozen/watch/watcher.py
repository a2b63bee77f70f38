"""The loop of a watch: look, take in, reduce, publish, report; time and sleep are arguments."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from gozen.archive.commit import SensorCommit
from gozen.archive.store import DirectoryStore
from gozen.errors import CorruptFile, ExitCode, GozenError, MissingObject, StorageUnavailable, UnreadableInput, worst
from gozen.frames.arrivals import Arrival, RawExposure, record_exposure
from gozen.reduction.bench import open_bench
from gozen.reduction.exposure import reduce_here
from gozen.reduction.masters import MasterResult, make_sensor_masters
from gozen.reduction.work import Bench
from gozen.settings import Settings
from gozen.watch.arriving import Arriving, Refusal
from gozen.watch.backoff import Backoff
from gozen.watch.intake import Intake
from gozen.watch.orders import Orders
from gozen.watch.publish import Publication, Published, publish
from gozen.watch.queue import (
    UNDER_WAY,
    Name,
    QueuedCube,
    State,
    next_to_run,
    next_to_take,
    portions,
    publishable,
)
from gozen.watch.reporting import Reporter
from gozen.watch.workers import WarmPool

log = logging.getLogger(__name__)
_PUBLISHING = "publishing"
_WARMING = "warming"
CubeName = tuple[str, str, str]


@dataclass(frozen=True)
class Clock:
    """Time as a watch sees it, s."""

    now: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep


class Watcher:
    """Looks after one folder until it is stopped.

    Parameters
    ----------
    folder
        Into which the camera writes.
    keep
        Leave files where they are.
    reporter
        Tells people and programs.
    """

    def __init__(
        self, folder: Path, settings: Settings, orders: Orders, reporter: Reporter, *, keep: bool, clock: Clock
    ) -> None:
        self._settings, self._orders, self._reporter, self._clock = settings, orders, reporter, clock
        self._bench = open_bench(settings)
        self._folder = folder
        self._intake = Intake(folder, self._bench.store, keep=keep)
        watch = settings.watch
        self._arriving = Arriving(folder, self._bench.store, self._bench.profile, watch.patience_s)
        self._arrivals: dict[CubeName, list[Arrival]] = {}
        self._cubes: dict[CubeName, QueuedCube] = {}
        self._raw: dict[CubeName, RawExposure] = {}
        self._published: list[CubeName] = []
        self._codes: list[ExitCode] = []
        self._looks = 0
        self._next_look = self._publish_after = 0.0
        self._begun = False
        self._own_trouble, self._workers_trouble = Backoff(), Backoff()

    def run(self, *, until_idle: bool) -> ExitCode:
        """Watch until the process is interrupted, or until all is done.

        Parameters
        ----------
        until_idle
            Return as soon as nothing is left to do, and raise when the storage is in trouble instead of waiting.

        Raises
        ------
        StorageUnavailable
            With ``until_idle``.
        BadRequest
            Another watch looks after the folder.
        """
        self._pool = WarmPool(partial(open_bench, self._settings), self._settings.workers)
        try:
            self._warm_up()
            while not (until_idle and self._is_idle()):
                self._guarded_step()
                if until_idle and self._trouble:
                    raise StorageUnavailable(self._trouble)
                busy = self._can_take() is not None and not self._trouble
                self._collect(0.0 if busy else self._settings.watch.interval_s)
            self._reporter.tell(self._cubes.values(), self._arriving.unread, self._clock.now())
        finally:
            self._pool.stop()
            if isinstance(self._bench.store, DirectoryStore):
                self._bench.store.sweep()
            self._intake.release()
        return worst(self._codes)

    def _warm_up(self) -> None:
        for number in range(self._settings.workers):
            self._pool.submit((_WARMING, number), warm, number)

    def _begin(self) -> None:
        store = self._bench.store
        if isinstance(store, DirectoryStore):
            store.sweep()
        self._intake.claim()
        self._accept(*self._arriving.spooled())
        self._begun = True

    def _step(self, now: float) -> None:
        if not self._begun:
            self._begin()
        if now >= self._next_look:
            self._next_look = now + self._settings.watch.interval_s
            self._look(now)
        cube = self._can_take()
        if cube is not None:
            self._take(cube)
        # Files that came together are known after two looks; until then nobody can say what goes first.
        if self._looks >= 2 and now >= self._workers_trouble.until:
            self._start_some(now)
            self._publish(now)

    def _look(self, now: float) -> None:
        try:
            found = self._arriving.look(now)
        except MissingObject as error:
            raise StorageUnavailable(f"the folder {self._folder} is not there; is its disk mounted?") from error
        self._looks += 1
        self._accept(*found)

    def _accept(self, groups: list[tuple[str, str, list[Arrival]]], refused: list[Refusal]) -> None:
        now = self._clock.now()
        for refusal in refused:
            self._refuse(refusal)
        for night, exposure, arrivals in groups:
            for one in arrivals:
                header = one.header
                name = (night, exposure, header.sensor)
                cube = self._cubes.get(name)
                if cube is None:
                    cube = QueuedCube(
                        night, exposure, header.sensor, header.data_type, header.object, header.utc_start,
                        express=False, seen=now, last=now,
                    )  # fmt: skip
                    sight = RawExposure(night, exposure, header.object, header.data_type, header.utc_start)
                    cube.express = header.data_type == "OBJECT" and self._orders.is_express(sight)
                    self._cubes[name] = cube
                cube.last, cube.state = now, State.IN_FOLDER if cube.state != State.RUNNING else cube.state
                size = _size(one.path)
                cube.size += size
                self._reporter.came(now, size, first=name not in self._arrivals)
                self._arrivals.setdefault(name, []).append(one)

    def _refuse(self, one: Refusal) -> None:
        self._reporter.refused(self._intake.refuse(one.path), one.reason)

    def _can_take(self) -> QueuedCube | None:
        return next_to_take(self._cubes.values(), self._settings.watch.queue_length)

    def _take(self, cube: QueuedCube) -> None:
        """Take the files of one cube into the archive and record its exposure."""
        name = (cube.night, cube.exposure, cube.sensor)
        taken = list(cube.raw)
        waiting = self._arrivals.get(name, [])
        while waiting:
            one = waiting[0]
            try:
                held, key = self._intake.take(one.path, one.header, cube.night, cube.exposure)
            except CorruptFile as error:
                self._refuse(Refusal(self._intake.spooled(one.path), error))
            except MissingObject:
                log.info("%s was there and is gone; nothing of it is in the archive", one.path)
            else:
                taken.append(key)
                cube.files.append(held)
            waiting.pop(0)
        if not taken:
            del self._cubes[name]
            return
        cube.raw = tuple(sorted(set(taken)))
        first = RawExposure(cube.night, cube.exposure, cube.object, cube.data_type, cube.mjd, {cube.sensor: cube.raw})
        self._raw[name] = record_exposure(self._bench.store, first)
        cube.state = State.WAITING

    def _start_some(self, now: float) -> None:
        """Keep every worker busy and one task ahead, no more: what is express must not wait behind others."""
        single = self._bench.profile.raw == "frames"
        quiet_before = now - self._settings.watch.settle_s if single else now
        while len(self._pool) <= self._settings.workers:
            cube = next_to_run(self._cubes.values(), quiet_before)
            if cube is None:
                return
            name = (cube.night, cube.exposure, cube.sensor)
            raw = self._raw[name]
            if cube.calibrates:
                wanted = self._orders.masters(raw, cube.sensor)
                task: Any = (make_sensor_masters, wanted)
            else:
                wanted = self._orders.work(raw, cube.sensor)  # type: ignore[assignment]
                task = (reduce_here, wanted)
            if wanted is None:
                self._done(cube)
                continue
            cube.state = State.RUNNING
            self._pool.submit(name, *task)

    def _collect(self, timeout_s: float) -> None:
        for name, result in self._pool.finished(timeout_s, self._clock.sleep):
            if name == _PUBLISHING:
                self._after_publishing(result)
            elif name[0] != _WARMING:
                self._after_reduction(self._cubes[name], result)

    def _after_reduction(self, cube: QueuedCube, result: SensorCommit | list[MasterResult] | GozenError) -> None:
        if isinstance(result, list):
            self._release_held()
        error = result if isinstance(result, GozenError) else first_error(result)
        if isinstance(error, StorageUnavailable):
            cube.state = State.WAITING
            self._went_wrong(self._workers_trouble, error)
        elif error is not None:
            self._hold(cube, error)
        elif not isinstance(result, GozenError):
            self._went_well(self._workers_trouble)
            self._reporter.reduced(cube, result)
            self._done(cube)

    def _done(self, cube: QueuedCube) -> None:
        cube.state = State.DONE
        self._reporter.went(self._clock.now(), cube.size)

    def _hold(self, cube: QueuedCube, error: GozenError) -> None:
        cube.state = State.HELD
        if cube.problem != error.name:
            self._reporter.held(cube, error)
        cube.problem = error.name
        self._codes.append(error.exit_code)

    def _release_held(self) -> None:
        """Try again what may have waited for masters."""
        for cube in self._cubes.values():
            if cube.state == State.HELD and cube.problem == UnreadableInput.__name__:
                cube.state = State.WAITING

    def _publish(self, now: float) -> None:
        if self._published:
            return
        idle = not any(cube.state in UNDER_WAY for cube in self._cubes.values())
        if now < self._publish_after and not idle:
            return
        names = publishable(self._cubes.values())
        sky = {cube.name for cube in self._cubes.values() if not cube.calibrates}
        cut = portions([one for one in names if one in sky], self._settings.watch.append_exposures, idle=idle)
        other = tuple(one for one in names if one not in sky)
        if not cut and not other:
            return
        chosen: set[Name] = {one for part in cut for one in part} | set(other)
        self._published = [
            name for name, cube in self._cubes.items() if cube.name in chosen and cube.state == State.DONE
        ]
        self._pool.submit(_PUBLISHING, publish, Publication(tuple(map(tuple, cut)), other))

    def _after_publishing(self, result: Published | GozenError) -> None:
        names, self._published = self._published, []
        cubes = [self._cubes[name] for name in names]
        if isinstance(result, StorageUnavailable):
            self._went_wrong(self._workers_trouble, result)
            return
        if isinstance(result, GozenError):
            for cube in cubes:
                self._hold(cube, result)
            return
        self._went_well(self._workers_trouble)
        spent = result.append_s + result.log_s
        self._publish_after = self._clock.now() + spent * (1 / self._settings.watch.publish_share - 1)
        for name, cube in zip(names, cubes, strict=True):
            if cube.state == State.DONE:
                self._intake.finish(cube.files)
                del self._cubes[name]
                self._raw.pop(name, None)
        self._reporter.published(cubes, result, self._clock.now())

    def _is_idle(self) -> bool:
        working = any(cube.state in (*UNDER_WAY, State.DONE) for cube in self._cubes.values())
        return self._looks >= 2 and not working and not self._published and not self._arriving.unread

    @property
    def _trouble(self) -> str:
        return self._own_trouble.message or self._workers_trouble.message

    def _guarded_step(self) -> None:
        """Do a step; trouble with the storage is said and waited for."""
        now = self._clock.now()
        if now >= self._own_trouble.until:
            try:
                self._step(now)
                self._went_well(self._own_trouble)
            except StorageUnavailable as error:
                self._went_wrong(self._own_trouble, error)
        self._reporter.report(self._cubes.values(), self._arriving.unread, now, self._trouble)

    def _went_wrong(self, trouble: Backoff, error: StorageUnavailable) -> None:
        if trouble.failed(str(error), self._clock.now()):
            log.warning("%s: %s; this watch waits and tries again, nothing is lost", error.name, error)

    def _went_well(self, trouble: Backoff) -> None:
        if trouble.succeeded():
            log.info("the storage answers again")


def first_error(result: SensorCommit | list[MasterResult]) -> GozenError | None:
    """Return the error of the first master that could not be made; a commit stands for none."""
    if isinstance(result, SensorCommit):
        return None
    return next((one.error for one in result if one.error is not None), None)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0  # it went since the look; taking it in will say so


def warm(number: int, _: Bench) -> int:
    """Load the code of the reduction, before the first cube comes."""
    import gozen.reduction.sensor  # noqa: F401 - the compiled code

    return number
