"""Translate between recipe steps and records: EXP_IDs in the archive, orders for the camera, Exposures."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from gozen.archive import exp_ids
from gozen.archive.exp_ids import Purpose
from gozen.archive.stores.open_store import Store
from gozen.observing.device_drivers import ExposureOrder
from gozen.observing.written_sensors import sensors_taken
from gozen.resources import nights
from gozen.resources.exposure import Exposure
from gozen_operator.observer.execution_memory import Work
from gozen_operator.observer.observation_steps import Recipe, next_step
from gozen_operator.observer.situation import Attempt, Create


def purpose_of(recipe: Recipe, step: int, attempt: int, night: str = "") -> Purpose:
    """Return the purpose of an EXP_ID (which step of which Observation); the night is used only for its reservation."""
    meta, exposure = recipe.observation.metadata, recipe.planned[step].exposure.metadata
    return Purpose(meta.namespace or "default", meta.name, meta.uid or "", step, exposure.name, night, attempt)


def read_attempt(store: Store, recipe: Recipe, step: int, most: int) -> Attempt:
    """Return the latest attempt of an exposure, from the archive.

    Parameters
    ----------
    most
        Largest number of attempts. Attempt number `most` is returned even if its data were lost, because no other
        follows.
    """
    number = 0
    while True:
        number += 1
        exposure_id = exp_ids.reserved(store, purpose_of(recipe, step, number))
        if exposure_id is None:
            return Attempt(number)
        closing = exp_ids.read_closing(store, exposure_id)
        if closing is not None and closing.result == "lost" and closing.why != "DeviceFailed" and number < most:
            continue
        purpose = exp_ids.purpose_given(store, exposure_id)
        if closing is not None:
            return Attempt(number, exposure_id, purpose.night, opened=True, closing=closing)
        opening = exp_ids.read_opening(store, exposure_id)
        if opening is None:
            return Attempt(number, exposure_id, purpose.night)
        recorded = sensors_taken(store, purpose.night, f"{exposure_id:08d}")
        return Attempt(number, exposure_id, purpose.night, opened=True, opened_by=opening.session, recorded=recorded)


def next_attempt(store: Store, work: Work, most: int) -> tuple[int | None, Attempt]:
    """Return the next step (None after the last), and for an exposure its latest attempt in the archive.

    Exposures whose shutter was opened before this process claimed the Observation come first: nothing moves while one
    of them may be running, and exposures that were taken need no preparation.
    """
    while work.unsettled:
        attempt = read_attempt(store, work.recipe, work.unsettled[0], most)
        if attempt.opened:
            return work.unsettled[0], attempt
        work.unsettled.clear()
    step = next_step(work.recipe, work.done, work.executed)
    if step is None or step not in work.recipe.planned:
        return step, Attempt()
    return step, read_attempt(store, work.recipe, step, most)


def start_of(store: Store, exposure_id: int, now: datetime, zone: ZoneInfo) -> datetime:
    """Return when an exposure begins: after the end of the previous one, even if a simulated camera was faster.

    The archive is read each time: a planned end kept in memory would still be used after the exposure was aborted.
    """
    last = exp_ids.last_taken(store, exposure_id)
    if last is None or not last.ends:
        return now
    free_at = datetime.fromisoformat(last.ends)
    same_night = nights.night_of(free_at, zone) == nights.night_of(now, zone)
    return max(now, free_at) if same_night else now


def order_of(recipe: Recipe, step: int, exposure_id: int, night: str, start: datetime) -> ExposureOrder:
    """Return the order for the camera."""
    planned, spec = recipe.planned[step], recipe.observation.spec
    exposure = planned.exposure.spec
    return ExposureOrder(
        exposure_id=exposure_id,
        night=night,
        start=start,
        object=exposure.object,
        data_type=exposure.data_type,
        pointing=planned.pointing,
        nframe=exposure.nframe,
        tinteg_sec=planned.tinteg_sec,
        gain=planned.gain,
        sensors=recipe.sensors_of(step),
        pipelines=tuple(exposure.pipelines),
        observer=spec.observer,
        project=spec.project,
    )


def exposure_of(recipe: Recipe, action: Create) -> Exposure:
    """Return the Exposure of a step whose data were recorded; it names the sensors if some have no data."""
    planned, meta = recipe.planned[action.step].exposure, recipe.observation.metadata
    all_wrote = set(action.sensors) == set(recipe.sensors_of(action.step))
    changes = {
        "exposure_id": action.exposure_id,
        "night": action.night,
        "sensors": list(planned.spec.sensors) if all_wrote else list(action.sensors),
    }
    labels = {
        "app.kubernetes.io/part-of": "gozen",
        "gozen.astro/observation": meta.name,
        "gozen.astro/exposure": planned.metadata.name,
        "gozen.astro/night": action.night,
    }
    owner = {"apiVersion": recipe.observation.api_version, "kind": "Observation", "name": meta.name, "uid": meta.uid}
    metadata = planned.metadata.model_copy(update={"labels": labels, "owner_references": [owner]})
    spec = planned.spec.model_copy(update=changes)
    return planned.model_copy(update={"metadata": metadata, "spec": spec})
