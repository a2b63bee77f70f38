"""Operations on the API server for operator and command line; each is one request with plain data.

No decision is made here. Field managers, uids and resource versions in the requests guard each write. Dependents name
their owner in ``ownerReferences``, so that the garbage collector of the cluster removes them with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any

from gozen.errors import BadRequest
from gozen.resources.metadata import API_VERSION
from gozen_operator.api_server.api_request import APPLY_PATCH, MERGE_PATCH, ApiRequest, path_of
from gozen_operator.api_server.connection import ApiConnection
from gozen_operator.api_server.responses import RefusedError
from gozen_operator.reconcile.facts import JobSeen
from gozen_operator.reconcile.object_fields import EXPIRES, Key
from gozen_operator.reconcile.reconcile_plan import Event

FIELD_MANAGER = "gozen-operator"
PART_OF = "app.kubernetes.io/part-of=gozen"
_MANAGED = {"fieldManager": FIELD_MANAGER}
_LONGEST_NOTE = 1024
"""Bytes, not characters: the API server refuses an Event whose note is longer."""
Manifest = dict[str, Any]


class KubeApi:
    """One API server.

    Each verb may raise `ClusterUnavailable`, and `BadRequest` if the API server rejects a request as invalid.
    """

    def __init__(self, connection: ApiConnection) -> None:
        self._connection = connection

    @property
    def writes(self) -> int:
        """Number of write requests so far."""
        return self._connection.writes

    def all_of(self, kind: str, namespace: str) -> list[Manifest]:
        """Return all objects of a kind that belong to Gozen."""
        return [one for page in self.pages_of(kind, namespace) for one in page]

    def pages_of(self, kind: str, namespace: str) -> Iterator[list[Manifest]]:
        """Yield all objects of a kind that belong to Gozen, page by page: all at once may need a gigabyte."""
        query = {"labelSelector": PART_OF} if kind in ("Job", "Pod") else {}
        with _named():
            for found in self._connection.pages(ApiRequest("GET", path_of(kind, namespace), query)):
                extra = {"kind": kind, "apiVersion": found["apiVersion"]}
                yield [{**extra, **item} for item in found["items"]]

    def pods_of(self, namespace: str, uid: str) -> list[Manifest]:
        """Return the pods of a Job by its uid: pods of an earlier Job with the same name may still be terminating."""
        query = {"labelSelector": f"batch.kubernetes.io/controller-uid={uid}"}
        found: list[Manifest] = self._answer(ApiRequest("GET", path_of("Pod", namespace), query))["items"]
        return found

    def pods_with(self, namespace: str, labels: Mapping[str, str]) -> list[Manifest]:
        """Return the pods that have these labels, the oldest first."""
        query = {"labelSelector": ",".join(f"{name}={value}" for name, value in labels.items())}
        found = self._answer(ApiRequest("GET", path_of("Pod", namespace), query))["items"]
        return sorted(found, key=lambda one: (one["metadata"]["creationTimestamp"], one["metadata"]["name"]))

    def create_job(self, manifest: Manifest) -> Manifest | None:
        """Create a Job and return it; if its name is in use, return that Job, or None if that was deleted."""
        meta = manifest["metadata"]
        try:
            return self._answer(ApiRequest("POST", path_of("Job", meta["namespace"]), _MANAGED, manifest))
        except RefusedError as refusal:
            # A create whose answer was lost meets its own Job here; so the caller compares the owner, not the name.
            if refusal.code != HTTPStatus.CONFLICT:
                raise
            return self._unless_gone(ApiRequest("GET", path_of("Job", meta["namespace"], meta["name"])))

    def write_status(self, key: Key, version: str, status: Mapping[str, Any]) -> Manifest | None:
        """Write the operator's part of a status by server-side apply; None if the resource was deleted or changed.

        Parameters
        ----------
        version
            Version for which the status was decided. For a status the API server compares no uid: without the version
            it would write to a resource that was created since under this name.
        """
        body = {
            "apiVersion": API_VERSION,
            "kind": key.kind,
            "metadata": {"name": key.name, "namespace": key.namespace, "resourceVersion": version},
            "status": dict(status),
        }
        # Without force, a field that somebody edited by hand would refuse each later status with a 409, read as "gone".
        path = f"{path_of(*key)}/status"
        return self._unless_gone(ApiRequest("PATCH", path, {**_MANAGED, "force": "true"}, body, APPLY_PATCH))

    def expire_job(self, namespace: str, job: JobSeen, ttl_s: int) -> Manifest | None:
        """Set the TTL of a Job and annotate that its outcome is recorded; None if the Job was deleted."""
        # The uid: a Job of this name that was created since must not expire before its outcome is recorded.
        meta = {"uid": job.uid, "annotations": {EXPIRES: "true"}}
        body = {"metadata": meta, "spec": {"ttlSecondsAfterFinished": ttl_s}}
        path = path_of("Job", namespace, job.name)
        return self._unless_gone(ApiRequest("PATCH", path, _MANAGED, body, MERGE_PATCH))

    def set_finalizers(self, key: Key, uid: str, version: str, finalizers: Sequence[str]) -> Manifest | None:
        """Replace the finalizers of a resource; None if the resource was deleted or changed."""
        # The version: a list that was decided from an older state would drop the finalizer of another program.
        meta = {"uid": uid, "resourceVersion": version, "finalizers": list(finalizers)}
        return self._unless_gone(ApiRequest("PATCH", path_of(*key), _MANAGED, {"metadata": meta}, MERGE_PATCH))

    def delete(self, key: Key, uid: str) -> None:
        """Delete a resource and what it owns."""
        # The resource may have been deleted and applied again since the decision; the new one must stay.
        body = {"propagationPolicy": "Background", "preconditions": {"uid": uid}}
        self._unless_gone(ApiRequest("DELETE", path_of(*key), body=body))

    def tell(self, key: Key, uid: str, event: Event, when: str, name: str) -> None:
        """Create an Event about a resource.

        Parameters
        ----------
        when
            Time of the event, RFC 3339.
        name
            Name of the Event: one that exists already is not created again.
        """
        about = {"apiVersion": API_VERSION, "kind": key.kind, "name": key.name, "namespace": key.namespace, "uid": uid}
        body = {
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": key.namespace},
            "regarding": about,
            "type": event.type,
            "reason": event.reason,
            "note": event.message.encode()[:_LONGEST_NOTE].decode(errors="ignore"),
            "action": event.reason,
            "eventTime": when.replace("Z", ".000000Z"),
            "reportingController": "gozen.astro/operator",
            "reportingInstance": FIELD_MANAGER,
        }
        self._unless_gone(ApiRequest("POST", _events(key.namespace), _MANAGED, body))

    def apply(self, manifest: Manifest, namespace: str, manager: str) -> Manifest:
        """Create or change a resource by server-side apply."""
        path = path_of(manifest["kind"], namespace, manifest["metadata"]["name"])
        query = {"fieldManager": manager, "force": "true", "fieldValidation": "Strict"}
        return self._answer(ApiRequest("PATCH", path, query, manifest, APPLY_PATCH))

    def get(self, key: Key) -> Manifest | None:
        """Return an object, or None."""
        return self._unless_gone(ApiRequest("GET", path_of(*key)))

    def table(self, kind: str, namespace: str, name: str | None = None) -> tuple[list[str], list[list[Any]]]:
        """Return the columns and rows that kubectl would show."""
        accept = "application/json;as=Table;v=v1;g=meta.k8s.io"
        found = self._answer(ApiRequest("GET", path_of(kind, namespace, name), accept=accept))
        shown = [place for place, one in enumerate(found["columnDefinitions"]) if not one.get("priority")]
        titles = [found["columnDefinitions"][place]["name"].upper() for place in shown]
        return titles, [[row["cells"][place] for place in shown] for row in found.get("rows") or ()]

    def events_of(self, key: Key, uid: str) -> list[Manifest]:
        """Return the Events about a resource, oldest first, without those about earlier resources with its name."""
        query = {"fieldSelector": f"regarding.kind={key.kind},regarding.name={key.name}"}
        listed = self._answer(ApiRequest("GET", _events(key.namespace), query))["items"]
        found = [one for one in listed if (one.get("regarding") or {}).get("uid") == uid]
        return sorted(found, key=lambda one: str(one.get("eventTime") or one["metadata"]["creationTimestamp"]))

    def log_of(self, namespace: str, pod: str) -> str:
        """Return the log of a pod."""
        path = f"{path_of('Pod', namespace, pod)}/log"
        return str(self._answer(ApiRequest("GET", path, accept="*/*"))["text"])

    def lease(self, namespace: str, name: str) -> Manifest | None:
        """Return a Lease, or None."""
        return self._unless_gone(ApiRequest("GET", path_of("Lease", namespace, name)))

    def write_lease(self, namespace: str, manifest: Manifest) -> bool:
        """Create or replace a Lease; False when another process was faster."""
        known = "resourceVersion" in manifest["metadata"]
        path = path_of("Lease", namespace, manifest["metadata"]["name"] if known else None)
        return self._unless_gone(ApiRequest("PUT" if known else "POST", path, body=manifest)) is not None

    def _answer(self, request: ApiRequest) -> Manifest:
        with _named():
            return self._connection.answer(request)

    def _unless_gone(self, request: ApiRequest) -> Manifest | None:
        with _named():
            return self._connection.unless_gone(request)


@contextmanager
def _named() -> Iterator[None]:
    """Raise `BadRequest` for a refusal that a retry cannot change."""
    try:
        yield
    except RefusedError as refusal:
        if refusal.is_final:
            raise BadRequest(str(refusal)) from refusal
        raise


def _events(namespace: str) -> str:
    return f"/apis/events.k8s.io/v1/namespaces/{namespace}/events"
