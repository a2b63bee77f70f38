"""Ask the hub for the groups of its users, with a token that can read only names and groups."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any

import urllib3
from urllib3.exceptions import HTTPError

from gozen.errors import ClusterUnavailable

PAGE = 200
_TIMEOUT = urllib3.Timeout(connect=5.0, read=30.0)


class HubGroups:
    """The groups of the hub's users.

    Parameters
    ----------
    url
        Address of the hub for other pods.
    token
        Token of the hub's service ``credentials``.
    """

    def __init__(self, url: str, token: str) -> None:
        self._url, self._http = f"{url.rstrip('/')}/hub/api/users", urllib3.PoolManager()
        self._headers = {"Authorization": f"token {token}", "Accept": "application/jupyterhub-pagination+json"}

    def read(self) -> dict[str, frozenset[str]]:
        """Return the groups of each user.

        Raises
        ------
        ClusterUnavailable
            The hub does not answer, or refuses.
        """
        found: dict[str, frozenset[str]] = {}
        offset: int | None = 0
        while offset is not None:
            page = self._page(offset)
            found |= {one["name"]: frozenset(one.get("groups", ())) for one in page["items"]}
            after = page["_pagination"].get("next")
            offset = None if after is None else int(after["offset"])
        return found

    def _page(self, offset: int) -> Any:
        fields = {"limit": str(PAGE), "offset": str(offset)}
        try:
            answer = self._http.request(
                "GET", self._url, fields=fields, headers=self._headers, timeout=_TIMEOUT, retries=False
            )
            if answer.status != HTTPStatus.OK:
                raise ClusterUnavailable(
                    f"the hub answers {answer.status} to {self._url}: check the token of its service credentials"
                )
            return json.loads(answer.data)
        except (HTTPError, ValueError) as error:
            raise ClusterUnavailable(
                f"the hub at {self._url} does not report the groups of users: {error}; check that the hub runs"
            ) from error
