"""Send waiting cubes to the workers, handle the results, and publish them."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

from gozen.archive.commit import SensorCommit
from gozen.errors import GozenError, StorageUnavailable, UnreadableInput
from gozen.reduction.process_pool import WorkerPool
from gozen.reduction.reduce_all import reduce_here
from gozen.reduction.sensor_masters import MasterResult, make_sensor_masters
from gozen.reduction.sensor_work import SharedInputs
from gozen.watch.backoff import Backoff
from gozen.watch.ingest import Inbound
from gozen.watch.publish_rows import Publication, Published, publish
from gozen.watch.waiting_cubes import (
    UNDER_WAY,
    Name,
    QueuedCube,
    State,
    next_to_run,
    portions,
    publishable,
)
from gozen.watch.watch_context import WatchContext

_PUBLISHING = "publishing"
_WARMING = "warming"


class Outbound:
    """Gives work to the worker processes: reductions, masters, and the append of finished exposures.

    Parameters
    ----------
    quiet_s
        Seconds without a new file after which a cube (the frames of one sensor) is complete; 0 if it is a single file.
    """

    def __init__(
        self,
        pool: WorkerPool,
        context: WatchContext,
        inbound: Inbound,
        *,
        quiet_s: float,
    ) -> None:
        self._pool, self._inbound, self._quiet_s = pool, inbound, quiet_s
        self._settings, self._cubes = context.settings, context.cubes
        self._orders, self._reporter = context.orders, context.reporter
        self._published: list[QueuedCube] = []
        self._publish_after = 0.0
        self._begun: dict[Hashable, float] = {}
        self.trouble = Backoff("the workers")
        for number in range(pool.workers):
            pool.submit((_WARMING, number), import_reduction, number)

    @property
    def is_idle(self) -> bool:
        """Whether no work is waiting or in progress; cubes that failed and are held do not count."""
        return not self._published and all(cube.state == State.HELD for cube in self._cubes.values())

    def step(self, now: float) -> None:
        """Submit all work that can be done now, unless it has to wait after a storage error."""
        if now < self.trouble.until:
            return
        try:
            self._start(now)
        except StorageUnavailable as error:
            self.trouble.failed(error, now)
            return
        self._publish(now)
        if not self._needs_storage:
            # An error of a cube that was held or renamed meanwhile: no later success would end it.
            self.trouble.succeeded()

    @property
    def _needs_storage(self) -> bool:
        """Whether a worker has work, or waiting cubes or rows will give it work."""
        ahead = (State.WAITING, State.RUNNING, State.DONE)
        return bool(self._published) or any(cube.state in ahead for cube in self._cubes.values())

    def collect(self, timeout_s: float, now: Callable[[], float], sleep: Callable[[float], None]) -> None:
        """Wait for results and handle them."""
        for name, result in self._pool.finished(timeout_s, sleep):
            begun = self._begun.pop(name, None)
            if name == _PUBLISHING:
                self._after_publishing(result, now(), begun)
            elif name[0] != _WARMING:
                self._after_reduction(self._cubes[name], result, now(), begun)

    def _start(self, now: float) -> None:
        """Submit a task for each worker and one more; with a longer queue, express cubes would wait behind others."""
        while len(self._pool) <= self._pool.workers:
            cube = next_to_run(self._cubes.values(), now - self._quiet_s)
            if cube is None:
                return
            try:
                wanted: Any = self._orders.masters(cube) if cube.calibrates else self._orders.work(cube)
            except UnreadableInput as error:
                self._hold(cube, error)
                continue
            if wanted is None:
                self._done(cube, now)
                continue
            cube.state = State.RUNNING
            self._submit(cube.key, make_sensor_masters if cube.calibrates else reduce_here, wanted, now)

    def _submit(self, name: Hashable, do: Callable[[Any, SharedInputs], Any], what: object, now: float) -> None:
        self._begun[name] = now
        self._pool.submit(name, do, what)

    def _after_reduction(
        self,
        cube: QueuedCube,
        result: SensorCommit | list[MasterResult] | GozenError,
        now: float,
        begun: float | None,
    ) -> None:
        if isinstance(result, list):
            self._release_held()
        error = result if isinstance(result, GozenError) else first_error(result)
        # A storage error is not the fault of the cube: it is tried again without limit.
        if isinstance(error, StorageUnavailable):
            cube.state = State.WAITING
            self.trouble.failed(error, now, begun)
        elif error is not None:
            self.trouble.succeeded()  # the storage has answered
            self._hold(cube, error)
        elif not isinstance(result, GozenError):
            self.trouble.succeeded()
            self._reporter.reduced(cube, result)
            self._done(cube, now)
        if self._inbound.has_more(cube.key):
            cube.state = State.IN_FOLDER

    def _hold(self, cube: QueuedCube, error: GozenError) -> None:
        self._reporter.held(cube, error)
        cube.hold(error)

    def _done(self, cube: QueuedCube, now: float) -> None:
        cube.state = State.DONE
        self._reporter.went(now, cube.size)

    def _release_held(self) -> None:
        """Queue those cubes again whose reduction failed, and may have failed for lack of the new masters."""
        for cube in self._cubes.values():
            if cube.may_lack_masters:
                cube.state = State.WAITING

    def _publish(self, now: float) -> None:
        idle = not any(cube.state in UNDER_WAY for cube in self._cubes.values())
        # One at a time: of two concurrent appends, one would fail to get the version number and start again.
        if self._published or (now < self._publish_after and not idle):
            return
        names = publishable(self._cubes.values())
        sky = {cube.name for cube in self._cubes.values() if not cube.calibrates}
        cut = portions([one for one in names if one in sky], self._settings.append_exposures, idle=idle)
        other = tuple(one for one in names if one not in sky)
        if not cut and not other:
            return
        chosen: set[Name] = {one for part in cut for one in part} | set(other)
        self._published = [cube for cube in self._cubes.values() if cube.name in chosen and cube.state == State.DONE]
        self._submit(_PUBLISHING, publish, Publication(tuple(map(tuple, cut)), other), now)

    def _after_publishing(self, result: Published | GozenError, now: float, begun: float | None) -> None:
        cubes, self._published = self._published, []
        if isinstance(result, StorageUnavailable):
            self.trouble.failed(result, now, begun)
            return
        self.trouble.succeeded()
        if isinstance(result, GozenError):
            self._reporter.held(cubes[0], result)
            for cube in cubes:
                cube.hold(result)
            return
        spent = result.append_s + result.log_s
        self._publish_after = now + spent * (1 / self._settings.publish_share - 1)
        # A late file may have changed the state of a cube while its rows were appended: this cube is not finished.
        over = [cube for cube in cubes if cube.state == State.DONE]
        self._reporter.published(over, result, now)
        self._inbound.finish(over)
        for cube in over:
            del self._cubes[cube.key]


def first_error(result: SensorCommit | list[MasterResult]) -> GozenError | None:
    """Return the error of the first master that could not be made; None for a commit, or if all were made.

    A storage error comes before others, because the masters that it prevented can be made later.
    """
    if isinstance(result, SensorCommit):
        return None
    errors = [one.error for one in result if one.error is not None]
    return next((one for one in errors if isinstance(one, StorageUnavailable)), errors[0] if errors else None)


def import_reduction(number: int, _: SharedInputs) -> int:
    """Import the code of the reduction in a worker, before the first cube comes."""
    import gozen.reduction.reduce_sensor  # noqa: F401 - the compiled code

    return number
