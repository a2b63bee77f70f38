"""The cluster as the observer needs it: five verbs, and the Kubernetes API behind them."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Literal, Protocol

from pydantic import ValidationError

from gozen.errors import BadRequest, ClusterUnavailable
from gozen.resources.exposure import Exposure
from gozen.resources.meta import API_VERSION
from gozen.resources.observation import Claim, Observation
from gozen.resources.validation import admitted
from gozen_operator.conditions import Known, conditions

log = logging.getLogger(__name__)

FIELD_MANAGER = "gozen-observer"
_TIMEOUT_S = (5.0, 30.0)
_META = ("name", "namespace", "labels", "uid", "resourceVersion", "generation", "ownerReferences")
_TIMES = ("creationTimestamp", "deletionTimestamp")


class Cluster(Protocol):
    """The Observations of one namespace and their Exposures. Every verb may raise `ClusterUnavailable`."""

    def observations(self) -> list[Observation]:
        """Return all Observations."""

    def observation(self, name: str) -> Observation | None:
        """Return one Observation, or None when there is none."""

    def claim(self, observation: Observation, claim: Claim | None) -> Observation | None:
        """Write the claim if nobody has changed the Observation since it was read; return it anew, or None."""

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
    found = observation.status.conditions if observation.status else []
    old = [one.model_dump(mode="json", exclude_none=True) for one in found]
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

    def observations(self) -> list[Observation]:
        """Return all Observations that can be read."""
        found = []
        with _named("list Observations"):
            listed = self._api.list_namespaced_custom_object(**self._where, plural="observations")
        for item in listed["items"]:
            try:
                found.append(_observation(item))
            except ValidationError as error:
                log.warning("Observation %s cannot be read and is left alone: %s", item["metadata"]["name"], error)
        return found

    def observation(self, name: str) -> Observation | None:
        """Return one Observation."""
        try:
            with _named(f"get Observation {name}"):
                found = self._api.get_namespaced_custom_object(**self._where, plural="observations", name=name)
        except _AbsentError:
            return None
        return _observation(found)

    def claim(self, observation: Observation, claim: Claim | None) -> Observation | None:
        """Write the claim by optimistic concurrency."""
        meta = observation.metadata
        body = {
            "metadata": {"uid": meta.uid, "resourceVersion": meta.resource_version},
            "status": {"claim": claim.model_dump(mode="json") if claim else None},
        }
        try:
            return _observation(self._patch(meta.name, body, _content_type="application/merge-patch+json"))
        except (_AbsentError, _ConflictError):
            return None

    def say(self, observation: Observation, condition: Mapping[str, Any]) -> Observation | None:
        """Write one condition by server-side apply, under the field manager of the observer."""
        meta = observation.metadata
        body = {
            "apiVersion": API_VERSION,
            "kind": "Observation",
            "metadata": {"name": meta.name, "uid": meta.uid, "resourceVersion": meta.resource_version},
            "status": {"conditions": [condition]},
        }
        try:
            return _observation(self._patch(meta.name, body, _content_type="application/apply-patch+yaml", force=True))
        except (_AbsentError, _ConflictError):
            return None

    def create(self, exposure: Exposure) -> Exposure:
        """Create an Exposure, or return the one that is there."""
        name = exposure.metadata.name
        where = {**self._where, "plural": "exposures"}
        try:
            with _named(f"create Exposure {name}"):
                made = self._api.create_namespaced_custom_object(
                    **where, body=exposure.wire(), field_manager=FIELD_MANAGER
                )
        except _ConflictError:
            with _named(f"get Exposure {name}"):
                made = self._api.get_namespaced_custom_object(**where, name=name)
        return admitted(Exposure, _known(made))

    def _patch(self, name: str, body: Mapping[str, Any], **how: Any) -> Any:
        with _named(f"patch the status of Observation {name}"):
            return self._api.patch_namespaced_custom_object_status(
                **self._where, plural="observations", name=name, body=body, field_manager=FIELD_MANAGER, **how
            )


class _AbsentError(Exception):
    """The API server has no such object."""


class _ConflictError(Exception):
    """Somebody has changed the object meanwhile, or has made one of this name."""


@contextmanager
def _named(what: str) -> Iterator[None]:
    """Give the client's errors the names of ours."""
    from kubernetes.client.exceptions import ApiException
    from urllib3.exceptions import HTTPError

    try:
        yield
    except ApiException as error:
        said = _said(error)
        if error.status == 404:
            raise _AbsentError(said) from error
        if error.status == 409:
            raise _ConflictError(said) from error
        if error.status in (400, 422):
            raise BadRequest(f"the API server refuses {what}: {said}") from error
        hint = "; give the observer's service account the right" if error.status in (401, 403) else ""
        raise ClusterUnavailable(f"{what}: the API server says {error.status}: {said}{hint}") from error
    except (HTTPError, OSError, ValueError) as error:
        raise ClusterUnavailable(f"{what}: the API server does not answer: {error}") from error


def _said(error: Any) -> str:
    try:
        return str(json.loads(error.body)["message"])
    except (ValueError, KeyError, TypeError):
        return str(error.reason)


def _observation(item: Mapping[str, Any]) -> Observation:
    return admitted(Observation, _known(item))


def _known(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return an object without the metadata that the models do not know."""
    meta = {word: item["metadata"][word] for word in (*_META, *_TIMES) if word in item["metadata"]}
    parts = {word: item[word] for word in ("apiVersion", "kind", "spec", "status") if item.get(word)}
    return {**parts, "metadata": meta}
