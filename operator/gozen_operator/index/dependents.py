"""Which resources a change concerns, so that they enter the work queue. Pure.

An event marks few keys, however many resources exist: those whose facts it changes, and of a queue its head only.
"""

from __future__ import annotations

from collections.abc import Iterator

from gozen_operator.index import index_entries
from gozen_operator.index.index_entries import Card, ExposureCard, Heading, JobCard, LightCurveCard, ObservationCard
from gozen_operator.index.object_index import Index, ObjectChange
from gozen_operator.reconcile.object_fields import Key


def affected(index: Index, change: ObjectChange, turns: int) -> list[Key]:
    """Return the resources to reconcile after a change, each once.

    Parameters
    ----------
    turns
        How many Jobs of Exposures run at once: more of the queue cannot move.
    """
    key, before, after = change
    found = [key] if key.kind != "Job" else []
    if before != after:  # of a Job's counts of pods most say nothing new
        jobs = [card for card in (before, after) if isinstance(card, JobCard) and card.seen.uid]
        found += [card.owner.key for card in jobs if card.owner is not None]
    if _told(before) != _told(after):
        for card in (before, after):
            found += _followers(index, key.namespace, card, turns)
    return list(dict.fromkeys(found))


def _told(card: Card | None) -> object:
    """Return what others make of a card."""
    match card:
        case ExposureCard():
            ended = card.complete and (card.succeeded, card.reason)
            observation = (card.observation, card.observation_uid)
            asked = (observation, card.night, card.exposure_id, card.run, card.instrument, card.data_type, card.sensors)
            return ended, card.complete, card.going, card.reason == "Queued", card.refused, card.rank, asked
        case ObservationCard():
            return card.uid, card.suspended, card.complete
        case LightCurveCard():
            return card.uid, card.complete, card.going, card.reason, card.table
        case JobCard():
            return card.runs and (card.reduces, card.table)
    return None


def _followers(index: Index, namespace: str, card: Card | None, turns: int) -> Iterator[Key]:
    """Return who waits for a resource or Job, or counts it."""
    match card:
        case ExposureCard():
            if card.observation is not None:
                yield Key("Observation", namespace, card.observation)
            yield from _under(index, "LightCurveJob", index_entries.waiting_for_exposures(namespace))
            yield from _under(index, "Exposure", index_entries.queue(namespace), turns)
            yield from _calibrated_by(index, card, namespace)
        case ObservationCard():
            for key in _under(index, "Exposure", index_entries.of_observation(namespace, card.name)):
                yield key
                yield from _calibrated_by(index, index.card(key), namespace)
        case LightCurveCard():
            yield from _under(index, "LightCurveJob", index_entries.writers(namespace, card.table))
        case JobCard() if card.reduces:
            yield from _under(index, "Exposure", index_entries.queue(namespace), turns)
        case JobCard():
            owner = index.card(card.owner.key) if card.owner is not None else None
            tables = {card.table, owner.table if isinstance(owner, LightCurveCard) else card.table}
            for table in sorted(tables):
                yield from _under(index, "LightCurveJob", index_entries.writers(namespace, table))


def _calibrated_by(index: Index, card: Card | None, namespace: str) -> Iterator[Key]:
    """Return who waits for the calibration of a night, where an Exposure is a part of it."""
    if isinstance(card, ExposureCard) and card.data_type != "OBJECT":
        heading = index_entries.waiting_for_calibration(namespace, card.instrument, card.night)
        yield from _under(index, "Exposure", heading)


def _under(index: Index, kind: str, heading: Heading, most: int | None = None) -> Iterator[Key]:
    return (Key(kind, heading.namespace, name) for name in index.under(heading, most=most))
