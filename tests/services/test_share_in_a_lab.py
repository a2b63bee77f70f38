"""``gozen share`` in a lab: the hub's service keeps the app password, over HTTP; it is never in the home folder.

Covered: log in, share and log out with the real service, and a simulated hub and API server; another lab; a token that
the hub does not know. Not covered: the rights of the service (unit/test_chart_nextcloud.py).
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from tests.fake_hub import fake_hub

from gozen.cli.call import run
from gozen_hub.nextcloud.accounts_app import accounts_app
from gozen_hub.nextcloud.accounts_secret import AccountsSecret
from gozen_operator.api_server.api_request import ApiRequest

from .nextcloud_server.people import Person
from .nextcloud_server.sharing_server import SharingServer
from .watched_processes import wait_until


class OneSecret:
    """An API server with one Secret."""

    def __init__(self) -> None:
        self.data: dict[str, str] = {}

    def answer(self, request: ApiRequest) -> dict[str, Any]:
        """Return the Secret, after the change."""
        if request.method == "PATCH":
            merged = {**self.data, **request.body["data"]}
            self.data = {name: value for name, value in merged.items() if value is not None}
        return {"data": self.data}


@contextmanager
def service(hub_url: str, secret: OneSecret) -> Iterator[str]:
    """Run the hub's service for accounts on a free port."""
    accounts = AccountsSecret(secret, "gozen", "gozen-nextcloud-accounts")  # type: ignore[arg-type]
    server = uvicorn.Server(uvicorn.Config(accounts_app(accounts, hub_url), port=0, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    wait_until(lambda: server.started)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[SharingServer]:
    with SharingServer(tmp_path / "server", [Person("hoshi", "of-hoshi"), Person("sora", "of-sora")]) as found:
        found.put("hoshi", "results/lc.parquet")
        found.login.agrees = ("hoshi", "of-hoshi")
        yield found


def test_the_hub_keeps_the_app_password_of_a_lab(
    cloud: SharingServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.chdir(home)
    for name in ("HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(home))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("GOZEN_SHARING__URL", cloud.url)
    secret = OneSecret()
    with fake_hub() as hub, service(hub.url, secret) as url:
        hub.users, hub.scopes = (
            {"of-hoshi": "hoshi", "of-sora": "sora"},
            [f"access:servers!server={one}/" for one in ("hoshi", "sora")],
        )
        monkeypatch.setenv("GOZEN_NEXTCLOUD_ACCOUNTS_URL", url)
        monkeypatch.setenv("JUPYTERHUB_API_TOKEN", "of-hoshi")
        assert run(["share", "login"]) == 0
        assert "the hub keeps the app password" in " ".join(capsys.readouterr().err.split())
        assert len(secret.data) == 1
        assert run(["share", "with", "results", "sora"]) == 0
        assert list(home.iterdir()) == []

        monkeypatch.setenv("JUPYTERHUB_API_TOKEN", "of-sora")
        assert run(["share", "list"]) == 64
        assert "you are not logged in" in capsys.readouterr().err
        monkeypatch.setenv("JUPYTERHUB_API_TOKEN", "of-nobody")
        assert run(["share", "list"]) == 75
        assert "only a running lab" in capsys.readouterr().err

        monkeypatch.setenv("JUPYTERHUB_API_TOKEN", "of-hoshi")
        assert run(["share", "logout"]) == 0
        assert (secret.data, len(cloud.person("hoshi").app_passwords)) == ({}, 1)
    assert run(["share", "list"]) == 75
    assert "the hub's service for accounts of Nextcloud does not answer" in capsys.readouterr().err
