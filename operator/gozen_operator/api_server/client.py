"""The API server as the operator uses it: a few verbs on plain data, each a single request. It decides nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from kubernetes import client, config
from urllib3 import Timeout
from urllib3.exceptions import HTTPError

from gozen.errors import ClusterUnavailable
from gozen.resources.metadata import API_VERSION
from gozen_operator.api_server.responses import RefusedError, checked_answer
from gozen_operator.crds import KINDS
from gozen_operator.reconcile.facts import JobSeen
from gozen_operator.reconcile.object_fields import EXPIRES, Key
from gozen_operator.reconcile.reconcile_plan import Event

PAGE = 200
"""Objects of one page of a listing."""
FIELD_MANAGER = "gozen-operator"
PART_OF = "app.kubernetes.io/part-of=gozen"
_TIMEOUT = Timeout(connect=5.0, read=30.0)
FORBIDDEN, _CONFLICT, _ABSENT = 403, 409, 404
_PLURALS = {kind.name: kind.plural for kind in KINDS}
Manifest = dict[str, Any]


def connect() -> client.ApiClient:
    """Return a client for the cluster that this process runs in, or else for the one that KUBECONFIG names."""
    try:
        config.load_incluster_config()
    except config.ConfigException:
        try:
            config.load_kube_config()
        except config.ConfigException as error:
            raise ClusterUnavailable(f"no cluster is configured: {error}; set KUBECONFIG") from error
    return client.ApiClient()


class KubeApi:
    """One API server.

    Parameters
    ----------
    api
        A client that is logged in.

    Attributes
    ----------
    writes
        Requests so far that changed something.
    """

    def __init__(self, api: client.ApiClient) -> None:
        self._api = api
        self.writes = 0

    def all_of(self, kind: str, namespace: str) -> list[Manifest]:
        """Return all objects of a kind that are ours."""
        return [one for page in self.pages_of(kind, namespace) for one in page]

    def pages_of(self, kind: str, namespace: str) -> Iterator[list[Manifest]]:
        """Return all objects of a kind that are ours, some at a time: all at once may need a gigabyte."""
        query = {"limit": str(PAGE)} | ({"labelSelector": PART_OF} if kind in ("Job", "Pod") else {})
        while True:
            found = self._call("GET", _path(kind, namespace), query)
            extra = {"kind": kind, "apiVersion": found["apiVersion"]}
            yield [{**extra, **item} for item in found["items"]]
            if not found["metadata"].get("continue"):
                return
            query["continue"] = found["metadata"]["continue"]

    def pods_of(self, namespace: str, uid: str) -> list[Manifest]:
        """Return the pods of a Job, known by its uid: those of an earlier one of its name may still end."""
        query = {"labelSelector": f"batch.kubernetes.io/controller-uid={uid}"}
        found: list[Manifest] = self._call("GET", _path("Pod", namespace), query)["items"]
        return found

    def create_job(self, manifest: Manifest) -> Manifest | None:
        """Create a Job; return it, or the one that has its name already, whose it ever is; None where that went."""
        meta = manifest["metadata"]
        path = _path("Job", meta["namespace"])
        try:
            return self._call("POST", path, {"fieldManager": FIELD_MANAGER}, manifest)
        except RefusedError as refusal:
            if refusal.code != _CONFLICT:
                raise
            return self._unless_gone("GET", f"{path}/{meta['name']}", {})

    def write_status(self, key: Key, version: str, status: Mapping[str, Any]) -> Manifest | None:
        """Write the operator's part of a status by server-side apply; None when the resource is gone, or changed since.

        Parameters
        ----------
        version
            For which the status was decided. Of a status the API server compares no uid: without the version it would
            write it into another resource that has the name by now.
        """
        body = {
            "apiVersion": API_VERSION,
            "kind": key.kind,
            "metadata": {"name": key.name, "namespace": key.namespace, "resourceVersion": version},
            "status": dict(status),
        }
        query = {"fieldManager": FIELD_MANAGER, "force": "true"}
        path = f"{_path(key.kind, key.namespace)}/{key.name}/status"
        return self._unless_gone("PATCH", path, query, body, "application/apply-patch+yaml")

    def expire_job(self, namespace: str, job: JobSeen, ttl_s: int) -> Manifest | None:
        """Let a Job go after a while, and remember that its outcome is recorded; None when it is gone."""
        meta = {"uid": job.uid, "annotations": {EXPIRES: "true"}}
        body = {"metadata": meta, "spec": {"ttlSecondsAfterFinished": ttl_s}}
        path = f"{_path('Job', namespace)}/{job.name}"
        return self._unless_gone("PATCH", path, {"fieldManager": FIELD_MANAGER}, body, "application/merge-patch+json")

    def delete(self, key: Key, uid: str) -> None:
        """Delete a resource and what it owns."""
        body = {"propagationPolicy": "Background", "preconditions": {"uid": uid}}
        self._unless_gone("DELETE", f"{_path(key.kind, key.namespace)}/{key.name}", {}, body)

    def tell(self, key: Key, uid: str, event: Event, when: str, name: str) -> None:
        """Write an event about a resource.

        Parameters
        ----------
        when
            RFC 3339.
        name
            Of the event: one that is there already is not written again.
        """
        about = {"apiVersion": API_VERSION, "kind": key.kind, "name": key.name, "namespace": key.namespace, "uid": uid}
        body = {
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": key.namespace},
            "regarding": about,
            "type": event.type,
            "reason": event.reason,
            "note": event.message[:1024],
            "action": event.reason,
            "eventTime": when.replace("Z", ".000000Z"),
            "reportingController": "gozen.astro/operator",
            "reportingInstance": FIELD_MANAGER,
        }
        path = f"/apis/events.k8s.io/v1/namespaces/{key.namespace}/events"
        self._unless_gone("POST", path, {"fieldManager": FIELD_MANAGER}, body)

    def apply(self, manifest: Manifest, namespace: str, manager: str) -> Manifest:
        """Create or change a resource by server-side apply."""
        path = f"{_path(manifest['kind'], namespace)}/{manifest['metadata']['name']}"
        query = {"fieldManager": manager, "force": "true", "fieldValidation": "Strict"}
        return self._call("PATCH", path, query, manifest, "application/apply-patch+yaml")

    def get(self, key: Key) -> Manifest | None:
        """Return an object, or None."""
        return self._unless_gone("GET", f"{_path(key.kind, key.namespace)}/{key.name}", {})

    def table(self, kind: str, namespace: str, name: str | None = None) -> tuple[list[str], list[list[Any]]]:
        """Return the columns and rows that kubectl would show."""
        path = _path(kind, namespace) + (f"/{name}" if name else "")
        found = self._call("GET", path, {}, accept="application/json;as=Table;v=v1;g=meta.k8s.io")
        shown = [place for place, one in enumerate(found["columnDefinitions"]) if not one.get("priority")]
        titles = [found["columnDefinitions"][place]["name"].upper() for place in shown]
        return titles, [[row["cells"][place] for place in shown] for row in found.get("rows") or ()]

    def events_of(self, key: Key, uid: str) -> list[Manifest]:
        """Return the events about a resource, the oldest first, and none about earlier ones of its name."""
        query = {"fieldSelector": f"regarding.kind={key.kind},regarding.name={key.name}"}
        listed = self._call("GET", f"/apis/events.k8s.io/v1/namespaces/{key.namespace}/events", query)["items"]
        found = [one for one in listed if (one.get("regarding") or {}).get("uid") == uid]
        return sorted(found, key=lambda one: str(one.get("eventTime") or one["metadata"]["creationTimestamp"]))

    def log_of(self, namespace: str, pod: str) -> str:
        """Return what a pod said."""
        return str(self._call("GET", f"{_path('Pod', namespace)}/{pod}/log", {}, accept="*/*")["text"])

    def lease(self, namespace: str, name: str) -> Manifest | None:
        """Return a Lease, or None."""
        return self._unless_gone("GET", f"{_leases(namespace)}/{name}", {})

    def write_lease(self, namespace: str, manifest: Manifest) -> bool:
        """Create or replace a Lease; False when somebody else was faster."""
        known = "resourceVersion" in manifest["metadata"]
        path = f"{_leases(namespace)}/{manifest['metadata']['name']}" if known else _leases(namespace)
        return self._unless_gone("PUT" if known else "POST", path, {}, manifest) is not None

    def _unless_gone(
        self, method: str, path: str, query: Mapping[str, str], body: Any = None, content: str = "application/json"
    ) -> Manifest | None:
        try:
            return self._call(method, path, query, body, content)
        except RefusedError as refusal:
            if refusal.code in (_ABSENT, _CONFLICT):
                return None
            raise

    def _call(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: Any = None,
        content: str = "application/json",
        accept: str = "application/json",
    ) -> Manifest:
        data = None if body is None else json.dumps(body)
        try:
            _, url, headers, *_ = self._api.param_serialize(
                method,
                path,
                query_params=list(query.items()),
                header_params={"Accept": accept, "Content-Type": content},
                auth_settings=["BearerToken"],
            )
            answer = self._api.rest_client.pool_manager.request(
                method, url, headers=headers, body=data, timeout=_TIMEOUT, retries=False
            )
        except (HTTPError, OSError, config.ConfigException) as error:  # the last two: its token cannot be read now
            raise ClusterUnavailable(f"{method} {path}: the API server cannot be reached: {error}") from error
        found = checked_answer(
            f"{method} {path}", answer.status, answer.headers, answer.data, wants_json="json" in accept
        )
        self.writes += method != "GET"
        return found


def _path(kind: str, namespace: str) -> str:
    if kind == "Job":
        return f"/apis/batch/v1/namespaces/{namespace}/jobs"
    if kind == "Pod":
        return f"/api/v1/namespaces/{namespace}/pods"
    return f"/apis/{API_VERSION}/namespaces/{namespace}/{_PLURALS[kind]}"


def _leases(namespace: str) -> str:
    return f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
