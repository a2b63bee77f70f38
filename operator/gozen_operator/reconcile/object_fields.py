"""Fields of Kubernetes objects: keys, owner references, models, state of a Job. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from gozen.resources.exposure import Exposure
from gozen.resources.lightcurvejob import LightCurveJob
from gozen.resources.metadata import Resource
from gozen.resources.observation import Observation
from gozen.resources.validation import admitted
from gozen_operator.reconcile.facts import JobSeen

MODELS: Mapping[str, type[Resource]] = {
    "Observation": Observation,
    "Exposure": Exposure,
    "LightCurveJob": LightCurveJob,
}
EXPIRES = "gozen.astro/recorded"
"""Annotation of a Job whose outcome is recorded in the status of its owner, so that it may expire first."""
GENERATION = "gozen.astro/generation"
"""Label of a Job that publishes: the generation of the spec that it carries out."""
_META = frozenset(
    {
        "name",
        "namespace",
        "labels",
        "uid",
        "resourceVersion",
        "generation",
        "creationTimestamp",
        "deletionTimestamp",
        "finalizers",
        "ownerReferences",
    }
)
Manifest = Mapping[str, Any]


class Key(NamedTuple):
    """Kind, namespace and name of a resource or Job."""

    kind: str
    namespace: str
    name: str


class Owner(NamedTuple):
    """Key and uid of a resource; the uid distinguishes it from earlier resources with the same name."""

    key: Key
    uid: str


def key_of(manifest: Manifest) -> Key:
    """Return the key of an object."""
    meta = manifest["metadata"]
    return Key(manifest["kind"], meta["namespace"], meta["name"])


def owner_of(manifest: Manifest) -> Owner | None:
    """Return the resource of Gozen that owns an object, or None."""
    for owner in manifest["metadata"].get("ownerReferences") or ():
        if owner["kind"] in MODELS:
            return Owner(Key(owner["kind"], manifest["metadata"]["namespace"], owner["name"]), owner.get("uid") or "")
    return None


def as_owner(resource: Resource) -> Owner:
    """Return key and uid of a resource, in the form in which the objects that it owns name it."""
    meta = resource.metadata
    return Owner(Key(type(resource).__name__, str(meta.namespace), meta.name), str(meta.uid))


def essential(manifest: Manifest) -> dict[str, Any]:
    """Return the manifest of a resource without the fields that its model does not know."""
    meta = {word: value for word, value in manifest["metadata"].items() if word in _META}
    status = {"status": manifest["status"]} if manifest.get("status") else {}
    return {
        **{word: manifest.get(word) for word in ("apiVersion", "kind", "spec")},
        "metadata": meta,
        **status,
    }


def parsed(manifest: Manifest) -> Resource:
    """Return the model of a resource; raises the errors of `gozen.resources.validation.admitted`."""
    return admitted(MODELS[manifest["kind"]], essential(manifest))


def job_seen(manifest: Manifest) -> JobSeen:
    """Return the state of a Job."""
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
        failed=int(status.get("failed") or 0),
        generation=int((meta.get("labels") or {}).get(GENERATION) or 0),
    )
