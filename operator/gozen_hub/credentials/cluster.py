"""Requests of the service to the API server: list and watch the namespaces of users, and write their Secrets."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from gozen.archive.access_levels import Level
from gozen_hub.credentials.due import UserNamespace
from gozen_hub.credentials.user_secret import Issued, path_of_secret, user_secret
from gozen_hub.lab_pods import HUB_NOTE
from gozen_hub.namespaces.namespace_objects import OWNED, USER
from gozen_operator.api_server.api_request import APPLY_PATCH, ApiRequest
from gozen_operator.api_server.connection import ApiConnection

_PATH = "/api/v1/namespaces"
# Of 500 users a list of whole namespaces has a megabyte.
META_ONLY = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
_APPLY = {"fieldManager": "gozen-credentials", "force": "true", "fieldValidation": "Strict"}


class UserNamespaces:
    """The namespaces of users.

    Parameters
    ----------
    prefix, hub
        Prefix of the names of users' namespaces, and the account of the hub to which they belong.
    """

    def __init__(self, connection: ApiConnection, prefix: str, hub: str) -> None:
        self._connection, self._prefix, self._hub = connection, prefix, hub
        self._version = ""

    def list(self) -> list[UserNamespace]:
        """Return all namespaces of users; raise `ClusterUnavailable` if the API server does not answer."""
        found: list[UserNamespace] = []
        for page in self._connection.pages(ApiRequest("GET", _PATH, self._selector(), accept=META_ONLY)):
            found += of_users(page["items"], self._prefix, self._hub)
            self._version = page["metadata"]["resourceVersion"]
        return found

    def wait(self, seconds: float) -> None:
        """Return when a namespace has changed since the last list, or after some seconds; errors as for `list`."""
        if seconds < 1:  # a watch lasts whole seconds
            time.sleep(seconds)
            return
        query = {**self._selector(), "resourceVersion": self._version}
        self._connection.await_event(ApiRequest("GET", _PATH, query), int(seconds))

    def give(self, namespace: UserNamespace, level: Level, issued: Issued) -> None:
        """Write the Secret of a namespace; raises the errors of `list`, and `RefusedError` if a right is missing."""
        body = user_secret(namespace.name, level, issued)
        self._connection.answer(ApiRequest("PATCH", path_of_secret(namespace.name), _APPLY, body, APPLY_PATCH))

    @staticmethod
    def _selector() -> dict[str, str]:
        return {"labelSelector": ",".join(f"{label}={value}" for label, value in OWNED.items())}


def of_users(items: Iterable[dict[str, Any]], prefix: str, hub: str) -> list[UserNamespace]:
    """Return the namespaces of this hub's users, without namespaces that are being deleted."""
    found = []
    for one in items:
        meta = one["metadata"]
        notes = meta.get("annotations") or {}
        user, mine = notes.get(USER), notes.get(HUB_NOTE) == hub and meta["name"].startswith(f"{prefix}-")
        if user and mine and not meta.get("deletionTimestamp"):
            found.append(UserNamespace(meta["name"], meta["uid"], user))
    return found
