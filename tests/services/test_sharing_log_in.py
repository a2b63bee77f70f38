"""The log-in at Nextcloud up to its app password, and the log-out, as the command and a notebook do them.

Not here: parts without a server (unit/test_sharing_log_in.py), a real server (services/test_sharing_shares.py).
"""

from __future__ import annotations

import threading
import time
from pathlib import Path

import httpx
import pytest

from gozen import sharing
from gozen.errors import (
    BadRequest,
    CloudUnavailable,
    LogInRefused,
    RedirectRefused,
    UnexpectedAnswer,
)
from gozen.sharing import Account, connect
from gozen.sharing.login import login_flow
from gozen.sharing.login.kept_account import FileAccount
from gozen.sharing.login.log_in import log_in, log_out, logged_in

from .nextcloud_server.faults import Fault, Plan
from .nextcloud_server.sharing_server import SharingServer
from .people_who_share import app_that, connecting_with, persons, server, settings

__all__ = ["server"]


@pytest.fixture(autouse=True)
def _polled_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(login_flow, "POLL_S", 0.05)


@pytest.fixture
def kept(tmp_path: Path) -> FileAccount:
    return FileAccount(tmp_path / "kept.json")


def agree(page: str, user: str = "hoshi@example.org", password: str = "of-hoshi") -> int:
    """Log in on the page in a browser, and agree."""
    return httpx.post(page, data={"user": user, "password": password}).status_code


def test_a_log_in_gets_an_app_password_that_a_log_out_revokes(server: SharingServer, kept: FileAccount) -> None:
    before = set(server.person("hoshi").app_passwords)
    account = log_in(server.url, agree, kept=kept)
    assert account == logged_in(kept=kept)
    assert (account.url, account.user, account.id) == (server.url, "hoshi@example.org", "hoshi")
    assert server.person("hoshi").app_passwords[account.password].startswith("Gozen on ")
    with connect(account) as cloud:
        assert list(cloud.shares.all()) == []
        assert log_out(kept=kept) == account
        assert set(server.person("hoshi").app_passwords) == before
        assert kept.read() is None
        with pytest.raises(LogInRefused):
            cloud.shares.all()
    assert log_out(kept=kept) is None


def agree_later(server: SharingServer, page: str) -> None:
    """Agree after two questions whether the user has."""
    deadline = time.monotonic() + 30
    while sum(path.endswith("/poll") for _, path in server.faults.log) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    agree(page)


def test_the_log_in_shows_no_password_and_waits_until_the_user_agrees(server: SharingServer, kept: FileAccount) -> None:
    pages: list[str] = []

    def later(page: str) -> None:
        pages.append(page)
        assert agree(page, password="wrong") == 403
        threading.Thread(target=agree_later, args=(server, page)).start()

    assert log_in(server.url, later, kept=kept).user == "hoshi@example.org"
    polls = [path for _, path in server.faults.log if path.endswith("/poll")]
    assert len(polls) >= 2
    assert server.login.shown == set()
    assert pages[0].startswith(f"{server.url}/login/v2/flow/")


def test_a_log_in_to_which_nobody_agrees_ends(server: SharingServer, kept: FileAccount) -> None:
    with pytest.raises(LogInRefused, match="nobody agreed in the browser"):
        log_in(server.url, lambda _: None, kept=kept, patience_s=0.06)
    assert kept.read() is None


def test_a_log_in_survives_a_server_that_is_away_for_a_moment(server: SharingServer, kept: FileAccount) -> None:
    def show(page: str) -> None:
        number = len(server.faults.log)
        assert agree(page) == 200
        server.faults.choose = Plan({number + 2: Fault.CUT_BEFORE, number + 3: Fault.ERROR})

    assert log_in(server.url, show, kept=kept).id == "hoshi"


def test_a_notebook_prints_the_page_of_the_log_in(
    server: SharingServer, kept: FileAccount, capsys: pytest.CaptureFixture[str]
) -> None:
    server.login.agrees = ("hoshi", "of-hoshi")
    assert sharing.log_in(server.url, kept=kept).id == "hoshi"
    assert f"{server.url}/login/v2/flow/" in capsys.readouterr().out
    assert sharing.log_out(kept=kept) is not None


