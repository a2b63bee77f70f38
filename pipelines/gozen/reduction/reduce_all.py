"""Reduce many sensors: skip committed ones, send the others to worker processes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gozen.archive import keys
from gozen.archive.commit import SensorCommit, read_commit
from gozen.archive.raw.reduced_tags import mark_reduced
from gozen.archive.stores.open_store import Store
from gozen.errors import GozenError, StorageUnavailable
from gozen.reduction.pool_worker import OpenInputs
from gozen.reduction.process_pool import run_all
from gozen.reduction.sensor_work import SensorResult, SensorWork, SharedInputs


def reduce_all(
    works: Sequence[SensorWork], store: Store, open_shared_inputs: OpenInputs, workers: int
) -> Iterator[SensorResult]:
    """Reduce sensors in worker processes; other parameters and errors are those of `process_pool.run_all`.

    Parameters
    ----------
    store
        The archive: existing commits are read from it.

    Yields
    ------
    The result of each sensor: first those committed before, then the others as they finish.
    """
    committed = _committed(works, store)
    waiting = []
    for work in works:
        done = read_commit(store, work.processing, work.sensor) if _key(work) in committed else None
        if done is None:
            waiting.append(work)
        else:
            yield _done_before(work, done, store)
    if waiting:
        open_shared_inputs()  # here an unreadable reference catalogue is one error, in the workers one per sensor
    for work, found in run_all(waiting, reduce_here, open_shared_inputs, workers):
        if isinstance(found, GozenError):
            yield SensorResult(work, None, found)
        else:
            yield SensorResult(work, found)


def reduce_here(work: SensorWork, shared: SharedInputs) -> SensorCommit:
    """Reduce one sensor in this process."""
    from gozen.reduction.reduce_sensor import reduce_sensor  # only the workers need to load the compiled code

    commit = reduce_sensor(work, shared)
    mark_reduced(shared.store, commit, work.raw_here)
    return commit


def _committed(works: Sequence[SensorWork], store: Store) -> set[str]:
    """Return the keys of the existing commits, with one listing for each processing.

    The worker checks for a missing commit again just before the reduction: another process may have written it.
    """
    folders = {keys.commits_of(work.processing) for work in works}
    return {key for folder in folders for key in store.list(folder)}


def _key(work: SensorWork) -> str:
    return keys.commit(work.processing, work.sensor)


def _done_before(work: SensorWork, commit: SensorCommit, store: Store) -> SensorResult:
    """Return the result of a committed sensor; tag its raw files, in case the process that committed it was killed."""
    try:
        mark_reduced(store, commit, work.raw_here)
    except StorageUnavailable as error:
        return SensorResult(work, None, error)
    return SensorResult(work, commit, skipped=True)
