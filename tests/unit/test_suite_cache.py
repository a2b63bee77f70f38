"""Test the cache of the tests: files are made once, never half-written, and users' files are not removed."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.suite import cache

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GOZEN_CACHE", str(tmp_path))
    monkeypatch.setattr(cache, "_whole", set())
    return tmp_path / "tests"


def make(text: str, made: list[str]):
    """Return what makes a file, and notes that it did."""

    def write(path: Path) -> None:
        made.append(text)
        path.write_text(text)

    return write


def test_a_file_is_made_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    assert cache.kept("bin/a", make("one", made)).read_text() == "one"
    monkeypatch.setattr(cache, "_whole", set())  # as the next process sees it
    assert cache.kept("bin/a", make("two", made)).read_text() == "one"
    assert made == ["one"]


@pytest.mark.parametrize(
    "harm",
    [
        lambda path: path.write_text("on"),
        lambda path: path.write_bytes(b""),
        lambda path: path.unlink(),
        lambda path: path.with_name("a.sha256").unlink(),
        lambda path: path.with_name("a.sha256").write_text(""),
    ],
    ids=["cut", "empty", "gone", "no seal", "empty seal"],
)
def test_a_file_that_is_not_as_it_was_made_is_made_again(harm, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    harm(cache.kept("a", make("one", made)))
    monkeypatch.setattr(cache, "_whole", set())
    assert cache.kept("a", make("two", made)).read_text() == "two"


def test_what_fails_leaves_nothing_that_is_trusted(folder: Path) -> None:
    def breaks(path: Path) -> None:
        path.write_text("half")
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space"):
        cache.kept("a", breaks)
    assert not cache.is_whole("a")
    assert cache.kept("a", make("whole", [])).read_text() == "whole"


def slowly(path: Path) -> None:
    with (path.parent / "made").open("a") as log:
        log.write("x")
    time.sleep(0.05)  # so that the others come meanwhile
    path.write_text("one")


def ask(_: int) -> str:
    return cache.kept("a", slowly).read_text()


def test_who_wants_the_same_file_waits_for_it(folder: Path) -> None:
    with multiprocessing.get_context("fork").Pool(3) as pool:
        assert pool.map(ask, range(6)) == ["one"] * 6
    assert (folder / "made").read_text() == "x"


def test_a_lock_that_is_held_is_not_waited_for_where_nobody_wants_to(folder: Path) -> None:
    with cache.locked("one", shared=True), cache.locked("one", shared=True) as second:
        assert second
        with cache.locked("one", wait=False) as alone:
            assert not alone
    with cache.locked("one", wait=False) as alone:
        assert alone


def test_files_that_no_run_wants_any_more_go(folder: Path) -> None:
    old, new = cache.kept("bin/old", make("1", [])), cache.kept("new", make("2", []))
    os.utime(old.with_name("old.sha256"), (0, 0))
    cache.forget_unused()
    assert not old.exists()
    assert new.exists()


def test_cleaning_leaves_what_users_keep(folder: Path, tmp_path: Path) -> None:
    cache.kept("a", make("1", []))
    (tmp_path / "quickdb").mkdir()
    (tmp_path / "quickdb" / "answer").write_text("mine")
    command = [sys.executable, "-m", "tests.suite.cache"]
    subprocess.run(command, cwd=ROOT, check=True, env={**os.environ, "GOZEN_CACHE": str(tmp_path)})
    assert not folder.exists()
    assert (tmp_path / "quickdb" / "answer").read_text() == "mine"
