"""An object as the index stores it, and a resource with its Jobs as the index returns it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from gozen.resources.metadata import Resource
from gozen_operator.index.index_entries import IndexEntry


@dataclass(frozen=True, slots=True)
class IndexedObject:
    """One object.

    Parameters
    ----------
    version
        Its resourceVersion as a number, which grows with each change (Kubernetes API conventions).
    text
        JSON of the manifest; empty for a Job, because its entry has all necessary fields.
    entry
        Its index entry; None if the object is invalid for this version of Gozen.
    """

    uid: str
    version: int
    text: bytes
    entry: IndexEntry | None


@dataclass(frozen=True, slots=True)
class SeenResource:
    """A resource in the index at one moment, with the model, the manifest and the Jobs of that moment.

    Parameters
    ----------
    resource
        Its model, or why it is invalid for this version of Gozen.
    version
        ``resourceVersion`` of the resource.
    text
        The manifest of the resource as JSON.
    jobs
        Uid of each Job whose owner has this name, and how the Job ended (None if it runs). The owner may be an earlier
        resource with the same name.
    """

    resource: Resource | ValidationError
    uid: str
    version: str
    text: bytes
    jobs: tuple[tuple[str, str | None], ...]

    @property
    def manifest(self) -> dict[str, Any]:
        """The stored part of the manifest of the object, as plain data."""
        found: dict[str, Any] = json.loads(self.text)
        return found
