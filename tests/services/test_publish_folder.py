"""A published folder at the Nextcloud server of the tests: what is sent, shared, withdrawn, removed, and left alone.

Covered: a second run, files that somebody changed, receivers and links that come and go, two publications in one
folder, and a run that ends at each of its requests. Not covered: what is published (services/test_share_publish.py);
decisions alone (unit/test_publish_decisions.py).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from gozen.errors import (
    BadRequest,
    CloudConflict,
    CloudPathNotFound,
    CloudRefused,
    CloudUnavailable,
    ExitCode,
    GozenError,
    SharingError,
    UnexpectedAnswer,
    UnreadableInput,
    UnsuitableName,
)
from gozen.sharing.cloud_connection import Connection
from gozen.sharing.people.share_records import Share
from gozen.sharing.people.shares import Shares
from gozen.sharing.publishing.decide_shares import SharingWish
from gozen.sharing.publishing.folder_files import FolderFiles
from gozen.sharing.publishing.publish_folder import PublishedFolder
from gozen.sharing.publishing.published_record import (
    LinkProperties,
    PublishedRecord,
    read_published,
    record_name,
    records_folder,
)
from gozen.sharing.remote_files import RemoteFiles
from gozen.sharing.retrying import ConnectionLimits
from gozen.sharing.transfers.transfer_notes import TransferNotes

from .nextcloud_server import Fault
from .nextcloud_server.faults import CHANGING, OneRequest
from .nextcloud_server.people import Person
from .nextcloud_server.share_book import USER, SharedItem
from .nextcloud_server.sharing_server import SharingServer

FOLDER, OF = "Survey/M31", "kiso/tonight"
SORA = ("user", "sora")
SEEN = SharingWish(frozenset({SORA, ("group", "sky")}), LinkProperties(days=30))


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SharingServer]:
    monkeypatch.setattr(os, "fsync", lambda _: None)  # no test here needs what a disk has kept
    persons = [Person("observatory", "x"), Person("sora", "x", groups=("sky",)), Person("kaze", "x")]
    with SharingServer(tmp_path / "server", persons, base="/cloud") as found:
        yield found


@pytest.fixture
def connection(server: SharingServer) -> Iterator[Connection]:
    limits = ConnectionLimits(connect_timeout_s=2, patience_s=0, attempts=1)
    with Connection(server.account("observatory"), limits) as found:
        yield found


@pytest.fixture
def folder(connection: Connection, tmp_path: Path) -> Callable[..., PublishedFolder]:
    def open_folder(of: str = OF) -> PublishedFolder:
        notes = TransferNotes(tmp_path / "state", connection.account)
        return PublishedFolder(FolderFiles(connection, FOLDER, of, notes))

    return open_folder


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    found = [tmp_path / "tonight.csv", tmp_path / "tonight.html"]
    for one in found:
        one.write_text(f"{one.name} of the first run")
    return found


def there(server: SharingServer) -> dict[str, str]:
    """Return the content of the folder."""
    return {one.name: one.read_text() for one in sorted(server.state.file("observatory", FOLDER).iterdir())}


def receivers(server: SharingServer) -> list[str]:
    return sorted(one.receiver or f"link {one.label}" for one in server.book.items)


def write_there(server: SharingServer, name: str, text: str) -> None:
    server.state.file("observatory", f"{FOLDER}/{name}").write_text(text)


def test_files_shares_and_link(
    server: SharingServer, folder: Callable[..., PublishedFolder], files: list[Path]
) -> None:
    done = folder().publish(files, SEEN)
    assert (done.folder, done.sent, done.equal) == (FOLDER, 2, 0)
    assert there(server) == {one.name: f"{one.name} of the first run" for one in files}
    assert receivers(server) == [f"link {OF}", "sky", "sora"]
    assert {one.permissions for one in server.book.items if one.receiver} == {1}
    assert done.link == f"{server.url}/s/{server.book.items[-1].token}"


def test_a_second_run_writes_nothing(
    server: SharingServer, folder: Callable[..., PublishedFolder], files: list[Path]
) -> None:
    first = folder().publish(files, SEEN)
    server.faults.log.clear()
    second = folder().publish(files, SEEN)
    assert (second.sent, second.equal, second.link) == (0, 2, first.link)
    assert {method for method, _ in server.faults.log} <= {"GET", "PROPFIND", "MKCOL"}


def test_what_changed_here_replaces_what_was_published(
    server: SharingServer, folder: Callable[..., PublishedFolder], files: list[Path]
) -> None:
    folder().publish(files, SEEN)
    files[0].write_text("second run")
    done = folder().publish(files[:1], SEEN)
    assert (done.sent, done.equal, done.removed) == (1, 0, 1)
    assert there(server) == {"tonight.csv": "second run"}


def test_what_somebody_changed_in_the_cloud_is_kept_and_said(
    server: SharingServer, folder: Callable[..., PublishedFolder], files: list[Path]
) -> None:
    folder().publish(files, SharingWish())
    write_there(server, "tonight.csv", "a remark of Sora")
    for one in files:
        one.write_text("second run")
    for _ in range(2):  # a third run must not take it for its own either
        with pytest.raises(CloudConflict, match=r"Survey/M31/tonight\.csv; all else is published: rename or remove"):
            folder().publish(files, SEEN)
        assert there(server) == {"tonight.csv": "a remark of Sora", "tonight.html": "second run"}
    assert receivers(server) == [f"link {OF}", "sky", "sora"]
    folder().remove()
    assert there(server) == {"tonight.csv": "a remark of Sora"}


def test_a_file_of_somebody_else_with_this_name_is_kept(
    server: SharingServer, folder: Callable[..., PublishedFolder], files: list[Path]
) -> None:
    server.put("observatory", f"{FOLDER}/tonight.csv", b"mine")
    with pytest.raises(CloudConflict):
        folder().publish(files, SharingWish())
    assert there(server)["tonight.csv"] == "mine"


def test_shares_follow_the_wish_and_those_of_people_stay(
    server: SharingServer, folder: Callable[..., PublishedFolder], files: list[Path], connection: Connection
) -> None:
    by_hand = Shares(connection, RemoteFiles(connection))
    server.put("observatory", FOLDER, None)
    by_hand.share_with(FOLDER, ["kaze"], write=True)
    by_hand.link(FOLDER, label="for the referee")
    folder().publish(files, SharingWish(SEEN.receivers | {("user", "kaze")}, SEEN.link))
    assert receivers(server) == ["kaze", "link for the referee", f"link {OF}", "sky", "sora"]
    assert next(one for one in server.book.items if one.receiver == "kaze").permissions == 15
    done = folder().publish(files, SharingWish(frozenset({SORA})))
    assert (done.withdrawn, done.link) == (2, "")
    assert receivers(server) == ["kaze", "link for the referee", "sora"]
    done = folder().remove()
    assert (done.removed, done.withdrawn) == (2, 1)
    assert receivers(server) == ["kaze", "link for the referee"]
    assert list(server.state.file("observatory", FOLDER).iterdir()) == []


def test_a_link_with_other_properties_is_a_new_one(
    server: SharingServer, folder: Callable[..., PublishedFolder], files: list[Path]
) -> None:
    first = folder().publish(files, SEEN).link
    wish = SharingWish(SEEN.receivers, LinkProperties(days=3, password=True))
    second = folder().publish(files, wish, "correct horse").link
    assert second != first
    (item,) = [one for one in server.book.items if one.label == OF]
    assert item.password == "correct horse"


def test_a_user_who_does_not_exist_is_said_and_the_others_see_it(
    server: SharingServer, folder: Callable[..., PublishedFolder], files: list[Path]
) -> None:
    wish = SharingWish(frozenset({SORA, ("user", "soar"), ("group", "skyy")}), LinkProperties())
    for _ in range(2):
        with pytest.raises(
            CloudPathNotFound, match=r"no group of this name: did you mean sky\? \(and 1 more refusals\)"
        ):
            folder().publish(files, wish)
        assert receivers(server) == [f"link {OF}", "sora"]
        assert len(there(server)) == 2


def test_the_own_account_is_said_and_the_rest_is_done(
    server: SharingServer, folder: Callable[..., PublishedFolder], files: list[Path]
) -> None:
    folder().publish(files, SharingWish(frozenset({("user", "kaze")})))
    with pytest.raises(BadRequest, match="observatory is your own account"):
        folder().publish(files, SharingWish(frozenset({SORA, ("user", "observatory")}), LinkProperties()))
    assert receivers(server) == [f"link {OF}", "sora"]


def test_access_is_withdrawn_before_it_is_given(
    server: SharingServer, folder: Callable[..., PublishedFolder], files: list[Path]
) -> None:
    folder().publish(files, SharingWish(frozenset({("user", "kaze")})))
    server.faults.log.clear()
    folder().publish(files, SharingWish(frozenset({SORA}), LinkProperties()))
    shares = [method for method, path in server.faults.log if "/shares" in path and method != "GET"]
    assert shares == ["DELETE", "POST", "POST"]


def test_a_file_that_changes_before_it_is_sent_is_kept_and_the_rest_is_done(
    server: SharingServer, folder: Callable[..., PublishedFolder], files: list[Path]
) -> None:
    folder().publish(files, SharingWish())
    for one in files:
        one.write_text("second run")
    during_uploads(server, lambda: write_there(server, "tonight.csv", "a remark of Sora"))
    with pytest.raises(CloudConflict, match=r"Survey/M31/tonight\.csv; all else is published"):
        folder().publish(files, SEEN)
    assert there(server) == {"tonight.csv": "a remark of Sora", "tonight.html": "second run"}
    assert receivers(server) == [f"link {OF}", "sky", "sora"]


def test_links_that_the_policy_forbids_are_said_and_the_rest_is_done(
    server: SharingServer, folder: Callable[..., PublishedFolder], files: list[Path]
) -> None:
    link = folder().publish(files, SEEN).link
    server.rules.link_password = True
    second = folder()
    with pytest.raises(CloudRefused, match="each link at this server needs a password"):
        second.publish(files, SharingWish(SEEN.receivers, LinkProperties(days=3)))
    assert second.outcome.link == link  # who reads the status must know that it still opens
    assert receivers(server) == [f"link {OF}", "sky", "sora"]  # the old link opens until there is a new one
    server.rules.links = False
    with pytest.raises(CloudRefused, match="public links are switched off at this server"):
        folder().publish(files, SharingWish(SEEN.receivers, LinkProperties(days=4)))


def test_two_publications_in_one_folder_keep_what_the_other_needs(
    server: SharingServer, folder: Callable[..., PublishedFolder], files: list[Path], tmp_path: Path
) -> None:
    (other := tmp_path / "before.csv").write_text("the night before")
    folder("kiso/before").publish([other], SEEN)
    folder().publish(files, SEEN)
    folder("kiso/before").remove()
    assert receivers(server) == [f"link {OF}", "sky", "sora"]
    assert sorted(there(server)) == ["tonight.csv", "tonight.html"]
    folder().remove()
    assert receivers(server) == []


def test_equal_files_of_another_publication_stay(
    server: SharingServer, folder: Callable[..., PublishedFolder], files: list[Path]
) -> None:
    folder("tokyo/tonight").publish(files[:1], SharingWish())
    folder().publish(files, SharingWish())
    done = folder().remove()
    assert (done.removed, done.kept) == (1, [])
    assert list(there(server)) == ["tonight.csv"]
    folder().publish(files, SharingWish())
    assert folder().publish(files[1:], SharingWish()).removed == 0
    assert folder("tokyo/tonight").remove().removed == 1


def test_a_user_whom_another_publication_names_keeps_access_and_that_is_said(
    server: SharingServer, folder: Callable[..., PublishedFolder], files: list[Path]
) -> None:
    folder("kiso/before").publish([], SharingWish(frozenset({SORA})))
    folder().publish(files, SEEN)
    done = folder().publish(files, SharingWish())
    assert (done.withdrawn, done.retained) == (2, ["user sora keeps access, because kiso/before names it"])
    assert receivers(server) == ["sora"]
    assert folder().publish(files, SharingWish()).retained == []


def test_a_removal_says_whether_there_was_anything(
    server: SharingServer, folder: Callable[..., PublishedFolder], files: list[Path]
) -> None:
    assert not folder().remove().was_found
    folder("kiso/before").publish([], SEEN)
    assert not folder().remove().was_found
    folder().publish(files, SEEN)
    server.state.file("observatory", FOLDER).rename(server.state.file("observatory", "Survey/renamed"))
    assert not folder().remove().was_found
    folder().publish(files, SEEN)
    assert folder().remove().was_found


def test_another_publication_shares_it_at_the_same_moment(
    server: SharingServer, folder: Callable[..., PublishedFolder], files: list[Path]
) -> None:
    def meanwhile(_: int, method: str, path: str) -> None:
        if method == "POST" and not server.book.items:
            item = SharedItem("99", USER, "observatory", "observatory", f"/{FOLDER}", True, 1, receiver="sora")
            server.book.items.append(item)

    server.faults.choose = meanwhile
    folder().publish(files, SharingWish(frozenset({SORA})))
    assert [one.id for one in server.book.items] == ["99"]


def during_uploads(server: SharingServer, act: Callable[[], object]) -> None:
    """Let somebody act when the first file is sent."""
    left = [act]

    def meanwhile(_: int, method: str, path: str) -> None:
        if method == "PUT" and path.endswith(".csv") and left:
            left.pop()()

    server.faults.choose = meanwhile


@pytest.mark.parametrize("rights", [1, 15])
def test_a_share_that_a_person_makes_during_the_uploads_keeps_its_rights(
    server: SharingServer, folder: Callable[..., PublishedFolder], files: list[Path], rights: int
) -> None:
    during_uploads(server, lambda: server.book.items.append(by_a_person(rights)))
    folder().publish(files, SharingWish(frozenset({SORA})))
    assert [(one.id, one.permissions) for one in server.book.items] == [("99", rights)]
    folder().remove()
    assert [one.id for one in server.book.items] == ["99"]


@pytest.mark.parametrize(("method", "rights"), [("GET", 1), ("GET", 15), ("POST", 15)])
def test_a_share_that_a_person_makes_before_the_request_keeps_its_rights(
    server: SharingServer, folder: Callable[..., PublishedFolder], files: list[Path], method: str, rights: int
) -> None:
    """It is made after the last look at the folder: before the request for this receiver, or before the share."""
    in_two_looks = 4  # each is two requests: the folder, and the one above it
    asked: list[str] = []

    def meanwhile(_: int, sent: str, path: str) -> None:
        if "/shares" in path:
            asked.append(sent)
        if not server.book.items and asked[in_two_looks:][-1:] == [method]:
            server.book.items.append(by_a_person(rights))

    server.faults.choose = meanwhile
    folder().publish(files, SharingWish(frozenset({SORA})))
    assert [(one.id, one.permissions) for one in server.book.items] == [("99", rights)]
    folder().remove()
    assert [one.id for one in server.book.items] == ["99"]


def test_a_share_that_another_publication_wishes_meanwhile_is_not_withdrawn(
    server: SharingServer, folder: Callable[..., PublishedFolder], files: list[Path]
) -> None:
    folder().publish(files, SharingWish(frozenset({SORA})))
    files[0].write_text("second run")
    note = server.state.file("observatory", f"{records_folder(FOLDER)}/{record_name('kiso/before')}")
    other = PublishedRecord("kiso/before", made=frozenset({SORA}))
    during_uploads(server, lambda: note.write_bytes(other.to_json()))
    assert folder().publish(files, SharingWish()).withdrawn == 0
    assert receivers(server) == ["sora"]


def test_a_share_that_is_withdrawn_meanwhile_is_made_by_the_next_attempt(
    server: SharingServer, folder: Callable[..., PublishedFolder], files: list[Path]
) -> None:
    def meanwhile(_: int, method: str, path: str) -> None:
        if method == "PROPFIND" and server.book.items:
            server.book.items.clear()

    server.faults.choose = meanwhile
    with pytest.raises(SharingError, match="user sora has lost access meanwhile") as caught:
        folder().publish(files, SharingWish(frozenset({SORA})))
    assert caught.value.exit_code == ExitCode.STORAGE
    assert noted(server).made == frozenset()  # a person may share it with Sora before the next attempt
    server.faults.choose = lambda *_: None
    folder().publish(files, SharingWish(frozenset({SORA})))
    assert receivers(server) == ["sora"]


def test_a_note_that_another_remover_takes_away_meanwhile_is_no_error(
    server: SharingServer, folder: Callable[..., PublishedFolder], files: list[Path], tmp_path: Path
) -> None:
    (other := tmp_path / "before.csv").write_text("the night before")
    folder("kiso/before").publish([other], SEEN)
    name = record_name("kiso/before")

    def meanwhile(_: int, method: str, path: str) -> None:
        if method == "GET" and path.endswith(name):
            server.state.file("observatory", f"{records_folder(FOLDER)}/{name}").unlink(missing_ok=True)

    server.faults.choose = meanwhile
    assert folder().publish(files, SEEN).sent == 2


def test_a_damaged_note_of_another_publication_keeps_users_and_groups(
    server: SharingServer, folder: Callable[..., PublishedFolder], files: list[Path], tmp_path: Path
) -> None:
    (other := tmp_path / "before.csv").write_text("the night before")
    folder("kiso/before").publish([other], SEEN)
    folder().publish(files, SEEN)
    damaged = f"{records_folder(FOLDER)}/{record_name('kiso/before')}"
    note = server.state.file("observatory", damaged)
    content = note.read_text()
    note.write_text("{")
    done = folder().publish(files, SharingWish())
    assert (done.unreadable, done.withdrawn) == ([damaged], 1)
    assert receivers(server) == ["link kiso/before", "sky", "sora"]
    note.write_text(content)
    folder("kiso/before").remove()
    assert folder().publish(files, SharingWish()).withdrawn == 2  # still known as its own
    assert receivers(server) == []


def test_a_file_that_is_left_over_stays_while_a_note_of_another_publication_is_damaged(
    server: SharingServer, folder: Callable[..., PublishedFolder], files: list[Path], tmp_path: Path
) -> None:
    folder("kiso/before").publish([], SharingWish())
    folder().publish(files, SharingWish())
    note = server.state.file("observatory", f"{records_folder(FOLDER)}/{record_name('kiso/before')}")
    content = note.read_text()
    note.write_text("{")
    during_uploads(server, lambda: note.write_text(content))
    files[0].write_text("second run")
    done = folder().publish(files[:1], SharingWish())
    assert done.removed == 0
    assert note.read_text() == content  # it is said nevertheless
    (sentence,) = done.who_keeps_access()
    assert "and old files were not removed: tonight.html, because notes of other publications are damaged" in sentence
    assert set(there(server)) == {"tonight.csv", "tonight.html"}
    assert folder().publish(files[:1], SharingWish()).removed == 1  # still known as its own
    assert set(there(server)) == {"tonight.csv"}


@pytest.mark.parametrize("path", [".gozen-published", "/.gozen-published/", ".gozen-published/M31"])
def test_the_folder_of_the_notes_is_not_published(connection: Connection, tmp_path: Path, path: str) -> None:
    with pytest.raises(UnsuitableName, match=r"Gozen keeps its notes in \.gozen-published"):
        FolderFiles(connection, path, OF, TransferNotes(tmp_path / "state", connection.account))


def test_a_damaged_note_is_named(
    server: SharingServer, folder: Callable[..., PublishedFolder], files: list[Path]
) -> None:
    folder().publish(files, SEEN)
    server.state.file("observatory", f"{records_folder(FOLDER)}/{record_name(OF)}").write_text("{")
    with pytest.raises(UnreadableInput, match=r"is not a note of Gozen .* restore an earlier version"):
        folder().publish(files, SEEN)


def by_a_person(rights: int = 15) -> SharedItem:
    return SharedItem("99", USER, "observatory", "observatory", f"/{FOLDER}", True, rights, receiver="sora")


def noted(server: SharingServer, of: str = OF) -> PublishedRecord:
    path = server.state.file("observatory", f"{records_folder(FOLDER)}/{record_name(of)}")
    return read_published(path.read_bytes(), str(path))


def fail_at(server: SharingServer, method: str, end: str = "") -> None:
    def fails(_: int, sent: str, path: str) -> Fault | None:
        return Fault.MAINTENANCE if sent == method and path.endswith(end) else None

    server.faults.choose = fails


@pytest.mark.parametrize("rights", [1, 15])
@pytest.mark.parametrize("of", [OF, "kiso/before"])
def test_a_share_that_a_person_makes_after_a_failed_attempt_keeps_its_rights_and_stays(
    server: SharingServer, folder: Callable[..., PublishedFolder], files: list[Path], of: str, rights: int
) -> None:
    """The failed attempt is that of this publication, or of another one in the folder."""
    fail_at(server, "PUT", ".csv")
    with pytest.raises(SharingError):
        folder(of).publish(files, SharingWish(frozenset({SORA})))
    server.faults.choose = lambda *_: None
    server.book.items.append(by_a_person(rights))
    folder().publish(files[1:], SharingWish(frozenset({SORA})))
    assert [(one.id, one.permissions) for one in server.book.items] == [("99", rights)]
    folder().publish(files[1:], SharingWish())
    assert [one.id for one in server.book.items] == ["99"]


def test_a_share_of_a_person_stays_theirs_if_another_share_then_fails(
    server: SharingServer, folder: Callable[..., PublishedFolder], files: list[Path]
) -> None:
    """The order of the requests is sky, sora, tomo."""
    wish = SharingWish(frozenset({("group", "sky"), SORA}))
    tomo = ("user", "tomo")

    def meanwhile(_: int, method: str, path: str) -> Fault | None:
        if method == "POST" and server.book.items:
            return Fault.MAINTENANCE
        if method == "POST":
            server.book.items.append(by_a_person())
        return None

    server.faults.choose = meanwhile
    with pytest.raises(SharingError):
        folder().publish(files, SharingWish(wish.receivers | {tomo}))
    server.faults.choose = lambda *_: None
    assert (noted(server).made, noted(server).wished) == ({("group", "sky")}, {tomo})
    folder().publish(files, wish)
    assert {one.receiver: one.permissions for one in server.book.items} == {"sky": 1, "sora": 15}
    folder().remove()
    assert [one.id for one in server.book.items] == ["99"]


def test_a_share_with_more_rights_is_a_persons_also_after_a_kill(
    server: SharingServer, folder: Callable[..., PublishedFolder], files: list[Path]
) -> None:
    class KilledError(Exception):
        """The process ends without any further request."""

    def kill(*_: object) -> None:
        raise KilledError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Shares, "share_if_new", kill)
        with pytest.raises(KilledError):
            folder().publish(files, SharingWish(frozenset({SORA})))
    assert (noted(server).made, noted(server).wished) == (frozenset(), {SORA})
    server.book.items.append(by_a_person())
    folder().publish(files, SharingWish(frozenset({SORA})))
    folder().publish(files, SharingWish())
    assert [(one.id, one.permissions) for one in server.book.items] == [("99", 15)]


def test_a_share_that_a_person_makes_during_the_uploads_of_another_publication_is_theirs(
    server: SharingServer, folder: Callable[..., PublishedFolder], files: list[Path]
) -> None:
    """Another publication names the same receiver, and has requested nothing yet."""
    send, wish = FolderFiles.upload, SharingWish(frozenset({SORA}))

    def meanwhile(*given: Any) -> None:
        if not server.book.items:
            server.book.items.append(by_a_person(1))
            folder("kiso/other").publish([], wish)
        send(*given)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FolderFiles, "upload", meanwhile)
        folder().publish(files, wish)
    for of in (OF, "kiso/other"):
        folder(of).publish([], SharingWish())
    assert [one.id for one in server.book.items] == ["99"]


def test_a_file_that_somebody_changes_just_before_its_removal_stays_and_is_reported(
    server: SharingServer, folder: Callable[..., PublishedFolder], files: list[Path]
) -> None:
    folder().publish(files, SharingWish())
    old, remove = server.state.file("observatory", f"{FOLDER}/{files[1].name}"), RemoteFiles.remove

    def meanwhile(self: RemoteFiles, path: str, etag: str) -> bool:
        old.write_text("a remark of a person")
        return remove(self, path, etag)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RemoteFiles, "remove", meanwhile)
        with pytest.raises(CloudConflict, match=files[1].name):
            folder().publish(files[:1], SharingWish())
    assert old.read_text() == "a remark of a person"


@pytest.mark.parametrize("is_noted", [True, False])
def test_after_an_error_a_link_of_other_days_is_not_taken_for_the_one_that_is_wanted(
    server: SharingServer, folder: Callable[..., PublishedFolder], files: list[Path], is_noted: bool
) -> None:
    month, decade = (SharingWish(link=LinkProperties(days=days)) for days in (30, 3650))
    folder().publish(files, month)
    (first,) = server.book.items
    look = FolderFiles.look

    def fails(self: FolderFiles) -> Any:
        if any(one.expires not in (None, first.expires) for one in server.book.items) and not (is_noted and failed):
            failed.append(1)
            raise CloudUnavailable("the line broke")
        return look(self)

    failed: list[int] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FolderFiles, "look", fails)
        with pytest.raises(CloudUnavailable):
            folder().publish(files, decade)
    assert noted(server).link == (decade.link if is_noted else None)
    folder().publish(files, month)
    (last,) = server.book.items
    assert last.expires == first.expires


def test_a_share_whose_answer_was_lost_is_known_as_its_own(
    server: SharingServer, folder: Callable[..., PublishedFolder], files: list[Path]
) -> None:
    def cut(_: int, method: str, path: str) -> Fault | None:
        return Fault.CUT_AFTER if method == "POST" else None

    server.faults.choose = cut
    folder().publish(files, SharingWish(frozenset({SORA})))
    server.faults.choose = lambda *_: None
    assert noted(server).made == {SORA}
    assert folder().publish(files, SharingWish()).withdrawn == 1
    assert receivers(server) == []


@pytest.mark.parametrize("how", ["garbled answer", "repeated request"])
def test_a_share_of_its_own_is_not_taken_for_a_persons(
    server: SharingServer,
    folder: Callable[..., PublishedFolder],
    files: list[Path],
    monkeypatch: pytest.MonkeyPatch,
    how: str,
) -> None:
    """A proxy garbles the answer, or answers 503 to a request that was carried out, which is then refused."""
    once = Shares._shared

    def twice(*args: Any) -> Share:
        once(*args)
        if how == "garbled answer":
            raise UnexpectedAnswer("the server has answered with 0 shares")
        return once(*args)

    with monkeypatch.context() as patch:
        patch.setattr(Shares, "_shared", twice)
        folder().publish(files, SharingWish(frozenset({SORA})))
    assert folder().publish(files, SharingWish()).withdrawn == 1
    assert receivers(server) == []


def test_a_removal_keeps_its_note_while_that_of_another_publication_is_damaged(
    server: SharingServer, folder: Callable[..., PublishedFolder], files: list[Path]
) -> None:
    folder("kiso/before").publish([], SharingWish())
    folder().publish(files, SEEN)
    note = server.state.file("observatory", f"{records_folder(FOLDER)}/{record_name('kiso/before')}")
    content = note.read_text()
    note.write_text("{")
    done = folder().remove()
    assert (done.removed, done.withdrawn, receivers(server)) == (2, 1, ["sky", "sora"])
    (sentence,) = done.who_keeps_access()
    assert sentence.startswith("no user or group lost access: group sky, user sora, because notes")
    note.write_text(content)
    done = folder().remove()
    assert (done.was_found, done.withdrawn, done.who_keeps_access()) == (True, 2, [])
    assert receivers(server) == []
    assert not folder().remove().was_found


@pytest.mark.parametrize("fault", [Fault.REVOKED, Fault.CUT_AFTER, Fault.CUT_INSIDE])
def test_a_run_that_ends_at_any_request_is_repeated_with_new_files(
    server: SharingServer, folder: Callable[..., PublishedFolder], files: list[Path], fault: Fault
) -> None:
    """Each run writes other files, so what an interrupted run has sent must be known as its own."""
    folder().publish(files, SharingWish(frozenset({("user", "kaze")}), LinkProperties(days=30)))
    number, is_met = 0, True
    while is_met:
        number += 1
        for one in files:
            one.write_text(f"run {number}")
        wish = SharingWish(frozenset({SORA} if number % 2 else {("user", "kaze")}), LinkProperties(days=number))
        is_met = ended_at(server, OneRequest(number, fault, fault in CHANGING), partial(folder().publish, files, wish))
        folder().publish(files, wish)
        assert there(server) == {one.name: f"run {number}" for one in files}
        assert receivers(server) == sorted([f"link {OF}", "sora" if number % 2 else "kaze"])
    assert number > (8 if fault in CHANGING else 15)


def ended_at(server: SharingServer, one: OneRequest, act: Callable[[], object]) -> bool:
    """Do something of which one request fails; return whether there was such a request."""
    server.faults.choose = one
    with contextlib.suppress(GozenError):
        act()
    server.faults.choose = lambda *_: None
    server.faults.settle()
    return one.counted >= one.number


@pytest.mark.parametrize("fault", [Fault.REVOKED, Fault.CUT_AFTER])
def test_a_removal_that_ends_at_any_request_is_repeated(
    server: SharingServer, folder: Callable[..., PublishedFolder], files: list[Path], fault: Fault
) -> None:
    number, is_met = 0, True
    while is_met:
        number += 1
        folder().publish(files, SEEN)
        is_met = ended_at(server, OneRequest(number, fault, fault in CHANGING), folder().remove)
        folder().remove()
        assert (there(server), receivers(server)) == ({}, [])
    assert number > (4 if fault in CHANGING else 8)
