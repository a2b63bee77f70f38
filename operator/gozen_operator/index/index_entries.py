"""Index entries: the fields of a resource that matter for decisions about other resources, in sorted lists. No I/O.

A reconcile concerns one resource among ten thousand; with these lists it need not read all of them.
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
from gozen_operator.reconcile.reconcile_publication import has_work

SortKey = tuple[str | int | bool, ...]
"""Position of an entry in a sorted list: the fields of the sort order, and last the name."""


class IndexKey(NamedTuple):
    """Key of a sorted list of one namespace."""

    word: str
    namespace: str
    of: tuple[str | int | None, ...] = ()


@dataclass(frozen=True, slots=True)
class ExposureEntry:
    """The fields of an Exposure that the index needs.

    Parameters
    ----------
    made
        When it was created, RFC 3339, UTC.
    observation, observation_uid
        Name and uid of its Observation. The uid is empty if a person wrote the Exposure, which then has only the name.
    refused
        Whether the operator has refused it (`Accepted` is False).
    reason
        Reason of the condition Succeeded; empty before the first reconcile.
    raw_since
        When its raw data had arrived, s since 1970; None before.
    begun
        Whether its status names a Job, or says that the Exposure has ended.
    going
        Whether it is being deleted, and exists only until its finalizers are removed.
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
    def rank(self) -> SortKey:
        """Position in the queue: express first, then by EXP_ID."""
        return (not self.express, self.exposure_id or 0, self.name)


@dataclass(frozen=True, slots=True)
class ObservationEntry:
    """The fields of an Observation that the index needs."""

    name: str
    uid: str
    suspended: bool
    complete: bool
    reason: str


@dataclass(frozen=True, slots=True)
class LightCurveEntry:
    """The fields of a LightCurveJob that the index needs.

    Parameters
    ----------
    job
        Name of the Job of the LightCurveJob.
    going
        The same as `going` of `ExposureEntry`.
    publishes
        Whether the operator still has to publish it, or to remove what was published.
    """

    name: str
    uid: str
    made: str
    job: str
    table: str
    complete: bool
    reason: str
    going: bool = False
    publishes: bool = False


