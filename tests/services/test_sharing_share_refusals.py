"""Shares that a server refuses, or does not answer as Nextcloud does: errors name the thing and the server's words.

Covered: policies, locks, files that arrive late, a revoked app password, redirects, other programs, certificates. Not
here: the sentences alone (unit/test_sharing_shares.py), transfers (services/test_sharing_refusals.py).
"""

from __future__ import annotations

import datetime as dt
import json
import uuid
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.cluster.certificates import Authority

from gozen.errors import (
    CertificateRefused,
    CloudFileLocked,
    CloudPathNotFound,
    CloudRefused,
    CloudUnavailable,
    LogInRefused,
    RedirectRefused,
    UnexpectedAnswer,
)
from gozen.sharing import Cloud, connect
from gozen.sharing.login.kept_account import FileAccount
from gozen.sharing.login.log_in import log_in

from .nextcloud_server.faults import Fault, Plan
from .nextcloud_server.http import Environ, Start
from .nextcloud_server.sharing_server import SharingServer
from .people_who_share import app_that, cloud, connecting_with, persons, server, settings

__all__ = ["cloud", "server"]


def refused(kind: type[Exception], words: str) -> Any:
    return pytest.raises(kind, match=f"the server says: .*{words}")


def refusal(status: int, words: str) -> bytes:
    """Return the body of an answer with which OCS refuses a request."""
    meta = {"status": "failure", "statuscode": status, "message": words}
    return json.dumps({"ocs": {"meta": meta, "data": []}}).encode()


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
    locked = app_that(404, {}, refusal(404, "Could not lock node"))
    server.routes.insert(0, ("/ocs/v2.php/apps/files_sharing/", locked))
    for share in (partial(cloud.shares.share_with, "results", ["sora"]), partial(cloud.shares.link, "results")):
        with pytest.raises(CloudFileLocked, match=r'results: the server says: "Could not lock node"; .*run again'):
            share()
    with pytest.raises(CloudPathNotFound, match="upload it first"):
        cloud.shares.share_with("nights", ["sora"])


def test_a_file_that_arrives_while_its_shares_are_listed_is_not_called_locked(
    server: SharingServer, cloud: Cloud
) -> None:
    """Nextcloud does not know the path when it lists the shares, and knows it when Gozen looks for the file."""
    real = next(app for prefix, app in server.routes if prefix == "/ocs/")
    missing = app_that(404, {}, refusal(404, "Wrong path, file/folder does not exist"))
    asked: list[str] = []

    def late(environ: Environ, start: Start) -> Iterable[bytes]:
        asked.append(environ["REQUEST_METHOD"])
        if len(asked) > 1:
            return real(environ, start)
        server.put("hoshi", "night.csv", b"1")
        return missing(environ, start)

    server.routes.insert(0, ("/ocs/v2.php/apps/files_sharing/", late))
    assert list(cloud.shares.of("night.csv")) == []
    assert asked == ["GET", "GET"]


def test_sharing_that_is_switched_off_is_said(server: SharingServer, cloud: Cloud) -> None:
    server.rules.sharing = False
    with pytest.raises(CloudRefused, match=r"Share API is disabled.*sharing is switched off at this server"):
        cloud.shares.share_with("results", ["sora"])


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
