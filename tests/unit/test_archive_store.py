"""Test the store in a directory: atomic writes, exclusive creation, keys outside the root, full and read-only disks.

The failures are real ones in child processes: a limit on file size, `/dev/full`, a folder of another owner, a kill.
Stores on S3 have their own tests with a real server.
"""

import errno
import os
import subprocess
import sys
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from gozen.archive.stores.directory_store import DirectoryStore
from gozen.archive.stores.fsspec_store import ObjectStore
from gozen.archive.stores.open_store import open_store
from gozen.archive.stores.partial_files import this_machine
from gozen.archive.stores.store import check_unchanged
from gozen.errors import BadRequest, MissingObject, StorageUnavailable


@pytest.fixture(params=["directory", "object"])
def store(request, tmp_path):
    if request.param == "directory":
        return open_store(tmp_path / "archive")
    return open_store(f"memory://{tmp_path.name}-{id(request)}")


def child(code, *args):
    """Run code in a process of its own, and return it with its output."""
    lines = textwrap.dedent(code)
    return subprocess.run([sys.executable, "-c", lines, *map(str, args)], capture_output=True, text=True, check=False)


def files_in(folder: Path):
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def test_objects_come_back_as_they_were_put(store):
    store.write("a/b/c.bin", b"0123456789")
    assert store.read("a/b/c.bin") == b"0123456789"
    assert store.read_range("a/b/c.bin", 2, 5) == b"234"
    assert (store.exists("a/b/c.bin"), store.size("a/b/c.bin")) == (True, 10)
    with store.open("a/b/c.bin") as stream:
        stream.seek(8)
        assert stream.read() == b"89"


def test_a_put_replaces_and_a_creation_does_not(store):
    store.write("k", b"first")
    store.write("k", b"second")
    assert not store.create("k", b"third")
    assert store.read("k") == b"second"
    assert store.create("other", b"new")


def test_the_folders_directly_below_a_folder(store):
    for key in ("many/b/x/1", "many/a/1", "many/a/2", "many/file", "many2/c/1"):
        store.write(key, b"")
    assert [*store.folders("many")] == ["a", "b"]
    assert [*store.folders("many/a")] == []
    assert [*store.folders("nothing")] == []
    assert [*store.folders("many/file")] == []


def test_lists_are_sorted_keys_below_a_folder(store):
    for key in ("t/2", "t/1", "t/sub/3", "top", "tt/4"):
        store.write(key, b"")
    assert store.list("t") == ["t/1", "t/2", "t/sub/3"]
    assert store.list("nothing") == []


def test_a_deletion_may_come_twice(store):
    store.write("k", b"")
    store.delete("k")
    store.delete("k")
    assert not store.exists("k")


@pytest.mark.parametrize("verb", ["read", "size", "open"])
def test_an_absent_object_is_named(store, verb):
    with pytest.raises(MissingObject, match="no/such"):
        getattr(store, verb)("no/such")


def test_a_put_leaves_nothing_but_the_object(tmp_path):
    store = open_store(tmp_path)
    store.write("a/b", b"x")
    store.create("a/b", b"y")
    assert files_in(tmp_path) == ["a/b"]


@pytest.mark.parametrize("key", ["../b", "a/../../b", "/etc/passwd", "a/\0b"])
def test_no_key_leaves_the_root(tmp_path, key):
    store = open_store(tmp_path / "archive")
    with pytest.raises(BadRequest, match="leads outside the archive's root"):
        store.write(key, b"x")
    assert files_in(tmp_path) == []


def test_roots_are_directories_file_urls_and_other_protocols(tmp_path):
    assert isinstance(open_store(f"file://{tmp_path}"), DirectoryStore)
    assert open_store(f"file://{tmp_path}").url == str(tmp_path)
    assert isinstance(open_store("memory://x"), ObjectStore)
    with pytest.raises(BadRequest, match="nosuch://x"):
        open_store("nosuch://x")


def test_of_many_creators_one_is_first(store):
    barrier = Barrier(8)

    def create(number):
        barrier.wait()
        return store.create("k", b"%d" % number)

    with ThreadPoolExecutor(8) as pool:
        first = list(pool.map(create, range(8)))
    if isinstance(store, DirectoryStore):  # fsspec's memory file system has no exclusive creation
        assert sum(first) == 1
        assert store.read("k") == b"%d" % first.index(True)


