"""An S3 server with a certificate of the site's own authority: every client trusts it, or names it in an error.

Covered: botocore, the client of ranges and DuckDB, each with AWS_CA_BUNDLE, without it, and with a wrong file; workers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest
from tests.cluster.certificates import Authority

from gozen.archive.stores import s3_environment
from gozen.archive.stores.s3_store import S3Store
from gozen.catalog.imports.import_table import ImportRequest, import_table
from gozen.errors import BadRequest, StorageUnavailable
from gozen.quickdb import connect
from gozen.quickdb.sql import duckdb_s3

from .conftest import in_environment
from .s3_server import S3Server, s3_server

pytestmark = pytest.mark.usefixtures("kept")
DATA = bytes(range(256)) * 100


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """Return a server that is asked by https."""
    folder = tmp_path_factory.mktemp("tls")
    with s3_server(folder, authority=Authority(folder / "authority")) as server, in_environment(server) as running:
        running.bucket("tls")
        yield running


@pytest.fixture
def store(tls: S3Server) -> S3Store:
    return tls.store("s3://tls/archive")


@pytest.fixture
def _untold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_CA_BUNDLE")


def test_objects_are_put_and_read(store: S3Store) -> None:
    store.write("a/b", DATA)
    assert store.read("a/b") == DATA


def test_the_client_of_ranges_trusts_the_authority(store: S3Store) -> None:
    store.write("a/b", DATA)
    found = store._connection.ranges.fetch("archive/a/b", [(0, 5), (100, 300)])
    assert found is not None
    assert [bytes(one) for one in found] == [DATA[:5], DATA[100:300]]


def test_sql_reads_a_table(store: S3Store, tls: S3Server) -> None:
    import_table(store, "mine.csv", "mine", ImportRequest(data=b"ra,dec,mag\n10.5,20.5,3.25\n11.5,21.5,4.25\n"))
    with connect(store.url, workers=0) as api:
        assert api.sql("select sum(mag) as total from mine").to_pydict() == {"total": [7.5]}


@pytest.mark.usefixtures("_untold")
def test_without_the_authority_no_client_trusts_the_server(store: S3Store, tls: S3Server) -> None:
    with pytest.raises(StorageUnavailable, match="set AWS_CA_BUNDLE to a file with the certificates to trust"):
        store.read("a/b")
    assert store._connection.ranges.fetch("archive/a/b", [(0, 5)]) is None


def test_duckdb_asks_no_server_that_it_does_not_trust(store: S3Store) -> None:
    store.write("t.csv", b"a\n1\n")
    access = store.access()
    for authorities, trusted in ((access.authorities, True), (None, False)):
        connection = duckdb.connect()
        duckdb_s3.reach(connection, replace(access, authorities=authorities))
        connection.execute("SET http_retries = 0")
        query = "select a from read_csv('s3://tls/archive/t.csv')"
        if trusted:
            assert connection.execute(query).fetchall() == [(1,)]
        else:
            with pytest.raises(duckdb.Error, match=r"(?i)ssl|certificate"):
                connection.execute(query)


def test_a_file_of_authorities_that_is_not_there_is_named(store: S3Store, tmp_path: Path) -> None:
    access = replace(store.access(), authorities=str(tmp_path / "no.pem"))
    with pytest.raises(BadRequest, match=r"no\.pem, which AWS_CA_BUNDLE names"):
        duckdb_s3.reach(duckdb.connect(), access)


def test_workers_are_told_of_it(tls: S3Server) -> None:
    told: dict[str, str] = {}
    s3_environment.set_s3_variables(s3_environment.s3_variables(), told)
    assert told["AWS_CA_BUNDLE"] == str(tls.authority)
