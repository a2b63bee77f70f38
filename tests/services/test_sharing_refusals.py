"""What a server refuses or answers instead: quotas, names, locks, redirects, pages, listings, certificates.

Not here: requests that fail (services/test_sharing_broken_requests.py), refusals of shares
(services/test_sharing_shares.py).
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path

import pytest
from tests.cluster.certificates import Authority

from gozen import errors
from gozen.errors import ExitCode
from gozen.sharing.retrying import ConnectionLimits
from gozen.sharing.transfers.outcomes import FileState

from .nextcloud_server import Fault, NextcloudServer
from .nextcloud_server.clients import quick_cloud
from .nextcloud_server.http import Environ, Reply, Start
from .transfer_places import OneUser
from .transferred_files import SMALL, contents, states

ENTRY = (
    "<d:response><d:href>{}</d:href><d:propstat><d:prop>{}</d:prop><d:status>HTTP/1.1 200 OK</d:status></d:propstat>"
    "</d:response>"
)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


def test_the_quota_refuses_what_does_not_fit_and_takes_the_rest(own: OneUser, cube: Path, tmp_path: Path) -> None:
    own.state.quota[own.id] = SMALL
    (tmp_path / "small.csv").write_bytes(b"a")
    with own.client(tmp_path) as cloud:
        with pytest.raises(errors.CloudFull, match=r"cube\.fits.*Insufficient space.*deleted files.*1 sent") as caught:
            cloud.put([cube, tmp_path / "small.csv"])
        assert caught.value.exit_code is ExitCode.STORAGE
        assert contents(own.files) == {"small.csv": b"a"}
        own.state.quota.clear()
        cloud.put([cube, tmp_path / "small.csv"])
    assert set(contents(own.files)) == {"cube.fits", "small.csv"}


def test_a_used_up_quota_does_not_hinder_files_that_are_equal(own: OneUser, tmp_path: Path) -> None:
    (tmp_path / "night").mkdir()
    (tmp_path / "night" / "a").write_bytes(b"1")
    with own.client(tmp_path) as cloud:
        cloud.put(tmp_path / "night", "survey")
        own.state.quota[own.id] = 1
        assert states(cloud.put(tmp_path / "night", "survey")) == [FileState.EQUAL]
        (tmp_path / "night" / "sub").mkdir()
        with pytest.raises(errors.CloudFull, match=r"night/sub: .*1 equal"):
            cloud.put(tmp_path / "night", "survey")


@pytest.mark.parametrize("name", [".htaccess", "cube.part"])
def test_a_name_that_the_server_refuses_stops_no_other(name: str, own: OneUser, tmp_path: Path) -> None:
    (tmp_path / "night").mkdir()
    for one in (name, "good"):
        (tmp_path / "night" / one).write_bytes(b"a")
    said = (
        rf"upload night/{name}: the server does not accept this name \(the server says: .*forbidden.*rename it.*1 sent"
    )
    with own.client(tmp_path) as cloud, pytest.raises(errors.UnsuitableName, match=said):
        cloud.put(tmp_path / "night")
    assert contents(own.files) == {"night": None, "night/good": b"a"}


def test_a_locked_file_stops_no_other(own: OneUser, tmp_path: Path) -> None:
    (tmp_path / "night").mkdir()
    for name in ("a", "b"):
        (tmp_path / "night" / name).write_bytes(b"1")
    with own.client(tmp_path) as cloud:
        cloud.put(tmp_path / "night")
        own.state.locked.add(f"{own.id}/night/a")
        for name in ("a", "b"):
            (tmp_path / "night" / name).write_bytes(b"22")
        with pytest.raises(errors.CloudFileLocked, match=r"night/a: .*is locked.*1 sent"):
            cloud.put(tmp_path / "night")
    assert contents(own.files) == {"night": None, "night/a": b"1", "night/b": b"22"}


def test_a_file_at_which_the_server_fails_stops_no_other(own: OneUser, tmp_path: Path) -> None:
    (tmp_path / "night").mkdir()
    for number in range(40):
        (tmp_path / "night" / f"{number:02}").write_bytes(b"1")
    own.faults.choose = lambda _n, method, path: Fault.ERROR if method == "PUT" and path.endswith("/00") else None
    with own.client(tmp_path) as cloud, pytest.raises(errors.CloudFailed, match=r"night/00: .*39 sent.*") as caught:
        cloud.put(tmp_path / "night")
    assert caught.value.exit_code is ExitCode.STORAGE
    assert len(contents(own.files)) == 1 + 39


def test_a_server_that_fails_at_every_file_is_given_up(own: OneUser, tmp_path: Path) -> None:
    (tmp_path / "night").mkdir()
    for number in range(40):
        (tmp_path / "night" / f"{number:02}").write_bytes(b"1")
    own.faults.choose = lambda _n, method, _p: Fault.ERROR if method == "PUT" else None
    with own.client(tmp_path, limits=ConnectionLimits(connections=1, attempts=1)) as cloud:
        done = cloud.put(tmp_path / "night", check=False)
    assert isinstance(done.fatal, errors.CloudFailed)
    assert 3 <= len(done) <= 4  # there are two threads


def test_a_redirect_to_another_host_gets_no_password(own: OneUser, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"a")
    with NextcloudServer(tmp_path / "other") as other:
        target = f"{other.url}/remote.php/dav/files/anna"
        said = f"redirects to {target}, and the app password was not sent there"
        with own.answering(302, {"Location": target}, b""), own.client(tmp_path) as cloud:
            for act in (
                partial(cloud.list, "a"),
                partial(cloud.put, tmp_path / "a"),
                partial(cloud.get, "a", tmp_path),
            ):
                with pytest.raises(errors.RedirectRefused, match=said):
                    act()
        assert other.faults.log == []


def test_cookies_are_not_kept(own: OneUser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[str | None] = []

    def answer(environ: Environ, start: Start) -> Iterable[bytes]:
        sent.append(environ.get("HTTP_COOKIE"))
        return Reply(404, {"Set-Cookie": "nc_session=of-anna; path=/"}, b"").send(start)

    monkeypatch.setattr(own.server, "routes", [("/remote.php/dav", answer)])
    with own.client(tmp_path) as cloud:
        for _ in range(2):
            with pytest.raises(errors.CloudPathNotFound):
                cloud.list("night")
    assert sent == [None, None]


@pytest.mark.parametrize(("status", "body"), [(200, b"<html>Welcome</html>"), (207, b"<html>Welcome"), (200, b"")])
def test_a_page_instead_of_an_answer_says_that_the_address_is_wrong(
    status: int, body: bytes, own: OneUser, tmp_path: Path
) -> None:
    with (
        own.answering(status, {}, body),
        own.client(tmp_path) as cloud,
        pytest.raises(errors.UnexpectedAnswer, match=r"check (its|the) address"),
    ):
        cloud.get("night", tmp_path)


@pytest.mark.parametrize("name", ["..", "%2e%2e", "a%2f..%2f..%2fb", "..%2fb", "a%00b"])
def test_a_listing_leads_to_no_file_outside(name: str, own: OneUser, tmp_path: Path) -> None:
    root = f"{own.server.base}/remote.php/dav/files/{own.id}/night/"
    folder = ENTRY.format(root, "<d:resourcetype><d:collection/></d:resourcetype>")
    file = ENTRY.format(root + name, "<d:getcontentlength>1</d:getcontentlength>")
    body = f'<d:multistatus xmlns:d="DAV:">{folder}{file}</d:multistatus>'.encode()
    with own.answering(207, {}, body), own.client(tmp_path) as cloud, pytest.raises(errors.UnexpectedAnswer):
        cloud.get("night", tmp_path / "back")
    assert {path.name for path in tmp_path.rglob("*")} <= {"back", "night", "notes"}


def test_a_certificate_of_a_known_authority(authority: Authority, tmp_path: Path) -> None:
    with NextcloudServer(tmp_path, tls=authority.server("cloud", ["127.0.0.1"], ["cloud.example"])) as server:
        with quick_cloud(server.account(), tmp_path / "notes", ca_file=authority.certificate) as cloud:
            assert list(cloud.list()) == []
        with (
            quick_cloud(server.account(), tmp_path / "notes") as cloud,
            pytest.raises(errors.CertificateRefused, match=r"issuer.*sharing\.ca_file|sharing\.ca_file"),
        ):
            cloud.list()


def test_a_certificate_that_does_not_match(authority: Authority, tmp_path: Path) -> None:
    with (
        NextcloudServer(tmp_path, tls=authority.server("other", ["127.0.0.2"], ["other.example"])) as server,
        quick_cloud(server.account(), tmp_path / "notes", ca_file=authority.certificate) as cloud,
        pytest.raises(errors.CertificateRefused, match=r"IP address mismatch.*check the address"),
    ):
        cloud.list()
    assert server.faults.log == []
