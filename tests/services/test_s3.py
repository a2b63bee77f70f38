"""The store on a real S3 server: its guarantees, its requests, and the names of its errors.

Covered: the guarantees of every store; exclusive creation among concurrent threads and processes, in one request and in
parts; killed writers; broken connections; wrong credentials, buckets and addresses; forks; the number of requests of a
look-up. Not covered: a night on S3 (test_s3_night), life cycles of buckets.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import re
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.synchronize import Event
from pathlib import Path
from threading import Barrier

import pytest
from tests.catalog_samples import field_of, rows_of
from tests.free_ports import free_port
from tests.unit.archive_samples import commit, processing_of

from gozen.archive.commit import Outcome, read_commit, write_commit
from gozen.archive.stores.open_store import open_archive, open_store
from gozen.archive.stores.s3_store import S3Store
from gozen.archive.stores.s3_upload import SINGLE
from gozen.catalog import open_catalog
from gozen.catalog.write.append import append_night
from gozen.errors import BadRequest, GozenError, MissingObject, StorageUnavailable
from gozen.settings import Settings, StorageSettings, load_settings

from .conftest import in_environment
from .s3_server import Line, S3Server

LARGE = SINGLE + 5


@pytest.fixture(scope="module", params=["versitygw", pytest.param("ceph", marks=pytest.mark.xdist_group("ceph"))])
def s3(request: pytest.FixtureRequest) -> Iterator[S3Server]:
    """Return each of the servers: nothing may depend on what one vendor does."""
    process = {"versitygw": "s3_process", "ceph": "ceph_process"}[request.param]
    with in_environment(request.getfixturevalue(process)) as server:
        yield server


@pytest.fixture
def store(s3_bucket: str, s3: S3Server) -> S3Store:
    return s3.store(s3_bucket)


def refusal(store: S3Store, verb: str = "read", *arguments: object) -> GozenError:
    """Return the error that a request ends in."""
    with pytest.raises(GozenError) as raised:
        getattr(store, verb)(*(arguments or ("a/b",)))
    return raised.value


def test_objects_come_back_as_they_were_put(store: S3Store) -> None:
    store.write("a/b/c d+é%.bin", b"0123456789")
    assert store.read("a/b/c d+é%.bin") == b"0123456789"
    assert store.list("a") == ["a/b/c d+é%.bin"]
    assert bytes(store.read_into("a/b/c d+é%.bin", lambda size: memoryview(bytearray(size + 3)))) == b"0123456789"
    assert [store.read_range("a/b/c d+é%.bin", *one) for one in ((2, 5), (8, 20), (4, 4), (10, 12))] == [
        b"234", b"89", b"", b"",
    ]  # fmt: skip
    assert (store.exists("a/b/c d+é%.bin"), store.size("a/b/c d+é%.bin")) == (True, 10)
    with store.open("a/b/c d+é%.bin") as stream:
        stream.seek(8)
        assert (stream.read(), stream.read()) == (b"89", b"")
        stream.seek(-3, os.SEEK_END)
        assert stream.read(1) == b"7"


def test_a_put_replaces_and_a_creation_does_not(store: S3Store) -> None:
    store.write("k", b"first")
    store.write("k", b"second")
    assert not store.create("k", b"third")
    assert store.read("k") == b"second"
    assert store.create("empty", b"")
    assert not store.create("empty", b"")
    assert store.read("empty") == b""


def test_lists_are_whole_sorted_and_below_a_folder(store: S3Store) -> None:
    keys = [f"many/{number:04d}" for number in range(1003)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: store.write(key, b"x" * len(key)), [*reversed(keys), "many2/a", "top"]))
    assert store.list("many") == keys
    assert store.sizes("many") == dict.fromkeys(keys, 9)
    assert store.list("nothing") == []
    assert len(store.list("")) == 1005
    store.delete("top")
    store.delete("top")
    assert not store.exists("top")


def test_folders_are_listed_without_what_is_in_them(store: S3Store, s3: S3Server) -> None:
    keys = [f"many/{number:04d}/{part}" for number in range(5) for part in "ab"]
    for key in [*keys, "many/top", "many2/a/b"]:
        store.write(key, b"")
    before = len(s3.requests())
    assert [*store.folders("many")] == [f"{number:04d}" for number in range(5)]
    assert s3.requests()[before:] == ["ListObjectsV2"]
    assert [*store.folders("nothing")] == []


@pytest.mark.parametrize("verb", ["read", "size", "open"])
def test_an_absent_object_is_named(store: S3Store, verb: str) -> None:
    error = refusal(store, verb, "no/such")
    assert isinstance(error, MissingObject)
    assert store.url_of("no/such") in str(error)


def test_a_large_object_goes_in_parts_and_comes_back(store: S3Store, s3: S3Server, tmp_path: Path) -> None:
    data = os.urandom(LARGE)
    (tmp_path / "cube").write_bytes(data)
    before = len(s3.requests())
    store.write("large", data)
    asked = s3.requests()[before:]
    assert sorted(asked) == ["CompleteMultipartUpload", "CreateMultipartUpload", *["UploadPart"] * 5]
    assert store.read("large") == data
    store.copy("large", "copied")
    assert store.read("copied") == data
    assert store.take("large", tmp_path / "cube")
    (tmp_path / "cube").write_bytes(data[:-1] + b"?")
    assert not store.take("large", tmp_path / "cube")
    assert store.take("other", tmp_path / "cube")
    assert store.read("other")[-5:] == data[-5:-1] + b"?"


@pytest.mark.parametrize(("size", "writers"), [(3, 8), (LARGE, 2)], ids=["one request", "parts"])
def test_of_racing_threads_one_is_first(store: S3Store, size: int, writers: int) -> None:
    barrier = Barrier(writers)

    def create(number: int) -> bool:
        barrier.wait()
        return store.create("k", b"%d" % number * size)

    with ThreadPoolExecutor(writers) as pool:
        first = list(pool.map(create, range(writers)))
    assert sum(first) == 1
    assert store.read("k") == b"%d" % first.index(True) * size


def test_of_racing_processes_one_is_first_for_every_key(store: S3Store) -> None:
    fork = multiprocessing.get_context("fork")
    barrier, won = fork.Barrier(3), [fork.Array("b", 40) for _ in range(3)]

    def race(number: int) -> None:
        store.exists("k")
        barrier.wait()
        for one in range(40):
            won[number][one] = store.create(f"expid/{one:08d}.json", b"%d" % number)

    racers = [fork.Process(target=race, args=(number,)) for number in range(3)]
    for one in racers:
        one.start()
    for one in racers:
        one.join()
    for key, marks in enumerate(zip(*won, strict=True)):
        assert sorted(marks) == [0, 0, 1]
        assert store.read(f"expid/{key:08d}.json") == b"%d" % marks.index(1)


def test_a_killed_writer_leaves_nothing_or_all(store: S3Store) -> None:
    fork = multiprocessing.get_context("fork")
    seen = set()
    for number in range(10):
        size = LARGE if number % 2 else 40_000_000
        ready = fork.Event()

        def write(number: int = number, size: int = size, ready: Event = ready) -> None:
            store.exists("k")
            ready.set()
            store.write(f"raw/{number}", b"x" * size)

        writer = fork.Process(target=write)
        writer.start()
        ready.wait()
        time.sleep(0.03 * number)  # the moment at which it dies
        writer.kill()
        writer.join()
        held = store.sizes("raw").get(f"raw/{number}")
        assert held in (None, size)
        seen.add(held is None)
    assert True in seen
    store.write("raw/1", b"again")
    assert store.read("raw/1") == b"again"


def test_a_commit_is_written_once(store: S3Store, s3: S3Server) -> None:
    other = s3.store(store.url)
    first, second = commit(), commit(object="another")
    assert write_commit(store, processing_of(first), first) == Outcome.WRITTEN
    assert write_commit(other, processing_of(first), first) == Outcome.SAME
    assert write_commit(other, processing_of(first), second) == Outcome.KEPT_FIRST
    assert read_commit(store, processing_of(first), first.sensor) == first


def test_appends_that_race_all_end_in_the_table(store: S3Store, s3: S3Server) -> None:
    nights = {20240101 + number: [rows_of(field_of(), 20240101 + number, f"{number}")] for number in range(4)}

    def append(night: int) -> int:
        return append_night(s3.store(store.url), "lightcurves", night, nights[night]).rows_added

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(append, nights)) == [36] * 4
    catalog = open_catalog(store, "lightcurves")
    assert catalog.info().nights == tuple(nights)
    assert catalog.info().rows == 4 * 36


@pytest.fixture(scope="module")
def table(s3: S3Server) -> S3Store:
    """Return an archive with a table of three nights; not to be changed."""
    store = s3.store(f"s3://{s3.bucket('table')}/deep/archive")
    for night in (20240101, 20240102, 20240103):
        append_night(store, "lightcurves", night, [rows_of(field_of(), night, "1")])
    return store


def test_a_look_up_takes_few_requests(table: S3Store, s3: S3Server) -> None:
    star = int(field_of().source_id[0])
    asked = len(s3.requests())
    catalog = open_catalog(table, "lightcurves")
    opening = s3.requests()[asked:]
    assert opening == ["ListObjectsV2", "GetObject", "GetObject", "GetObject"]  # versions, manifest, columns, index
    asked += len(opening)
    rows = catalog.lightcurve(star)
    first = s3.requests()[asked:]
    assert len(rows) == 9
    assert first == ["GetObject"] * 6  # for each night's file its footer and the row group
    asked += len(first)
    assert catalog.lightcurve(star).equals(rows)
    assert len(s3.requests()) == asked  # row groups never change
    assert catalog.refresh() is catalog
    assert s3.requests()[asked:] == ["GetObject"]


def test_a_forked_and_a_spawned_process_read_on(table: S3Store) -> None:
    catalog = open_catalog(table, "lightcurves")
    expected = catalog.table(["flux"])["flux"].to_pylist()
    with multiprocessing.get_context("fork").Pool(2) as pool:
        for found in pool.map(fluxes_of, [table] * 6):
            assert found == expected
    key = next(key for key in table.list("catalogs") if "/dataset/" in key and key.endswith(".parquet"))
    assert first_bytes(table, key) == b"PAR1"
    with multiprocessing.get_context("fork").Pool(1) as pool:
        assert pool.apply(first_bytes, (table, key)) == b"PAR1"
    assert pickle.loads(pickle.dumps(table)).list("catalogs") == table.list("catalogs")


def fluxes_of(store: S3Store) -> list[float]:
    return list(open_catalog(store, "lightcurves").table(["flux"])["flux"].to_pylist())


def first_bytes(store: S3Store, key: str) -> bytes:
    return bytes(store.read_ranges(key, [(0, 4)])[0])


def test_a_listing_is_never_an_old_one(store: S3Store, s3: S3Server) -> None:
    assert store.list("a") == []
    s3.store(store.url).write("a/b", b"")
    assert store.list("a") == ["a/b"]
    s3.store(store.url).delete("a/b")
    assert store.list("a") == []


def test_answers_that_break_off_are_asked_for_again(store: S3Store, s3: S3Server) -> None:
    data = os.urandom(300_000)
    store.write("a/b", data)
    with Line(int(s3.endpoint.rpartition(":")[2])) as line:
        far = s3.store(store.url, endpoint_url=f"http://127.0.0.1:{line.port}", attempts=3)
        for after in (0, 40, 5_000):
            line.cuts, line.after = 2, after
            assert far.read("a/b") == data
            assert far.size("a/b") == 300_000
            line.cuts = 2
            assert bytes(far.read_into("a/b", lambda size: memoryview(bytearray(size)))) == data
            assert line.cuts == 0
        line.cuts, line.after = 3, 5_000
        error = refusal(far)
        assert isinstance(error, StorageUnavailable)
        assert "a/b" in str(error)


def test_ranges_are_asked_for_together_without_botocore(store: S3Store, monkeypatch: pytest.MonkeyPatch) -> None:
    data = os.urandom(3_000_000)
    for key in ("a/b c d+é%.bin", "plain"):
        store.write(key, data)
        ranges = [(0, 10), (1_000_000, 2_500_000), (5, 6), (2_999_999, 3_000_000)]
        with monkeypatch.context() as alone:
            alone.setattr(store.client, "get_object", None)
            found = store.read_ranges(key, ranges)
        assert [bytes(one) for one in found] == [data[start:stop] for start, stop in ranges]
    assert store.read_ranges("plain", []) == []
    assert [bytes(one) for one in store.read_ranges("plain", [(2_999_999, 3_000_010)])] == [data[-1:]]
    assert isinstance(refusal(store, "read_ranges", "a/b", [(0, 5)]), MissingObject)


def test_ranges_that_break_off_are_asked_for_again(store: S3Store, s3: S3Server) -> None:
    data = os.urandom(300_000)
    store.write("a/b", data)
    ranges = [(0, 100_000), (150_000, 300_000)]
    with Line(int(s3.endpoint.rpartition(":")[2])) as line:
        far = s3.store(store.url, endpoint_url=f"http://127.0.0.1:{line.port}", attempts=3)
        line.which = b"HTTP/1.1 206"
        for after in (0, 40, 5_000, 0):  # the last time its quick client has been given up
            line.cuts, line.after = 2, after
            assert [bytes(one) for one in far.read_ranges("a/b", ranges)] == [data[a:b] for a, b in ranges]
            assert line.cuts == 0
        line.cuts = 100
        error = refusal(far, "read_ranges", "a/b", ranges)
        assert isinstance(error, StorageUnavailable)
        assert "a/b" in str(error)


def test_a_client_that_fails_each_time_is_given_up(store: S3Store, s3: S3Server) -> None:
    store.write("a/b", b"0123456789")
    with Line(int(s3.endpoint.rpartition(":")[2])) as line:
        address = f"http://127.0.0.1:{line.port}"
        far = S3Store(store.url, StorageSettings(endpoint_url=address, attempts=1))
        line.which, line.cuts = b"HTTP/1.1 206", 1
        assert [bytes(one) for one in far.read_ranges("a/b", [(2, 5)])] == [b"234"]
        assert line.cuts == 0
        for _ in range(2):
            line.cuts = 1
            assert [bytes(one) for one in far.read_ranges("a/b", [(2, 5)])] == [b"234"]
        line.cuts = 1
        assert isinstance(refusal(far, "read_ranges", "a/b", [(2, 5)]), StorageUnavailable)  # botocore met it, once


def test_a_list_that_breaks_off_is_never_a_short_one(store: S3Store, s3: S3Server) -> None:
    keys = [f"a/{number:03d}" for number in range(100)]
    for key in keys:
        store.write(key, b"")
    with Line(int(s3.endpoint.rpartition(":")[2])) as line:
        far = s3.store(store.url, endpoint_url=f"http://127.0.0.1:{line.port}", attempts=1)
        for after in (0, 15, 40, 100, 150, 200, 250, 300, 400, 2_000, 9_000):
            line.cuts, line.after = 1, after
            assert isinstance(refusal(far, "list", "a"), StorageUnavailable)
        assert far.list("a") == keys


def test_a_creation_whose_answer_is_lost_counts_once(store: S3Store, s3: S3Server) -> None:
    with Line(int(s3.endpoint.rpartition(":")[2])) as line:
        far = s3.store(store.url, endpoint_url=f"http://127.0.0.1:{line.port}", attempts=3)
        assert far.create("k/1", b"mine")
        line.cuts, line.after = 1, 0
        assert far.create("k/2", b"mine")
        assert line.cuts == 0
        assert not far.create("k/2", b"mine")
        assert not store.create("k/2", b"mine")
    assert store.read("k/2") == b"mine"


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("AWS_ACCESS_KEY_ID", "nobody", "UserNotFound|InvalidAccessKeyId|AccessDenied"),
        ("AWS_SECRET_ACCESS_KEY", "wrong", "SignatureDoesNot|AccessDenied"),
    ],
)
def test_wrong_credentials_are_told(
    store: S3Store, s3: S3Server, monkeypatch: pytest.MonkeyPatch, name: str, value: str, code: str
) -> None:
    store.write("a/b", b"")
    monkeypatch.setenv(name, value)
    stranger = s3.store(store.url)
    for error in (refusal(stranger), refusal(stranger, "write", "a/b", b""), refusal(stranger, "list", "a")):
        assert isinstance(error, StorageUnavailable)
        assert re.search(code, str(error))
        assert "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY" in str(error)
    assert isinstance(refusal(stranger, "exists", "a/b"), StorageUnavailable)


def test_without_credentials_it_says_which(store: S3Store, s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    error = refusal(s3.store(store.url))
    assert isinstance(error, BadRequest)
    assert "set AWS_ACCESS_KEY_ID" in str(error)


def test_a_bucket_that_is_not_there_is_told(s3: S3Server) -> None:
    absent = s3.store("s3://no-such-bucket/archive")
    for error in (refusal(absent), refusal(absent, "write", "a/b", b""), refusal(absent, "list", "a")):
        assert isinstance(error, BadRequest)
        assert "no such bucket" in str(error)
    assert isinstance(refusal(s3.store("s3://No_Bucket!")), BadRequest)


def test_a_server_that_is_away_or_silent_is_told(s3_bucket: str) -> None:
    away = S3Store(s3_bucket, StorageSettings(endpoint_url=f"http://127.0.0.1:{free_port()}", attempts=2))
    assert isinstance(refusal(away), StorageUnavailable)
    assert "check storage.endpoint_url" in str(refusal(away, "write", "a/b", b""))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings = StorageSettings(
            endpoint_url=f"http://127.0.0.1:{silent.getsockname()[1]}", attempts=1, read_timeout_s=0.2
        )
        assert isinstance(refusal(S3Store(s3_bucket, settings)), StorageUnavailable)
    nowhere = S3Store(s3_bucket, StorageSettings(endpoint_url="http://no-such-host.invalid", attempts=1))
    assert isinstance(refusal(nowhere), StorageUnavailable)


@pytest.mark.parametrize("url", ["localhost:9000", "ftp://localhost", "http://key:secret@localhost"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(BadRequest, match=r"storage\.endpoint_url"):
        load_settings(storage={"endpoint_url": url})


def test_an_archive_without_a_bucket_is_refused() -> None:
    with pytest.raises(BadRequest, match="s3://bucket/prefix"):
        open_store("s3://")


def test_the_settings_reach_the_server(s3: S3Server, s3_bucket: str) -> None:
    settings = Settings(archive=s3_bucket, storage=StorageSettings(endpoint_url=s3.endpoint, addressing="path"))
    store = open_archive(settings)
    store.write("a/b", b"x")
    assert s3.store(s3_bucket).read("a/b") == b"x"


def test_lsdb_reads_the_table_where_it_lies(table: S3Store, s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    import lsdb
    from upath import UPath

    monkeypatch.setenv("AWS_ENDPOINT_URL", s3.endpoint)
    found = lsdb.open_catalog(UPath(f"{table.url}/catalogs/lightcurves", anon=False)).compute()
    expected = open_catalog(table, "lightcurves").table(["flux"])["flux"].to_pylist()
    assert sorted(found["flux"]) == sorted(expected)
