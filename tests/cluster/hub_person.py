"""A user of a hub, with a browser without scripts: log-in, pages, the form for a lab, and the API."""

from __future__ import annotations

import http.cookiejar
import json
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import urlencode

SECONDS = 60


class Person:
    """A user with a browser that has no scripts.

    Parameters
    ----------
    url
        Address of the hub.
    """

    def __init__(self, url: str, name: str, password: str) -> None:
        self.url, self.name, self._password = url, name, password
        self._browser = urllib.request.build_opener(
            urllib.request.HTTPCookieProcessor(cookies := http.cookiejar.CookieJar())
        )
        self._cookies = cookies
        self.log_in()
        body = {"auth": {"username": name, "password": password}}
        self.token = str(self.call("POST", f"users/{name}/tokens", body)[1]["token"])

    def log_in(self) -> str:
        """Log in on the hub's page; return the page that comes next."""
        self.page("login")
        form = {"username": self.name, "password": self._password, "_xsrf": self._xsrf}
        return self.page("login", form)[1]

    def page(self, path: str, form: dict[str, str] | None = None) -> tuple[int, str]:
        """Return status and text of a page of the hub."""
        data = None if form is None else urlencode(form).encode()
        request = urllib.request.Request(f"{self.url}/hub/{path}", data, headers={"Accept": "text/html"})
        try:
            with self._browser.open(request, timeout=SECONDS) as answer:
                return int(answer.status), answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def choose(self, profile: str) -> tuple[int, str]:
        """Choose a size of lab on the page for it; return status and text of the page that comes next."""
        self.page(f"spawn/{self.name}")
        return self.page(f"spawn/{self.name}?{urlencode({'_xsrf': self._xsrf})}", {"profile": profile})

    def call(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Ask the API of the hub."""
        headers = {"Content-Type": "application/json"}
        if token := getattr(self, "token", ""):
            headers["Authorization"] = f"token {token}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}/hub/api/{path}", data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=SECONDS) as answer:
                text = answer.read()
                return int(answer.status), json.loads(text) if text else None
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read() or b"null")

    def told(self) -> list[str]:
        """Return what the page tells while the lab starts, from now to the end of the start."""
        headers = {"Authorization": f"token {self.token}"}
        request = urllib.request.Request(f"{self.url}/hub/api/users/{self.name}/server/progress", headers=headers)
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:
            lines = answer.read().decode().splitlines()
        return [str(json.loads(line[6:])["message"]) for line in lines if line.startswith("data: ")]

    @property
    def lab(self) -> Any:
        """What the hub says about the lab: None if there is none."""
        return self.call("GET", f"users/{self.name}")[1]["servers"].get("")

    @property
    def _xsrf(self) -> str:
        return next(str(one.value) for one in self._cookies if one.name == "_xsrf")
