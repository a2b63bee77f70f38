"""The cluster as the observer needs it: six verbs, and the Kubernetes API behind them."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Literal, Protocol

from gozen.errors import BadRequest, ClusterUnavailable
from gozen.resources.exposure import Exposure
from gozen.resources.metadata import API_VERSION
from gozen.resources.observation import Claim, Observation
from gozen.resources.validation import admitted
from gozen_operator.crds import NOT_OVER
from gozen_operator.observer.call_outcomes import ABSENT, CONFLICT, SENSELESS, CallRefusedError, understood
from gozen_operator.reconcile.conditions import Known, conditions, stored_conditions

log = logging.getLogger(__name__)

FIELD_MANAGER = "gozen-observer"
PAGE = 200
"""Observations of one page of a listing."""
_REMEMBERED = {"resource_version": "0"}
"""Asks for what the API server remembers: else it reads all Observations of the season from etcd to send a few.

It may be some moments old. A claim that rests on it is refused.
"""
_TIMEOUT_S = (5.0, 30.0)
_META = ("name", "namespace", "labels", "uid", "resourceVersion", "generation", "ownerReferences")
_TIMES = ("creationTimestamp", "deletionTimestamp")


class Cluster(Protocol):
    """The Observations of one namespace and their Exposures. Every verb may raise `ClusterUnavailable`."""

    def observations(self) -> list[Observation]:
        """Return the Observations that are not over, and perhaps others."""

    def observation(self, name: str) -> Observation | None:
        """Return one Observation, or None when there is none."""

    def claim(self, observation: Observation, claim: Claim | None) -> Observation | None:
        """Write the claim if nobody has changed the Observation since it was read; return it anew, or None."""

    def retire(self, observation: Observation) -> Observation | None:
        """Take the claim off an Observation that is over, and leave it out of `observations`; return as `claim`."""

    def say(self, observation: Observation, condition: Mapping[str, Any]) -> Observation | None:
        """Write one condition if nobody has changed the Observation since it was read; return it anew, or None.

        So an observer that was overtaken cannot say that an Observation is over while another executes it.
        """

    def create(self, exposure: Exposure) -> Exposure:
        """Create an Exposure; return it, or the one that has its name already. `BadRequest` when it is refused."""


def say(
    cluster: Cluster,
    observation: Observation,
    status: Literal["True", "False", "Unknown"],
    reason: str,
    message: str,
    now: datetime,
) -> Observation | None:
    """Write the condition ``Executed``; return as `Cluster.say`."""
    old = stored_conditions(observation)
    known = Known("Executed", status, reason, message)
    generation = observation.metadata.generation or 0
    return cluster.say(observation, conditions([known], old, generation, now.timestamp())[0])


class KubernetesCluster:
    """One namespace of a Kubernetes API server.

    Parameters
    ----------
    api
        A ``kubernetes.client.CustomObjectsApi``.
    """

    def __init__(self, api: Any, namespace: str) -> None:
        self._api = api
        group, version = API_VERSION.split("/")
        self._where = {"group": group, "version": version, "namespace": namespace, "_request_timeout": _TIMEOUT_S}
        self._told: set[str] = set()

    def observations(self) -> list[Observation]:
        """Return the Observations that are not over and can be read."""
        try:
            items = list(self._items("list Observations", field_selector=NOT_OVER, **_REMEMBERED))
        except CallRefusedError as refusal:
            if refusal.code not in SENSELESS:
                raise
            self._tell(f"{refusal}; all are listed each time. Install the chart's CustomResourceDefinitions")
            items = list(self._items("list Observations", **_REMEMBERED))
        found = []
        for name, item in items:
            try:
                with understood(f"read Observation {name}"):
                    found.append(_observation(item))
            except ClusterUnavailable as error:
                self._tell(f"Observation {name} is left alone: {error}")
        return found

    def observation(self, name: str) -> Observation | None:
        """Return one Observation."""
        what = f"get Observation {name}"
        try:
            with understood(what):
                return _observation(
                    self._api.get_namespaced_custom_object(**self._where, plural="observations", name=name)
                )
        except CallRefusedError as refusal:
            if refusal.code != ABSENT:
                raise
        # An exposure is aborted because of this word, and a proxy or an API server that starts says 404 too.
        found = self._items(what, field_selector=f"metadata.name={name}")
        with understood(what):
            return next((_observation(item) for named, item in found if named == name), None)

    def claim(self, observation: Observation, claim: Claim | None) -> Observation | None:
        """Write the claim by optimistic concurrency."""
        return self._write(observation, {"claim": claim.model_dump(mode="json") if claim else None})

    def retire(self, observation: Observation) -> Observation | None:
        """Write that it is over by optimistic concurrency."""
        return self._write(observation, {"claim": None, "over": True})

    def say(self, observation: Observation, condition: Mapping[str, Any]) -> Observation | None:
        """Write one condition by server-side apply, under the field manager of the observer."""
        meta = observation.metadata
        body = {
            "apiVersion": API_VERSION,
            "kind": "Observation",
            "metadata": {"name": meta.name, "uid": meta.uid, "resourceVersion": meta.resource_version},
            "status": {"conditions": [condition]},
        }
        return self._patch(meta.name, body, _content_type="application/apply-patch+yaml", force=True)

    def create(self, exposure: Exposure) -> Exposure:
        """Create an Exposure, or return the one that is there."""
        name = exposure.metadata.name
        where = {**self._where, "plural": "exposures"}
        try:
            with understood(f"create Exposure {name}"):
                return _exposure(
                    self._api.create_namespaced_custom_object(
                        **where, body=exposure.wire(), field_manager=FIELD_MANAGER
                    )
                )
        except CallRefusedError as refusal:
            if refusal.code in SENSELESS and refusal.in_words:
                raise BadRequest(str(refusal)) from refusal
            if refusal.code != CONFLICT:
                raise
        # It may be gone by now, collected with an Observation that was deleted: that is tried again as well.
        with understood(f"get Exposure {name}"):
            return _exposure(self._api.get_namespaced_custom_object(**where, name=name))

    def _items(self, what: str, **which: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Return names and Observations as they are on the wire, from as many pages as there are."""
        while True:
            with understood(what):
                listed = self._api.list_namespaced_custom_object(
                    **self._where, plural="observations", limit=PAGE, **which
                )
                items = [(str(item["metadata"]["name"]), item) for item in listed["items"]]
                after = listed["metadata"].get("continue")
            yield from items
            if not after:
                return
            which = {**which, "resource_version": None, "_continue": after}  # the page says of which version it is

    def _write(self, observation: Observation, status: Mapping[str, Any]) -> Observation | None:
        meta = observation.metadata
        body = {"metadata": {"uid": meta.uid, "resourceVersion": meta.resource_version}, "status": status}
        return self._patch(meta.name, body, _content_type="application/merge-patch+json")

    def _patch(self, name: str, body: Mapping[str, Any], **how: Any) -> Observation | None:
        where = {**self._where, "plural": "observations", "name": name}
        try:
            with understood(f"patch the status of Observation {name}"):
                return _observation(
                    self._api.patch_namespaced_custom_object_status(
                        **where, body=body, field_manager=FIELD_MANAGER, **how
                    )
                )
        except CallRefusedError as refusal:
            if refusal.code not in (ABSENT, CONFLICT):
                raise
        return None

    def _tell(self, message: str) -> None:
        """Say once what would be said at each look."""
        if message not in self._told:
            self._told.add(message)
            log.warning("%s", message)


def _observation(item: Mapping[str, Any]) -> Observation:
    found = admitted(Observation, _known(item))
    if not found.metadata.uid or not found.metadata.resource_version:
        raise ValueError("it has no uid or no resourceVersion")
    return found


def _exposure(item: Mapping[str, Any]) -> Exposure:
    return admitted(Exposure, _known(item))


def _known(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return an object without the metadata that the models do not know."""
    meta = {word: item["metadata"][word] for word in (*_META, *_TIMES) if word in item["metadata"]}
    parts = {word: item[word] for word in ("apiVersion", "kind", "spec", "status") if item.get(word)}
    return {**parts, "metadata": meta}
