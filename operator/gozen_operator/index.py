"""What the operator remembers of the API server: the last known version of each object. No I/O.

Events may come late, twice or in the wrong order: an older version never replaces a newer one, and what was deleted
does not come back. What the operator itself wrote is put here at once, so that it never acts on less than it knows.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from pydantic import ValidationError

from gozen.resources.exposure import Exposure
from gozen.resources.lightcurvejob import LightCurveJob
from gozen.resources.meta import Resource
from gozen.resources.observation import Observation
from gozen_operator.observed import JobSeen

MODELS: Mapping[str, type[Resource]] = {
    "Observation": Observation,
    "Exposure": Exposure,
    "LightCurveJob": LightCurveJob,
}
EXPIRES = "gozen.astro/recorded"
"""Annotation of a Job whose outcome stands in the status of its resource."""
_TOMBSTONES = 4096
Manifest = Mapping[str, Any]


class Key(NamedTuple):
    """A resource or Job."""

    kind: str
    namespace: str
    name: str


class Index:
    """The last known version of each object of ours."""

    def __init__(self) -> None:
        self._objects: dict[Key, Manifest] = {}
        self._models: dict[Key, Resource] = {}
        self._gone: OrderedDict[str, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._objects)

    def put(self, manifest: Manifest) -> Key | None:
        """Remember an object; None when a newer version, or its end, is known already."""
        key, meta = key_of(manifest), manifest["metadata"]
        known = self._objects.get(key)
        if meta["uid"] in self._gone or (known is not None and _is_older(meta, known["metadata"])):
            return None
        if known is None or known["metadata"]["resourceVersion"] != meta["resourceVersion"]:
            self._objects[key] = manifest
            self._models.pop(key, None)
        return key

    def remove(self, manifest: Manifest) -> Key | None:
        """Forget an object that was deleted; None when another of its name has taken its place."""
        key, uid = key_of(manifest), manifest["metadata"]["uid"]
        self._gone[uid] = None
        while len(self._gone) > _TOMBSTONES:
            self._gone.popitem(last=False)
        known = self._objects.get(key)
        if known is not None and known["metadata"]["uid"] != uid:
            return None
        self._objects.pop(key, None)
        self._models.pop(key, None)
        return key

    def forget(self, key: Key) -> None:
        """Forget an object that a listing no longer has."""
        self._objects.pop(key, None)
        self._models.pop(key, None)

    def manifest(self, key: Key) -> Manifest | None:
        """Return an object as the API server gave it."""
        return self._objects.get(key)

    def resource(self, key: Key) -> Resource | None:
        """Return one of our resources; None when there is none.

        Raises
        ------
        pydantic.ValidationError
            Another version of the schema let something pass that this version does not understand.
        """
        manifest = self._objects.get(key)
        if manifest is None:
            return None
        if key not in self._models:
            self._models[key] = parsed(manifest)
        return self._models[key]

    def resources(self, kind: str, namespace: str) -> Iterator[Resource]:
        """Return all resources of a kind that this version understands."""
        for key in [key for key in self._objects if key.kind == kind and key.namespace == namespace]:
            try:
                found = self.resource(key)
            except ValidationError:
                continue
            if found is not None:
                yield found

    def job(self, namespace: str, name: str) -> JobSeen | None:
        """Return a Job, without the ends of its pods."""
        manifest = self._objects.get(Key("Job", namespace, name))
        return None if manifest is None else job_seen(manifest)

    def keys(self, kind: str) -> list[Key]:
        """Return the keys of a kind."""
        return [key for key in self._objects if key.kind == kind]


def key_of(manifest: Manifest) -> Key:
    """Return the key of an object."""
    meta = manifest["metadata"]
    return Key(manifest["kind"], meta["namespace"], meta["name"])


def owner_of(manifest: Manifest) -> Key | None:
    """Return the resource of ours that owns an object."""
    for owner in manifest["metadata"].get("ownerReferences", ()):
        if owner["kind"] in MODELS:
            return Key(owner["kind"], manifest["metadata"]["namespace"], owner["name"])
    return None


def parsed(manifest: Manifest) -> Resource:
    """Return the model of an object; metadata that the model does not know are left out."""
    meta = {word: value for word, value in manifest["metadata"].items() if word in _META}
    status = {"status": manifest["status"]} if manifest.get("status") else {}
    whole = {**{word: manifest[word] for word in ("apiVersion", "kind", "spec")}, "metadata": meta, **status}
    return MODELS[manifest["kind"]].model_validate(whole, by_alias=True, by_name=False)


_META = frozenset(
    {"name", "namespace", "labels", "uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp"}
)


def job_seen(manifest: Manifest) -> JobSeen:
    """Return what matters of a Job."""
    meta, status = manifest["metadata"], manifest.get("status") or {}
    ended = next(
        (
            one
            for one in status.get("conditions") or ()
            if one["type"] in ("Complete", "Failed") and one["status"] == "True"
        ),
        None,
    )
    return JobSeen(
        meta["name"],
        meta["uid"],
        ended["type"] if ended else None,
        (ended or {}).get("reason") or "",
        (ended or {}).get("message") or "",
        expires=EXPIRES in (meta.get("annotations") or {}),
        queued=bool(manifest["spec"].get("suspend")),
    )


def _is_older(mine: Mapping[str, Any], known: Mapping[str, Any]) -> bool:
    """Compare versions of one object; they are numbers that grow (Kubernetes API conventions, resource versions)."""
    return mine["uid"] == known["uid"] and int(mine["resourceVersion"]) < int(known["resourceVersion"])
