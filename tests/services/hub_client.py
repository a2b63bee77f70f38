"""A client of a hub: log-in in the browser, API with a token, kernels over a WebSocket."""

from __future__ import annotations

import json
import secrets
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import websocket
from playwright.sync_api import Page


@dataclass(frozen=True)
class HubClient:
    """A hub whose users have hosts below ``localhost``.

    Parameters
    ----------
    port
        Port of this computer at which the hub is reached.
    password
        The same for all users.
    """

    port: int
    password: str

    @property
    def url(self) -> str:
        """Address of the hub."""
        return f"http://localhost:{self.port}"

    def user_url(self, name: str) -> str:
        """Return the address of a user's lab."""
        return f"http://{name}.localhost:{self.port}/user/{name}"

    def log_in(self, page: Page, name: str, password: str | None = None) -> None:
        """Fill in the log-in page."""
        page.goto(f"{self.url}/hub/login")
        page.fill("#username_input", name)
        page.fill("#password_input", password or self.password)
        page.click("#login_submit")

    def token_of(self, page: Page) -> str:
        """Return an API token of the user who is logged in, made on the hub's page for tokens."""
        page.goto(f"{self.url}/hub/token")
        page.wait_for_load_state("networkidle")  # a click before the page's scripts have loaded does nothing
        page.click("#request-token-form button[type=submit]")
        page.wait_for_selector("#token-result", state="visible")
        return page.inner_text("#token-result").strip()

    def open_notebook(self, page: Page, name: str) -> None:
        """Open a notebook in the lab of the user who is logged in, which starts it; wait for its kernel."""
        page.goto(f"{self.url}/hub/user-redirect/lab/tree/notebooks/{name}")
        page.wait_for_selector(".jp-Notebook", timeout=180_000)
        page.wait_for_selector("text=Python 3 (ipykernel) | Idle", timeout=120_000)


def run_all(page: Page) -> None:
    """Run all cells of the open notebook, wait for its picture, and require that no cell failed."""
    page.click("text=Run >> nth=0")
    page.click("text=Run All Cells")
    page.wait_for_selector(".jp-OutputArea-output img", timeout=120_000)
    assert page.locator(".jp-RenderedText[data-mime-type='application/vnd.jupyter.error']").count() == 0


def answers(url: str) -> bool:
    """Return whether a page is there."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def status(url: str, token: str, method: str = "GET") -> int:
    """Return the status with which an API answers; 0 if there is no answer."""
    try:
        with urllib.request.urlopen(request(url, token, method), timeout=20) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def called(url: str, token: str, method: str = "GET", content: object = None) -> Any:
    """Return the answer of an API in JSON."""
    with urllib.request.urlopen(request(url, token, method, content), timeout=60) as answer:
        text = answer.read()
    return json.loads(text) if text else None


def request(url: str, token: str, method: str = "GET", content: object = None) -> urllib.request.Request:
    """Return a request to the hub or a lab; browsers know all names below localhost, Python does not."""
    data = None if content is None else json.dumps(content).encode()
    parts = urlsplit(url)
    headers = {"Authorization": f"token {token}", "Content-Type": "application/json", "Host": parts.netloc}
    address = urlunsplit(parts._replace(netloc=f"127.0.0.1:{parts.port}"))
    return urllib.request.Request(address, data, headers, method=method)


def executed(url: str, token: str, code: str) -> str:
    """Run code in a kernel without any request meanwhile; return ``ok`` or ``error``."""
    for answer in messages(url, token, code):
        if answer["header"]["msg_type"] == "execute_reply":
            return str(answer["content"]["status"])
    return ""


def printed(url: str, token: str, code: str) -> str:
    """Run code in a kernel; return what it prints until it ends, or until the kernel is gone."""
    text = ""
    with suppress(websocket.WebSocketException, OSError):
        for answer in messages(url, token, code):
            kind, content = answer["header"]["msg_type"], answer["content"]
            if kind == "stream":
                text += str(content["text"])
            # The reply may come before what was printed; the idle state comes after it.
            if content.get("execution_state") in ("idle", "restarting", "dead"):
                break
    return text


def begun(url: str, token: str, code: str) -> None:
    """Let a kernel begin with code, and leave it alone."""
    for answer in messages(url, token, code):
        if answer["header"]["msg_type"] == "execute_input":
            return


def messages(url: str, token: str, code: str) -> Iterator[Any]:
    """Send code to a kernel; yield what comes back for it, and what is said of the kernel itself."""
    asked = request(url, token)
    headers = {name: value for name, value in asked.header_items() if name.lower() in ("authorization", "host")}
    number = secrets.token_hex(8)
    message = {
        "header": {"msg_id": number, "msg_type": "execute_request", "username": "", "session": "s", "version": "5.3"},
        "parent_header": {},
        "metadata": {},
        "content": {"code": code, "silent": False, "store_history": False, "allow_stdin": False},
        "channel": "shell",
    }
    address = asked.full_url.replace("http", "ws", 1)
    host = headers.pop("Host")
    connection = websocket.create_connection(address, header=headers, host=host, timeout=60)
    try:
        connection.send(json.dumps(message))
        while True:
            answer = json.loads(connection.recv())
            if answer["parent_header"].get("msg_id", number) == number:
                yield answer
    finally:
        connection.close()


def wait_for_end(hub: HubClient, name: str, token: str, seconds: float) -> None:
    """Wait until a user has no running lab."""
    end = time.monotonic() + seconds
    while called(f"{hub.url}/hub/api/users/{name}", token)["server"]:
        assert time.monotonic() < end, f"the lab of {name} is still running"
        time.sleep(0.5)
