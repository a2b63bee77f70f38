"""Transfers to and from Nextcloud that succeed or continue: equal and changed files, conflicts, parts, checksums.

They run on the test server, and also on a real one if ``GOZEN_TEST_NEXTCLOUD`` names it (`real_nextcloud`). Not here:
names and kinds of files (services/test_sharing_unsuitable_files.py), failures that only the test server can produce
(services/test_sharing_broken_requests.py, _uploads.py, _downloads.py, _refusals.py).
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import threading
from pathlib import Path

import pytest

from gozen import errors
from gozen.errors import ExitCode
from gozen.sharing.cloud import Cloud
from gozen.sharing.remote_files import RemoteFiles
from gozen.sharing.transfers.outcomes import FileState
from gozen.sharing.transfers.progress import Progress

from .transfer_places import TransferPlace, cloud, folder, night
from .transferred_files import CHUNK, NAMES, Calls, contents, states

__all__ = ["cloud", "folder", "night"]


def test_a_folder_comes_back_as_it_was(cloud: Cloud, folder: str, night: Path, tmp_path: Path) -> None:
    done = cloud.put(night, folder)
    assert states(done) == [FileState.SENT] * len(NAMES)
    assert {one.name for one in cloud.list(f"{folder}/night")} == {
        "a.csv",
        "b#1?x=%41+&.fits",
        "ü ö.png",
        "😀 日本.txt",
        "sub",
    }
    cloud.get(f"{folder}/night", tmp_path / "back")
    assert contents(tmp_path / "back" / "night") == contents(night)
    assert (tmp_path / "back" / "night" / "a.csv").stat().st_mtime == 1_700_000_000


def test_equal_files_are_not_transferred(cloud: Cloud, place: TransferPlace, night: Path, tmp_path: Path) -> None:
    cloud.put(night, place.folder)
    assert set(states(cloud.put(night, place.folder))) == {FileState.EQUAL}
    with place.client(tmp_path / "no notes") as other:  # by checksums
        assert set(states(other.put(night, place.folder))) == {FileState.EQUAL}
        assert set(states(other.get(f"{place.folder}/night", night.parent))) == {FileState.EQUAL}


def test_a_large_file_goes_in_chunks(cloud: Cloud, folder: str, tmp_path: Path) -> None:
    data = os.urandom(2 * CHUNK + 12345)
    (tmp_path / "cube.fits").write_bytes(data)
    os.utime(tmp_path / "cube.fits", (1_700_000_000, 1_700_000_000))
    cloud.put(tmp_path / "cube.fits", folder)
    (found,) = cloud.list(folder)
    assert (found.name, found.size, found.modified_s) == ("cube.fits", len(data), 1_700_000_000)
    assert found.checksum.startswith("SHA256:")
    cloud.get(f"{folder}/cube.fits", tmp_path / "back")
    assert (tmp_path / "back" / "cube.fits").read_bytes() == data
    (tmp_path / "cube.fits").write_bytes(data[::-1])
    assert states(cloud.put(tmp_path / "cube.fits", folder)) == [FileState.SENT]
    assert states(cloud.get(f"{folder}/cube.fits", tmp_path / "back")) == [FileState.FETCHED]
    assert (tmp_path / "back" / "cube.fits").read_bytes() == data[::-1]


def test_a_changed_file_is_sent_and_fetched(cloud: Cloud, place: TransferPlace, night: Path, tmp_path: Path) -> None:
    cloud.put(night, place.folder)
    with place.client(tmp_path / "other notes") as laptop:
        laptop.get(f"{place.folder}/night", tmp_path / "laptop")
        (night / "a.csv").write_bytes(b"new")
        assert states(cloud.put(night, place.folder)).count(FileState.SENT) == 1
        assert states(laptop.get(f"{place.folder}/night", tmp_path / "laptop")).count(FileState.FETCHED) == 1
        assert (tmp_path / "laptop" / "night" / "a.csv").read_bytes() == b"new"


def test_what_changed_on_both_sides_is_said_and_not_overwritten(
    cloud: Cloud, place: TransferPlace, tmp_path: Path
) -> None:
    folder = place.folder
    here, there = tmp_path / "a.csv", tmp_path / "laptop" / "a.csv"
    here.write_bytes(b"first")
    cloud.put(here, folder)
    with place.client(tmp_path / "other notes") as laptop:
        laptop.get(f"{folder}/a.csv", there.parent)
        there.write_bytes(b"of the laptop")
        laptop.put(there, folder)
    with pytest.raises(errors.CloudConflict, match=r"a\.csv.*changed in Nextcloud since"):
        cloud.put(here, folder)
    here.write_bytes(b"of this machine")
    with pytest.raises(errors.CloudConflict, match=r"a\.csv.*changed on this machine and in Nextcloud") as caught:
        cloud.put(here, folder)
    assert caught.value.exit_code is ExitCode.BAD_REQUEST
    with pytest.raises(errors.CloudConflict, match=r"is not overwritten by"):
        cloud.get(f"{folder}/a.csv", tmp_path)
    assert here.read_bytes() == b"of this machine"
    cloud.get(f"{folder}/a.csv", tmp_path / "copy")
    assert (tmp_path / "copy" / "a.csv").read_bytes() == b"of the laptop"
    assert states(cloud.put(here, folder, overwrite=True)) == [FileState.SENT]
    assert states(cloud.get(f"{folder}/a.csv", tmp_path / "copy")) == [FileState.FETCHED]
    assert (tmp_path / "copy" / "a.csv").read_bytes() == b"of this machine"


def test_a_file_without_a_time_of_change_is_sent(cloud: Cloud, folder: str, tmp_path: Path) -> None:
    """Some archives are unpacked with the time 0."""
    for name, size in (("small.csv", 3), ("cube.fits", 2 * CHUNK)):
        (tmp_path / name).write_bytes(os.urandom(size))
        os.utime(tmp_path / name, (0, 0))
        assert states(cloud.put(tmp_path / name, folder)) == [FileState.SENT]
        assert states(cloud.put(tmp_path / name, folder)) == [FileState.EQUAL]


def test_a_wrong_app_password_says_so(place: TransferPlace, tmp_path: Path) -> None:
    """Once only: a real server answers an address more slowly after each wrong password, until a right one comes."""
    account = dataclasses.replace(place.account, password="wrong")
    with (
        place.client(tmp_path / "notes", account) as one,
        pytest.raises(errors.LogInRefused, match="share login"),
    ):
        one.list()


def test_a_file_that_changes_while_it_is_sent_does_not_appear(cloud: Cloud, folder: str, tmp_path: Path) -> None:
    path = tmp_path / "cube.fits"
    path.write_bytes(os.urandom(3 * CHUNK))
    with pytest.raises(errors.TransferDamaged, match=r"cube\.fits: it changed while it was read"):
        cloud.put(path, folder, progress=Calls(lambda: path.write_bytes(os.urandom(3 * CHUNK))))
    assert list(cloud.list(folder)) == []
    assert states(cloud.put(path, folder)) == [FileState.SENT]
    cloud.get(f"{folder}/cube.fits", tmp_path / "back")
    assert (tmp_path / "back" / "cube.fits").read_bytes() == path.read_bytes()


def test_a_large_file_that_another_client_writes_during_the_upload_is_kept(
    cloud: Cloud, place: TransferPlace, tmp_path: Path
) -> None:
    """The conditions of the last request of an upload in chunks."""
    path, theirs = tmp_path / "cube.fits", tmp_path / "theirs" / "cube.fits"
    theirs.parent.mkdir()
    path.write_bytes(os.urandom(2 * CHUNK))
    with place.client(tmp_path / "other notes") as laptop:

        def write(content: bytes) -> None:
            theirs.write_bytes(content)
            laptop.put(theirs, place.folder, overwrite=True)

        with pytest.raises(errors.CloudConflict, match="another client has made a file with this name"):
            cloud.put(path, place.folder, progress=Calls(lambda: write(b"theirs")))
        with pytest.raises(errors.CloudConflict, match="changed meanwhile"):
            cloud.put(path, place.folder, overwrite=True, progress=Calls(lambda: write(b"theirs again")))
        cloud.get(f"{place.folder}/cube.fits", tmp_path / "back")
        assert (tmp_path / "back" / "cube.fits").read_bytes() == b"theirs again"
        cloud.put(path, place.folder, overwrite=True)
        assert [one.size for one in cloud.list(place.folder)] == [2 * CHUNK]


class Killed(BaseException):
    """The process of a transfer has been killed."""


class KilledAfter(Progress):
    """Ends a transfer after a number of bytes; counts the bytes of the first report."""

    def __init__(self, most: int | None = None) -> None:
        self._most, self._moved, self.first = most, 0, 0
        self._lock = threading.Lock()

    def moved(self, size: int) -> None:
        with self._lock:
            self.first = self.first or size
            self._moved += size
            if self._most is not None and self._moved > self._most:
                raise Killed


def test_an_upload_that_is_killed_continues_with_the_parts_that_have_arrived(
    cloud: Cloud, folder: str, tmp_path: Path
) -> None:
    path = tmp_path / "cube.fits"
    path.write_bytes(os.urandom(6 * CHUNK - 5))
    with pytest.raises(Killed):
        cloud.put(path, folder, progress=KilledAfter(4 * CHUNK))  # of four parts at a time, one has arrived
    assert list(cloud.list(folder)) == []
    again = KilledAfter()
    assert states(cloud.put(path, folder, progress=again)) == [FileState.SENT]
    assert again.first >= CHUNK
    cloud.get(f"{folder}/cube.fits", tmp_path / "back")
    assert (tmp_path / "back" / "cube.fits").read_bytes() == path.read_bytes()


def test_the_server_computes_a_checksum(cloud: Cloud, folder: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"1,2,3")
    cloud.put(tmp_path / "a.csv", folder)
    found = RemoteFiles(cloud.connection).computed_checksum(f"{folder}/a.csv", "SHA256", 60)
    assert found == f"SHA256:{hashlib.sha256(b'1,2,3').hexdigest()}"
