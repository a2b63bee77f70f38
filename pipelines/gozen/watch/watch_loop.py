"""The loop of `gozen watch`: scan, ingest, reduce, publish, report; clock and sleep are arguments."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from gozen.errors import ExitCode, StorageUnavailable, worst
from gozen.reduction.process_pool import WorkerPool
from gozen.reduction.shared_inputs import open_shared_inputs
from gozen.settings import Settings
from gozen.watch.backoff import Backoff
from gozen.watch.dispatch import Outbound
from gozen.watch.ingest import Inbound
from gozen.watch.messages import Reporter
from gozen.watch.recipes_of_cubes import Orders
from gozen.watch.watch_context import WatchContext


@dataclass(frozen=True)
class WatchClock:
    """The clock of `gozen watch`, in seconds."""

    # Monotonic: if NTP set the clock back, the folder would not be scanned for that long.
    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


def run_watch(
    folder: Path,
    settings: Settings,
    orders: Orders,
    reporter: Reporter,
    *,
    keep: bool = False,
    until_idle: bool = False,
    clock: WatchClock = WatchClock(),
) -> ExitCode:
    """Watch a folder until the process is interrupted, or with ``until_idle`` until all work is done.

    Parameters
    ----------
    folder
        Folder into which the camera writes.
    orders
        The recipes: pipelines and priorities of new cubes.
    reporter
        Reports results, errors and the backlog.
    keep
        Whether to copy the files and leave them in the folder.
    until_idle
        Whether to return as soon as no work is left, and to raise on a storage error instead of waiting.

    Returns
    -------
    ExitCode
        The worst exit code of the cubes that failed and are held until a restart or new masters.

    Raises
    ------
    StorageUnavailable
        The storage failed; only with ``until_idle``.
    BadRequest
        Another watch is using the folder.
    UnreadableInput
        The profile or the reference catalogue cannot be read.
    """
    shared, watch = open_shared_inputs(settings), settings.watch
    context = WatchContext(watch, orders, reporter)
    cubes, inbound = context.cubes, Inbound(folder, shared, context, keep=keep)
    pool = WorkerPool(partial(open_shared_inputs, settings), settings.workers)
    try:
        quiet_s = watch.settle_s if shared.profile.raw == "frames" else 0.0
        outbound = Outbound(pool, context, inbound, quiet_s=quiet_s)
        trouble = Backoff("the folder or the archive")
        while True:
            now = clock.now()
            _take_in(inbound, trouble, now)
            if inbound.has_looked:
                outbound.step(now)
            message = trouble.message or outbound.trouble.message
            if until_idle and message:
                raise StorageUnavailable(message)
            reporter.report(cubes.values(), inbound.unread, now, message)
            if until_idle and inbound.is_idle and outbound.is_idle:
                reporter.tell(cubes.values(), inbound.unread, now)
                return worst([cube.error.exit_code for cube in cubes.values() if cube.error is not None])
            more = inbound.next() is not None and not trouble.message
            outbound.collect(0.0 if more else watch.interval_s, clock.now, clock.sleep)
    finally:
        # First, because `inbound` removes the half-written files of processes that have ended.
        pool.stop()
        inbound.close()


def _take_in(inbound: Inbound, trouble: Backoff, now: float) -> None:
    if now < trouble.until:
        return
    try:
        inbound.step(now)
        trouble.succeeded()
    except StorageUnavailable as error:
        trouble.failed(error, now)
