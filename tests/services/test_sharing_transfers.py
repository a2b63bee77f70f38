"""Transfers to and from Nextcloud: successful ones, and failures that end in a message and can be continued.

The first part runs on the server of the tests, and also on a real one if ``GOZEN_TEST_NEXTCLOUD`` names it
(`real_nextcloud`). The second part has failures that only the server of the tests can produce. `rclone` checks that
server independently. Not covered: random sequences of failures (tests/property/test_sharing_histories.py).
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import signal
import subprocess
import sys
import threading
import unicodedata
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.cluster.certificates import Authority
from tests.free_ports import free_port

from gozen import errors
from gozen.errors import ExitCode, SharingError
from gozen.sharing.account import Account
from gozen.sharing.cloud import Cloud
from gozen.sharing.pauses import Clock
from gozen.sharing.remote_files import RemoteFiles
from gozen.sharing.retrying import ConnectionLimits
from gozen.sharing.transfers import upload_assembly
from gozen.sharing.transfers.outcomes import FileState
from gozen.sharing.transfers.progress import Progress

from .nextcloud_server import Fault, NextcloudServer, Plan
from .nextcloud_server import writes as server_writes
from .nextcloud_server.clients import SkippedPauses, quick_cloud
from .nextcloud_server.faults import PASSING
from .nextcloud_server.http import App, Environ, Reply, Start
from .real_nextcloud import REAL, SERVERS, real_accounts, removed_at_the_end

RCLONE = Path(sys.executable).with_name("rclone")
CHUNK = 6 * 2**20
SMALL = 2**16
NAMES = ("a.csv", "b#1?x=%41+&.fits", "ü ö.png", "😀 日本.txt", "sub/c.csv", "sub/deep/.hidden", "sub/empty.dat")
DECOMPOSED = unicodedata.normalize("NFD", "ü ö.png")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NextcloudServer]:
    with NextcloudServer(tmp_path_factory.mktemp("nextcloud"), base="/cloud") as running:
        yield running


@dataclass(frozen=True)
class Place:
    """An account, and a folder there that nobody else uses."""

    account: Account
    folder: str
    is_real: bool

    def client(self, notes: Path, account: Account | None = None) -> Cloud:
        """Return a client, which gives a real server the time that it may need."""
        options: dict[str, Any] = {"limits": ConnectionLimits(), "clock": Clock()} if self.is_real else {}
        return quick_cloud(account or self.account, notes, chunk=CHUNK, **options)


@pytest.fixture(params=SERVERS)
def place(request: pytest.FixtureRequest, server: NextcloudServer) -> Iterator[Place]:
    is_real = request.param == REAL
    account = real_accounts()[0] if is_real else server.account()
    found = Place(account, f"gozen-test-{uuid.uuid4()}", is_real)
    with found.client(Path("/nowhere")) as cloud, removed_at_the_end(cloud.connection, found.folder):
        yield found


@pytest.fixture
def cloud(place: Place, tmp_path: Path) -> Iterator[Cloud]:
    with place.client(tmp_path / "notes") as one:
        yield one


@pytest.fixture
def folder(place: Place) -> str:
    return place.folder


@pytest.fixture
def night(tmp_path: Path) -> Path:
    """Return a folder with files of all kinds of names."""
    for name in NAMES:
        path = tmp_path / "night" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"" if "empty" in name else os.urandom(1000))
        os.utime(path, (1_700_000_000, 1_700_000_000))
    (tmp_path / "night" / "sub" / "nothing").mkdir()
    return tmp_path / "night"


def contents(folder: Path) -> dict[str, bytes | None]:
    """Return everything below a folder; None for folders."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }  # fmt: skip


def states(done: Any) -> list[str]:
    return sorted(one.state for one in done)


class Calls(Progress):
    """Calls a function when the first bytes have been transferred."""

    def __init__(self, act: Callable[[], object]) -> None:
        self._act, self._called = act, False

    def moved(self, size: int) -> None:
        if not self._called and size > 0:
            self._called = True
            self._act()


