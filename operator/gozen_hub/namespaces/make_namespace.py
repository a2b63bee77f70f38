"""Apply the objects of a user's namespace to the API server."""

from __future__ import annotations

from typing import Any

from gozen.errors import ClusterUnavailable
from gozen_hub.hub_settings import HubSettings
from gozen_hub.namespaces.archive_volume import volume_objects
from gozen_hub.namespaces.namespace_objects import Applied, check_name, check_owner, user_objects
from gozen_operator.api_server.api_request import APPLY_PATCH, ApiRequest
from gozen_operator.api_server.connection import ApiConnection

_QUERY = {"fieldManager": "gozen-namespaces", "force": "true", "fieldValidation": "Strict"}


def make_namespace(connection: ApiConnection, name: str, user: str, settings: HubSettings) -> None:
    """Make the namespace of a user, or bring it up to date.

    Raises
    ------
    BadRequest
        The name is not valid, or the namespace belongs to another user.
    ClusterUnavailable
        The API server does not answer or refuses, or the namespace is being deleted.
    """
    check_name(name, settings.namespaces)
    found = connection.unless_gone(ApiRequest("GET", f"/api/v1/namespaces/{name}"))
    check_owner(found, name, user, settings.namespaces.hub_account)
    if found and found["metadata"].get("deletionTimestamp"):
        raise ClusterUnavailable(f"the namespace {name} is being deleted; try again in a minute")
    namespace, *content = user_objects(name, user, settings.namespaces)
    made, volume = _apply(connection, namespace), settings.archive.volume
    # Before the rights of those who start pods, which come last.
    for one in (*(volume_objects(name, made["metadata"]["uid"], volume) if volume else ()), *content):
        _apply(connection, one)


def _apply(connection: ApiConnection, one: Applied) -> dict[str, Any]:
    return connection.answer(ApiRequest("PATCH", one.path, _QUERY, one.manifest, APPLY_PATCH))


def caller_of(connection: ApiConnection, token: str, audience: str) -> str | None:
    """Return the account whose token this is, as ``namespace/name``; None if the token is not valid for `audience`."""
    body: dict[str, Any] = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenReview",
        "spec": {"token": token, "audiences": [audience]},
    }
    path = "/apis/authentication.k8s.io/v1/tokenreviews"
    status = connection.answer(ApiRequest("POST", path, body=body))["status"]
    # A server that knows no audiences leaves the list out, and would accept a token made for something else.
    if not status.get("authenticated") or audience not in status.get("audiences", ()):
        return None
    words = str(status["user"]["username"]).split(":")
    return "/".join(words[2:]) if words[:2] == ["system", "serviceaccount"] else None
