"""Cached results of QuickDB: never one that the function would not return again, because its input may have changed.

Covered: files read with each library that astronomers use; results of processes and modules; clocks and random numbers;
map and reduce, samples; every engine; the camera's site; workers with other software; the message why a result is not
cached. Which functions are cached: tests/unit/test_quickdb_why_not_kept.
"""

# Functions as users write them:
# ruff: noqa: ARG005, PTH116, PTH202, PTH208

from __future__ import annotations

import os
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cloudpickle
import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.io import fits
from astropy.table import Table
from pyarrow import csv, dataset

from gozen.quickdb import Api, connect
from gozen.quickdb.engines import Here
from gozen.settings import load_settings

from .quickdb_surveys import here

cloudpickle.register_pickle_by_value(sys.modules[__name__])
pytestmark = pytest.mark.usefixtures("kept")
Write = Callable[[Path, int], Any]
Read = Callable[[Path], Any]


def add(a: Any, b: Any) -> Any:
    return a + b


def one(patch: Any) -> int:
    return min(patch.size, 1)


SEEN: dict[str, list[int]] = {"patches": []}


def counted(patch: Any) -> int:
    """Change what outlives a call by a way that the code does not show."""
    for seen in SEEN.values():
        seen.append(patch.size)
    return len(SEEN["patches"])


@pytest.fixture(scope="module")
def near(nights: Path, kept: Path) -> Iterator[Api]:
    with here(nights) as api:
        yield api


def text(path: Path, value: int) -> None:
    path.write_text(f"a\n{value}\n")


def in_sqlite(path: Path, value: int) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS t (a)")
        connection.execute("DELETE FROM t")
        connection.execute("INSERT INTO t VALUES (?)", (value,))


def by_memory_map(path: Path) -> Any:
    with pa.memory_map(str(path)) as file:
        return int(file.read())


FILES: dict[str, tuple[Write, Read]] = {
    "open": (text, lambda p: int(p.open().read().split()[1])),
    "read_text": (text, lambda p: int(p.read_text().split()[1])),
    "os.stat": (lambda p, n: p.write_bytes(bytes(n)), lambda p: os.stat(p).st_size),
    "os.listdir": (lambda p, n: (p.mkdir(exist_ok=True), (p / f"{n}").touch()), lambda p: len(os.listdir(p))),
    "numpy.loadtxt": (text, lambda p: int(np.loadtxt(p, skiprows=1))),
    "numpy.genfromtxt": (text, lambda p: int(np.genfromtxt(p, skip_header=1))),
    "numpy.load": (lambda p, n: np.save(p.open("wb"), np.array(n)), lambda p: int(np.load(p))),
    "numpy.fromfile": (lambda p, n: p.write_bytes(bytes([n])), lambda p: int(np.fromfile(p, np.uint8)[0])),
    "numpy.memmap": (lambda p, n: p.write_bytes(bytes([n])), lambda p: int(np.memmap(p, np.uint8, "r")[0])),
    "pandas, C": (text, lambda p: int(pd.read_csv(p).a[0])),
    "pandas, Arrow": (text, lambda p: int(pd.read_csv(p, engine="pyarrow").a[0])),
    "Arrow's CSV": (text, lambda p: csv.read_csv(p)["a"][0].as_py()),
    "Arrow's memory map": (lambda p, n: p.write_text(str(n)), by_memory_map),
    "Parquet": (lambda p, n: pq.write_table(pa.table({"a": [n]}), p), lambda p: pq.read_table(p)["a"][0].as_py()),
    "a dataset": (
        lambda p, n: pq.write_table(pa.table({"a": [n]}), p),
        lambda p: dataset.dataset(p).to_table()["a"][0].as_py(),
    ),
    "DuckDB": (text, lambda p: duckdb.sql(f"SELECT a FROM read_csv('{p}')").fetchone()[0]),
    "SQLite": (in_sqlite, lambda p: sqlite3.connect(p).execute("SELECT a FROM t").fetchone()[0]),
    "astropy's tables": (text, lambda p: int(Table.read(p, format="ascii.csv")["a"][0])),
    "FITS": (lambda p, n: fits.writeto(p, np.array([n]), overwrite=True), lambda p: int(fits.getdata(p)[0])),
    "a system call": (lambda p, n: p.write_bytes(bytes(n)), lambda p: os.path.getsize(p)),
}


@pytest.mark.parametrize("library", FILES)
def test_after_a_file_has_changed_its_new_content_counts(library: str, near: Api, tmp_path: Path) -> None:
    write, read = FILES[library]
    path = tmp_path / "weights"

    def weighted(patch: Any) -> float:
        return read(path) * one(patch)

    found = []
    for value in (1, 2):
        write(path, value)
        found.append(near.mapreduce(weighted, add))
    assert found[0] > 0
    assert found[1] == 2 * found[0]


