"""Test the log-in to a Nextcloud server: how its answers are interpreted, and where the app password is stored.

Covered: answers of the log-in flow; the keyring, the file and its mode, the hub's service, and the choice between them.
Not covered: a complete log-in, and the log-out (services/test_sharing_log_in.py).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import keyring
import pytest
from keyring.backend import KeyringBackend
from keyring.errors import KeyringLocked, PasswordDeleteError

from gozen.errors import (
    BadRequest,
    ClusterUnavailable,
    LogInRefused,
    RedirectRefused,
    UnexpectedAnswer,
    UnreadableInput,
)
from gozen.sharing.account import Account
from gozen.sharing.answers import Answer
from gozen.sharing.login.hub_account import URL, HubAccount, kept_account
from gozen.sharing.login.kept_account import FileAccount, KeyringAccount, local_account
from gozen.sharing.login.log_in import device_name, log_out, logged_in
from gozen.sharing.login.login_flow import begun, granted

SERVER = "https://cloud.example.org/nc"
ACCOUNT = Account("https://cloud.example.org/nc", "hoshi@example.org", "app-password", "hoshi")


def answer(content: Any) -> Answer:
    return Answer(200, {}, json.dumps(content).encode())


def flow(page: str = f"{SERVER}/login/v2/flow/x", endpoint: str = f"{SERVER}/login/v2/poll") -> Answer:
    return answer({"login": page, "poll": {"endpoint": endpoint, "token": "t"}})


def test_a_log_in_begins_with_the_addresses_of_the_server() -> None:
    found = begun(flow(), SERVER)
    assert (found.page, found.endpoint, found.token) == (f"{SERVER}/login/v2/flow/x", f"{SERVER}/login/v2/poll", "t")
    begun(flow("https://cloud.example.org:443/login"), SERVER)


@pytest.mark.parametrize(
    "other",
    [
        "https://evil.example.org/poll",
        "http://cloud.example.org/poll",
        "https://cloud.example.org:8443/poll",
        "https://cloud.example.org@evil.example.org/poll",
        "https://cloud.example.org.evil.org/poll",
        "javascript:alert(1)",
        "/login/v2/poll",
    ],
)
def test_a_log_in_at_another_server_is_refused(other: str) -> None:
    for sent in (flow(page=other), flow(endpoint=other)):
        with pytest.raises(RedirectRefused, match="overwriteprotocol"):
            begun(sent, SERVER)


@pytest.mark.parametrize("content", [[], {}, {"login": 3}, {"login": "x", "poll": []}, "x", None])
def test_another_program_at_the_address_is_not_a_nextcloud(content: Any) -> None:
    with pytest.raises(UnexpectedAnswer, match="does not answer like a Nextcloud"):
        begun(answer(content), SERVER)
    with pytest.raises(UnexpectedAnswer, match="does not answer like a Nextcloud"):
        begun(Answer(200, {}, b"<html>"), SERVER)


def test_the_account_has_the_address_for_which_the_user_asked() -> None:
    found = granted(answer({"server": SERVER, "loginName": "hoshi", "appPassword": "p"}), SERVER)
    assert found == Account(SERVER, "hoshi", "p")
    # The documents: without a protocol it is https.
    assert granted(answer({"server": "cloud.example.org", "loginName": "h", "appPassword": "p"}), SERVER).user == "h"


def test_an_app_password_of_another_server_is_refused() -> None:
    with pytest.raises(RedirectRefused):
        granted(answer({"server": "https://evil.org", "loginName": "h", "appPassword": "p"}), SERVER)
    with pytest.raises(UnexpectedAnswer, match="no app password"):
        granted(answer({"server": SERVER, "loginName": "h"}), SERVER)


@pytest.fixture
def file(tmp_path: Path) -> FileAccount:
    return FileAccount(tmp_path / "new" / "account.json")


def test_a_file_keeps_the_account_for_its_owner_alone(file: FileAccount) -> None:
    assert file.read() is None
    file.write(ACCOUNT)
    assert (file.path.stat().st_mode & 0o777, file.path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    found = file.read()
    assert (found, found and found.password) == (ACCOUNT, "app-password")
    assert list(file.path.parent.iterdir()) == [file.path]
    file.forget()
    file.forget()
    assert file.read() is None


def test_a_wide_umask_does_not_make_the_file_wider(file: FileAccount) -> None:
    before = os.umask(0)
    try:
        file.write(ACCOUNT)
    finally:
        os.umask(before)
    assert file.path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o644])
def test_a_file_that_others_can_reach_is_refused(file: FileAccount, mode: int) -> None:
    file.write(ACCOUNT)
    file.path.chmod(mode)
    with pytest.raises(BadRequest, match=f"mode {mode:04o}.*chmod 600"):
        file.read()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"[]",
        b"\0",
        b'{"url": "https://x.org", "user": "h"}',
        b"no json",
        b"\xff",
        b'{"url": "", "user": "h", "password": "p"}',
        b'{"url": "http://x.org", "user": "h", "password": "p"}',
        b'{"url": "https://x.org", "user": "", "password": "p"}',
        pytest.param(b"[" * 100_000, id="deeply nested"),
    ],
)
def test_a_damaged_file_says_to_log_in_again(file: FileAccount, data: bytes) -> None:
    file.write(ACCOUNT)
    file.path.write_bytes(data)
    with pytest.raises(UnreadableInput, match=r"account\.json is damaged; .*gozen share login.*replaces it"):
        file.read()


def test_a_log_out_removes_a_damaged_file_and_says_what_was_not_done(file: FileAccount) -> None:
    file.write(ACCOUNT)
    file.path.write_text("no json")
    with pytest.raises(
        UnreadableInput, match=r"account\.json was damaged, and is removed now.*may still accept.*revoke"
    ):
        log_out(kept=file)
    assert log_out(kept=file) is None


def test_a_file_that_cannot_be_read_says_what_to_do(file: FileAccount) -> None:
    file.path.mkdir(parents=True)
    with pytest.raises(BadRequest, match=r"account\.json.*Is a directory.*remove the file and log in again"):
        file.read()


def test_a_file_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(BadRequest, match="cannot be kept"):
        FileAccount(tmp_path / "taken" / "account.json").write(ACCOUNT)


class FakeKeyring(KeyringBackend):
    """A keyring in memory."""

    priority = 5  # type: ignore[assignment]
    viable = False  # else it would be the system's keyring for all tests after this module is imported

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[tuple[str, str], str] = {}
        self.locked = False

    def get_password(self, service: str, username: str) -> str | None:
        if self.locked:
            raise KeyringLocked("it is locked")
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.kept[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        if self.kept.pop((service, username), None) is None:
            raise PasswordDeleteError("there is none")


@pytest.fixture
def fake() -> Iterator[FakeKeyring]:
    before, found = keyring.get_keyring(), FakeKeyring()
    keyring.set_keyring(found)
    yield found
    keyring.set_keyring(before)


def test_the_keyring_keeps_the_account(fake: FakeKeyring) -> None:
    kept = local_account()
    assert isinstance(kept, KeyringAccount)
    assert kept.read() is None
    kept.write(ACCOUNT)
    assert kept.read() == ACCOUNT
    assert list(fake.kept) == [("gozen", "nextcloud")]
    kept.forget()
    kept.forget()
    assert kept.read() is None


def test_a_locked_keyring_says_what_to_do(fake: FakeKeyring) -> None:
    fake.locked = True
    with pytest.raises(BadRequest, match="it is locked; unlock it"):
        KeyringAccount().read()


def test_without_a_keyring_a_file_in_the_folder_for_configurations_is_used(
    fake: FakeKeyring, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeKeyring, "priority", 0.5)  # as of a keyring that writes passwords into an open file
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    kept = local_account()
    assert isinstance(kept, FileAccount)
    assert kept.path == tmp_path / "gozen" / "nextcloud-account.json"


def test_who_has_not_logged_in_is_told_how(file: FileAccount) -> None:
    with pytest.raises(LogInRefused, match="gozen share login"):
        logged_in(kept=file)


def test_a_lab_asks_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(URL, "http://accounts:8080/")
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", "of-the-lab")
    assert isinstance(kept_account(), HubAccount)


def test_a_lab_of_a_hub_that_keeps_no_accounts_writes_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(URL, raising=False)
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", "of-the-lab")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    with pytest.raises(BadRequest, match=r"hub\.nextcloud\.enabled"):
        kept_account()


@pytest.mark.parametrize(
    ("status", "content", "kind", "words"),
    [
        (403, {"message": "only a running lab"}, ClusterUnavailable, "only a running lab.*start it again"),
        (422, {"message": "not an account"}, BadRequest, "not an account"),
        (503, {"message": "the hub does not answer"}, ClusterUnavailable, "does not answer; try again"),
        (404, {}, ClusterUnavailable, "it answers 404"),
        (200, [], None, ""),
    ],
)
def test_what_the_hub_answers_is_said(
    status: int, content: Any, kind: type[Exception] | None, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(httpx.Client, "request", lambda *_, **__: httpx.Response(status, json=content))
    hub = HubAccount("http://accounts:8080", "t")
    if kind is None:
        assert hub.read() is None
        return
    with pytest.raises(kind, match=words):
        hub.read()


def test_a_hub_that_does_not_answer_is_said() -> None:
    with pytest.raises(ClusterUnavailable, match="does not answer"):
        HubAccount("http://127.0.0.1:9", "t").read()


def test_the_device_has_the_name_of_this_machine_in_ascii(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "観測-1")
    assert device_name() == "Gozen on ??-1"