def test_a_second_log_in_does_not_forget_the_first_app_password(server: SharingServer, kept: FileAccount) -> None:
    log_in(server.url, agree, kept=kept)
    with pytest.raises(BadRequest, match="gozen share logout"):
        log_in(server.url, agree, kept=kept)
    assert len(server.login.flows) == 0


def test_a_log_in_replaces_an_app_password_that_was_revoked_in_nextcloud(
    server: SharingServer, kept: FileAccount
) -> None:
    revoked = log_in(server.url, agree, kept=kept)
    del server.person("hoshi").app_passwords[revoked.password]
    with pytest.raises(LogInRefused, match="nobody agreed"):
        log_in(server.url, lambda _: None, kept=kept, patience_s=0.06)
    assert kept.read() == revoked  # so the next attempt still knows the server
    account = log_in(server.url, agree, kept=kept)
    assert account.password in server.person("hoshi").app_passwords
    assert kept.read() == account


def test_a_log_in_replaces_a_damaged_account_and_says_what_was_not_revoked(
    server: SharingServer, kept: FileAccount, caplog: pytest.LogCaptureFixture
) -> None:
    log_in(server.url, agree, kept=kept)
    kept.path.write_text("no json")
    account = log_in(server.url, agree, kept=kept)
    assert kept.read() == account
    (said,) = [one.getMessage() for one in caplog.records if "damaged" in one.getMessage()]
    assert str(kept.path) in said
    assert "may still accept its app password: revoke it" in said


def test_an_app_password_that_cannot_be_checked_is_not_replaced(server: SharingServer, kept: FileAccount) -> None:
    account = log_in(server.url, agree, kept=kept)
    server.routes.insert(0, ("/ocs/v2.php/cloud/user", app_that(403, {})))
    with pytest.raises(BadRequest, match="gozen share logout"):
        log_in(server.url, agree, kept=kept)
    assert kept.read() == account


def test_a_log_in_that_cannot_be_kept_revokes_its_app_password(server: SharingServer, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    before = dict(server.person("hoshi").app_passwords)
    with pytest.raises(BadRequest, match="cannot be kept"):
        log_in(server.url, agree, kept=Unwritable(tmp_path / "kept.json"))
    assert server.person("hoshi").app_passwords == before


class Unwritable(FileAccount):
    """A file on a full disk."""

    def write(self, account: Account) -> None:
        raise BadRequest("the app password cannot be kept: the disk is full")


def test_a_log_in_that_leads_to_another_server_is_refused(
    server: SharingServer, kept: FileAccount, tmp_path: Path
) -> None:
    with SharingServer(tmp_path / "other", persons()) as other:
        server.login.address_in_answers = other.url
        with pytest.raises(RedirectRefused, match=rf"it sends the log-in to {other.url}"):
            log_in(server.url, agree, kept=kept)
        assert other.faults.log == []


def test_a_log_in_at_something_else_says_that_a_path_may_be_missing(server: SharingServer, kept: FileAccount) -> None:
    top = server.url.removesuffix("/cloud")
    with pytest.raises(UnexpectedAnswer, match=rf"check the address, which may have a path, such as {top}/cloud"):
        log_in(top, agree, kept=kept)


def test_a_log_out_from_a_server_that_is_away_forgets_and_says_so(
    server: SharingServer, kept: FileAccount, tmp_path: Path
) -> None:
    log_in(server.url, agree, kept=kept)
    server.faults.choose = lambda *_: Fault.ERROR
    with pytest.raises(
        CloudUnavailable, match=r"has forgotten the app password, but the server still accepts it: revoke it in"
    ):
        log_out(kept=kept, connecting=connecting_with(settings(tmp_path)))
    assert kept.read() is None


def test_a_log_out_after_the_app_password_was_revoked_forgets_it(server: SharingServer, kept: FileAccount) -> None:
    log_in(server.url, agree, kept=kept)
    server.person("hoshi").app_passwords.clear()
    assert log_out(kept=kept) is not None
    assert kept.read() is None
