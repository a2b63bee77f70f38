"""Make, read, scale and remove the Dask cluster of one user by requests to the API server."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from kubespawner.slugs import safe_slug

from gozen.errors import BadRequest, ClusterUnavailable
from gozen_hub.hub_settings import HubSettings
from gozen_hub.lab_caller import Caller
from gozen_hub.lab_pods import LABS, SERVER_NOTE, USER_NOTE
from gozen_hub.workers.cluster_manifest import API, GROUP, NAME, cluster_manifest
from gozen_hub.workers.cluster_state import cluster_state
from gozen_operator.api_server.api_request import MERGE_PATCH, ApiRequest
from gozen_operator.api_server.connection import ApiConnection
from gozen_operator.api_server.responses import RefusedError

_SLUG_LENGTH = 48
"""Length of the user's part of a namespace's name; the same as in KubeSpawner, which names the namespaces."""
_SELECTOR = {"labelSelector": f"dask.org/cluster-name={NAME}"}
Manifest = dict[str, Any]


def namespace_of(user: str, prefix: str) -> str:
    """Return the name of a user's namespace."""
    return f"{prefix}-{safe_slug(user, max_length=_SLUG_LENGTH)}"


class UserCluster:
    """The cluster of the user of one lab.

    Parameters
    ----------
    caller
        The lab that sent the request.
    """

    def __init__(self, connection: ApiConnection, caller: Caller, settings: HubSettings) -> None:
        self._connection = connection
        self._caller = caller
        self._settings = settings
        self._namespace = namespace_of(caller.user, settings.namespaces.prefix)
        self._path = f"/apis/{API}/namespaces/{self._namespace}"

    def make(self, workers: int) -> None:
        """Make the cluster; nothing happens if there is one.

        Raises
        ------
        BadRequest
            The number of workers is not allowed, or the site does not name the image of the lab any more.
        ClusterUnavailable
            The API server does not answer or refuses, or the lab does not run.
        """
        self._check(workers)
        manifest = cluster_manifest(self._lab(), workers, self._settings)
        try:
            self._ask(ApiRequest("POST", f"{self._path}/daskclusters", {"fieldValidation": "Strict"}, manifest))
        except RefusedError as refusal:
            if refusal.code != HTTPStatus.CONFLICT:
                raise

    def scale(self, workers: int) -> bool:
        """Set the number of workers; return whether there is a cluster.

        Raises
        ------
        BadRequest, ClusterUnavailable
            As for `make`.
        """
        self._check(workers)
        self._lab()
        # The group alone: its controller follows each change, but follows the cluster only when that changes.
        change = {"spec": {"worker": {"replicas": workers}}}
        path = f"{self._path}/daskworkergroups/{GROUP}"
        if self._found(ApiRequest("PATCH", path, body=change, content=MERGE_PATCH)) is not None:
            return True
        path = f"{self._path}/daskclusters/{NAME}"
        return self._found(ApiRequest("PATCH", path, body=change, content=MERGE_PATCH)) is not None

    def remove(self) -> None:
        """Delete the user's DaskCluster; Kubernetes then ends its pods."""
        self._found(ApiRequest("DELETE", f"{self._path}/daskclusters/{NAME}"))

    def state(self) -> Manifest:
        """Return the state of the cluster, with the reasons why pods do not run yet."""
        cluster = self._found(ApiRequest("GET", f"{self._path}/daskclusters/{NAME}"))
        group = self._found(ApiRequest("GET", f"{self._path}/daskworkergroups/{GROUP}")) if cluster else None
        deployments = self._ask(ApiRequest("GET", self._of("/apis/apps/v1", "deployments"), _SELECTOR))["items"]
        pods = self._ask(ApiRequest("GET", self._of("/api/v1", "pods"), _SELECTOR))["items"]
        return cluster_state(cluster, group, deployments, pods, self._settings.workers)

    def _check(self, workers: int) -> None:
        most = self._settings.workers.most
        if not 1 <= workers <= most:
            raise BadRequest(f"{workers} workers are not possible: this hub gives each user 1 to {most} workers")

    def _lab(self) -> Manifest:
        """Return the pod of the lab that sent the request; a token of a lab that has ended is refused."""
        items = self._ask(ApiRequest("GET", self._of("/api/v1", "pods"), {"labelSelector": LABS}))["items"]
        for pod in items:
            notes = pod["metadata"].get("annotations") or {}
            mine = notes.get(USER_NOTE) == self._caller.user and notes.get(SERVER_NOTE, "") == self._caller.server
            if mine and not pod["metadata"].get("deletionTimestamp"):
                pod["metadata"].setdefault("namespace", self._namespace)
                return dict(pod)
        raise ClusterUnavailable(f"no lab of {self._caller.user} runs in {self._namespace}; start the lab again")

    def _of(self, root: str, plural: str) -> str:
        return f"{root}/namespaces/{self._namespace}/{plural}"

    def _found(self, request: ApiRequest) -> Manifest | None:
        try:
            return self._ask(request)
        except RefusedError as refusal:
            if refusal.code in (HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT):
                return None
            raise

    def _ask(self, request: ApiRequest) -> Manifest:
        try:
            return self._connection.answer(request)
        except RefusedError as refusal:
            if refusal.code == HTTPStatus.FORBIDDEN and "quota" not in str(refusal):
                raise refusal.advised(
                    f"the service has no rights in {self._namespace}: end the lab and start it again, which renews them"
                ) from refusal
            raise
