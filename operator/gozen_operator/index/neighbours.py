"""Index entries related to an Exposure: its Job, queue position, Observation, duplicates. No I/O."""

from __future__ import annotations

from dataclasses import dataclass

from gozen.resources.exposure import Exposure
from gozen_operator.index import index_entries
from gozen_operator.index.index_entries import ExposureEntry, ObservationEntry, entry_of
from gozen_operator.index.object_index import Index
from gozen_operator.operator_settings import OperatorSettings
from gozen_operator.reconcile.facts import JobSeen
from gozen_operator.reconcile.job_manifests import job_name
from gozen_operator.reconcile.object_fields import Key, Owner, as_owner
from gozen_operator.reconcile.refused import taken_by


@dataclass(frozen=True)
class ExposureNeighbours:
    """The entries in the index of an Exposure and its neighbours at one moment.

    Parameters
    ----------
    job, job_of_another
        As in `ExposureFacts`.
    parent
        The Observation that it belongs to.
    ahead
        Number of Exposures before it in the queue.
    running
        How many Jobs of other Exposures have not ended.
    first
        As `duplicate_of` returns it.
    """

    entry: ExposureEntry
    job: JobSeen | None
    job_of_another: str
    parent: ObservationEntry | None
    ahead: int
    running: int
    first: ExposureEntry | None

    def may_launch(self, settings: OperatorSettings) -> bool:
        """Tell whether the Exposure may start now, because fewer Jobs are active than allowed."""
        return self.running + self.ahead < settings.max_active_jobs

    def waits_for_its_turn(self, settings: OperatorSettings) -> bool:
        """Tell whether the Exposure has raw data, but waits in the queue because too many Jobs are active."""
        return self.entry.reason == "Queued" and not self.may_launch(settings)


def neighbours_of(index: Index, exposure: Exposure) -> ExposureNeighbours:
    """Return the index entries of an Exposure and its neighbours."""
    namespace, owner, name = str(exposure.metadata.namespace), as_owner(exposure), job_name(exposure)
    entry = entry_of(exposure)
    assert isinstance(entry, ExposureEntry)
    with index.unchanged():
        job = index.job_of(owner, name)
        own_job_runs = job is not None and job.finished is None
        return ExposureNeighbours(
            entry=entry,
            job=job,
            job_of_another=job_of_another(index, owner, name),
            parent=_parent(index, namespace, entry),
            ahead=index.before(index_entries.queue(namespace), entry.rank),
            running=index.count(index_entries.running(namespace)) - own_job_runs,
            first=duplicate_of(index, namespace, entry),
        )


def job_of_another(index: Index, mine: Owner, name: str) -> str:
    """Return the message that another owner's Job has the name that a resource's Job needs; empty if none has."""
    entry = index.job_named(mine.key.namespace, name)
    if entry is None or entry.owner == mine:
        return ""
    return taken_by(name, entry.owner, mine)


def duplicate_of(index: Index, namespace: str, entry: ExposureEntry) -> ExposureEntry | None:
    """Return the earlier Exposure of which this one is a duplicate (same processing); None if there is none.

    The result is also None if this Exposure has begun. An Exposure with a Job precedes an older one without, because
    creation times are whole seconds of several clocks.
    """

    def place(one: ExposureEntry) -> tuple[bool, str, str]:
        job = index.job_named(namespace, one.name)
        # The Job of a deleted Exposure of this name gives no precedence.
        has_job = job is not None and job.owner == Owner(Key("Exposure", namespace, one.name), one.uid)
        return not (one.begun or has_job), one.made, one.name

    if entry.exposure_id is None or not place(entry)[0]:
        return None
    same = index_entries.same_processing(namespace, entry.night, entry.exposure_id, entry.run, entry.instrument)
    found = [index.entry(Key("Exposure", namespace, name)) for name in index.under(same) if name != entry.name]
    others = [one for one in found if isinstance(one, ExposureEntry) and place(one) < place(entry)]
    return min(others, key=place, default=None)


def _parent(index: Index, namespace: str, entry: ExposureEntry) -> ObservationEntry | None:
    parent = index.entry(Key("Observation", namespace, entry.observation)) if entry.observation else None
    return parent if isinstance(parent, ObservationEntry) and index_entries.is_parent(parent, entry) else None
