"""Requests to Nextcloud that fail once, always, or until the user interrupts: a message, and the next run continues.

Covered: each fault at each request; pauses; a server that is down or silent; an app password that is revoked; Ctrl-C.
Not here: what a server refuses (services/test_sharing_refusals.py), random sequences of failures
(property/test_sharing_histories.py).
"""

from __future__ import annotations

import os
import signal
import threading
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.free_ports import free_port

from gozen import errors
from gozen.errors import SharingError
from gozen.sharing.account import Account
from gozen.sharing.pauses import Clock
from gozen.sharing.retrying import ConnectionLimits
from gozen.sharing.transfers.outcomes import FileState

from .nextcloud_server import Fault, Plan
from .nextcloud_server.clients import SkippedPauses, quick_cloud
from .nextcloud_server.faults import CHANGING, PASSING, OneRequest
from .transfer_places import OneUser
from .transferred_files import SMALL, contents, states


def round_trip(own: OneUser, folder: Path, choose: Callable[..., Fault | None]) -> None:
    """Send a small and a large file and fetch both, over a line with trouble."""
    source, back = folder / "source", folder / f"back-{uuid.uuid4()}"
    own.faults.choose = choose
    with own.client(back) as cloud:
        for way in (lambda: cloud.put(source, back.name), lambda: cloud.get(f"{back.name}/source", back)):
            way().check()
    own.faults.settle()
    assert contents(back / "source") == contents(source)


@pytest.mark.parametrize("fault", PASSING)
def test_trouble_with_any_one_request_is_overcome(fault: Fault, own: OneUser, tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "small.csv").write_bytes(b"a,b\n")
    (tmp_path / "source" / "large.fits").write_bytes(os.urandom(SMALL + 1))
    number, is_met = 0, True
    while is_met:
        number += 1
        one = OneRequest(number, fault, only_changes=fault in CHANGING)
        round_trip(own, tmp_path, one)
        is_met = one.counted >= number
    assert number > (6 if fault in CHANGING else 12)


LASTING = [
    (Fault.ERROR, errors.CloudUnavailable, "failed (the server says"),
    (Fault.LOCKED, errors.CloudFileLocked, "has locked the file (the server says"),
    (Fault.MANY, errors.CloudUnavailable, "asks to try again after 1 seconds (the server says"),
    (Fault.THROTTLED, errors.CloudUnavailable, "had too many wrong passwords from this address (the server says"),
    (Fault.BUSY, errors.CloudUnavailable, "asks to try again after 1 seconds (the server says"),
    (Fault.MAINTENANCE, errors.CloudUnavailable, "in maintenance (the server says"),
    (Fault.FULL, errors.CloudFull, "quota of the account is used up, or the server has no space (the server says"),
    (Fault.REVOKED, errors.LogInRefused, "it is wrong or was revoked (the server says"),
    (Fault.CUT_BEFORE, errors.CloudUnavailable, "broke the connection"),
    (Fault.CUT_INSIDE, errors.CloudUnavailable, "broke the connection"),
]


@pytest.mark.parametrize("method", ["PUT", "MOVE"])
@pytest.mark.parametrize(("fault", "kind", "words"), LASTING, ids=[one[0].name for one in LASTING])
def test_trouble_that_stays_ends_in_a_sentence_and_can_be_continued(
    fault: Fault, kind: type[SharingError], words: str, method: str, own: OneUser, cube: Path, tmp_path: Path
) -> None:
    puts: list[str] = []

    def choose(_number: int, one: str, path: str) -> Fault | None:
        # The first chunk arrives.
        puts.append(path) if one == "PUT" else None
        return fault if one == method and (one == "MOVE" or len(puts) > 1) else None

    own.faults.choose = choose
    with own.client(tmp_path) as cloud:
        with pytest.raises(kind) as caught:
            cloud.put(cube, "night")
        text = str(caught.value)
        assert "night/cube.fits" in text
        assert words in text
        assert "run again" in text
        assert contents(own.files) == {"night": None}
        own.faults.choose = lambda *_: None
        own.faults.log.clear()
        assert states(cloud.put(cube, "night")) == [FileState.SENT]
    assert contents(own.files)["night/cube.fits"] == cube.read_bytes()
    assert len(own.requests("PUT")) == (3 if method == "PUT" else 0)
    assert own.requests("MKCOL")[1:] == []


