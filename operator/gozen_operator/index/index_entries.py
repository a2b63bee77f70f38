"""Index entries: what other resources need to know of one, and the sorted lists in which it is filed. Pure.

A reconcile asks for one resource among ten thousand; by its entry in the right lists nobody reads all of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from gozen.resources.exposure import Exposure
from gozen.resources.lightcurvejob import LightCurveJob
from gozen.resources.metadata import Condition, Resource
from gozen.resources.observation import Observation
from gozen.resources.recipe_steps import DataType
from gozen_operator.reconcile.facts import JobSeen
from gozen_operator.reconcile.job_manifests import TABLE, job_name, label_value
from gozen_operator.reconcile.object_fields import Key, Manifest, Owner, job_seen, owner_of

Place = tuple[str | int | bool, ...]
"""Where a card stands in a drawer: what the drawer is ordered by, and last the name."""


class Heading(NamedTuple):
    """A drawer of one namespace."""

    word: str
    namespace: str
    of: tuple[str | int | None, ...] = ()


@dataclass(frozen=True, slots=True)
class ExposureCard:
    """What matters of an Exposure.

    Parameters
    ----------
    made
        When it was created, RFC 3339, UTC.
    observation, observation_uid
        The Observation that it is of; the uid is empty where it was made by hand, and only names one.
    refused
        Whether it was found to make no sense.
    reason
        Of the condition Succeeded; empty before the first look at it.
    raw_since
        When its raw data had come, s since 1970; None before.
    begun
        Whether its status names a Job, or its end.
    going
        Whether it is being deleted, and only waits for what has to go before it.
    """

    name: str
    uid: str
    made: str
    observation: str | None
    observation_uid: str
    night: str
    exposure_id: int | None
    run: str
    instrument: str
    data_type: DataType
    sensors: tuple[str, ...]
    express: bool
    refused: bool
    complete: bool
    succeeded: bool
    reason: str
    raw_since: float | None
    begun: bool = False
    going: bool = False

    @property
    def rank(self) -> Place:
        """Its turn: express first, then in the order of the numbers."""
        return (not self.express, self.exposure_id or 0, self.name)


@dataclass(frozen=True, slots=True)
class ObservationCard:
    """What matters of an Observation."""

    name: str
    uid: str
    suspended: bool
    complete: bool
    reason: str


@dataclass(frozen=True, slots=True)
class LightCurveCard:
    """What matters of a LightCurveJob.

    Parameters
    ----------
    job
        Name of its Job.
    going
        As of an `ExposureCard`.
    """

    name: str
    uid: str
    made: str
    job: str
    table: str
    complete: bool
    reason: str
    going: bool = False


@dataclass(frozen=True, slots=True)
class JobCard:
    """What matters of a Job.

    Parameters
    ----------
    table
        The label that names the table to which it appends; empty for others.
    """

    seen: JobSeen
    owner: Owner | None
    table: str = ""

    @property
    def runs(self) -> bool:
        """Whether it has not ended."""
        return self.seen.finished is None

    @property
    def reduces(self) -> bool:
        """Whether it is an Exposure's, and counts among those."""
        return self.owner is not None and self.owner.key.kind == "Exposure"


Card = ExposureCard | ObservationCard | LightCurveCard | JobCard


def is_parent(card: Card | None, exposure: ExposureCard) -> bool:
    """Tell whether an Exposure is of this Observation, and not of an earlier one of its name."""
    if not isinstance(card, ObservationCard) or card.name != exposure.observation:
        return False
    return exposure.observation_uid in ("", card.uid)


def is_over(card: Card | None) -> bool:
    """Tell whether nothing more happens to a resource, but that it goes in its time."""
    return card is not None and not isinstance(card, JobCard) and card.complete


def card_of(resource: Resource) -> Card:
    """Return the card of a resource."""
    name, uid, made = resource.metadata.name, str(resource.metadata.uid), resource.metadata.creation_timestamp
    when = made.isoformat() if made else ""
    assert isinstance(resource, Exposure | Observation | LightCurveJob)
    told = {one.type: one for one in resource.status.conditions} if resource.status else {}
    complete = _status(told, "Complete") == "True"
    reason = told["Succeeded"].reason if "Succeeded" in told else ""
    going = resource.metadata.deletion_timestamp is not None
    if isinstance(resource, Observation):
        return ObservationCard(name, uid, resource.spec.suspend, complete, reason)
    if isinstance(resource, LightCurveJob):
        table = resource.spec.target_catalog
        return LightCurveCard(name, uid, when, job_name(resource), table, complete, reason, going)
    spec = resource.spec
    owners = [one.get("uid", "") for one in resource.metadata.owner_references if one.get("kind") == "Observation"]
    raw = told.get("RawAvailable")
    return ExposureCard(
        name=name,
        uid=uid,
        made=when,
        observation=spec.observation_ref.name if spec.observation_ref else None,
        observation_uid=owners[0] if owners else "",
        night=spec.night or "",
        exposure_id=spec.exposure_id,
        run=spec.run,
        instrument=spec.instrument,
        data_type=spec.data_type,
        sensors=tuple(spec.sensors),
        express=spec.priority_class == "express",
        refused=_status(told, "Accepted") == "False",
        complete=complete,
        succeeded=_status(told, "Succeeded") == "True",
        reason=reason,
        raw_since=raw.last_transition_time.timestamp() if raw is not None and raw.status == "True" else None,
        begun=complete or (resource.status is not None and resource.status.job is not None),
        going=going,
    )


