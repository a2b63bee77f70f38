"""A published folder at the Nextcloud server of the tests, and its fixtures: account, connection, files, notes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gozen.sharing.cloud_connection import Connection
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
from gozen.sharing.retrying import ConnectionLimits
from gozen.sharing.transfers.transfer_notes import TransferNotes

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


def receivers(server: SharingServer) -> list[str]:
    return sorted(one.receiver or f"link {one.label}" for one in server.book.items)


def noted(server: SharingServer, of: str = OF) -> PublishedRecord:
    path = server.state.file("observatory", f"{records_folder(FOLDER)}/{record_name(of)}")
    return read_published(path.read_bytes(), str(path))


def by_a_person(rights: int = 15) -> SharedItem:
    return SharedItem("99", USER, "observatory", "observatory", f"/{FOLDER}", True, rights, receiver="sora")


def during_uploads(server: SharingServer, act: Callable[[], object]) -> None:
    """Let somebody act when the first file is sent."""
    left = [act]

    def meanwhile(_: int, method: str, path: str) -> None:
        if method == "PUT" and path.endswith(".csv") and left:
            left.pop()()

    server.faults.choose = meanwhile