@pytest.mark.parametrize("fault", [Fault.ERROR, Fault.REVOKED, Fault.CUT_ANSWER, Fault.BUSY])
def test_a_download_that_ends_continues_at_its_segments(fault: Fault, own: OneUser, cube: Path, tmp_path: Path) -> None:
    with own.client(tmp_path, limits=ConnectionLimits(connections=1, attempts=2)) as cloud:
        cloud.put(cube)
        gets: list[str] = []
        own.faults.choose = lambda _n, one, path: (
            fault if one == "GET" and (gets.append(path) or len(gets) > 2) else None
        )
        with pytest.raises(SharingError, match=r"download cube\.fits"):
            cloud.get("cube.fits", tmp_path / "back")
        assert not (tmp_path / "back" / "cube.fits").exists()
        own.faults.choose = lambda *_: None
        own.faults.log.clear()
        cloud.get("cube.fits", tmp_path / "back")
    assert len(own.requests("GET")) == 2
    assert contents(tmp_path / "back") == {"cube.fits": cube.read_bytes()}


def test_pauses_are_those_for_which_the_server_asks(own: OneUser, tmp_path: Path) -> None:
    clock = SkippedPauses()
    own.faults.choose = Plan(dict.fromkeys((1, 2, 3), Fault.MANY))
    with own.client(tmp_path, clock=clock, limits=ConnectionLimits(connections=1)) as cloud:
        cloud.list()
    assert clock.total_s == pytest.approx(3.0, abs=0.1)


def test_a_pause_that_is_too_long_is_not_waited_for(own: OneUser, tmp_path: Path) -> None:
    own.faults.choose = Plan({1: Fault.MANY})
    with (
        own.client(tmp_path, limits=ConnectionLimits(patience_s=0.5)) as cloud,
        pytest.raises(errors.CloudUnavailable, match="try again after 1 seconds"),
    ):
        cloud.list()


def test_a_server_that_is_down_is_named(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}/cloud"
    with (
        quick_cloud(Account(url, "anna", "p"), tmp_path) as cloud,
        pytest.raises(errors.CloudUnavailable, match=f"{url} cannot be reached .*refused.*check the network"),
    ):
        cloud.list()


def test_a_server_that_is_silent_is_given_up(own: OneUser, tmp_path: Path) -> None:
    own.faults.choose = lambda *_: Fault.SILENT
    limits = ConnectionLimits(connections=1, attempts=2, read_timeout_s=0.2)
    with (
        own.client(tmp_path, limits=limits) as cloud,
        pytest.raises(errors.CloudUnavailable, match="does not answer in time"),
    ):
        cloud.list()
    own.faults.released.set()


def test_an_app_password_that_is_revoked_ends_everything_and_a_new_one_continues(own: OneUser, tmp_path: Path) -> None:
    (tmp_path / "night").mkdir()
    for number in range(100):
        (tmp_path / "night" / f"{number:03}").write_bytes(b"1")
    user = own.id

    def choose(number: int, _method: str, _path: str) -> None:
        if number == 20:
            own.state.users[user] = "new"

    own.faults.choose = choose
    with own.client(tmp_path) as cloud:
        done = cloud.put(tmp_path / "night", check=False)
        assert isinstance(done.fatal, errors.LogInRefused)
        assert len(own.faults.log) < 30  # nobody tries again with a password that is refused
    own.faults.choose = lambda *_: None
    with own.client(tmp_path) as cloud:
        assert len(cloud.put(tmp_path / "night")) == 100
    assert len(contents(own.files)) == 101


def test_work_that_is_interrupted_ends_at_once_and_continues(own: OneUser, cube: Path, tmp_path: Path) -> None:
    own.faults.choose = lambda _n, method, _p: Fault.SILENT if method == "MOVE" else None

    def interrupt() -> None:
        assert own.faults.silent.wait(60)
        os.kill(os.getpid(), signal.SIGINT)

    with own.client(tmp_path) as cloud:
        threading.Thread(target=interrupt, daemon=True).start()
        with pytest.raises(KeyboardInterrupt):
            cloud.put(cube)
        own.faults.choose = lambda *_: None
        own.faults.released.set()
        own.faults.log.clear()
        assert states(cloud.put(cube)) == [FileState.SENT]
    assert own.requests("PUT") == []
    assert contents(own.files) == {"cube.fits": cube.read_bytes()}


def test_a_download_that_is_interrupted_at_a_silent_server_can_be_run_again_at_once(
    own: OneUser, cube: Path, tmp_path: Path
) -> None:
    def wait(seconds: float, stop: threading.Event) -> None:
        own.faults.released.set()  # the threads of the first download end while the second one waits for them
        stop.wait(seconds)

    def interrupt() -> None:
        assert own.faults.silent.wait(60)
        os.kill(os.getpid(), signal.SIGINT)

    with own.client(tmp_path, clock=Clock(wait=wait)) as cloud:
        cloud.put(cube)
        own.faults.choose = lambda _n, method, _p: Fault.SILENT if method == "GET" else None
        threading.Thread(target=interrupt, daemon=True).start()
        with pytest.raises(KeyboardInterrupt):
            cloud.get("cube.fits", tmp_path / "back")
        own.faults.choose = lambda *_: None
        cloud.get("cube.fits", tmp_path / "back")
    assert contents(tmp_path / "back") == {"cube.fits": cube.read_bytes()}
