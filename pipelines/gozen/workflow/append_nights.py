"""Append reduced nights to a light-curve table, one by one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gozen.archive.commit import SensorCommit
from gozen.archive.inventory import sweep
from gozen.archive.log.update_log import update_log
from gozen.archive.stores.open_store import Store
from gozen.catalog.write.append import AppendReport
from gozen.errors import BadRequest
from gozen.lightcurves.append_commits import TABLE, append_commits
from gozen.lightcurves.commit_selection import named_exposures, nights_with, selected_commits
from gozen.resources.sky_circle import SkyCircle
from gozen.workflow.stage_progress import StageProgress, no_progress


@dataclass(frozen=True)
class AppendRequest:
    """The selection of results to append; without nights, exposures and region, all that are reduced.

    Parameters
    ----------
    nights
        Nights ``YYYYMMDD``. Empty: the nights of `exposures`; if these are empty too, all nights.
    exposures
        Only these exposures; empty for all.
    run
        Only this processing run; None for the run of each exposure that `gozen.archive.keys.runs_in_force` returns.
    region, reach_deg
        Only sensors whose field, a circle with radius `reach_deg`, overlaps the region.
    """

    nights: tuple[str, ...] = ()
    exposures: tuple[str, ...] = ()
    run: str | None = None
    region: SkyCircle | None = None
    reach_deg: float = 0.0

    @property
    def is_narrowed(self) -> bool:
        """Whether only a part of a night is selected."""
        return bool(self.exposures or self.region or self.run)


@dataclass(frozen=True)
class AppendedNight:
    """The result of appending one night.

    Parameters
    ----------
    exposures
        Exposures whose commits were read; the table may have had their rows before.
    """

    night: str
    exposures: tuple[str, ...]
    report: AppendReport


def append_nights(
    store: Store,
    request: AppendRequest,
    table: str = TABLE,
    *,
    progress: StageProgress = no_progress,
    finished: Callable[[AppendedNight], None] = lambda _: None,
) -> list[AppendedNight]:
    """Append the rows of nights to a table, and update the observation log; a second call changes nothing.

    Parameters
    ----------
    finished
        Called with each night as soon as its rows are in the table.

    Raises
    ------
    BadRequest
        None of the selected exposures is reduced, or none of a named night.
    UnreadableInput
        Rows that a commit names cannot be read.
    """
    sweep(store)
    appended = []
    for night in request.nights or nights_with(store, request.exposures):
        commits = _commits(store, night, request)
        if not commits:
            continue
        with progress(f"appending {night}", len(commits)) as step:
            report = append_commits(store, night, commits, table, step)
        update_log(store, [night])
        appended.append(AppendedNight(night, tuple(named_exposures(commits)), report))
        finished(appended[-1])
    if not appended:
        raise BadRequest(f"no selected exposure is reduced in {store.url}; run `gozen reduce` first")
    return appended


def _commits(store: Store, night: str, request: AppendRequest) -> list[SensorCommit]:
    commits = selected_commits(store, night, request.exposures, request.run, request.region, request.reach_deg)
    if not commits and request.nights:
        which = " that is selected" if request.is_narrowed else ""
        raise BadRequest(f"no exposure of the night {night}{which} is reduced in {store.url}; run `gozen reduce` first")
    return commits
