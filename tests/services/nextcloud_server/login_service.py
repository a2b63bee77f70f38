"""The log-in to the Nextcloud server of the tests: login flow version 2, as documented."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from .people import People

LIFETIME_S = 1200


@dataclass
class Flow:
    """A log-in that has begun."""

    poll_token: str
    login_token: str
    device: str
    began: float
    granted: dict[str, str] | None = None


@dataclass
class LoginService:
    """Begins log-ins, lets a user agree, and gives the app password once.

    Parameters
    ----------
    address_in_answers
        If not empty, the address of the server that its answers name, as with a wrong `overwritehost`.
    agrees
        Name and password of a user who agrees to each log-in at once.
    """

    people: People
    clock: Callable[[], float] = time.monotonic
    flows: list[Flow] = field(default_factory=list)
    address_in_answers: str = ""
    agrees: tuple[str, str] | None = None
    shown: set[str] = field(default_factory=set)
    """Passwords that requests showed; the documents want anonymous requests."""

    def begin(self, address: str, device: str) -> dict[str, Any]:
        """Begin a log-in; `address` is that of the server."""
        flow = Flow(secrets.token_hex(64), secrets.token_hex(64), device, self.clock())
        self.flows.append(flow)
        named = self.address_in_answers or address
        poll = {"token": flow.poll_token, "endpoint": f"{named}/login/v2/poll"}
        page = f"{named}/login/v2/flow/{flow.login_token}"
        if self.agrees is not None:
            self.agree(page, *self.agrees, address)
        return {"poll": poll, "login": page}

    def agree(self, page: str, login: str, password: str, address: str) -> bool:
        """Log in on the page of a flow and agree; return whether that is possible."""
        person = self.people.log_in(login, password)
        flow = next((one for one in self._alive() if page.endswith(f"/{one.login_token}")), None)
        if person is None or flow is None:
            return False
        flow.granted = {"server": address, "loginName": login, "appPassword": person.new_app_password(flow.device)}
        return True

    def poll(self, token: str) -> dict[str, str] | None:
        """Return the credentials, once; None until the user has agreed."""
        flow = next((one for one in self._alive() if one.poll_token == token), None)
        if flow is None or flow.granted is None:
            return None
        self.flows.remove(flow)
        return flow.granted

    def answer(
        self, method: str, path: str, form: dict[str, str], address: str, device: str
    ) -> tuple[int, bytes] | None:
        """Return status and body for an address of the log-in, below that of the server; None for all others."""
        path = path.removeprefix("/index.php")
        if (method, path) == ("POST", "/login/v2"):
            return 200, json.dumps(self.begin(address, device)).encode()
        if (method, path) == ("POST", "/login/v2/poll"):
            found = self.poll(form.get("token", ""))
            return (404, b"[]") if found is None else (200, json.dumps(found).encode())
        if path.startswith("/login/v2/flow/"):
            if method == "POST":
                done = self.agree(path, form.get("user", ""), form.get("password", ""), address)
                return (200, b"<h1>Account connected</h1>") if done else (403, b"<h1>Wrong password</h1>")
            return 200, b"<form method=post><input name=user><input name=password type=password><button>Grant access"
        return None

    def _alive(self) -> list[Flow]:
        return [one for one in self.flows if self.clock() - one.began < LIFETIME_S]
