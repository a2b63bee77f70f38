"""Shares and the log-in with Nextcloud: on the server of the tests, and on a real one if the environment names it.

Covered: shares with users and groups, links, who sees what, withdrawal; the log-in flow up to its app password, and the
log-out; a message for each refusal of the server; other hosts, certificates, a server under a path, old and new
servers. Not covered: transfers; answers without a server (unit/test_sharing_shares.py); the command
(services/test_share_command.py).
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.cluster.certificates import Authority

from gozen import sharing
from gozen.errors import (
    BadRequest,
    CertificateRefused,
    CloudFileLocked,
    CloudPathNotFound,
    CloudRefused,
    CloudUnavailable,
    LogInRefused,
    RedirectRefused,
    UnexpectedAnswer,
)
from gozen.settings import SharingSettings
from gozen.sharing import Account, Cloud, connect
from gozen.sharing.cloud_connection import Connection
from gozen.sharing.login import login_flow
from gozen.sharing.login.kept_account import FileAccount
from gozen.sharing.login.log_in import log_in, log_out, logged_in
from gozen.sharing.people.rights import Rights

from .nextcloud_server.faults import Fault, Plan
from .nextcloud_server.http import Environ, Reply, Start
from .nextcloud_server.people import Person
from .nextcloud_server.sharing_server import SharingServer
from .real_nextcloud import REAL, SERVERS, real_accounts, removed_at_the_end

ODD = "results/light curves #1 100% é+&=?.parquet"


def persons() -> list[Person]:
    return [
        Person("hoshi", "of-hoshi", name="Hoshi Aoki", login="hoshi@example.org", groups=("sky",)),
        Person("sora", "of-sora", groups=("sky", "neo")),
        Person("kaze", "of-kaze"),
    ]


@pytest.fixture(autouse=True)
def _polled_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(login_flow, "POLL_S", 0.05)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SharingServer]:
    with SharingServer(tmp_path / "server", persons(), base="/cloud") as found:
        found.put("hoshi", "results/lc.parquet")
        found.put("hoshi", ODD)
        yield found


def settings(tmp_path: Path, **further: Any) -> SharingSettings:
    return SharingSettings(**{"state": tmp_path / "state", "patience_s": 0, "connect_timeout_s": 2, **further})


@pytest.fixture
def cloud(server: SharingServer, tmp_path: Path) -> Iterator[Cloud]:
    with connect(server.account(), settings(tmp_path)) as found:
        yield found


@dataclass
class Place:
    """A folder with one file at a server, and the name of another user."""

    cloud: Cloud
    folder: str
    other: str


@pytest.fixture(params=SERVERS)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    (tmp_path / "lc #1.txt").write_text("a light curve")
    folder = f"gozen-test-{uuid.uuid4().hex[:8]}"
    with contextlib.ExitStack() as stack:
        if request.param == REAL:
            (account, other), chosen = real_accounts(), settings(tmp_path, patience_s=60, connect_timeout_s=10)
        else:
            server = stack.enter_context(SharingServer(tmp_path / "server", persons(), base="/nc"))
            account, other, chosen = server.account(), server.account("sora"), settings(tmp_path)
        cloud = stack.enter_context(connect(account, chosen))
        stack.enter_context(removed_at_the_end(cloud.connection, folder))
        cloud.put(tmp_path / "lc #1.txt", folder)
        yield Place(cloud, folder, other.id)


def test_a_folder_is_shared_changed_listed_and_withdrawn(place: Place) -> None:
    shares = place.cloud.shares
    (made,) = shares.share_with(place.folder, [place.other])
    assert (made.kind, made.who, made.path, made.folder) == ("user", place.other, place.folder, True)
    assert made.rights == Rights.READ
    (again,) = shares.share_with(place.folder, place.other)
    assert again == made
    (changed,) = shares.share_with(place.folder, [place.other], write=True)
    assert (changed.id, changed.rights) == (made.id, Rights(15))
    assert [one.id for one in shares.of(f"{place.folder}/lc #1.txt")] == [made.id]
    assert made.id in [one.id for one in shares.all()]
    shares.withdraw([changed])
    assert list(shares.of(place.folder)) == []
    shares.withdraw([changed])  # somebody else may have withdrawn it meanwhile


def test_a_file_is_shared_to_be_changed_and_shared_again(place: Place) -> None:
    path = f"{place.folder}/lc #1.txt"
    (made,) = place.cloud.shares.share_with(path, [place.other], write=True, reshare=True)
    assert (made.path, made.folder, made.rights) == (path, False, Rights(19))
    (less,) = place.cloud.shares.share_with(path, [place.other], reshare=True)
    assert (less.id, less.rights) == (made.id, Rights(17))


def test_a_link_has_a_password_a_day_and_a_label_and_opens(place: Place) -> None:
    shares = place.cloud.shares
    day = dt.date.today() + dt.timedelta(days=2)
    made = shares.link(f"{place.folder}/lc #1.txt", password=True, expires=day, label="for a referee")
    assert len(made.password) >= 20
    assert made.url.startswith(place.cloud.connection.account.url)
    assert httpx.get(made.url, follow_redirects=True).status_code == 200
    (listed,) = shares.of(f"{place.folder}/lc #1.txt")
    assert (listed.kind, listed.expires, listed.label, listed.password) == ("link", day, "for a referee", True)
    assert (listed.url, listed.rights & Rights.UPDATE) == (made.url, 0)
    shares.withdraw(shares.of(place.folder + "/lc #1.txt"))
    assert list(shares.of(f"{place.folder}/lc #1.txt")) == []


def test_two_links_to_one_folder_may_differ(place: Place) -> None:
    shares = place.cloud.shares
    # With passwords, because some servers ask for them.
    reading = shares.link(place.folder, label="a", password=True)
    writing = shares.link(place.folder, label="b", password=True, upload=True)
    assert reading.url != writing.url
    assert writing.share.rights & 15 == 15
    assert {one.label for one in shares.of(place.folder)} == {"a", "b"}


def test_a_missing_file_and_a_missing_user_are_said(place: Place) -> None:
    with pytest.raises(CloudPathNotFound, match=f"cannot share {place.folder}/no: the server says"):
        place.cloud.shares.share_with(f"{place.folder}/no", [place.other])
    with pytest.raises(CloudPathNotFound, match=f"cannot share {place.folder}/no: the server says"):
        place.cloud.shares.link(f"{place.folder}/no")
    with pytest.raises(CloudPathNotFound, match=f"cannot list the shares of {place.folder}/no: the server says"):
        place.cloud.shares.of(f"{place.folder}/no")
    nobody = f"nobody-{uuid.uuid4().hex[:8]}"
    with pytest.raises(CloudPathNotFound, match=rf"with the user {nobody}: the server says: .*knows no user"):
        place.cloud.shares.share_with(place.folder, [nobody])
    with pytest.raises(CloudPathNotFound, match="cannot withdraw the share 999999999: the server says"):
        place.cloud.shares.withdraw([999999999])


def test_capabilities_are_read(place: Place) -> None:
    found = place.cloud.shares.capabilities()
    assert found.major >= 26
    assert (found.sharing, found.chunking) == (True, "1.0")
    assert found.version.startswith(f"{found.major}.")


def test_a_log_in_begins_and_waits(place: Place) -> None:
    url = place.cloud.connection.account.url
    with Connection(Account(url, "nobody", "", insecure=True), log_in=False) as anonymous:
        flow = login_flow.LogInFlow(anonymous, "Gozen's tests")
        began = flow.begin()
        assert began.page.startswith(url)
        assert httpx.get(began.page).status_code < 400
        with pytest.raises(LogInRefused, match="nobody agreed in the browser"):
            flow.finish(began, patience_s=0.2)


@pytest.mark.parametrize("major", [26, 32])
def test_old_and_new_servers_share_in_the_same_way(server: SharingServer, cloud: Cloud, major: int) -> None:
    server.rules.major = major
    assert cloud.shares.capabilities().version == f"{major}.0.2"
    cloud.shares.share_with("results", ["sora"], ["sky"], write=True)
    link = cloud.shares.link(ODD, password=True, label="talk", expires="30d")
    assert [one.kind for one in cloud.shares.of(ODD)] == ["group", "user", "link"]
    with pytest.raises(CloudPathNotFound, match=r'the server says: "Please specify a valid (user|account)'):
        cloud.shares.share_with("results", ["nobody"])
    cloud.shares.withdraw([link.share])
    assert len(cloud.shares.all()) == 2


def test_a_server_that_searches_no_users_still_says_who_is_missing(server: SharingServer, cloud: Cloud) -> None:
    server.routes.insert(0, ("/ocs/v2.php/apps/files_sharing/api/v1/sharees", app_that(500, {})))
    with pytest.raises(CloudPathNotFound, match="knows no user of this name: check the spelling"):
        cloud.shares.share_with("results", ["soar"])


def test_in_one_home_a_file_is_shared_without_being_sent(server: SharingServer, cloud: Cloud) -> None:
    """What a lab writes into the folder that Nextcloud shows as external storage is there at once."""
    lab = server.state.file("hoshi", "Lab")
    lab.mkdir()
    (lab / "plot.svg").write_text("<svg/>")
    assert [one.name for one in cloud.list("Lab")] == ["plot.svg"]
    (made,) = cloud.shares.share_with("Lab/plot.svg", ["sora"])
    assert (made.path, made.folder) == ("Lab/plot.svg", False)
    assert "PUT" not in {method for method, _ in server.faults.log}


def test_a_share_that_exists_is_not_sent_again(server: SharingServer, cloud: Cloud) -> None:
    cloud.shares.share_with("results", ["sora"])
    server.faults.log.clear()
    cloud.shares.share_with("results", ["sora"])
    assert {method for method, _ in server.faults.log} == {"GET"}


def test_odd_names_and_groups(cloud: Cloud) -> None:
    assert [one.who for one in cloud.shares.share_with(ODD, ["kaze", "sora"], ["sky"])] == ["sky", "kaze", "sora"]
    assert {one.path for one in cloud.shares.of(ODD)} == {ODD}


def test_who_sees_a_file_includes_the_folders_above_it(cloud: Cloud) -> None:
    cloud.shares.share_with("results", [], ["sky"])
    cloud.shares.share_with(ODD, ["kaze"])
    assert [(one.path, one.who) for one in cloud.shares.of(ODD)] == [("results", "sky"), (ODD, "kaze")]
    assert [one.who for one in cloud.shares.of("results/lc.parquet")] == ["sky"]


def test_a_name_that_is_written_wrongly_is_answered_with_the_right_one(cloud: Cloud) -> None:
    with pytest.raises(CloudPathNotFound, match="did you mean sora"):
        cloud.shares.share_with("results", ["soar"])
    with pytest.raises(CloudPathNotFound, match="no group of this name: did you mean neo"):
        cloud.shares.share_with("results", [], ["nea"])


def test_of_several_receivers_those_before_a_wrong_one_are_done_and_a_second_run_goes_on(cloud: Cloud) -> None:
    with pytest.raises(CloudPathNotFound):
        cloud.shares.share_with("results", ["sora", "nobody", "kaze"])
    assert [one.who for one in cloud.shares.of("results")] == ["sora"]
    assert len(cloud.shares.share_with("results", ["sora", "kaze"])) == 2
    assert [one.who for one in cloud.shares.of("results")] == ["kaze", "sora"]


@pytest.mark.parametrize("major", [26, 32])
def test_a_share_that_somebody_made_meanwhile_is_said(
    server: SharingServer, cloud: Cloud, major: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.rules.major = major
    cloud.shares.share_with("results", ["sora"])
    monkeypatch.setattr(cloud.shares, "_of", lambda _: [])
    with pytest.raises(CloudRefused, match=r'the server says: ".*already shared with') as error:
        cloud.shares.share_with("results", ["sora"])
    assert "knows no user" not in str(error.value)


def refused(kind: type[Exception], words: str) -> Any:
    return pytest.raises(kind, match=f"the server says: .*{words}")


def test_policies_of_the_server_are_explained(server: SharingServer, cloud: Cloud) -> None:
    shares, rules = cloud.shares, server.rules
    with refused(CloudRefused, "at least 10 characters at this server"):
        shares.link("results", password="short")
    rules.least_link_password = 30
    with refused(CloudRefused, "at least 30 characters at this server"):
        shares.link("results", password="x" * 29)
    assert len(shares.link("results", password=True).password) == 30
    rules.link_password = True
    with refused(CloudRefused, "needs a password: add --new-password"):
        shares.link("results")
    assert shares.link("results", password=True).share.password
    rules.link_upload = False
    with refused(CloudRefused, "leave out the upload"):
        shares.link("results", password=True, upload=True)
    rules.expiry_days, rules.expiry_enforced = 7, True
    with refused(CloudRefused, "at most 7 days"):
        shares.link("results", password=True, expires=8)
    assert shares.link("results", password=True).share.expires == dt.date.today() + dt.timedelta(days=7)
    rules.groups = False
    with refused(CloudRefused, "name the users instead"):
        shares.share_with("results", [], ["sky"])
    rules.links = False
    with refused(CloudRefused, "public links are switched off"):
        shares.link("results", password=True)


def test_a_file_that_is_locked_is_not_called_missing(server: SharingServer, cloud: Cloud) -> None:
    meta = {"status": "failure", "statuscode": 404, "message": "Could not lock node"}
    body = json.dumps({"ocs": {"meta": meta, "data": []}}).encode()
    server.routes.insert(0, ("/ocs/v2.php/apps/files_sharing/", app_that(404, {}, body)))
    with pytest.raises(CloudFileLocked, match=r'results: the server says: "Could not lock node"; .*run again'):
        cloud.shares.share_with("results", ["sora"])
    with pytest.raises(CloudPathNotFound, match="upload it first"):
        cloud.shares.share_with("nights", ["sora"])


def test_sharing_that_is_switched_off_is_said(server: SharingServer, cloud: Cloud) -> None:
    server.rules.sharing = False
    with pytest.raises(CloudRefused, match=r"Share API is disabled.*sharing is switched off at this server"):
        cloud.shares.share_with("results", ["sora"])


def test_a_day_that_is_over_is_not_sent(server: SharingServer, cloud: Cloud) -> None:
    for day in (dt.date(2020, 1, 1), dt.date.today(), "0d"):
        with pytest.raises(BadRequest, match="cannot expire on"):
            cloud.shares.link("results", expires=day)
    assert server.book.items == []


def test_a_revoked_app_password_is_said_and_ends_the_session(server: SharingServer, cloud: Cloud) -> None:
    cloud.shares.share_with("results", ["sora"])
    server.person("hoshi").app_passwords.clear()
    for do in (
        cloud.shares.all,
        lambda: cloud.shares.link("results"),
        lambda: cloud.shares.share_with("results", "kaze"),
    ):
        with pytest.raises(LogInRefused, match=r"app password of hoshi@example\.org: .*gozen share login"):
            do()


def test_the_connection_is_cut_and_a_second_run_makes_no_second_share(server: SharingServer, cloud: Cloud) -> None:
    server.faults.choose = Plan({len(server.faults.log) + 2: Fault.CUT_AFTER})
    with pytest.raises(CloudUnavailable, match="run again"):
        cloud.shares.share_with("results", ["sora"])
    server.faults.choose = lambda *_: None
    cloud.shares.share_with("results", ["sora"])
    assert len(server.book.items) == 1


def app_that(status: int, headers: dict[str, str], body: bytes = b"") -> Callable[[Environ, Start], Iterable[bytes]]:
    def app(_: Environ, start: Start) -> Iterable[bytes]:
        return Reply(status, headers, body).send(start)

    return app


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_to_another_host_gets_no_password(
    server: SharingServer, cloud: Cloud, tmp_path: Path, status: int
) -> None:
    with SharingServer(tmp_path / "other", persons()) as other:
        server.routes.insert(0, ("/ocs/", app_that(status, {"Location": f"{other.url}/ocs/v2.php/x"})))
        for do in (cloud.shares.all, lambda: cloud.shares.link("results")):
            with pytest.raises(RedirectRefused, match=rf"redirects to {other.url}.*app password was not sent"):
                do()
        assert other.faults.log == []


def test_the_first_version_of_ocs_refuses_with_http_200(server: SharingServer, cloud: Cloud) -> None:
    meta = {"status": "failure", "statuscode": 403, "message": "nein"}
    body = json.dumps({"ocs": {"meta": meta, "data": []}}).encode()
    server.routes.insert(0, ("/ocs/", app_that(200, {"Content-Type": "application/json"}, body)))
    with pytest.raises(CloudRefused, match="nein"):
        cloud.shares.all()
    with pytest.raises(CloudPathNotFound, match="nein"):
        cloud.shares.share_with("results", ["sora"])


@pytest.mark.parametrize(
    "body", [b"<html>proxy</html>", b"", b'{"ocs": {"meta": {"statuscode": 200}, "data": [{"a": 1}]}}']
)
def test_an_answer_of_another_program_is_not_a_share(server: SharingServer, cloud: Cloud, body: bytes) -> None:
    server.routes.insert(0, ("/ocs/", app_that(200, {"Content-Type": "text/html"}, body)))
    with pytest.raises(UnexpectedAnswer, match="check its address"):
        cloud.shares.all()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


def test_certificates_are_checked(authority: Authority, tmp_path: Path) -> None:
    good, other = authority.server("good", ["127.0.0.1"], []), authority.server("other", ["192.0.2.1"], ["sky.example"])
    trusted = settings(tmp_path, ca_file=authority.certificate)
    for certificate, chosen, words in (
        (other, trusted, r"certificate of https://127\.0\.0\.1.*(mismatch|doesn't match|not valid for)"),
        (good, settings(tmp_path), r"certificate of https://127\.0\.0\.1.*sharing\.ca_file"),
    ):
        with SharingServer(tmp_path / uuid.uuid4().hex, persons(), tls=certificate) as server:
            with connect(server.account(), chosen) as cloud, pytest.raises(CertificateRefused, match=words):
                cloud.shares.all()
            with pytest.raises(CertificateRefused, match=words):
                log_in(server.url, print, kept=FileAccount(tmp_path / "no"), connecting=connecting_with(chosen))
            assert server.faults.log == []
    with SharingServer(tmp_path / "good", persons(), tls=good) as server, connect(server.account(), trusted) as cloud:
        assert list(cloud.shares.all()) == []


def connecting_with(chosen: SharingSettings) -> Any:
    from gozen.sharing.cloud import connection_for

    return lambda account, *, log_in=True: connection_for(account, chosen, log_in=log_in)


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