@dataclass(frozen=True, slots=True)
class JobEntry:
    """The fields of a Job that the index needs.

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
        """Whether the Job has not ended."""
        return self.seen.finished is None

    @property
    def reduces(self) -> bool:
        """Whether the Job belongs to an Exposure, and counts among the active Jobs."""
        return self.owner is not None and self.owner.key.kind == "Exposure"


IndexEntry = ExposureEntry | ObservationEntry | LightCurveEntry | JobEntry


def is_parent(entry: IndexEntry | None, exposure: ExposureEntry) -> bool:
    """Tell whether an Exposure belongs to this Observation, and not to an earlier one with the same name."""
    if not isinstance(entry, ObservationEntry) or entry.name != exposure.observation:
        return False
    return exposure.observation_uid in ("", entry.uid)


def is_over(entry: IndexEntry | None) -> bool:
    """Tell whether a resource is complete, so the operator only waits for its deletion."""
    if isinstance(entry, LightCurveEntry) and entry.publishes:
        return False
    return entry is not None and not isinstance(entry, JobEntry) and entry.complete


def entry_of(resource: Resource) -> IndexEntry:
    """Return the entry of a resource."""
    name, uid, made = resource.metadata.name, str(resource.metadata.uid), resource.metadata.creation_timestamp
    when = made.isoformat() if made else ""
    assert isinstance(resource, Exposure | Observation | LightCurveJob)
    told = {one.type: one for one in resource.status.conditions} if resource.status else {}
    complete = _status(told, "Complete") == "True"
    reason = told["Succeeded"].reason if "Succeeded" in told else ""
    going = resource.metadata.deletion_timestamp is not None
    if isinstance(resource, Observation):
        return ObservationEntry(name, uid, resource.spec.suspend, complete, reason)
    if isinstance(resource, LightCurveJob):
        table = resource.spec.target_catalog
        return LightCurveEntry(name, uid, when, job_name(resource), table, complete, reason, going, has_work(resource))
    spec = resource.spec
    owners = [one.get("uid", "") for one in resource.metadata.owner_references if one.get("kind") == "Observation"]
    raw = told.get("RawAvailable")
    return ExposureEntry(
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


def job_entry_of(manifest: Manifest) -> JobEntry:
    """Return the entry of a Job."""
    return JobEntry(job_seen(manifest), owner_of(manifest), (manifest["metadata"].get("labels") or {}).get(TABLE, ""))


def _status(told: dict[str, Condition], type_: str) -> str | None:
    return told[type_].status if type_ in told else None


def of_observation(namespace: str, name: str) -> IndexKey:
    """Return the key of the list of Exposures of an Observation, and of earlier Observations with the same name."""
    return IndexKey("of the Observation", namespace, (name,))


def same_processing(namespace: str, night: str, exposure_id: int | None, run: str, instrument: str) -> IndexKey:
    """Return the key of the list of Exposures of one processing, the oldest first, without refused ones."""
    return IndexKey("one processing", namespace, (night, exposure_id, run, instrument))


def queue(namespace: str) -> IndexKey:
    """Return the key of the list of queued Exposures, in the order of the queue."""
    return IndexKey("queue", namespace)


def calibration(namespace: str, instrument: str, data_type: str, night: str) -> IndexKey:
    """Return the key of the list of DARK or FLAT Exposures of a night that are not complete, sorted by number."""
    return IndexKey("calibration", namespace, (instrument, data_type, night))


def waiting_for_calibration(namespace: str, instrument: str, night: str) -> IndexKey:
    """Return the key of the list of Exposures that wait for DARK or FLAT Exposures of a night."""
    return IndexKey("waiting for calibration", namespace, (instrument, night))


def not_reduced(namespace: str, run: str) -> IndexKey:
    """Return the key of the list of OBJECT Exposures of a run that are not complete, sorted by night and number."""
    return IndexKey("not reduced", namespace, (run,))


def running(namespace: str) -> IndexKey:
    """Return the key of the list of Jobs of Exposures that have not ended."""
    return IndexKey("running", namespace)


def writers(namespace: str, table: str) -> IndexKey:
    """Return the key of the list of LightCurveJobs of a table that are not complete, the oldest first."""
    return IndexKey("writers", namespace, (label_value(table),))


def appending(namespace: str, table: str) -> IndexKey:
    """Return the key of the list of Jobs that append to a table and have not ended, even if their owner is deleted."""
    return IndexKey("appending", namespace, (label_value(table),))


def waiting_for_exposures(namespace: str) -> IndexKey:
    """Return the index key under which all LightCurveJobs that wait for Exposures are listed."""
    return IndexKey("waiting for Exposures", namespace)


def filed_under(key: Key, entry: IndexEntry) -> Iterator[tuple[IndexKey, SortKey]]:
    """Yield the lists that contain an entry, with its position. An object that is being deleted waits in no list."""
    here = key.namespace
    if isinstance(entry, ExposureEntry):
        yield from _filed_exposure(here, entry)
    elif isinstance(entry, LightCurveEntry) and not entry.complete and not entry.going:
        yield writers(here, entry.table), (entry.made, entry.name)
        if entry.reason == "WaitingForExposures":
            yield waiting_for_exposures(here), (entry.name,)
    elif isinstance(entry, JobEntry) and entry.runs and entry.reduces:
        # Counted until the Job itself is gone: its pods run on for a while after their Exposure was deleted.
        yield running(here), (entry.seen.name,)
    elif isinstance(entry, JobEntry) and entry.runs and entry.table:
        yield appending(here, entry.table), (entry.seen.name,)


def _filed_exposure(here: str, entry: ExposureEntry) -> Iterator[tuple[IndexKey, SortKey]]:
    if entry.observation is not None:
        yield of_observation(here, entry.observation), (entry.name,)
    if entry.exposure_id is not None and not entry.refused:
        # Even while it is being deleted: its Job may still write the products of this number.
        index_key = same_processing(here, entry.night, entry.exposure_id, entry.run, entry.instrument)
        yield index_key, (entry.made, entry.name)
    if entry.going:
        return
    if entry.reason == "Queued":
        yield queue(here), entry.rank
    if entry.reason == "WaitingForCalibration":
        yield waiting_for_calibration(here, entry.instrument, entry.night), (entry.name,)
    if entry.exposure_id is not None and not entry.complete:
        if entry.data_type == "OBJECT":
            yield not_reduced(here, entry.run), (entry.night, entry.exposure_id, entry.name)
        else:
            yield calibration(here, entry.instrument, entry.data_type, entry.night), (entry.exposure_id, entry.name)