def test_after_the_environment_has_changed_it_counts(near: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def named(patch: Any) -> set[str]:
        return {os.environ["GOZEN_TEST_WEIGHT"]} if patch.size else set()

    found = []
    for value in "12":
        monkeypatch.setenv("GOZEN_TEST_WEIGHT", value)
        found.append(near.mapreduce(named, lambda a, b: a | b, cache=True))
    assert found == [{"1"}, {"2"}]


@pytest.mark.parametrize(
    "drawn",
    [
        lambda _: time.time_ns(),
        lambda _: np.random.default_rng().integers(2**40),
        lambda _: int(os.urandom(6).hex(), 16),
    ],
    ids=["a clock", "numpy", "the system"],
)
def test_chance_and_clocks_give_another_result(drawn: Any, near: Api) -> None:
    assert near.mapreduce(drawn, add, table="lightcurves") != near.mapreduce(drawn, add, table="lightcurves")


def test_an_attribute_of_the_function_counts(near: Api) -> None:
    def weighted(patch: Any) -> float:
        return weighted.k * one(patch)

    weighted.k = 1.0
    first = near.mapreduce(weighted, add)
    weighted.k = 2.0
    assert near.mapreduce(weighted, add) == 2 * first > 0


def test_what_reduce_reads_counts_too(near: Api, tmp_path: Path) -> None:
    path = tmp_path / "weight"

    def weighted(a: float, b: float) -> float:
        return a + b + float(np.loadtxt(path))

    found = []
    for value in (10, 10, 20):
        path.write_text(f"{value}\n")
        found.append(near.mapreduce(one, weighted))
    patches = near.mapreduce(one, add)
    assert found == [patches + (patches - 1) * value for value in (10, 10, 20)]


def test_a_sample_is_never_kept(near: Api, tmp_path: Path) -> None:
    near.cache_clear()
    assert near.mapreduce(one, add, sample=0.5).value > 0
    assert near.cache_clear() == 0


@pytest.mark.parametrize("how", [{}, {"engine": "dask"}, {"isolate": True}], ids=["local", "dask", "isolated"])
def test_every_engine_keeps_what_computes_and_nothing_else(how: dict[str, Any], nights: Path, tmp_path: Path) -> None:
    path = tmp_path / "weight"

    def weighted(patch: Any) -> float:
        return float(np.loadtxt(path)) * one(patch)

    def when(patch: Any) -> int:
        return time.time_ns() * one(patch)

    with connect(nights, workers=1, **how) as api:
        api.cache_clear()
        assert api.mapreduce(when, add) != api.mapreduce(when, add)
        if "isolate" not in how:  # there a function opens no file
            found = []
            for value in (1, 2):
                path.write_text(f"{value}\n")
                found.append(api.mapreduce(weighted, add))
            assert found[1] == 2 * found[0] > 0
        assert api.cache_clear() == 0
        api.mapreduce(counted, add)
        assert api.cache_clear() == 0
        first = api.mapreduce(lambda p: p("lightcurves.flux").sum(), add)
        assert api.mapreduce(lambda p: p("lightcurves.flux").sum(), add) == first
        assert api.cache_clear() > 0


@pytest.mark.filterwarnings("ignore:barycentric times")
def test_times_at_the_barycentre_are_those_of_the_site(nights: Path) -> None:
    found = []
    for place in ((-3_868_000.0, 3_429_000.0, 3_735_000.0), (3_868_000.0, -3_429_000.0, 3_735_000.0)):
        with Api(load_settings(archive=str(nights)), Here(), place_m=place) as api:
            found.append(np.concatenate(list(api.map(lambda p: p("lightcurves.bjd_tdb")))))
    apart_s = np.abs(found[0] - found[1]) * 86400
    assert 1e-4 < apart_s.max() < 0.1


def test_what_workers_with_other_software_found_is_not_kept(near: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    near.cache_clear()
    monkeypatch.setattr("gozen.quickdb.work.worker.software", lambda: "numpy 0.0.1")
    with pytest.warns(UserWarning, match=r"a worker has numpy 0\.0\.1, this process has python 3"):
        near.mapreduce(lambda p: p.size * 3, add)
    assert near.cache_clear() == 0


def test_an_address_in_a_text_is_not_kept(near: Api) -> None:
    near.cache_clear()
    assert " at 0x" in next(iter(near.map(lambda p: f"{one}", table="lightcurves")))
    assert near.cache_clear() == 0


def test_a_function_that_changes_what_outlives_a_call_is_named_once_a_job(
    near: Api, caplog: pytest.LogCaptureFixture
) -> None:
    near.mapreduce(counted, add)
    (said,) = (record.getMessage() for record in caplog.records if "not cached" in record.getMessage())
    assert said.startswith("counted and add: results are not cached")
    assert "change a copy" in said
    caplog.clear()
    near.mapreduce(counted, add, cache=False)
    near.mapreduce(one, add)
    assert "not cached" not in caplog.text


def test_somebody_who_looks_is_told_why_a_result_is_not_kept(near: Api, capfd: pytest.CaptureFixture[str]) -> None:
    near.mapreduce(lambda patch: patch.size + os.getpid(), add, table="lightcurves", progress=True)
    said = " ".join(capfd.readouterr().err.split())
    assert "results are not cached: " in said
    assert "uses the module os" in said or "uses os.getpid" in said
    near.mapreduce(one, add, progress=True)
    assert "not cached" not in capfd.readouterr().err