class Counted(Progress):
    """Keeps the number of bytes of each piece that has been transferred."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def moved(self, size: int) -> None:
        self.sizes.append(size)


# What succeeds


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


def test_equal_files_are_not_transferred(cloud: Cloud, place: Place, night: Path, tmp_path: Path) -> None:
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


def test_a_changed_file_is_sent_and_fetched(cloud: Cloud, place: Place, night: Path, tmp_path: Path) -> None:
    cloud.put(night, place.folder)
    with place.client(tmp_path / "other notes") as laptop:
        laptop.get(f"{place.folder}/night", tmp_path / "laptop")
        (night / "a.csv").write_bytes(b"new")
        assert states(cloud.put(night, place.folder)).count(FileState.SENT) == 1
        assert states(laptop.get(f"{place.folder}/night", tmp_path / "laptop")).count(FileState.FETCHED) == 1
        assert (tmp_path / "laptop" / "night" / "a.csv").read_bytes() == b"new"


def test_what_changed_on_both_sides_is_said_and_not_overwritten(cloud: Cloud, place: Place, tmp_path: Path) -> None:
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


def test_names_in_the_decomposed_form_are_sent_in_the_composed_form(cloud: Cloud, folder: str, tmp_path: Path) -> None:
    (tmp_path / "night").mkdir()
    (tmp_path / "night" / DECOMPOSED).write_bytes(b"a")
    cloud.put(tmp_path / "night", folder)
    assert [one.name for one in cloud.list(f"{folder}/night")] == ["ü ö.png"]
    assert states(cloud.put(tmp_path / "night", folder)) == [FileState.EQUAL]
    assert states(cloud.get(f"{folder}/night/{DECOMPOSED}", tmp_path / "back")) == [FileState.FETCHED]
    (tmp_path / "night" / "ü ö.png").write_bytes(b"b")
    with pytest.raises(errors.UnsuitableName, match="written in different Unicode forms"):
        cloud.put(tmp_path / "night", folder)


@pytest.mark.parametrize("name", ["dot.", "space ", "x" * 251, "tab\t.csv", "back\\slash"])
def test_a_name_that_is_refused_stops_no_other(name: str, cloud: Cloud, folder: str, tmp_path: Path) -> None:
    (tmp_path / "night").mkdir()
    for one in (name, "good"):
        (tmp_path / "night" / one).write_bytes(b"a")
    with pytest.raises(errors.UnsuitableName, match=r"night/.* is not sent: the name .*rename it.*1 sent"):
        cloud.put(tmp_path / "night", folder)
    assert [one.name for one in cloud.list(f"{folder}/night")] == ["good"]


def test_a_file_without_a_time_of_change_is_sent(cloud: Cloud, folder: str, tmp_path: Path) -> None:
    """Some archives are unpacked with the time 0."""
    for name, size in (("small.csv", 3), ("cube.fits", 2 * CHUNK)):
        (tmp_path / name).write_bytes(os.urandom(size))
        os.utime(tmp_path / name, (0, 0))
        assert states(cloud.put(tmp_path / name, folder)) == [FileState.SENT]
        assert states(cloud.put(tmp_path / name, folder)) == [FileState.EQUAL]


def test_links_and_pipes_are_left_out(cloud: Cloud, folder: str, night: Path) -> None:
    (night / "link").symlink_to(night / "a.csv")
    (night / "folder").symlink_to(night / "sub")
    (night / "broken").symlink_to(night / "nowhere")
    os.mkfifo(night / "pipe")
    done = cloud.put(night, folder)
    assert {Path(one.path).name for one in done if one.state is FileState.LEFT_OUT} == {"folder", "broken", "pipe"}
    assert "link" in {one.name for one in cloud.list(f"{folder}/night")}


def test_what_does_not_exist_is_named(cloud: Cloud, folder: str, tmp_path: Path) -> None:
    cloud.put([], folder)
    with pytest.raises(errors.CloudPathNotFound, match=f"download {folder}/a.csv: .*share ls"):
        cloud.get(f"{folder}/a.csv", tmp_path)
    with pytest.raises(errors.CloudPathNotFound, match=f"list {folder}/nights"):
        cloud.list(f"{folder}/nights")
    with pytest.raises(errors.MissingObject, match="nowhere"):
        cloud.put(tmp_path / "nowhere", folder)


def test_files_in_the_place_of_folders_are_named(cloud: Cloud, folder: str, night: Path, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "night").write_bytes(b"a file")
    cloud.put(tmp_path / "a" / "night", folder)
    with pytest.raises(errors.CloudConflict, match="a file has this name"):
        cloud.put(night, folder)
    with pytest.raises(errors.CloudConflict, match="is a folder; rename"):
        cloud.get(f"{folder}/night", tmp_path)
    (tmp_path / "b" / "c").mkdir(parents=True)
    cloud.put(tmp_path / "b", folder)
    (tmp_path / "b2").mkdir()
    (tmp_path / "b2" / "c").write_bytes(b"a file")
    with pytest.raises(errors.CloudConflict, match="is a folder in Nextcloud"):
        cloud.put(tmp_path / "b2" / "c", f"{folder}/b")


def test_a_wrong_app_password_says_so(place: Place, tmp_path: Path) -> None:
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
    cloud: Cloud, place: Place, tmp_path: Path
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


# Trouble that the server of the tests makes


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
def own(server: NextcloudServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[OneUser]:
    """Return a user without files on a server that accepts small chunks, and end all trouble afterwards."""
    monkeypatch.setattr(server.state, "smallest", SMALL)
    server.faults.log.clear()
    server.faults.silent.clear()
    server.faults.released.clear()
    yield OneUser(server)
    server.faults.choose = lambda *_: None
    server.faults.released.set()
    server.faults.settle()
    server.state.quota.clear()
    server.state.locked.clear()
    server.state.is_brief = server.state.forgets_uploads = server.state.ignores_checksums = False


@pytest.fixture
def cube(tmp_path: Path) -> Path:
    """Return a file of four chunks."""
    path = tmp_path / "cube.fits"
    path.write_bytes(os.urandom(3 * SMALL + 100))
    return path


def round_trip(own: OneUser, folder: Path, choose: Callable[..., Fault | None]) -> int:
    """Send a small and a large file and fetch both, over a line with trouble; return the number of requests."""
    source, back = folder / "source", folder / f"back-{uuid.uuid4()}"
    own.faults.log.clear()
    own.faults.choose = choose
    with own.client(back) as cloud:
        for way in (lambda: cloud.put(source, back.name), lambda: cloud.get(f"{back.name}/source", back)):
            way().check()
    own.faults.settle()
    assert contents(back / "source") == contents(source)
    return len(own.faults.log)


@pytest.mark.parametrize("fault", PASSING)
def test_trouble_with_any_one_request_is_overcome(fault: Fault, own: OneUser, tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "small.csv").write_bytes(b"a,b\n")
    (tmp_path / "source" / "large.fits").write_bytes(os.urandom(2 * SMALL + 1))
    count = round_trip(own, tmp_path, lambda *_: None)
    assert count > 10
    for number in range(1, count + 1):
        round_trip(own, tmp_path, Plan({number: fault}))


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


def test_the_quota_refuses_what_does_not_fit_and_takes_the_rest(own: OneUser, cube: Path, tmp_path: Path) -> None:
    own.state.quota[own.id] = SMALL
    (tmp_path / "small.csv").write_bytes(b"a")
    with own.client(tmp_path) as cloud:
        with pytest.raises(errors.CloudFull, match=r"cube\.fits.*Insufficient space.*deleted files.*1 sent") as caught:
            cloud.put([cube, tmp_path / "small.csv"])
        assert caught.value.exit_code is ExitCode.STORAGE
        assert contents(own.files) == {"small.csv": b"a"}
        own.state.quota.clear()
        cloud.put([cube, tmp_path / "small.csv"])
    assert set(contents(own.files)) == {"cube.fits", "small.csv"}


def test_a_used_up_quota_does_not_hinder_files_that_are_equal(own: OneUser, tmp_path: Path) -> None:
    (tmp_path / "night").mkdir()
    (tmp_path / "night" / "a").write_bytes(b"1")
    with own.client(tmp_path) as cloud:
        cloud.put(tmp_path / "night", "survey")
        own.state.quota[own.id] = 1
        assert states(cloud.put(tmp_path / "night", "survey")) == [FileState.EQUAL]
        (tmp_path / "night" / "sub").mkdir()
        with pytest.raises(errors.CloudFull, match=r"night/sub: .*1 equal"):
            cloud.put(tmp_path / "night", "survey")


@pytest.mark.parametrize("name", [".htaccess", "cube.part"])
def test_a_name_that_the_server_refuses_stops_no_other(name: str, own: OneUser, tmp_path: Path) -> None:
    (tmp_path / "night").mkdir()
    for one in (name, "good"):
        (tmp_path / "night" / one).write_bytes(b"a")
    said = (
        rf"upload night/{name}: the server does not accept this name \(the server says: .*forbidden.*rename it.*1 sent"
    )
    with own.client(tmp_path) as cloud, pytest.raises(errors.UnsuitableName, match=said):
        cloud.put(tmp_path / "night")
    assert contents(own.files) == {"night": None, "night/good": b"a"}


def test_a_locked_file_stops_no_other(own: OneUser, tmp_path: Path) -> None:
    (tmp_path / "night").mkdir()
    for name in ("a", "b"):
        (tmp_path / "night" / name).write_bytes(b"1")
    with own.client(tmp_path) as cloud:
        cloud.put(tmp_path / "night")
        own.state.locked.add(f"{own.id}/night/a")
        for name in ("a", "b"):
            (tmp_path / "night" / name).write_bytes(b"22")
        with pytest.raises(errors.CloudFileLocked, match=r"night/a: .*is locked.*1 sent"):
            cloud.put(tmp_path / "night")
    assert contents(own.files) == {"night": None, "night/a": b"1", "night/b": b"22"}


def test_a_file_at_which_the_server_fails_stops_no_other(own: OneUser, tmp_path: Path) -> None:
    (tmp_path / "night").mkdir()
    for number in range(40):
        (tmp_path / "night" / f"{number:02}").write_bytes(b"1")
    own.faults.choose = lambda _n, method, path: Fault.ERROR if method == "PUT" and path.endswith("/00") else None
    with own.client(tmp_path) as cloud, pytest.raises(errors.CloudFailed, match=r"night/00: .*39 sent.*") as caught:
        cloud.put(tmp_path / "night")
    assert caught.value.exit_code is ExitCode.STORAGE
    assert len(contents(own.files)) == 1 + 39


def test_a_server_that_fails_at_every_file_is_given_up(own: OneUser, tmp_path: Path) -> None:
    (tmp_path / "night").mkdir()
    for number in range(40):
        (tmp_path / "night" / f"{number:02}").write_bytes(b"1")
    own.faults.choose = lambda _n, method, _p: Fault.ERROR if method == "PUT" else None
    with own.client(tmp_path, limits=ConnectionLimits(connections=1, attempts=1)) as cloud:
        done = cloud.put(tmp_path / "night", check=False)
    assert isinstance(done.fatal, errors.CloudFailed)
    assert 3 <= len(done) <= 4  # there are two threads


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


def test_a_redirect_to_another_host_gets_no_password(own: OneUser, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"a")
    with NextcloudServer(tmp_path / "other") as other:
        target = f"{other.url}/remote.php/dav/files/anna"
        said = f"redirects to {target}, and the app password was not sent there"
        with own.answering(302, {"Location": target}, b""), own.client(tmp_path) as cloud:
            for act in (
                partial(cloud.list, "a"),
                partial(cloud.put, tmp_path / "a"),
                partial(cloud.get, "a", tmp_path),
            ):
                with pytest.raises(errors.RedirectRefused, match=said):
                    act()
        assert other.faults.log == []


def test_cookies_are_not_kept(own: OneUser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[str | None] = []

    def answer(environ: Environ, start: Start) -> Iterable[bytes]:
        sent.append(environ.get("HTTP_COOKIE"))
        return Reply(404, {"Set-Cookie": "nc_session=of-anna; path=/"}, b"").send(start)

    monkeypatch.setattr(own.server, "routes", [("/remote.php/dav", answer)])
    with own.client(tmp_path) as cloud:
        for _ in range(2):
            with pytest.raises(errors.CloudPathNotFound):
                cloud.list("night")
    assert sent == [None, None]


@pytest.mark.parametrize(("status", "body"), [(200, b"<html>Welcome</html>"), (207, b"<html>Welcome"), (200, b"")])
def test_a_page_instead_of_an_answer_says_that_the_address_is_wrong(
    status: int, body: bytes, own: OneUser, tmp_path: Path
) -> None:
    with (
        own.answering(status, {}, body),
        own.client(tmp_path) as cloud,
        pytest.raises(errors.UnexpectedAnswer, match=r"check (its|the) address"),
    ):
        cloud.get("night", tmp_path)


ENTRY = (
    "<d:response><d:href>{}</d:href><d:propstat><d:prop>{}</d:prop><d:status>HTTP/1.1 200 OK</d:status></d:propstat>"
    "</d:response>"
)


@pytest.mark.parametrize("name", ["..", "%2e%2e", "a%2f..%2f..%2fb", "..%2fb", "a%00b"])
def test_a_listing_leads_to_no_file_outside(name: str, own: OneUser, tmp_path: Path) -> None:
    root = f"{own.server.base}/remote.php/dav/files/{own.id}/night/"
    folder = ENTRY.format(root, "<d:resourcetype><d:collection/></d:resourcetype>")
    file = ENTRY.format(root + name, "<d:getcontentlength>1</d:getcontentlength>")
    body = f'<d:multistatus xmlns:d="DAV:">{folder}{file}</d:multistatus>'.encode()
    with own.answering(207, {}, body), own.client(tmp_path) as cloud, pytest.raises(errors.UnexpectedAnswer):
        cloud.get("night", tmp_path / "back")
    assert {path.name for path in tmp_path.rglob("*")} <= {"back", "night", "notes"}


def test_a_server_that_says_less_is_asked(own: OneUser, cube: Path, tmp_path: Path) -> None:
    own.state.is_brief = True
    (tmp_path / "small.csv").write_bytes(b"a")
    with own.client(tmp_path) as cloud:
        cloud.put([cube, tmp_path / "small.csv"])
        assert states(cloud.put([cube, tmp_path / "small.csv"])) == [FileState.EQUAL] * 2
        cloud.get(["cube.fits", "small.csv"], tmp_path / "back")
    assert contents(tmp_path / "back") == {"cube.fits": cube.read_bytes(), "small.csv": b"a"}


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


def test_the_disk_of_this_machine_is_named(own: OneUser, cube: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with own.client(tmp_path) as cloud:
        cloud.put(cube)
        with pytest.raises(errors.BadRequest, match="a file is in the place of a folder"):
            cloud.get("cube.fits", tmp_path / "file" / "back")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


def test_a_certificate_of_a_known_authority(authority: Authority, tmp_path: Path) -> None:
    with NextcloudServer(tmp_path, tls=authority.server("cloud", ["127.0.0.1"], ["cloud.example"])) as server:
        with quick_cloud(server.account(), tmp_path / "notes", ca_file=authority.certificate) as cloud:
            assert list(cloud.list()) == []
        with (
            quick_cloud(server.account(), tmp_path / "notes") as cloud,
            pytest.raises(errors.CertificateRefused, match=r"issuer.*sharing\.ca_file|sharing\.ca_file"),
        ):
            cloud.list()


def test_a_certificate_that_does_not_match(authority: Authority, tmp_path: Path) -> None:
    with (
        NextcloudServer(tmp_path, tls=authority.server("other", ["127.0.0.2"], ["other.example"])) as server,
        quick_cloud(server.account(), tmp_path / "notes", ca_file=authority.certificate) as cloud,
        pytest.raises(errors.CertificateRefused, match=r"IP address mismatch.*check the address"),
    ):
        cloud.list()
    assert server.faults.log == []


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


# A second opinion on the server


def rclone(own: OneUser, *words: str | Path) -> str:
    """Run rclone with the remote ``cloud:``."""
    account = own.account
    obscured = subprocess.run([RCLONE, "obscure", account.password], capture_output=True, text=True, check=True)
    remote = {
        "TYPE": "webdav", "VENDOR": "nextcloud", "URL": account.dav("files", account.id), "USER": account.user,
        "PASS": obscured.stdout.strip(), "NEXTCLOUD_CHUNK_SIZE": "5Mi",
    }  # fmt: skip
    settings = {f"RCLONE_CONFIG_CLOUD_{name}": value for name, value in remote.items()}
    done = subprocess.run(
        [RCLONE, "--config", os.devnull, "--retries", "1", *map(str, words)],
        env={**os.environ, **settings}, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_rclone_and_gozen_see_the_same_files(own: OneUser, night: Path, tmp_path: Path) -> None:
    (night / "cube.fits").write_bytes(os.urandom(12_000_000))
    rclone(own, "copy", night, "cloud:one", "--create-empty-src-dirs")
    assert any(path.startswith(f"{own.server.base}/remote.php/dav/uploads") for path in own.requests("MOVE"))
    with own.client(tmp_path, chunk=CHUNK) as cloud:
        cloud.get("one", tmp_path / "back")
        assert contents(tmp_path / "back" / "one") == contents(night)
        assert set(states(cloud.put(tmp_path / "back" / "one"))) == {FileState.EQUAL}
        cloud.put(night, "two")
    rclone(own, "copy", "cloud:two/night", tmp_path / "by rclone", "--create-empty-src-dirs")
    assert contents(tmp_path / "by rclone") == contents(night)
    rclone(own, "check", night, "cloud:two/night")
    assert "cube.fits" in rclone(own, "lsf", "cloud:two/night")
    rclone(own, "moveto", "cloud:two/night/a.csv", "cloud:two/b.csv")
    rclone(own, "purge", "cloud:one")
    assert {name.split("/")[0] for name in contents(own.files)} == {"two"}


def test_the_server_forgets_a_checksum_when_another_client_writes(own: OneUser, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"1")
    with own.client(tmp_path) as cloud:
        cloud.put(tmp_path / "a.csv")
        assert cloud.list()[0].checksum
        own.state.file(own.id, "a.csv").write_bytes(b"2")
        assert not cloud.list()[0].checksum
