"""Shares of a published folder that people make, change or lose meanwhile: theirs stay, Gozen's own are withdrawn.

Covered: a share that is made during uploads, just before a request, after a failed attempt or after a kill; answers
that are lost. Not covered: which receivers come and go (services/test_publish_folder.py).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gozen.errors import (
    CloudUnavailable,
    ExitCode,
    SharingError,
    UnexpectedAnswer,
)
from gozen.sharing.people.share_records import Share
from gozen.sharing.people.shares import Shares
from gozen.sharing.publishing.decide_shares import SharingWish
from gozen.sharing.publishing.folder_files import FolderFiles
from gozen.sharing.publishing.publish_folder import PublishedFolder
from gozen.sharing.publishing.published_record import (
    LinkProperties,
    PublishedRecord,
    record_name,
    records_folder,
)

from .nextcloud_server import Fault
from .nextcloud_server.share_book import USER, SharedItem
from .nextcloud_server.sharing_server import SharingServer
from .published_folders import (
    FOLDER,
    OF,
    SORA,
    by_a_person,
    connection,
    during_uploads,
    files,
    folder,
    noted,
    receivers,
    server,
)

__all__ = ["connection", "files", "folder", "server"]


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
