"""Read the situation of an Observation from devices and archive. Moves no device."""

from __future__ import annotations

from datetime import datetime

from gozen.observing.device_drivers import CameraState
from gozen.resources import nights
from gozen.resources.observation import Observation
from gozen_operator.observer.execution_memory import Work
from gozen_operator.observer.exposure_records import next_attempt
from gozen_operator.observer.observing_site import ObservingSite
from gozen_operator.observer.situation import Moving, Situation


def take_situation(
    site: ObservingSite, work: Work, observation: Observation | None, now: datetime, *, stopping: bool
) -> Situation:
    """Return the situation at this moment.

    Parameters
    ----------
    observation
        The present object in the cluster; None if it was deleted.
    stopping
        Whether the process has received a signal to end.

    Raises
    ------
    StorageUnavailable
        The archive cannot be read now.
    """
    camera, busy, held = CameraState(), False, dict[str, bool]()
    with work.device(work.coming):
        # The camera before the archive: else a record written in between would be missed, and the exposure be lost.
        camera = site.observatory.camera.state()
        busy = site.observatory.busy()
        held = site.observatory.conditions()
    work.busy_since = (work.busy_since or now) if busy else None
    step, attempt = next_attempt(site.store, work, site.settings.observer.attempts)
    if work.moving is not None and work.moving.since is None:
        work.moving = Moving(work.moving.step, now)
    return Situation(
        recipe=work.recipe,
        uid=work.uid,
        observation=observation,
        session=site.session,
        now=now,
        night=f"{nights.night_of(now, site.zone):%Y%m%d}",
        night_ends=work.night_ends,
        limits=site.settings.observer,
        move_timeout_s=site.settings.observatory.move_timeout_s,
        done=frozenset(work.done),
        moving=work.moving,
        busy=busy,
        busy_since=work.busy_since,
        conditions=held,
        camera=camera,
        step=step,
        attempt=attempt,
        failure=work.failure,
        began=work.began,
        stopping=stopping,
    )
