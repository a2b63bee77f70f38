"""Reduce science exposures, and update the observation log."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from gozen.archive.inventory import sweep
from gozen.archive.log.update_log import update_log
from gozen.archive.raw.exposure_record import RawExposure
from gozen.archive.stores.open_store import Store
from gozen.errors import BadRequest
from gozen.observing.raw_for_steps import works_of_exposures
from gozen.reduction.reduce_all import reduce_all
from gozen.reduction.sensor_work import SensorResult, SensorWork
from gozen.reduction.shared_inputs import open_shared_inputs
from gozen.settings import Settings
from gozen.workflow.night_exposures import chosen_exposures
from gozen.workflow.stage_progress import StageProgress, no_progress


def works_of_night(
    exposures: Sequence[RawExposure],
    names: Sequence[str],
    *,
    run: str,
    sensors: Sequence[str] = (),
    pipelines: Sequence[str] = (),
    retain_raw: bool = False,
    divided: bool = False,
) -> list[SensorWork]:
    """Return the reductions of named science exposures of a night, or of all.

    Parameters
    ----------
    exposures
        All exposures of the night.
    names
        Exposures to reduce; empty for all.
    sensors, pipelines, run, retain_raw
        As in `gozen.observing.raw_for_steps.works_of_exposures`.
    divided
        Whether the sensors are only a part of the camera. An exposure may have no raw data of them, so an
        empty result is allowed.

    Raises
    ------
    BadRequest
        The night lacks one of the named exposures, or there is nothing to reduce.
    """
    wanted = chosen_exposures(exposures, names)
    works = works_of_exposures(wanted, sensors, pipelines, run, retain_raw=retain_raw)
    if not works and not (divided and any(one.data_type == "OBJECT" for one in wanted)):
        raise BadRequest(
            f"there is nothing to reduce: none of {', '.join(one.exposure for one in wanted)} is an exposure of the sky"
        )
    return works


def reduce_exposures(
    store: Store,
    settings: Settings,
    works: Sequence[SensorWork],
    *,
    divided: bool = False,
    progress: StageProgress = no_progress,
    finished: Callable[[SensorResult], None] = lambda _: None,
) -> list[SensorResult]:
    """Reduce sensors in worker processes, and update the observation log of their nights.

    Parameters
    ----------
    store
        The archive that the settings name.
    divided
        Whether other processes work on the other sensors; if so, the log is not updated here.
    finished
        Called with each result as soon as it is available.

    Returns
    -------
    A result for each sensor, including errors; those committed before come first.
    """
    sweep(store)
    results = []
    with progress("reducing", len(works)) as step:
        for result in reduce_all(works, store, partial(open_shared_inputs, settings), settings.workers):
            results.append(result)
            finished(result)
            step()
    sweep(store)  # a killed worker may have left partial files
    update_log(store, (work.processing.night for work in works), divided=divided)
    return results
