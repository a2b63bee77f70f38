"""Test the cache of results: its size is limited, and its content cannot corrupt a run.

Covered: cached results, which the caller may change; the size; large values; other kinds of values; damaged entries;
two processes at once; a read-only folder; keys.
"""

from __future__ import annotations

import multiprocessing
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from gozen.quickdb.jobs.result_cache import Cache, key_of
from gozen.quickdb.patches.patch_extents import PatchExtent, Piece
from gozen.quickdb.work.kept_form import kept_bytes
from gozen.quickdb.work.tasks import Block, TableFiles

KIB = 1024
RANDOM = np.random.default_rng(1)


def put(cache: Cache, key: str, value: object) -> None:
    cache.put(key, kept_bytes(value))


def total(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


def test_a_value_comes_back_and_may_be_changed(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "new", KIB * KIB)
    assert cache.get("a") is None
    put(cache, "a", {"values": [(3, np.arange(3.0))], "total": None})
    found = cache.get("a")
    assert found is not None
    ((number, array),) = found[0]["values"]
    assert number == 3
    array += 1  # as a reduce does that works in place
    assert array.tolist() == [1, 2, 3]
    assert found[0]["total"] is None


def test_none_is_a_value(tmp_path: Path) -> None:
    cache = Cache(tmp_path, KIB * KIB)
    put(cache, "a", None)
    assert cache.get("a") == (None,)


def test_a_value_comes_back_from_a_folder_that_another_user_owns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def not_the_owner(_path: Path) -> None:
        raise PermissionError

    cache = Cache(tmp_path, KIB * KIB)
    put(cache, "a", 3)
    monkeypatch.setattr(os, "utime", not_the_owner)
    assert cache.get("a") == (3,)


def test_it_stays_within_its_size_and_keeps_what_was_used(tmp_path: Path) -> None:
    cache = Cache(tmp_path, 100 * KIB)
    for number in range(100):
        put(cache, f"{number:03}", RANDOM.random(250))
        for at, path in enumerate(sorted(tmp_path.iterdir())):
            os.utime(path, (at, at))
        assert cache.get("000") is not None
    assert 50 * KIB < total(tmp_path) <= (100 + 100 // 16 + 3) * KIB
    assert cache.get("099") is not None
    assert cache.get("005") is None


@pytest.mark.parametrize(
    "value",
    [RANDOM.random(KIB), object(), {1, 2}, np.array([object()]), f"{put}", np.array([f"{put}"])],
    ids=["large", "an object", "a set", "an array of objects", "an address", "an array of addresses"],
)
def test_what_is_large_or_no_plain_data_is_not_kept(tmp_path: Path, value: object) -> None:
    cache = Cache(tmp_path / "new", 100 * KIB)
    put(cache, "a", value)
    assert cache.get("a") is None


def test_without_room_nothing_is_kept(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "new", 0)
    put(cache, "a", 1)
    assert cache.get("a") is None
    assert not (tmp_path / "new").exists()


def test_a_damaged_entry_is_as_none(tmp_path: Path) -> None:
    cache = Cache(tmp_path, KIB * KIB)
    put(cache, "a", {"total": list(range(100))})
    whole = (tmp_path / "a").read_bytes()
    for length in (0, 5, len(whole) // 2, len(whole) - 1):
        (tmp_path / "a").write_bytes(whole[:length])
        assert cache.get("a") is None
    (tmp_path / "a").write_bytes(b"\0" * len(whole))
    assert cache.get("a") is None


def test_what_is_forgotten_is_gone_and_the_rest_stays(tmp_path: Path) -> None:
    cache = Cache(tmp_path, KIB * KIB)
    for key in "abc":
        put(cache, key, key)
    cache.forget(["a", "c", "d"])
    assert [cache.get(key) for key in "abcd"] == [None, ("b",), None, None]
    Cache(tmp_path / "new", KIB).forget(["a"])


def test_a_value_that_repeats_takes_little_room(tmp_path: Path) -> None:
    put(Cache(tmp_path, KIB * KIB), "a", np.zeros(100 * KIB))
    assert total(tmp_path) < 10 * KIB


def test_clear_says_how_many_there_were(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "new", KIB * KIB)
    assert cache.clear() == 0
    for key in "abc":
        put(cache, key, key)
    assert cache.clear() == 3
    assert cache.get("a") is None


def test_a_folder_that_cannot_be_written_to_costs_no_result(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    cache = Cache(tmp_path / "file" / "below", KIB * KIB)
    put(cache, "a", 1)
    assert cache.get("a") is None
    assert cache.clear() == 0


def write_and_read(folder: Path) -> None:
    cache = Cache(folder, 60 * KIB)
    for number in range(300):
        value = np.random.default_rng(number % 40).random(300)
        found = cache.get(f"{number % 40}")
        assert found is None or (found[0] == value).all()
        put(cache, f"{number % 40}", value)


def test_two_processes_at_once(tmp_path: Path) -> None:
    both = [multiprocessing.get_context("fork").Process(target=write_and_read, args=(tmp_path,)) for _ in range(2)]
    for one in both:
        one.start()
    for one in both:
        one.join(60)
    assert [one.exitcode for one in both] == [0, 0]
    assert 0 < total(tmp_path) <= 70 * KIB
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


PIECE = Piece("a.parquet", (0, 1), 100, 5000, 6000)
PATCH = PatchExtent("5/1/0", 100, 0, 10, picked=False, pieces={"forced": (PIECE,)})
TABLES = {"forced": TableFiles("folder", "index", pa.schema([("ra", pa.float64())]))}


def key(
    code: str = "c",
    mode: str = "map",
    region: str = "",
    patch: PatchExtent = PATCH,
    tables: dict[str, TableFiles] = TABLES,
) -> str:
    return key_of(code, mode, region, Block(0, (((0, patch),),)), tables)


def test_keys_tell_apart_what_may_give_another_result() -> None:
    others = [
        key(code="d"),
        key(mode="reduce"),
        key(region="Cone"),
        key(patch=replace(PATCH, stop=11)),
        key(patch=replace(PATCH, pieces={"forced": (replace(PIECE, path="b.parquet"),)})),
        key(patch=replace(PATCH, pieces={"forced": (replace(PIECE, groups=(0,)),)})),
        key(patch=replace(PATCH, pieces={"forced": (PIECE, PIECE)})),
        key(tables={"forced": replace(TABLES["forced"], schema=pa.schema([("dec", pa.float64())]))}),
    ]
    assert len({key(), *others}) == 1 + len(others)


def test_the_number_of_a_patch_in_the_job_is_no_part_of_the_key() -> None:
    assert key_of("c", "map", "", Block(7, (((99, PATCH),),)), TABLES) == key()
