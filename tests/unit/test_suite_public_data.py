"""Test the download of the public test data: correct files, wrong bytes, a broken connection, existing files."""

from __future__ import annotations

import gzip
import hashlib
import threading
from functools import partial
from http.server import HTTPServer, SimpleHTTPRequestHandler
from pathlib import Path

import pytest
from tests.suite import public_data
from tests.suite.public_data import NOT_PUBLIC, PublicFile, listed

DATA = b"SIMPLE  =                    T" * 100


def public(name: str, data: bytes = DATA) -> PublicFile:
    return PublicFile(name, "some/repository", "abc123", f"data/{name}", len(data), hashlib.sha256(data).hexdigest())


@pytest.fixture
def server(tmp_path: Path):
    """Serve a folder as the original's server does; returns its address and the folder of the commit."""
    root = tmp_path / "server"
    files = root / "some/repository/abc123/data"
    files.mkdir(parents=True)

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), partial(Quiet, directory=root)) as http:
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{http.server_port}", files
        http.shutdown()
        thread.join()


def test_a_file_is_checked_and_compressed(server, tmp_path) -> None:
    address, files = server
    (files / "a.fits.gz").write_bytes(DATA)
    (files / "b.csv").write_bytes(DATA)
    assert public_data.fetch([public("a.fits.gz"), public("b.csv")], tmp_path / "here", address) == []
    assert gzip.decompress((tmp_path / "here/a.fits.gz").read_bytes()) == DATA
    assert (tmp_path / "here/b.csv").read_bytes() == DATA


@pytest.mark.parametrize("sent", [DATA[:-1], DATA + b" ", DATA[:-1] + b"x", b""])
def test_wrong_bytes_never_stand_under_the_name(server, tmp_path, sent: bytes) -> None:
    address, files = server
    (files / "b.csv").write_bytes(sent)
    (failure,) = public_data.fetch([public("b.csv")], tmp_path / "here", address)
    assert failure.startswith("b.csv: ")
    assert f"{address}/some/repository/abc123/data/b.csv" in failure
    assert not (tmp_path / "here/b.csv").exists()


def test_what_is_there_is_kept_and_what_is_damaged_is_replaced(server, tmp_path) -> None:
    address, files = server
    here = tmp_path / "here"
    here.mkdir()
    (here / "kept.csv").write_bytes(DATA)
    (here / "cut.fits.gz").write_bytes(gzip.compress(DATA)[:-9])
    (files / "cut.fits.gz").write_bytes(DATA)
    assert public_data.fetch([public("kept.csv"), public("cut.fits.gz")], here, address) == []
    assert gzip.decompress((here / "cut.fits.gz").read_bytes()) == DATA


def test_a_file_that_the_server_lacks_is_named_and_the_others_come(server, tmp_path, capsys, monkeypatch) -> None:
    address, files = server
    (files / "b.csv").write_bytes(DATA)
    monkeypatch.setattr(public_data, "listed", lambda: [public("a.csv"), public("b.csv")])
    assert public_data.main([str(tmp_path / "here"), "--server", address]) == 1
    said = capsys.readouterr().err
    assert "not downloaded: a.csv: HTTP Error 404" in said
    assert "1 of 2 files are in" in said
    assert (tmp_path / "here/b.csv").exists()


def test_the_list_is_sound() -> None:
    files = listed()
    assert len({one.file for one in files}) == len(files)
    for one in files:
        assert len(one.commit) == 40
        assert len(one.sha256) == 64
        assert Path(one.file).name.removesuffix(".gz") == Path(one.path).name
        assert not one.file.startswith(NOT_PUBLIC)
