"""Ask the hub for the groups of its users, with a token that can read only names and groups."""

from __future__ import annotations

from gozen_hub.hub_users import HubUsers


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
        self._users = HubUsers(f"{url.rstrip('/')}/hub/api", token, "credentials")

    def read(self) -> dict[str, frozenset[str]]:
        """Return the groups of each user; raises the errors of `HubUsers`."""
        return {one["name"]: frozenset(one.get("groups", ())) for one in self._users}
