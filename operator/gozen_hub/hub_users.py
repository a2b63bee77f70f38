"""Read all users of the hub from its API, page by page."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

import urllib3
from urllib3.exceptions import HTTPError

from gozen.errors import ClusterUnavailable

PAGE = 200
_TIMEOUT = urllib3.Timeout(connect=5.0, read=30.0)


class HubUsers:
    """The users of the hub; each has the fields that the scopes of the token allow.

    Parameters
    ----------
    api
        Address of the hub's API, which ends with ``/hub/api``.
    token
        Token of a service of the hub.
    service
        Name of this service, for messages.
    """

    def __init__(self, api: str, token: str, service: str) -> None:
        self._url, self._service, self._http = f"{api.rstrip('/')}/users", service, urllib3.PoolManager()
        self._headers = {"Authorization": f"token {token}", "Accept": "application/jupyterhub-pagination+json"}

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Yield each user.

        Raises
        ------
        ClusterUnavailable
            The hub does not answer, or refuses.
        """
        offset: int | None = 0
        while offset is not None:
            page = self._page(offset)
            yield from page["items"]
            after = page["_pagination"].get("next")
            offset = None if after is None else int(after["offset"])

    def _page(self, offset: int) -> Any:
        fields = {"limit": str(PAGE), "offset": str(offset)}
        try:
            answer = self._http.request(
                "GET", self._url, fields=fields, headers=self._headers, timeout=_TIMEOUT, retries=False
            )
            if answer.status != HTTPStatus.OK:
                raise ClusterUnavailable(
                    f"the hub answers {answer.status} to {self._url}: check the token of its service {self._service}"
                )
            return json.loads(answer.data)
        except (HTTPError, ValueError) as error:
            raise ClusterUnavailable(
                f"the hub at {self._url} does not report its users: {error}; check that the hub runs"
            ) from error
