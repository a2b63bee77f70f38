"""Test the service that stores users' app passwords: who may call it, and what it changes in its Secret.

Covered: tokens; access only to one's own entry; invalid accounts; a missing Secret; a hub that does not answer; the
client in labs. Not covered: the rights of the service account (unit/test_chart_nextcloud.py).
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient
from tests.fake_hub import FakeHub, fake_hub

from gozen.sharing.account import Account
from gozen.sharing.login import hub_account
from gozen.sharing.login.hub_account import HubAccount
from gozen_hub.nextcloud.account_entry import KeptAccount, account_in, entry_of, key_of
from gozen_hub.nextcloud.accounts_app import PATH, accounts_app
from gozen_hub.nextcloud.accounts_secret import AccountsSecret
from gozen_operator.api_server.api_request import MERGE_PATCH, ApiRequest
from gozen_operator.api_server.responses import RefusedError

SECRET = "/api/v1/namespaces/sky/secrets/gozen-nextcloud-accounts"
SENT = {"url": "https://cloud.example.org", "user": "hoshi", "user_id": "hoshi", "password": "p", "insecure": False}


class FakeApi:
    """An API server with one Secret."""

    def __init__(self) -> None:
        self.data: dict[str, str] | None = {}
        self.asked: list[ApiRequest] = []

    def answer(self, request: ApiRequest) -> dict[str, Any]:
        self.asked.append(request)
        if self.data is None or request.path != SECRET:
            raise RefusedError("not found", 404)
        if request.method == "PATCH":
            assert request.content == MERGE_PATCH
            self.data = {
                name: value for name, value in {**self.data, **request.body["data"]}.items() if value is not None
            }
        return {"data": self.data} if self.data else {}


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    with fake_hub() as found:
        found.users = {"hoshis": "hoshi", "kazes": "kaze"}
        found.scopes = ["access:servers!server=hoshi/", "access:servers!server=kaze/"]
        yield found


@pytest.fixture
def api() -> FakeApi:
    return FakeApi()


@pytest.fixture
def service(hub: FakeHub, api: FakeApi) -> TestClient:
    secret = AccountsSecret(api, "sky", "gozen-nextcloud-accounts")  # type: ignore[arg-type]
    return TestClient(accounts_app(secret, hub.url), raise_server_exceptions=False)


def ask(service: TestClient, method: str, token: str = "token hoshis", **options: Any) -> tuple[int, dict[str, Any]]:
    answer = service.request(method, PATH, headers={"Authorization": token} if token else {}, **options)
    return answer.status_code, answer.json()


def test_a_lab_keeps_reads_and_removes_the_account_of_its_user(service: TestClient, api: FakeApi) -> None:
    assert ask(service, "GET") == (200, {"account": None})
    assert ask(service, "PUT", json=SENT) == (200, {"account": None})
    assert ask(service, "GET") == (200, {"account": SENT})
    assert ask(service, "PUT", json=SENT | {"password": "q"})[0] == 200
    assert ask(service, "GET")[1]["account"]["password"] == "q"
    assert ask(service, "DELETE") == (200, {"account": None})
    assert ask(service, "DELETE")[0] == 200
    assert ask(service, "GET") == (200, {"account": None})
    assert api.data == {}


def test_nobody_gets_the_account_of_another_user(service: TestClient, api: FakeApi) -> None:
    ask(service, "PUT", json=SENT)
    assert ask(service, "GET", "token kazes") == (200, {"account": None})
    ask(service, "DELETE", "token kazes")
    assert ask(service, "GET")[1]["account"] == SENT
    # An entry that another user's was copied over is not given away.
    assert api.data is not None
    api.data[key_of("kaze")] = api.data[key_of("hoshi")]
    assert ask(service, "GET", "token kazes") == (200, {"account": None})


@pytest.mark.parametrize("token", ["", "token ", "token nobodys", "hoshis", "Basic hoshis", "token a b"])
def test_without_the_token_of_a_lab_nothing_happens(service: TestClient, api: FakeApi, token: str) -> None:
    for method in ("GET", "PUT", "DELETE"):
        status, said = ask(service, method, token, **({"json": SENT} if method == "PUT" else {}))
        assert (status, "only a running lab" in said["message"]) == (403, True)
    assert api.asked == []


def test_the_token_of_a_service_or_an_administrator_is_not_that_of_a_lab(service: TestClient, hub: FakeHub) -> None:
    hub.scopes = ["access:servers", "admin:users"]
    assert ask(service, "GET")[0] == 403


@pytest.mark.parametrize(
    "change",
    [
        {"password": ""},
        {"url": "file:///etc"},
        {"user": "x" * 256},
        {"more": 1},
        {"password": "p" * 513},
        {"url": "https://a b"},
    ],
)
def test_what_is_not_an_account_is_refused_without_its_password(
    service: TestClient, api: FakeApi, change: dict[str, Any]
) -> None:
    status, said = ask(service, "PUT", json=SENT | {"password": "very-secret"} | change)
    assert status == 422
    assert "very-secret" not in json.dumps(said)
    assert api.data == {}


def test_a_missing_secret_and_a_silent_hub_are_said(service: TestClient, api: FakeApi, hub: FakeHub) -> None:
    api.data = None
    status, said = ask(service, "GET")
    assert (status, "helm upgrade" in said["message"]) == (503, True)
    hub.broken = True
    assert ask(service, "GET")[0] == 503


def test_answers_with_passwords_are_kept_nowhere(service: TestClient) -> None:
    answer = service.get(PATH, headers={"Authorization": "token hoshis"})
    assert answer.headers["cache-control"] == "no-store"


def test_names_of_users_may_have_any_characters() -> None:
    for name in ("星", "a/b", "x" * 300, "a.b@c"):
        assert key_of(name).isalnum()
        account = KeptAccount.model_validate(SENT)
        assert account_in(name, entry_of(name, account)) == account
    assert account_in("hoshi", base64.b64encode(b"[]").decode()) is None
    assert account_in("hoshi", "%%%") is None


def test_the_client_of_labs_speaks_with_the_service(service: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    client = SimpleNamespace(Client=lambda **_: nullcontext(service), HTTPError=httpx.HTTPError)
    monkeypatch.setattr(hub_account, "httpx", client)
    kept = HubAccount("http://accounts:8080/", "hoshis")
    account = Account("https://cloud.example.org", "hoshi@x.org", "p", "hoshi")
    assert kept.read() is None
    kept.write(account)
    assert kept.read() == account
    kept.forget()
    assert kept.read() is None