def test_writers_of_one_key_do_not_collide(tmp_path):
    store = open_store(tmp_path)
    data = [bytes([number]) * 100_000 for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda one: store.write("k", one), data * 4))
    assert store.read("k") in data
    assert files_in(tmp_path) == ["k"]


def test_a_file_that_grows_too_large_is_named_and_leaves_nothing(tmp_path):
    open_store(tmp_path).write("stack/a", b"old")
    done = child(
        """
        import resource, sys
        from gozen.archive.stores.open_store import open_store
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        try:
            open_store(sys.argv[1]).write("stack/a", b"x" * 5000)
        except Exception as error:
            print(type(error).__name__, error)
        """,
        tmp_path,
    )
    assert done.stdout.startswith("StorageUnavailable cannot write")
    assert "stack/a" in done.stdout
    assert files_in(tmp_path) == ["stack/a"]
    assert open_store(tmp_path).read("stack/a") == b"old"


def test_a_full_disk_is_named_and_leaves_the_old_object(tmp_path):
    open_store(tmp_path).write("stack/a", b"old")
    done = child(
        """
        import os, sys
        from pathlib import Path
        from gozen.archive.stores.partial_files import this_machine
        from gozen.archive.stores.open_store import open_store
        partial = Path(sys.argv[1]) / ".partial"
        for number in range(3):  # where this process will write next: a device that is always full
            (partial / f"{this_machine()}-{os.getpid()}-{number}").symlink_to("/dev/full")
        try:
            open_store(sys.argv[1]).write("stack/a", b"new")
        except Exception as error:
            print(type(error).__name__, error)
        """,
        tmp_path,
    )
    assert done.stdout.startswith("StorageUnavailable cannot write")
    assert "the disk is full" in done.stdout
    assert open_store(tmp_path).read("stack/a") == b"old"


def test_an_archive_of_another_owner_is_named(tmp_path):
    folder = tmp_path / "archive"
    folder.mkdir(mode=0o555)
    done = child(
        """
        import os, sys
        from gozen.archive.stores.open_store import open_store
        import encodings.idna
        if os.getuid() == 0:  # root may write anywhere
            os.setuid(65534)
        try:
            open_store(sys.argv[1]).write("stack/a", b"new")
        except Exception as error:
            print(type(error).__name__, error)
        """,
        folder,
    )
    assert done.stdout.startswith("StorageUnavailable cannot write"), done.stderr
    assert "Permission denied" in done.stdout
    assert files_in(tmp_path) == []


def test_a_file_where_a_folder_should_be_is_named(tmp_path):
    (tmp_path / "archive").write_text("not a folder")
    for path in (tmp_path / "archive", tmp_path / "archive" / "below"):
        with pytest.raises(BadRequest, match="archive is a file; give the path of a folder"):
            open_store(path)
    with pytest.raises(StorageUnavailable, match="a file has the name of a folder"):
        open_store(tmp_path).write("archive/stack", b"")


def test_a_folder_that_may_not_be_read_is_not_an_empty_one(tmp_path, monkeypatch):
    store, scandir = open_store(tmp_path), os.scandir
    store.write("stack/20240105/a", b"")
    store.write("stack/20240106/a", b"")

    def locked(folder):
        if os.fspath(folder).endswith("20240105"):
            raise PermissionError(errno.EACCES, "Permission denied")
        return scandir(folder)

    monkeypatch.setattr("os.scandir", locked)
    with pytest.raises(StorageUnavailable, match="does not have the permission"):
        store.list("stack")
    assert store.list("nothing") == []
    assert store.list("stack/20240106/a") == []


def test_a_killed_writer_leaves_no_object_and_the_next_sweep_cleans_up(tmp_path):
    for folder in ("stack", ".partial"):
        (tmp_path / folder).mkdir()
    done = child(
        """
        import os, signal, sys
        from gozen.archive.stores.open_store import open_store
        os.fsync = lambda descriptor: os.kill(os.getpid(), signal.SIGKILL)  # the moment before the rename
        open_store(sys.argv[1]).write("stack/a", b"x" * 5000)
        """,
        tmp_path,
    )
    assert done.returncode == -9
    store = open_store(tmp_path)
    assert store.list("stack") == []
    assert store.list("") == []
    assert len(files_in(tmp_path)) == 1
    own = tmp_path / ".partial" / f"{this_machine()}-{os.getpid()}-0"
    own.write_bytes(b"being written")
    assert store.sweep() == 1
    assert files_in(tmp_path) == [f".partial/{own.name}"]


