"""The people of the tests of shares and of the log-in, their server with two files, and settings of a client."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gozen.settings import SharingSettings
from gozen.sharing import Cloud, connect

from .nextcloud_server.http import Environ, Reply, Start
from .nextcloud_server.people import Person
from .nextcloud_server.sharing_server import SharingServer

ODD = "results/light curves #1 100% é+&=?.parquet"


def persons() -> list[Person]:
    return [
        Person("hoshi", "of-hoshi", name="Hoshi Aoki", login="hoshi@example.org", groups=("sky",)),
        Person("sora", "of-sora", groups=("sky", "neo")),
        Person("kaze", "of-kaze"),
    ]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SharingServer]:
    """Run a server at which hoshi has two files."""
    with SharingServer(tmp_path / "server", persons(), base="/cloud") as found:
        found.put("hoshi", "results/lc.parquet")
        found.put("hoshi", ODD)
        yield found


@pytest.fixture
def cloud(server: SharingServer, tmp_path: Path) -> Iterator[Cloud]:
    with connect(server.account(), settings(tmp_path)) as found:
        yield found


def settings(tmp_path: Path, **further: Any) -> SharingSettings:
    return SharingSettings(**{"state": tmp_path / "state", "patience_s": 0, "connect_timeout_s": 2, **further})


def connecting_with(chosen: SharingSettings) -> Any:
    from gozen.sharing.cloud import connection_for

    return lambda account, *, log_in=True: connection_for(account, chosen, log_in=log_in)


def app_that(status: int, headers: dict[str, str], body: bytes = b"") -> Callable[[Environ, Start], Iterable[bytes]]:
    def app(_: Environ, start: Start) -> Iterable[bytes]:
        return Reply(status, headers, body).send(start)

    return app
