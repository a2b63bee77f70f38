"""Whom a change concerns: the resources to look at after it. Pure.

An event marks few keys, however many resources there are: those whose facts it changes, and of a queue its head only.
"""

from __future__ import annotations

from collections.abc import Iterator

from gozen_operator import cards
from gozen_operator.cards import Card, ExposureCard, Heading, JobCard, LightCurveCard, ObservationCard
from gozen_operator.index import Change, Index
from gozen_operator.manifests import Key


def affected(index: Index, change: Change, turns: int) -> list[Key]:
    """Return the resources to look at after a change, each once.

    Parameters
    ----------
    turns
        How many Jobs of Exposures run at once: more of the queue cannot move.
    """
    key, before, after = change
    found = [key] if key.kind != "Job" else []
    if before != after:  # of a Job's counts of pods most say nothing new
        jobs = [card for card in (before, after) if isinstance(card, JobCard) and card.seen.uid]
        found += [card.owner for card in jobs if card.owner is not None]
    if _told(before) != _told(after):
        for card in (before, after):
            found += _followers(index, key.namespace, card, turns)
    return list(dict.fromkeys(found))


def _told(card: Card | None) -> object:
    """Return what others make of a card."""
    match card:
        case ExposureCard():
            ended = card.complete and (card.succeeded, card.reason)
            asked = (card.observation, card.night, card.exposure_id, card.run, card.instrument, card.data_type)
            return ended, card.complete, card.reason == "Queued", card.refused, card.rank, asked
        case ObservationCard():
            return card.suspended, card.complete
        case LightCurveCard():
            return card.complete, card.reason, card.table
        case JobCard():
            return card.runs
    return None


def _followers(index: Index, namespace: str, card: Card | None, turns: int) -> Iterator[Key]:
    """Return who waits for a resource or Job, or counts it."""
    match card:
        case ExposureCard():
            if card.observation is not None:
                yield Key("Observation", namespace, card.observation)
            yield from _under(index, "LightCurveJob", cards.waiting_for_exposures(namespace))
            yield from _under(index, "Exposure", cards.queue(namespace), turns)
            if card.data_type != "OBJECT":
                yield from _under(index, "Exposure", cards.waiting_for_calibration(namespace, card.instrument))
        case ObservationCard():
            yield from _under(index, "Exposure", cards.of_observation(namespace, card.name))
        case LightCurveCard():
            yield from _under(index, "LightCurveJob", cards.writers(namespace, card.table))
        case JobCard() if card.owner is not None and card.owner.kind == "Exposure":
            yield from _under(index, "Exposure", cards.queue(namespace), turns)
        case JobCard() if card.owner is not None:
            owner = index.card(card.owner)
            yield from _followers(index, namespace, owner if isinstance(owner, LightCurveCard) else None, turns)


def _under(index: Index, kind: str, heading: Heading, most: int | None = None) -> Iterator[Key]:
    return (Key(kind, heading.namespace, name) for name in index.under(heading, most=most))
