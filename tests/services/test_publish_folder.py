"""A published folder at the Nextcloud server of the tests: what is sent, shared, withdrawn, removed, and left alone.

Covered: a second run, files that somebody changed, receivers and links that come and go, two publications in one
folder, and a run that ends at each of its requests. Not covered: whose a share is (services/test_publish_shares.py);
what is published (services/test_share_publish.py); decisions alone (unit/test_publish_decisions.py).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from gozen.errors import (
    BadRequest,
    CloudConflict,
    CloudPathNotFound,
    CloudRefused,
    GozenError,
    UnreadableInput,
    UnsuitableName,
)
from gozen.sharing.cloud_connection import Connection
from gozen.sharing.people.shares import Shares
from gozen.sharing.publishing.decide_shares import SharingWish
from gozen.sharing.publishing.folder_files import FolderFiles
from gozen.sharing.publishing.publish_folder import PublishedFolder
from gozen.sharing.publishing.published_record import (
    LinkProperties,
    record_name,
    records_folder,
)
from gozen.sharing.remote_files import RemoteFiles
from gozen.sharing.transfers.transfer_notes import TransferNotes

from .nextcloud_server import Fault
from .nextcloud_server.faults import CHANGING, OneRequest
from .nextcloud_server.sharing_server import SharingServer
from .published_folders import (
    FOLDER,
    OF,
    SEEN,
    SORA,
    connection,
    during_uploads,
    files,
    folder,
    receivers,
    server,
)

__all__ = ["connection", "files", "folder", "server"]


def there(server: SharingServer) -> dict[str, str]:
    """Return the content of the folder."""
    return {one.name: one.read_text() for one in sorted(server.state.file("observatory", FOLDER).iterdir())}


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
