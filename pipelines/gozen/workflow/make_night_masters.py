"""Make the masters of a night's calibration exposures, and update the observation log."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from gozen.archive.log.update_log import update_log
from gozen.archive.raw.exposure_record import RawExposure
from gozen.archive.stores.open_store import Store
from gozen.instrument.profile import Profile
from gozen.reduction.sensor_masters import MasterResult, make_masters, masters_wanted
from gozen.reduction.shared_inputs import open_shared_inputs
from gozen.settings import Settings
from gozen.workflow.stage_progress import StageProgress, no_progress


def make_night_masters(
    store: Store,
    settings: Settings,
    profile: Profile,
    exposures: Sequence[RawExposure],
    sensors: Sequence[str] = (),
    *,
    divided: bool = False,
    progress: StageProgress = no_progress,
    finished: Callable[[MasterResult], None] = lambda _: None,
) -> list[MasterResult]:
    """Make the masters of exposures in worker processes, and update the observation log of their nights.

    Parameters
    ----------
    store
        The archive that the settings name.
    sensors
        Sensors to use; empty for all.
    divided
        Whether other processes work on the other sensors; if so, the log is not updated here.
    finished
        Called with each result as soon as it is available.

    Returns
    -------
    A result for each sensor and calibration exposure, including errors and masters that were committed before.

    Raises
    ------
    BadRequest
        The profile requests no masters, or no exposure can become one.
    """
    works = [
        one for one in masters_wanted(exposures, profile.masters, profile.name) if not sensors or one.sensor in sensors
    ]
    results = []
    with progress("making masters", sum(len(work.wanted) for work in works)) as step:
        for made in make_masters(works, partial(open_shared_inputs, settings), settings.workers):
            step()
            finished(made)
            results.append(made)
    update_log(store, (one.night for one in exposures), divided=divided)
    return results
