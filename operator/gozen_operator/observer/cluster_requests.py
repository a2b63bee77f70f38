"""The observer's requests to the API server: six operations on Observations and Exposures."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Protocol

from gozen.errors import BadRequest, ClusterUnavailable
from gozen.resources.exposure import Exposure
from gozen.resources.metadata import API_VERSION
from gozen.resources.observation import Claim, Observation
from gozen.resources.validation import admitted
from gozen_operator.api_server.api_request import APPLY_PATCH, MERGE_PATCH, ApiRequest, path_of
from gozen_operator.api_server.responses import RefusedError
from gozen_operator.crds import NOT_OVER
from gozen_operator.observer.call_outcomes import understood
from gozen_operator.reconcile.conditions import Known, conditions, stored_conditions

if TYPE_CHECKING:  # it imports the client library, which `gozen-observer --version` does without
    from gozen_operator.api_server.connection import ApiConnection

log = logging.getLogger(__name__)

FIELD_MANAGER = "gozen-observer"
_REMEMBERED = {"resourceVersion": "0"}
"""Lets the API server answer from its cache: else it reads all Observations of the season from etcd to send a few.

The answer may be stale; the API server rejects a claim that names a stale version.
"""
_META = ("name", "namespace", "labels", "uid", "resourceVersion", "generation", "ownerReferences")
_TIMES = ("creationTimestamp", "deletionTimestamp")


class Cluster(Protocol):
    """The Observations of one namespace and their Exposures. Every method may raise `ClusterUnavailable`."""

    def observations(self) -> list[Observation]:
        """Return all Observations that have not ended; the result may also contain some that have."""

    def observation(self, name: str) -> Observation | None:
        """Return one Observation, or None if it does not exist."""

    def claim(self, observation: Observation, claim: Claim | None) -> Observation | None:
        """Write the claim; return the Observation, or None if it was changed since it was read."""

    def retire(self, observation: Observation) -> Observation | None:
        """Mark an Observation as over, so that `observations` omits it, and release its claim; result as in `claim`."""

    def say(self, observation: Observation, condition: Mapping[str, Any]) -> Observation | None:
        """Write one condition; return the Observation, or None if it was changed since it was read.

        So an observer that has lost its claim cannot end an Observation that another one executes.
        """

    def create(self, exposure: Exposure) -> Exposure:
        """Create an Exposure and return it, or the existing one with its name; raise `BadRequest` if it is invalid."""


def say(cluster: Cluster, observation: Observation, executed: Known, now: datetime) -> Observation | None:
    """Write the condition ``Executed``; the result is that of `Cluster.say`."""
    old = stored_conditions(observation)
    generation = observation.metadata.generation or 0
    return cluster.say(observation, conditions([executed], old, generation, now.timestamp())[0])


class KubernetesCluster:
    """One namespace of a Kubernetes API server."""

    def __init__(self, connection: ApiConnection, namespace: str) -> None:
        self._connection, self._namespace = connection, namespace
        self._told: set[str] = set()

    def observations(self) -> list[Observation]:
        """Return the Observations that have not ended; invalid ones are left out, and the log names them."""
        what = "list Observations"
        try:
            items = self._items(what, {"fieldSelector": NOT_OVER, **_REMEMBERED})
        except RefusedError as refusal:
            if not refusal.is_final:
                raise
            self._tell(
                f"{refusal}; the observer therefore lists all Observations at each check. Install the chart's "
                "CustomResourceDefinitions"
            )
            items = self._items(what, _REMEMBERED)
        found = []
        for name, item in items:
            try:
                with understood(f"read Observation {name}"):
                    found.append(_observation(item))
            except ClusterUnavailable as error:
                self._tell(f"Observation {name} is ignored: {error}")
        return found

    def observation(self, name: str) -> Observation | None:
        """Return one Observation; None if the API server finds it neither by its name nor in a list."""
        what = f"get Observation {name}"
        try:
            with understood(what):
                return _observation(
                    self._connection.answer(ApiRequest("GET", path_of("Observation", self._namespace, name), what=what))
                )
        except RefusedError as refusal:
            if refusal.code != HTTPStatus.NOT_FOUND:
                raise
        # "Deleted" aborts the exposure, but a proxy, or an API server that is starting, answers 404 too: ask the list.
        found = self._items(what, {"fieldSelector": f"metadata.name={name}"})
        with understood(what):
            return next((_observation(item) for named, item in found if named == name), None)

    def claim(self, observation: Observation, claim: Claim | None) -> Observation | None:
        """Write the claim by optimistic concurrency; the result is described at `Cluster.claim`."""
        return self._write(observation, {"claim": claim.model_dump(mode="json") if claim else None})

    def retire(self, observation: Observation) -> Observation | None:
        """Mark an Observation as over by optimistic concurrency; the result is described at `Cluster.retire`."""
        return self._write(observation, {"claim": None, "over": True})

    def say(self, observation: Observation, condition: Mapping[str, Any]) -> Observation | None:
        """Write one condition by server-side apply, as the observer's field manager; result as for `Cluster.say`."""
        meta = observation.metadata
        body = {
            "apiVersion": API_VERSION,
            "kind": "Observation",
            "metadata": {"name": meta.name, "uid": meta.uid, "resourceVersion": meta.resource_version},
            "status": {"conditions": [condition]},
        }
        return self._patch(meta.name, body, APPLY_PATCH, force="true")

    def create(self, exposure: Exposure) -> Exposure:
        """Create an Exposure, or return the one that exists."""
        name = exposure.metadata.name
        what, path = f"create Exposure {name}", path_of("Exposure", self._namespace)
        try:
            with understood(what):
                query = {"fieldManager": FIELD_MANAGER}
                return _exposure(self._connection.answer(ApiRequest("POST", path, query, exposure.wire(), what=what)))
        except RefusedError as refusal:
            if refusal.is_final:
                raise BadRequest(str(refusal)) from refusal
            if refusal.code != HTTPStatus.CONFLICT:
                raise
        # It may be gone again, collected with a deleted Observation: the 404 is raised, and the create tried again.
        what = f"get Exposure {name}"
        with understood(what):
            return _exposure(
                self._connection.answer(ApiRequest("GET", path_of("Exposure", self._namespace, name), what=what))
            )

    def _items(self, what: str, query: Mapping[str, str]) -> list[tuple[str, Mapping[str, Any]]]:
        """Return names and manifests of Observations from all pages of a list."""
        request = ApiRequest("GET", path_of("Observation", self._namespace), query, what=what)
        with understood(what):
            pages = self._connection.pages(request)
            return [(str(item["metadata"]["name"]), item) for page in pages for item in page["items"]]

    def _write(self, observation: Observation, status: Mapping[str, Any]) -> Observation | None:
        meta = observation.metadata
        body = {"metadata": {"uid": meta.uid, "resourceVersion": meta.resource_version}, "status": status}
        return self._patch(meta.name, body, MERGE_PATCH)

    def _patch(self, name: str, body: Mapping[str, Any], content: str, **how: str) -> Observation | None:
        what = f"patch the status of Observation {name}"
        path, query = path_of("Observation", self._namespace, name), {"fieldManager": FIELD_MANAGER, **how}
        with understood(what):
            written = self._connection.unless_gone(
                ApiRequest("PATCH", f"{path}/status", query, body, content, what=what)
            )
            return _observation(written) if written is not None else None

    def _tell(self, message: str) -> None:
        """Log a message once, although the cause may be found again at each check."""
        if message not in self._told:
            self._told.add(message)
            log.warning("%s", message)


def _observation(item: Mapping[str, Any]) -> Observation:
    found = admitted(Observation, _known(item))
    # Without them a patch would be unconditional, and could overwrite the claim of another process.
    if not found.metadata.uid or not found.metadata.resource_version:
        raise ValueError("the Observation in the answer has no metadata.uid or no metadata.resourceVersion")
    return found


def _exposure(item: Mapping[str, Any]) -> Exposure:
    return admitted(Exposure, _known(item))


def _known(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return an object without the metadata that the models do not know."""
    meta = {word: item["metadata"][word] for word in (*_META, *_TIMES) if word in item["metadata"]}
    parts = {word: item[word] for word in ("apiVersion", "kind", "spec", "status") if item.get(word)}
    return {**parts, "metadata": meta}