def leave(archive: Path, name: str, age_s: float) -> Path:
    path = archive / ".partial" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"half")
    written = path.stat().st_mtime - age_s
    os.utime(path, (written, written))
    return path


NO_PROCESS = 2**22 + 1


@pytest.mark.parametrize("ours_s", [-3 * 86400, 0, 3 * 86400])
def test_files_of_killed_pods_go_when_they_are_old_by_the_clock_of_the_file_server(tmp_path, monkeypatch, ours_s):
    old = leave(tmp_path, f"pod-7f9c.4026532000-{os.getpid()}-0", 25 * 3600)
    young = leave(tmp_path, f"pod-7f9d.4026532000-{NO_PROCESS}-3", 23 * 3600)
    ahead = leave(tmp_path, f"pod-7f9e.4026532000-{NO_PROCESS}-3", -48 * 3600)
    monkeypatch.setattr("time.time", lambda now=time.time: now() + ours_s)
    assert DirectoryStore(tmp_path).sweep() == 1
    assert not old.exists()
    assert young.exists()
    assert ahead.exists()
    assert len(files_in(tmp_path)) == 2


@pytest.mark.parametrize(
    "machine",
    [os.uname().nodename, f"{os.uname().nodename}-2.4026531836", f"{os.uname().nodename}.1"],
    ids=["earlier Gozen", "longer name", "other processes"],
)
def test_files_of_machines_of_a_like_name_are_not_taken_for_ours(tmp_path, machine):
    other = leave(tmp_path, f"{machine}-{NO_PROCESS}-0", 60)
    assert DirectoryStore(tmp_path).sweep() == 0
    assert other.exists()


def test_a_file_that_another_machine_is_writing_stays(tmp_path, monkeypatch):
    store, swept, sync = DirectoryStore(tmp_path), [], os.fsync

    def sweep_then_sync(descriptor):
        monkeypatch.setattr("gozen.archive.stores.partial_files.this_machine", lambda: "another.1")
        swept.append(store.sweep())
        sync(descriptor)

    monkeypatch.setattr("gozen.archive.stores.partial_files.this_machine", lambda: "pod-7f9c.1")
    monkeypatch.setattr(os, "fsync", sweep_then_sync)
    store.write("stack/a", b"whole")
    assert swept[0] == 0
    assert store.read("stack/a") == b"whole"


def test_leftovers_that_cannot_be_removed_now_are_named(tmp_path, monkeypatch):
    (tmp_path / ".partial").mkdir()
    left = tmp_path / ".partial" / f"{this_machine()}-{2**22 + 1}-0"  # a number that no process has
    left.write_bytes(b"half")

    def refused(path, missing_ok=False):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    monkeypatch.setattr(Path, "unlink", refused)
    with pytest.raises(StorageUnavailable, match=rf"cannot delete .*{left.name}.*mounted read-only"):
        DirectoryStore(tmp_path).sweep()


def test_a_stamp_tells_that_an_object_changed(tmp_path):
    store = DirectoryStore(tmp_path)
    store.write("raw/a", b"first")
    before = store.stamp("raw/a")
    assert store.stamp("raw/a") == before
    os.utime(tmp_path / "raw" / "a", ns=(0, 1))
    assert store.stamp("raw/a") != before
    store.delete("raw/a")
    assert store.stamp("raw/a") is None
    check_unchanged(store, {"raw/a": before})  # what was read whole may go
    store.write("raw/a", b"other")
    with pytest.raises(StorageUnavailable, match=r"raw/a changed while it was reduced, so nothing is committed"):
        check_unchanged(store, {"raw/a": before})


@pytest.mark.parametrize("change", [b"other", b"sho", b"longer"])
def test_an_object_that_changes_while_it_is_read_is_told(tmp_path: Path, change: bytes) -> None:
    store = DirectoryStore(tmp_path)
    store.write("raw/a", b"first")

    def room(size: int) -> memoryview:
        (tmp_path / "raw" / "a").write_bytes(change)
        return memoryview(bytearray(size))

    with pytest.raises(StorageUnavailable, match="changed while it was read"):
        store.read_into("raw/a", room)
    assert store.read_into("raw/a", lambda size: memoryview(bytearray(size))) == change
