"""End labs that the hub does not know: after its database was lost, or restored from an old copy, nobody can open them.

This service of the hub runs in the hub's pod. Homes are kept. Kubernetes deletes the workers of a lab with the lab,
which owns them. Pods are listed before the hub is asked, so a lab that starts meanwhile is known. A lab ends only if
two rounds did not find it, because a hub that has just started may not have read its whole database.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gozen.errors import ClusterUnavailable, GozenError
from gozen_hub.hub_settings import VARIABLE, read_hub_settings
from gozen_hub.hub_users import HubUsers
from gozen_hub.lab_pods import HUB_NOTE, LABS, SERVER_NOTE, USER_NOTE
from gozen_operator.api_server.api_request import ApiRequest
from gozen_operator.api_server.connection import ApiConnection
from gozen_operator.api_server.responses import RefusedError

CHECK_S = 60.0
"""Longest time between two checks, s; a lab that two consecutive checks do not find at the hub is ended."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Lab:
    """A running lab.

    Parameters
    ----------
    server
        Name of the server at the hub; empty for the user's default one.
    """

    namespace: str
    pod: str
    uid: str
    user: str
    server: str


def labs_of(pods: Iterable[Mapping[str, Any]], hub: str) -> list[Lab]:
    """Return the labs among pods that this hub has started, without labs that are already ending."""
    found = []
    for pod in pods:
        meta = pod["metadata"]
        notes = meta.get("annotations") or {}
        if notes.get(HUB_NOTE) == hub and USER_NOTE in notes and not meta.get("deletionTimestamp"):
            found.append(
                Lab(meta["namespace"], meta["name"], meta["uid"], notes[USER_NOTE], notes.get(SERVER_NOTE, ""))
            )
    return found


def unknown(labs: Iterable[Lab], users: Iterable[Mapping[str, Any]]) -> frozenset[Lab]:
    """Return the labs that are not a server of any user."""
    known = {(str(user["name"]), str(server)) for user in users for server in user.get("servers") or {}}
    return frozenset(lab for lab in labs if (lab.user, lab.server) not in known)


class OrphanLabs:
    """The labs that the last round did not find at the hub.

    Parameters
    ----------
    hub
        The account of this hub, as the pods of its labs name it.
    """

    def __init__(self, connection: ApiConnection, users: Iterable[Mapping[str, Any]], hub: str) -> None:
        self._connection, self._users, self._hub = connection, users, hub
        self._before: frozenset[Lab] = frozenset()

    def round(self) -> list[Lab]:
        """End the labs that neither this round nor the previous one found at the hub; return the labs that were ended.

        Raises
        ------
        ClusterUnavailable
            The API server or the hub does not answer; the count of rounds begins again.
        """
        before, self._before = self._before, frozenset()
        labs = labs_of(self._pods(), self._hub)
        now = unknown(labs, self._users)
        orphans = sorted(now & before, key=lambda lab: (lab.namespace, lab.pod))
        ended = [lab for lab in orphans if self._end(lab)]
        self._before = now - frozenset(ended)
        return ended

    def _pods(self) -> Iterable[Mapping[str, Any]]:
        for page in self._connection.pages(ApiRequest("GET", "/api/v1/pods", {"labelSelector": LABS})):
            yield from page["items"]

    def _end(self, lab: Lab) -> bool:
        """Delete the pod of a lab; return whether this was done."""
        path = f"/api/v1/namespaces/{lab.namespace}/pods/{lab.pod}"
        # Only this pod: another one of the same name may have started since the list was read.
        body = {"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": {"uid": lab.uid}}
        try:
            if self._connection.unless_gone(ApiRequest("DELETE", path, body=body)) is None:
                return False
        except RefusedError as refusal:  # one lab that may not be deleted must not keep the others
            _log.warning(
                "%s/%s: the hub knows no such lab, but it cannot be ended: %s", lab.namespace, lab.pod, refusal
            )
            return False
        _log.warning("%s/%s: ended, because the hub knows no such lab of %s", lab.namespace, lab.pod, lab.user)
        return True


def main() -> None:
    """Check in rounds until SIGTERM."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    from gozen_operator.api_server.connection import connect

    try:
        settings = read_hub_settings(Path(os.environ[VARIABLE]))
        users = HubUsers(sys.argv[1], os.environ["JUPYTERHUB_API_TOKEN"], "orphan-labs")
        orphans = OrphanLabs(connect(), users, settings.namespaces.hub_account)
    except GozenError as error:
        sys.exit(f"orphan-labs: {error.name}: {error}")
    seconds = min(CHECK_S, settings.idle.check_s)
    while True:
        time.sleep(seconds)
        try:
            orphans.round()
        except ClusterUnavailable as error:
            _log.warning("%s", error)


if __name__ == "__main__":
    main()
