"""Downloads in segments: damaged files, files that change meanwhile, servers that send other bytes than were asked for.

Not here: downloads that also a real server answers (services/test_sharing_transfers.py); how a large body is read from
the line (services/test_sharing_answer_bodies.py).
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from gozen import errors
from gozen.sharing.retrying import ConnectionLimits
from gozen.sharing.transfers import partial_download
from gozen.sharing.transfers.outcomes import FileState

from .nextcloud_server import Fault
from .nextcloud_server.http import App, Environ, Start
from .transfer_places import OneUser
from .transferred_files import SMALL, Calls, Counted, contents, states


@contextlib.contextmanager
def behind(own: OneUser, act: Callable[[App, Environ, Start], Iterable[bytes]]) -> Iterator[None]:
    """Let a function of a test change requests or answers; it is called with the application that answers."""
    prefix, right = own.server.routes[0]
    own.server.routes[0] = (prefix, partial(act, right))
    try:
        yield
    finally:
        own.server.routes[0] = (prefix, right)


@contextlib.contextmanager
def other_ranges(own: OneUser, asked: str | None) -> Iterator[list[int]]:
    """Let the server take each range for another one, or with None send the whole file; yield what it sent, bytes."""
    sent: list[int] = []

    def act(right: App, environ: Environ, start: Start) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] == "GET":
            environ.pop("HTTP_RANGE", None)
            environ.update({"HTTP_RANGE": asked} if asked else {})
        for piece in right(environ, start):
            sent.append(len(piece))
            yield piece

    with behind(own, act):
        yield sent


def test_a_server_that_says_less_is_asked(own: OneUser, cube: Path, tmp_path: Path) -> None:
    own.state.is_brief = True
    (tmp_path / "small.csv").write_bytes(b"a")
    with own.client(tmp_path) as cloud:
        cloud.put([cube, tmp_path / "small.csv"])
        assert states(cloud.put([cube, tmp_path / "small.csv"])) == [FileState.EQUAL] * 2
        cloud.get(["cube.fits", "small.csv"], tmp_path / "back")
    assert contents(tmp_path / "back") == {"cube.fits": cube.read_bytes(), "small.csv": b"a"}


def test_a_full_disk_is_found_before_the_download_and_the_next_attempt_succeeds(
    own: OneUser, cube: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_descriptor: int, _size: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with own.client(tmp_path) as cloud:
        cloud.put(cube)
        with monkeypatch.context() as patched:
            patched.setattr(partial_download, "reserve", full)
            with pytest.raises(errors.GozenError, match="No space left"):
                cloud.get("cube.fits", tmp_path / "back")
        cloud.get("cube.fits", tmp_path / "back")
    assert contents(tmp_path / "back") == {"cube.fits": cube.read_bytes()}


def test_a_file_that_is_damaged_in_nextcloud_is_not_taken(own: OneUser, cube: Path, tmp_path: Path) -> None:
    (tmp_path / "small.csv").write_bytes(b"a")
    with own.client(tmp_path) as cloud:
        cloud.put([cube, tmp_path / "small.csv"])
        for name in ("cube.fits", "small.csv"):
            own.state.set_checksum(own.state.file(own.id, name), f"SHA256:{'0' * 64}")
            with pytest.raises(errors.TransferDamaged, match=f"{name} arrived with another checksum"):
                cloud.get(name, tmp_path / "back")
    assert contents(tmp_path / "back") == {}


def test_a_file_that_changes_in_nextcloud_during_the_download(own: OneUser, cube: Path, tmp_path: Path) -> None:
    with own.client(tmp_path, limits=ConnectionLimits(connections=1)) as cloud:
        cloud.put(cube)
        there = own.state.file(own.id, "cube.fits")
        change = Calls(lambda: there.write_bytes(os.urandom(3 * SMALL + 100)))
        with pytest.raises(errors.TransferDamaged, match="changed or removed in Nextcloud during the download"):
            cloud.get("cube.fits", tmp_path / "back", progress=change)
        assert contents(tmp_path / "back") == {}
        cloud.get("cube.fits", tmp_path / "back")
    assert (tmp_path / "back" / "cube.fits").read_bytes() == there.read_bytes()


def test_a_server_or_proxy_that_ignores_ranges(own: OneUser, cube: Path, tmp_path: Path) -> None:
    with own.client(tmp_path) as cloud:
        cloud.put(cube)
        with other_ranges(own, None):
            cloud.get("cube.fits", tmp_path / "back")
    assert contents(tmp_path / "back") == {"cube.fits": cube.read_bytes()}


def test_a_file_is_not_sent_once_for_each_segment_if_ranges_are_ignored(own: OneUser, tmp_path: Path) -> None:
    size, path = 2**25, tmp_path / "long.fits"
    path.write_bytes(os.urandom(size))
    counted = Counted()
    with own.client(tmp_path, chunk=size // 32) as cloud:
        cloud.put(path)
        with other_ranges(own, None) as sent:
            cloud.get("long.fits", tmp_path / "back", progress=counted)
    assert 0 < sum(sent) < 6 * size
    assert sum(counted.sizes) == size
    assert (tmp_path / "back" / "long.fits").read_bytes() == path.read_bytes()


def test_a_file_that_comes_in_one_stream_continues_at_its_segments(own: OneUser, cube: Path, tmp_path: Path) -> None:
    with own.client(tmp_path, limits=ConnectionLimits(connections=1, attempts=2)) as cloud:
        cloud.put(cube)
        own.faults.choose = lambda _n, method, _p: Fault.CUT_ANSWER if method == "GET" else None
        with other_ranges(own, None), pytest.raises(errors.CloudUnavailable, match="broke the connection"):
            cloud.get("cube.fits", tmp_path / "back")
        own.faults.choose = lambda *_: None
        own.faults.log.clear()
        cloud.get("cube.fits", tmp_path / "back")
    assert len(own.requests("GET")) == 3  # half of the file has arrived, with one segment of four
    assert contents(tmp_path / "back") == {"cube.fits": cube.read_bytes()}


def test_a_server_that_sends_other_bytes_is_not_believed(own: OneUser, cube: Path, tmp_path: Path) -> None:
    with own.client(tmp_path) as cloud:
        cloud.put(cube)
        with (
            other_ranges(own, "bytes=1-100"),
            pytest.raises(errors.TransferDamaged, match=r"download cube\.fits: the server sent another range"),
        ):
            cloud.get("cube.fits", tmp_path / "back")
        assert contents(tmp_path / "back") == {}
        cloud.get("cube.fits", tmp_path / "back")


@pytest.mark.parametrize(("total", "is_taken"), [("*", True), (str(3 * SMALL + 101), False)])
def test_a_range_of_a_file_of_another_size_is_not_taken(
    total: str, is_taken: bool, own: OneUser, cube: Path, tmp_path: Path
) -> None:
    def act(right: App, environ: Environ, start: Start) -> Iterable[bytes]:
        def begin(status: str, headers: list[tuple[str, str]], *words: Any) -> Any:
            changed = [
                (one, f"{text.partition('/')[0]}/{total}" if one == "Content-Range" else text) for one, text in headers
            ]
            return start(status, changed, *words)

        return right(environ, begin)

    with own.client(tmp_path) as cloud, behind(own, act):
        cloud.put(cube)
        if is_taken:
            cloud.get("cube.fits", tmp_path / "back")
        else:
            with pytest.raises(errors.TransferDamaged, match=r"cube\.fits: it was changed or removed in Nextcloud"):
                cloud.get("cube.fits", tmp_path / "back")
    assert contents(tmp_path / "back") == ({"cube.fits": cube.read_bytes()} if is_taken else {})


def test_a_file_that_is_made_here_during_the_download_is_kept(own: OneUser, cube: Path, tmp_path: Path) -> None:
    with own.client(tmp_path) as cloud:
        cloud.put(cube)
        here = tmp_path / "back" / "cube.fits"
        with pytest.raises(errors.CloudConflict, match="was changed on this machine during the download"):
            cloud.get("cube.fits", here.parent, progress=Calls(lambda: here.write_bytes(b"mine")))
    assert here.read_bytes() == b"mine"


def test_the_disk_of_this_machine_is_named(own: OneUser, cube: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with own.client(tmp_path) as cloud:
        cloud.put(cube)
        with pytest.raises(errors.BadRequest, match="a file is in the place of a folder"):
            cloud.get("cube.fits", tmp_path / "file" / "back")
