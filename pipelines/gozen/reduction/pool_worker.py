"""The worker's side of `process_pool`: open the shared inputs once, then run tasks with them."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from typing import TypeVar

from gozen.errors import GozenError, as_gozen_error
from gozen.reduction.sensor_work import SharedInputs
from gozen.worker_process import begin_worker

log = logging.getLogger(__name__)
OpenInputs = Callable[[], SharedInputs]
Task = TypeVar("Task")
Result = TypeVar("Result")

KEPT_BYTES = 512 * 2**20
"""Bytes of freed memory that a worker keeps for the next cube."""

_bench: SharedInputs | None = None
_open_shared_inputs: OpenInputs | None = None


def start_worker(open_shared_inputs: OpenInputs, parent: int) -> None:
    """Make a new process a worker, and open its shared inputs."""
    global _bench, _open_shared_inputs
    begin_worker(parent, KEPT_BYTES)
    _open_shared_inputs = open_shared_inputs
    # A worker that fails to start would count as killed; the first task tries again and reports the error.
    with contextlib.suppress(Exception):
        _bench = open_shared_inputs()


def call_task(do: Callable[[Task, SharedInputs], Result], task: Task) -> Result | GozenError:
    """Run a task in a worker with its shared inputs; an exception is returned as a named error."""
    global _bench
    assert _open_shared_inputs is not None
    try:
        _bench = _bench or _open_shared_inputs()
        return do(task, _bench)
    except Exception as error:
        named = as_gozen_error(error)
        log.debug("a task failed", exc_info=error)
        # Rebuilt from its text only: an exception that the parent cannot unpickle would break the pool.
        return type(named)(str(named))
