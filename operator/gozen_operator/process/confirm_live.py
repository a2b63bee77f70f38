"""Ask the API server before a final decision, because the index may not know the latest changes.

The race: each kind has a separate watch, and a watch that was interrupted reports late. An Exposure can seem to have a
duplicate that is already deleted; an Observation can seem complete while the index lacks one of its Exposures.
"""

from __future__ import annotations

from typing import Any, Protocol

from gozen.resources.observation import Observation
from gozen_operator.index import index_entries
from gozen_operator.index.index_entries import ExposureEntry, entry_of
from gozen_operator.index.neighbours import ExposureNeighbours
from gozen_operator.index.object_index import Index
from gozen_operator.reconcile.conditions import status_of
from gozen_operator.reconcile.object_fields import Key


class LiveObjects(Protocol):
    """The requests to the API server that this module sends."""

    def get(self, key: Key) -> dict[str, Any] | None:
        """Return an object, or None."""


def confirmed(api: LiveObjects, near: ExposureNeighbours, namespace: str) -> str:
    """Return the uid of the Exposure that this one duplicates; "" if it does not exist or is being deleted."""
    first = None if near.entry.complete else near.first
    found = api.get(Key("Exposure", namespace, first.name)) if first is not None else None
    if found is None or found["metadata"].get("deletionTimestamp"):
        return ""
    return str(found["metadata"]["uid"])


def unheard_of(api: LiveObjects, index: Index, observation: Observation) -> list[dict[str, Any]]:
    """Return the Exposures of an Observation that the index lacks; without them it seems to be complete."""
    mine, namespace = entry_of(observation), str(observation.metadata.namespace)
    status = observation.status
    said = [one.model_dump() for one in status.conditions] if status is not None else []
    if status is None or status_of(said, "Complete") == "True" or status_of(said, "Executed") not in ("True", "False"):
        return []
    keys = [Key("Exposure", namespace, one.name) for one in status.exposures]
    # An Exposure of an earlier Observation of this name has the same key: it does not count as known.
    known = [(key, index.entry(key)) for key in keys]
    heard = {key: one for key, one in known if isinstance(one, ExposureEntry) and index_entries.is_parent(mine, one)}
    if not all(one.complete for one in heard.values()):
        return []
    found = [api.get(key) for key in keys if key not in heard]
    return [one for one in found if one is not None]
