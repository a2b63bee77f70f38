"""Run tasks on the user's own Dask workers, which the hub's service starts at the first job of a lab."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

from gozen.errors import BadRequest, ClusterUnavailable, GozenError, StorageUnavailable, WorkerLost
from gozen.quickdb.engines import Engine
from gozen.quickdb.engines.local_engine import LocalEngine
from gozen.quickdb.engines.workers_service import NoServiceError, State, WorkersService
from gozen.quickdb.work.tasks import FAR_PATCHES, Block, Job, TaskResult

if TYPE_CHECKING:
    import pandas as pd

SHRINK_S = 60.0
"""Seconds after a job until all workers end, except the minimum number that the hub keeps."""
_ENGINE = "gozen.quickdb.engines.dask_engine"
_POLL_S = 0.5
_WATCH_S = 5.0
_QUIET_S = 2.0
"""Seconds of waiting before anything is shown."""


def to_user(text: str) -> None:
    """Show a line of progress."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


class LabWorkers:
    """Runs tasks on the Dask cluster of this lab's user; the cluster starts at the first job, and ends when idle.

    Parameters
    ----------
    service
        The hub's service for workers.
    fixed
        Number of workers; None lets them grow and shrink with the work.
    local
        Number of processes on this machine that are used if the service does not exist.
    start_s
        Seconds to wait for a first worker.
    show
        Called with each line of progress.
    """

    def __init__(
        self,
        service: WorkersService,
        *,
        fixed: int | None = None,
        local: int = 1,
        start_s: float = 300.0,
        show: Callable[[str], None] = to_user,
    ) -> None:
        self.least = FAR_PATCHES
        self._service = service
        self._fixed = fixed
        self._local = local
        self._start_s = start_s
        self._show = show
        self._engine: Any = None
        self._session = ""
        self._most = 0
        self._jobs = 0
        self._timer: threading.Timer | None = None
        self._lock = threading.Lock()

    @property
    def workers(self) -> int:
        """Number of tasks that may run at a time when all workers are there."""
        if isinstance(self._engine, LocalEngine):
            return self._engine.workers
        if self._fixed is None and not self._most:
            try:
                self._note(self._service.state())
            except NoServiceError as error:
                return self._instead(error).workers
        return self._fixed or self._most

    def run(self, job: Job, tasks: Sequence[Sequence[Block]]) -> Iterator[TaskResult]:
        """Yield the result of each task as it finishes; see `gozen.quickdb.engines.Engine`."""
        with self._busy():
            engine = self._ready(len(tasks))
            with _Watch(self._service, engine, self._start_s):
                try:
                    yield from engine.run(job, tasks)
                except WorkerLost as error:
                    raise self._explained(error) from error

    def call(self, job: Job, name: str, *arguments: Any) -> dict[str, Any]:
        """Call a method of the open job in a worker."""
        with self._busy():
            try:
                return self._ready(1).call(job, name, *arguments)
            except WorkerLost as error:
                raise self._explained(error) from error

    def scale(self, number: int) -> None:
        """Set the number of workers, and start them if none run; from then on, jobs do not change this number.

        With 0, all workers end, which frees the quota. The next job starts as many workers as it needs.

        Raises
        ------
        BadRequest
            The hub does not allow so many.
        ClusterUnavailable
            The service cannot do it now.
        """
        if isinstance(self._engine, LocalEngine):
            raise BadRequest(
                "cannot set the number of workers: the hub's service for workers does not answer, so functions run in "
                "processes of the lab. Connect again later; or set the number of these processes: "
                'quickdb.connect(engine="local", workers=4)'
            )
        if number == 0:
            self._end()
            return
        try:
            state = self._service.state()
            state = self._service.make(number) if state["phase"] == "none" else self._service.scale(number)
        except NoServiceError as error:
            raise ClusterUnavailable(f"the hub's service for workers does not answer ({error}); try again") from error
        self._fixed = number
        self._note(state)

    def _end(self) -> None:
        try:
            self._note(self._service.remove())
        except NoServiceError as error:
            raise ClusterUnavailable(f"the hub's service for workers does not answer ({error}); try again") from error
        self._fixed = None
        self.close()

    def table(self) -> pd.DataFrame:
        """Return one row for each pod of the user's cluster, with what it uses."""
        from gozen.quickdb.engines.workers_table import local_table, table_of

        if isinstance(self._engine, LocalEngine):
            return local_table(self._engine.workers)
        try:
            state = self._service.state()
        except NoServiceError as error:
            return local_table(self._instead(error).workers)
        used = self._engine.used() if self._engine is not None and state.get("session") == self._session else {}
        return table_of(state, used)

    def close(self) -> None:
        """Close the connection; the workers end when they are idle, because other notebooks may use them."""
        if self._timer is not None:
            self._timer.cancel()
        engine, self._engine, self._session = self._engine, None, ""
        if engine is not None:
            engine.close()

    def _busy(self) -> _Busy:
        return _Busy(self)

    def _ready(self, tasks: int) -> Engine:
        """Return an engine with at least one worker, and request one worker per task, within the limits."""
        if isinstance(self._engine, LocalEngine):
            return self._engine
        begin = time.monotonic()
        shown = ""
        while True:
            try:
                state = self._wanted(tasks)
            except NoServiceError as error:
                if self._most:
                    raise ClusterUnavailable(
                        f"the hub's service for workers does not answer ({error}); try again"
                    ) from error
                return self._instead(error)
            if state["phase"] == "ready" and (engine := self._connected(state)) is not None:
                return engine
            import_module(_ENGINE)  # takes a second, which is over before the workers are ready
            awaited = "; ".join(state["awaited"]) or "the scheduler answers"
            waited = time.monotonic() - begin
            if waited > self._start_s:
                raise ClusterUnavailable(
                    f"no worker is ready after {self._start_s:.0f} s; awaited: {awaited}; to compute in the "
                    'lab without workers, use quickdb.connect(engine="local")'
                )
            if waited > _QUIET_S and awaited != shown:
                self._show(f"your workers start; awaited: {awaited}")
                shown = awaited
            time.sleep(_POLL_S)

    def _wanted(self, tasks: int) -> State:
        """Request more workers if there are fewer than the tasks can use; return the state of the user's cluster."""
        state = self._service.state()
        self._note(state)
        number = self._fixed or min(max(tasks, state["least"]), state["most"])
        if state["phase"] == "none":
            return self._service.make(number)
        if state["phase"] != "ending" and state["wanted"] < number:
            return self._service.scale(number)
        return state

    def _connected(self, state: State) -> Engine | None:
        """Return an engine that is connected to the scheduler of the user's cluster; None if it does not answer yet."""
        from gozen.quickdb.engines.dask_engine import DaskEngine

        if self._engine is not None and self._session == state["session"] and self._engine.is_connected():
            return self._engine  # type: ignore[no-any-return]
        self.close()
        try:
            self._engine = DaskEngine(state["address"], 0)
        except StorageUnavailable:  # its name may not be known yet, or it ended at this moment
            return None
        self._session = state["session"]
        return self._engine  # type: ignore[no-any-return]

    def _instead(self, error: NoServiceError) -> LocalEngine:
        warnings.warn(
            f"the hub's service for workers does not answer ({error}); functions run in {self._local} processes of the "
            "lab instead",
            stacklevel=2,
        )
        engine = LocalEngine(self._local)
        self._engine, self.least = engine, engine.least
        return engine

    def _note(self, state: State) -> None:
        self._most = int(state["most"])

    def _explained(self, error: WorkerLost) -> WorkerLost:
        """Return the error with what the service says about the user's cluster; the next job connects again."""
        self.close()
        try:
            state = self._service.state()
            notes = "; ".join(state["notes"] + state["awaited"])
        except (GozenError, NoServiceError):
            notes = ""
        return WorkerLost(f"{error}. Your cluster says: {notes}" if notes else str(error))

    def shrink(self) -> None:
        """End all workers except the minimum number, unless a job runs in this or another notebook of the user."""
        engine = self._engine
        if self._jobs or self._fixed or engine is None or isinstance(engine, LocalEngine):
            return
        try:
            state = self._service.state()
            if state.get("session") != self._session or not engine.is_connected():
                return  # what this client says of the workers is not true any more
            if state["phase"] == "ready" and state["wanted"] > state["least"] and not engine.is_busy():
                self._service.scale(state["least"])
        except (GozenError, NoServiceError, OSError):
            return  # the cluster ends by itself when it is idle for longer


