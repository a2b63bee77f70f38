"""Uploads while the server forgets, removes, damages or changes something: parts, upload folders, files, checksums.

Not here: uploads that also a real server accepts (services/test_sharing_transfers.py); sizes and names of parts
(unit/test_sharing_decisions.py).
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import pytest

from gozen import errors
from gozen.errors import SharingError
from gozen.sharing.transfers import upload_assembly
from gozen.sharing.transfers.outcomes import FileState

from .nextcloud_server import Fault, Plan
from .nextcloud_server import writes as server_writes
from .transfer_places import OneUser
from .transferred_files import SMALL, Calls, contents, states


def test_an_upload_folder_that_has_expired_is_begun_again_and_this_is_said(
    own: OneUser, cube: Path, tmp_path: Path
) -> None:
    own.faults.choose = lambda _n, method, _p: Fault.BUSY if method == "MOVE" else None
    with own.client(tmp_path) as cloud:
        with pytest.raises(errors.CloudUnavailable):
            cloud.put(cube)
        own.server.uploads.expire()
        own.faults.choose = lambda *_: None
        (done,) = cloud.put(cube)
        assert (done.state, "began again" in done.remark) == (FileState.SENT, True)
        assert contents(own.files) == {"cube.fits": cube.read_bytes()}


def test_an_upload_folder_that_expires_during_the_upload(own: OneUser, cube: Path, tmp_path: Path) -> None:
    def choose(number: int, method: str, _path: str) -> None:
        if method == "PUT" and not expired:
            expired.append(number)
            own.server.uploads.expire()

    expired: list[int] = []
    own.faults.choose = choose
    with own.client(tmp_path) as cloud:
        (done,) = cloud.put(cube)
    assert "began again" in done.remark
    assert contents(own.files) == {"cube.fits": cube.read_bytes()}


def test_a_server_that_removes_every_upload_folder_is_given_up(own: OneUser, cube: Path, tmp_path: Path) -> None:
    own.faults.choose = lambda _n, method, _p: own.server.uploads.expire() if method == "PUT" else None
    with own.client(tmp_path) as cloud, pytest.raises(SharingError, match="removed its upload folder 3 times"):
        cloud.put(cube)


def test_a_server_that_ignores_checksums_of_parts_computes_them(own: OneUser, cube: Path, tmp_path: Path) -> None:
    own.state.ignores_checksums = True
    with own.client(tmp_path) as cloud:
        for _ in range(2):
            cloud.put(cube)
            (found,) = cloud.list()
            assert found.checksum == f"SHA256:{hashlib.sha256(cube.read_bytes()).hexdigest()}"
            cube.write_bytes(cube.read_bytes()[::-1])
        own.faults.choose = Plan({len(own.faults.log) + 8: Fault.CUT_AFTER})
        assert states(cloud.put(cube)) == [FileState.SENT]  # whose answer is lost


def test_a_file_that_is_assembled_wrongly_is_said(own: OneUser, cube: Path, tmp_path: Path) -> None:
    def choose(_number: int, method: str, _path: str) -> None:
        there = own.state.file(own.id, "cube.fits")
        if method == "PATCH":
            there.write_bytes(bytes(there.stat().st_size))

    own.state.ignores_checksums = True
    own.faults.choose = choose
    with (
        own.client(tmp_path) as cloud,
        pytest.raises(errors.TransferDamaged, match=r"cube\.fits has another content in Nextcloud than was sent"),
    ):
        cloud.put(cube)


def test_a_file_that_arrives_damaged_is_removed(own: OneUser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    right = server_writes.receive

    def damaged(*words: Any) -> Path:
        path = right(*words)
        path.write_bytes(path.read_bytes()[:-1] + b"?")
        return path

    (tmp_path / "a.csv").write_bytes(b"1,2,3")
    with own.client(tmp_path) as cloud:
        monkeypatch.setattr(server_writes, "receive", damaged)
        with pytest.raises(errors.TransferDamaged, match=r"a\.csv arrived"):
            cloud.put(tmp_path / "a.csv")
        monkeypatch.undo()
        assert contents(own.files) == {}
        cloud.put(tmp_path / "a.csv")


def test_a_large_file_is_waited_for_while_the_server_assembles_it(
    own: OneUser, cube: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy may give up first; then the file stays locked for as long as the server needs."""
    moves: list[str] = []

    def choose(_number: int, method: str, path: str) -> Fault | None:
        if method != "MOVE":
            return None
        moves.append(path)
        return Fault.GATEWAY if len(moves) == 1 else Fault.LOCKED if len(moves) < 20 else None

    own.faults.choose = choose
    monkeypatch.setattr(upload_assembly, "SERVED_PER_S", 100.0)
    with own.client(tmp_path) as cloud:
        assert states(cloud.put(cube)) == [FileState.SENT]


