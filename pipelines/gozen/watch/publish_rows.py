"""Append reduced exposures to the table and update the observation log, as a task for a worker."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from gozen.archive.log.update_log import update_log
from gozen.lightcurves.append_commits import append_commits, staged_commits
from gozen.reduction.sensor_work import SharedInputs
from gozen.watch.waiting_cubes import Name


@dataclass(frozen=True)
class Publication:
    """The exposures to publish.

    Parameters
    ----------
    portions
        Groups of exposures; each group is of one night and is appended in one step.
    without_rows
        Calibration exposures, which are added only to the log.
    """

    portions: tuple[tuple[Name, ...], ...]
    without_rows: tuple[Name, ...] = ()


@dataclass(frozen=True)
class Published:
    """The result: the number of rows added to the table, and the seconds spent on table and log."""

    rows: int
    append_s: float
    log_s: float


def publish(what: Publication, shared: SharedInputs) -> Published:
    """Append the portions one after the other and rebuild the log of their nights.

    Each portion makes its own version of the table. So the table is the same, however many portions one call gets.

    Raises
    ------
    UnreadableInput
        Rows or commits cannot be read.
    StorageUnavailable
        The archive cannot be read or written.
    """
    begin = time.perf_counter()
    rows = sum(_append(portion, shared) for portion in what.portions)
    middle = time.perf_counter()
    named = [name for portion in what.portions for name in portion]
    update_log(shared.store, (night for night, _ in (*named, *what.without_rows)))
    return Published(rows, middle - begin, time.perf_counter() - middle)


def _append(portion: Sequence[Name], shared: SharedInputs) -> int:
    night = portion[0][0]
    commits = staged_commits(shared.store, night, [exposure for _, exposure in portion])
    # Exposures without rows must not make a new version of the table.
    return append_commits(shared.store, night, commits).rows_added if commits else 0