class _Busy:
    """Counts a running job within this context; some time after the last job, idle workers end."""

    def __init__(self, engine: LabWorkers) -> None:
        self._of = engine

    def __enter__(self) -> None:
        of = self._of
        with of._lock:
            of._jobs += 1
            if of._timer is not None:
                of._timer.cancel()

    def __exit__(self, *_: object) -> None:
        of = self._of
        with of._lock:
            of._jobs -= 1
            if of._jobs == 0 and of._engine is not None and not of._fixed:
                of._timer = threading.Timer(SHRINK_S, of.shrink)
                of._timer.daemon = True
                of._timer.start()


class _Watch:
    """Ends the job of an engine if no worker is ready for too long: the scheduler would wait without limit.

    Parameters
    ----------
    patience_s
        Seconds without a worker.
    """

    def __init__(self, service: WorkersService, engine: Any, patience_s: float) -> None:
        self._service = service
        self._engine = engine
        self._patience_s = patience_s
        self._over = threading.Event()

    def __enter__(self) -> None:
        if not isinstance(self._engine, LocalEngine):
            threading.Thread(target=self._run, daemon=True).start()

    def __exit__(self, *_: object) -> None:
        self._over.set()

    def _run(self) -> None:
        seen = time.monotonic()
        while not self._over.wait(min(_WATCH_S, self._patience_s)):
            with contextlib.suppress(GozenError, NoServiceError):  # without an answer nothing is known
                if self._service.state()["ready"]:
                    seen = time.monotonic()
                elif time.monotonic() - seen > self._patience_s:
                    self._engine.give_up()
                    return