@pytest.mark.parametrize("at", ["PUT", "MOVE"])
def test_an_upload_that_the_server_has_forgotten_begins_again(
    at: str, own: OneUser, cube: Path, tmp_path: Path
) -> None:
    """A server with an object store may lose what its cache knows about the parts, and then refuses them."""
    seen: list[str] = []

    def choose(_number: int, method: str, _path: str) -> None:
        seen.append(method)
        own.state.forgets_uploads = method == at and seen.count(at) == 1

    own.faults.choose = choose
    with own.client(tmp_path) as cloud:
        (done,) = cloud.put(cube)
    assert "began again" in done.remark
    assert contents(own.files) == {"cube.fits": cube.read_bytes()}


@pytest.mark.parametrize("at", ["PUT", "MOVE"])
def test_a_folder_that_is_removed_during_the_upload_is_named(at: str, own: OneUser, cube: Path, tmp_path: Path) -> None:
    def choose(_number: int, method: str, _path: str) -> None:
        if method == at and (own.files / "night").exists():
            (own.files / "night").rmdir()

    own.faults.choose = choose
    with own.client(tmp_path) as cloud:
        with pytest.raises(errors.CloudPathNotFound, match=r"upload night/cube\.fits: the folder above it"):
            cloud.put(cube, "night")
        own.faults.choose = lambda *_: None
        own.faults.log.clear()
        cloud.put(cube, "night")
    assert contents(own.files) == {"night": None, "night/cube.fits": cube.read_bytes()}
    assert len(own.requests("MKCOL")) == 1  # the parts that had arrived are used


@pytest.mark.parametrize("size", [3, 3 * SMALL + 100])
def test_a_file_that_is_removed_in_nextcloud_during_the_upload_is_said(
    size: int, own: OneUser, cube: Path, tmp_path: Path
) -> None:
    def choose(_number: int, method: str, _path: str) -> None:
        if method in ("PUT", "MOVE"):
            own.state.file(own.id, "cube.fits").unlink(missing_ok=True)

    with own.client(tmp_path) as cloud:
        cloud.put(cube)
        cube.write_bytes(os.urandom(size))
        own.faults.choose = choose
        with pytest.raises(
            errors.CloudConflict, match=r"upload cube\.fits: it was removed in Nextcloud meanwhile; run"
        ):
            cloud.put(cube)
        cloud.put(cube)
    assert contents(own.files) == {"cube.fits": cube.read_bytes()}


def test_chunks_of_a_file_that_has_changed_are_not_used(own: OneUser, cube: Path, tmp_path: Path) -> None:
    own.faults.choose = lambda _n, method, _p: Fault.BUSY if method == "MOVE" else None
    with own.client(tmp_path) as cloud:
        with pytest.raises(errors.CloudUnavailable):
            cloud.put(cube)
        own.faults.choose = lambda *_: None
        cube.write_bytes(cube.read_bytes()[::-1])
        cloud.put(cube)
    assert contents(own.files) == {"cube.fits": cube.read_bytes()}
    assert list(own.state.uploads(own.id).iterdir()) == []


def test_a_file_that_another_client_makes_during_the_upload_is_kept(own: OneUser, cube: Path, tmp_path: Path) -> None:
    there = own.state.file(own.id, "cube.fits")
    with own.client(tmp_path) as cloud:
        with pytest.raises(errors.CloudConflict, match="another client has made a file with this name"):
            cloud.put(cube, progress=Calls(lambda: there.write_bytes(b"theirs")))
        assert there.read_bytes() == b"theirs"
        with pytest.raises(errors.CloudConflict, match="changed meanwhile"):
            cloud.put(cube, overwrite=True, progress=Calls(lambda: there.write_bytes(b"theirs again")))
        assert there.read_bytes() == b"theirs again"
        cloud.put(cube, overwrite=True)
    assert there.read_bytes() == cube.read_bytes()
