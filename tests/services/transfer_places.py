"""Where the tests of transfers send files: a folder at any server, or one user of the test server.

`TransferPlace` is for what succeeds on every Nextcloud, also on a real one (`real_nextcloud`). `OneUser` is for what
only the test server does: faults, quotas, locks, other answers. `cloud`, `folder` and `night` are
for modules that import them; the other fixtures are those of all modules (conftest).
"""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gozen.sharing.account import Account
from gozen.sharing.cloud import Cloud
from gozen.sharing.pauses import Clock
from gozen.sharing.retrying import ConnectionLimits

from .nextcloud_server import NextcloudServer
from .nextcloud_server.clients import quick_cloud
from .nextcloud_server.http import Environ, Reply, Start
from .real_nextcloud import REAL, SERVERS, real_accounts, removed_at_the_end
from .transferred_files import CHUNK, SMALL, odd_files


@pytest.fixture(scope="session")
def transfer_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NextcloudServer]:
    with NextcloudServer(tmp_path_factory.mktemp("nextcloud"), base="/cloud") as running:
        yield running


@dataclass(frozen=True)
class TransferPlace:
    """An account, and a folder there that nobody else uses."""

    account: Account
    folder: str
    is_real: bool

    def client(self, notes: Path, account: Account | None = None) -> Cloud:
        """Return a client, which gives a real server the time that it may need."""
        options: dict[str, Any] = {"limits": ConnectionLimits(), "clock": Clock()} if self.is_real else {}
        return quick_cloud(account or self.account, notes, chunk=CHUNK, **options)


@pytest.fixture(params=SERVERS)
def place(request: pytest.FixtureRequest, transfer_server: NextcloudServer) -> Iterator[TransferPlace]:
    is_real = request.param == REAL
    account = real_accounts()[0] if is_real else transfer_server.account()
    found = TransferPlace(account, f"gozen-test-{uuid.uuid4()}", is_real)
    with found.client(Path("/nowhere")) as cloud, removed_at_the_end(cloud.connection, found.folder):
        yield found


@pytest.fixture
def cloud(place: TransferPlace, tmp_path: Path) -> Iterator[Cloud]:
    with place.client(tmp_path / "notes") as one:
        yield one


@pytest.fixture
def folder(place: TransferPlace) -> str:
    return place.folder


@pytest.fixture
def night(tmp_path: Path) -> Path:
    return odd_files(tmp_path / "night")


class OneUser:
    """The server as one user sees it, whom nobody else uses."""

    def __init__(self, server: NextcloudServer) -> None:
        self.server, self.state, self.faults = server, server.state, server.faults
        self.id = f"user-{uuid.uuid4()}"
        self.state.add_user(self.id, "secret")

    @property
    def account(self) -> Account:
        return Account(self.server.url, self.id, self.state.users[self.id])

    @property
    def files(self) -> Path:
        return self.state.files(self.id)

    def client(self, folder: Path, **options: Any) -> Cloud:
        return quick_cloud(self.account, folder / "notes", **options)

    def requests(self, method: str) -> list[str]:
        """Return the paths of all requests with a method."""
        return [path for one, path in self.faults.log if one == method]

    @contextlib.contextmanager
    def answering(self, status: int, headers: dict[str, str], body: bytes) -> Iterator[None]:
        """Let the server answer everything in one way."""

        def answer(_environ: Environ, start: Start) -> Iterable[bytes]:
            return Reply(status, headers, body).send(start)

        self.server.routes.insert(0, ("/remote.php/dav", answer))
        try:
            yield
        finally:
            self.server.routes.pop(0)


@pytest.fixture
def own(transfer_server: NextcloudServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[OneUser]:
    """Return a user without files on a server that accepts small chunks, and end all trouble afterwards.

    Nothing here depends on what a disk has kept when the power fails, so no file waits for the disk.
    """
    state, faults = transfer_server.state, transfer_server.faults
    monkeypatch.setattr(state, "smallest", SMALL)
    monkeypatch.setattr(os, "fsync", lambda _: None)
    faults.log.clear()
    faults.silent.clear()
    faults.released.clear()
    yield OneUser(transfer_server)
    faults.choose = lambda *_: None
    faults.released.set()
    faults.settle()
    state.quota.clear()
    state.locked.clear()
    state.is_brief = state.forgets_uploads = state.ignores_checksums = False
