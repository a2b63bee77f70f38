"""Shares with users and groups, links, and who sees what: on the test server, and on a real Nextcloud if there is one.

The tests with `place` also run on the server that ``GOZEN_TEST_NEXTCLOUD`` names (`real_nextcloud`). Not here: refusals
(services/test_sharing_share_refusals.py), the rest of the log-in (services/test_sharing_log_in.py), transfers, answers
without a server (unit/test_sharing_shares.py), the command (services/test_share_command.py).
"""

from __future__ import annotations

import contextlib
import datetime as dt
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from gozen.errors import (
    BadRequest,
    CloudPathNotFound,
    CloudRefused,
    LogInRefused,
)
from gozen.sharing import Account, Cloud, connect
from gozen.sharing.cloud_connection import Connection
from gozen.sharing.login import login_flow
from gozen.sharing.people.rights import Rights

from .nextcloud_server.sharing_server import SharingServer
from .people_who_share import ODD, app_that, cloud, persons, server, settings
from .real_nextcloud import REAL, SERVERS, real_accounts, removed_at_the_end

__all__ = ["cloud", "server"]


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


def test_a_day_that_is_over_is_not_sent(server: SharingServer, cloud: Cloud) -> None:
    for day in (dt.date(2020, 1, 1), dt.date.today(), "0d"):
        with pytest.raises(BadRequest, match="cannot expire on"):
            cloud.shares.link("results", expires=day)
    assert server.book.items == []