def job_card_of(manifest: Manifest) -> JobCard:
    """Return the card of a Job."""
    return JobCard(job_seen(manifest), owner_of(manifest), (manifest["metadata"].get("labels") or {}).get(TABLE, ""))


def _status(told: dict[str, Condition], type_: str) -> str | None:
    return told[type_].status if type_ in told else None


def of_observation(namespace: str, name: str) -> Heading:
    """Return the heading of the Exposures of an Observation, and of earlier ones of its name."""
    return Heading("of the Observation", namespace, (name,))


def same_processing(namespace: str, night: str, exposure_id: int | None, run: str, instrument: str) -> Heading:
    """Return the heading of Exposures that stand for one processing, the oldest first; refused ones do not count."""
    return Heading("one processing", namespace, (night, exposure_id, run, instrument))


def queue(namespace: str) -> Heading:
    """Return the heading of the Exposures that wait for their turn, in their turn."""
    return Heading("queue", namespace)


def calibration(namespace: str, instrument: str, data_type: str, night: str) -> Heading:
    """Return the heading of the DARK or FLAT Exposures of a night that are not complete, by their numbers."""
    return Heading("calibration", namespace, (instrument, data_type, night))


def waiting_for_calibration(namespace: str, instrument: str, night: str) -> Heading:
    """Return the heading of the Exposures that wait for such."""
    return Heading("waiting for calibration", namespace, (instrument, night))


def not_reduced(namespace: str, run: str) -> Heading:
    """Return the heading of the OBJECT Exposures of a run that are not complete, by night and number."""
    return Heading("not reduced", namespace, (run,))


def running(namespace: str) -> Heading:
    """Return the heading of the Jobs of Exposures that have not ended."""
    return Heading("running", namespace)


def writers(namespace: str, table: str) -> Heading:
    """Return the heading of the LightCurveJobs of a table that are not complete, the oldest first."""
    return Heading("writers", namespace, (label_value(table),))


def appending(namespace: str, table: str) -> Heading:
    """Return the heading of the Jobs that append to a table and have not ended, whoever is there of their owners."""
    return Heading("appending", namespace, (label_value(table),))


def waiting_for_exposures(namespace: str) -> Heading:
    """Return the heading of the LightCurveJobs that wait for Exposures."""
    return Heading("waiting for Exposures", namespace)


def places(key: Key, card: Card) -> Iterator[tuple[Heading, Place]]:
    """Return where a card is filed; what is being deleted has no turn, and nobody waits for it."""
    here = key.namespace
    if isinstance(card, ExposureCard):
        yield from _places_of_exposure(here, card)
    elif isinstance(card, LightCurveCard) and not card.complete and not card.going:
        yield writers(here, card.table), (card.made, card.name)
        if card.reason == "WaitingForExposures":
            yield waiting_for_exposures(here), (card.name,)
    elif isinstance(card, JobCard) and card.runs and card.reduces:
        yield running(here), (card.seen.name,)
    elif isinstance(card, JobCard) and card.runs and card.table:
        yield appending(here, card.table), (card.seen.name,)


def _places_of_exposure(here: str, card: ExposureCard) -> Iterator[tuple[Heading, Place]]:
    if card.observation is not None:
        yield of_observation(here, card.observation), (card.name,)
    if card.exposure_id is not None and not card.refused:
        heading = same_processing(here, card.night, card.exposure_id, card.run, card.instrument)
        yield heading, (card.made, card.name)
    if card.going:
        return
    if card.reason == "Queued":
        yield queue(here), card.rank
    if card.reason == "WaitingForCalibration":
        yield waiting_for_calibration(here, card.instrument, card.night), (card.name,)
    if card.exposure_id is not None and not card.complete:
        if card.data_type == "OBJECT":
            yield not_reduced(here, card.run), (card.night, card.exposure_id, card.name)
        else:
            yield calibration(here, card.instrument, card.data_type, card.night), (card.exposure_id, card.name)
