"""Find the resources to reconcile after a change. No I/O.

An event affects only few resources, even if many exist: those whose facts it changes, and of a queue only the first
one.
"""

from __future__ import annotations

from collections.abc import Iterator

from gozen_operator.index import index_entries
from gozen_operator.index.index_entries import (
    ExposureEntry,
    IndexEntry,
    IndexKey,
    JobEntry,
    LightCurveEntry,
    ObservationEntry,
)
from gozen_operator.index.object_index import Index, ObjectChange
from gozen_operator.reconcile.object_fields import Key


def affected(index: Index, change: ObjectChange, turns: int) -> list[Key]:
    """Return the resources to reconcile after a change, each once.

    Parameters
    ----------
    turns
        Limit of active Jobs. Exposures behind this place in the queue cannot start, so they are not returned.
    """
    key, before, after = change
    found = [key] if key.kind != "Job" else []
    if before != after:  # most events of a Job change only counts of pods that no entry holds
        # A Job that was only expected has no uid: to mark its owner would retry a refused create without a pause.
        jobs = [entry for entry in (before, after) if isinstance(entry, JobEntry) and entry.seen.uid]
        found += [entry.owner.key for entry in jobs if entry.owner is not None]
    if _told(before) != _told(after):
        for entry in (before, after):
            found += _followers(index, key.namespace, entry, turns)
    return list(dict.fromkeys(found))


def _told(entry: IndexEntry | None) -> object:
    """Return the fields of an entry on which decisions about other resources depend."""
    match entry:
        case ExposureEntry():
            ended = entry.complete and (entry.succeeded, entry.reason)
            observation = (entry.observation, entry.observation_uid)
            asked = (
                observation,
                entry.night,
                entry.exposure_id,
                entry.run,
                entry.instrument,
                entry.data_type,
                entry.sensors,
            )
            return ended, entry.complete, entry.going, entry.reason == "Queued", entry.refused, entry.rank, asked
        case ObservationEntry():
            return entry.uid, entry.suspended, entry.complete
        case LightCurveEntry():
            return entry.uid, entry.complete, entry.going, entry.reason, entry.table
        case JobEntry():
            return entry.runs and (entry.reduces, entry.table)
    return None


def _followers(index: Index, namespace: str, entry: IndexEntry | None, turns: int) -> Iterator[Key]:
    """Return the resources that wait for a resource or Job, or that count it among the active Jobs."""
    match entry:
        case ExposureEntry():
            if entry.observation is not None:
                yield Key("Observation", namespace, entry.observation)
            yield from _under(index, "LightCurveJob", index_entries.waiting_for_exposures(namespace))
            yield from _under(index, "Exposure", index_entries.queue(namespace), turns)
            yield from _calibrated_by(index, entry, namespace)
        case ObservationEntry():
            for key in _under(index, "Exposure", index_entries.of_observation(namespace, entry.name)):
                yield key
                yield from _calibrated_by(index, index.entry(key), namespace)
        case LightCurveEntry():
            yield from _under(index, "LightCurveJob", index_entries.writers(namespace, entry.table))
        case JobEntry() if entry.reduces:
            yield from _under(index, "Exposure", index_entries.queue(namespace), turns)
        case JobEntry():
            owner = index.entry(entry.owner.key) if entry.owner is not None else None
            tables = {entry.table, owner.table if isinstance(owner, LightCurveEntry) else entry.table}
            for table in sorted(tables):
                yield from _under(index, "LightCurveJob", index_entries.writers(namespace, table))


def _calibrated_by(index: Index, entry: IndexEntry | None, namespace: str) -> Iterator[Key]:
    """Return the Exposures that wait for the calibration to which an Exposure belongs."""
    if isinstance(entry, ExposureEntry) and entry.data_type != "OBJECT":
        index_key = index_entries.waiting_for_calibration(namespace, entry.instrument, entry.night)
        yield from _under(index, "Exposure", index_key)


def _under(index: Index, kind: str, index_key: IndexKey, most: int | None = None) -> Iterator[Key]:
    return (Key(kind, index_key.namespace, name) for name in index.under(index_key, most=most))
