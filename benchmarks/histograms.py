"""One question in many ways: the colour-colour diagram of the stars of an object table, for benchmarks/quickdb.py.

Each way is a function that answers the question anew, with the same mask, range and bins. The floor is bare: row groups
by PyArrow, `fast_histogram`, one process a worker, nothing between them but a pipe.
"""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import reduce
from multiprocessing import get_context
from operator import add
from typing import Any

import fast_histogram
import numpy as np
import pyarrow.parquet as pq

Ask = Callable[[], np.ndarray]

RANGE = ((-0.5, 2.0), (-0.5, 4.0))
BINS = (200, 400)
FLUXES = [f"{band}_psfflux_instflux" for band in "gri"]
COLUMNS = [*FLUXES, "i_extendedness_value"]


def diagram(g: np.ndarray, r: np.ndarray, i: np.ndarray) -> np.ndarray:
    """Return the counts of g-r and r-i, shape (200, 400), of magnitudes."""
    return fast_histogram.histogram2d(g - r, r - i, range=RANGE, bins=BINS)


def of_fluxes(fluxes: Sequence[np.ndarray], extended: np.ndarray) -> np.ndarray:
    """Return the diagram of the points among objects, from instrumental fluxes."""
    points = extended < 0.5
    chosen = [flux[points] for flux in fluxes]
    return diagram(*(27.0 - 2.5 * np.log10(np.where(flux > 0, flux, np.nan)) for flux in chosen))


def of_patch(patch: Any) -> np.ndarray:
    """Return the diagram of a patch: what a user of QuickDB writes."""
    patch = patch[patch("forced.i.extendedness_value") < 0.5]
    return diagram(*(patch(f"forced.{band}.psfflux_instmag") for band in "gri"))


def of_frame(frame: Any) -> np.ndarray:
    """Return the diagram of a pandas frame."""
    return of_fluxes([frame[name].to_numpy(np.float32) for name in FLUXES], frame[COLUMNS[3]].to_numpy(np.float32))


def of_row_groups(parts: Sequence[tuple[str, int]]) -> np.ndarray:
    """Return the diagram of row groups, read one after another."""
    total = np.zeros(BINS)
    files: dict[str, pq.ParquetFile] = {}
    for path, number in parts:
        if path not in files:
            files[path] = pq.ParquetFile(path)
        rows = files[path].read_row_group(number, columns=COLUMNS, use_threads=False)
        arrays = [rows.column(name).to_numpy() for name in COLUMNS]
        total += of_fluxes(arrays[:3], arrays[3])
    return total


@contextlib.contextmanager
def floor(files: Sequence[str], workers: int) -> Iterator[Ask]:
    """Read by bare PyArrow in so many processes, each of which gets every n-th row group."""
    groups = [(path, number) for path in files for number in range(pq.read_metadata(path).num_row_groups)]
    shares = [groups[first::workers] for first in range(workers)]
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        yield lambda: reduce(add, pool.map(of_row_groups, shares))


@contextlib.contextmanager
def duckdb(files: Sequence[str], workers: int) -> Iterator[Ask]:
    """Group by bins in DuckDB."""
    import duckdb as engine

    connection = engine.connect(config={"threads": workers})
    g, r, i = (f"(27 - 2.5 * log10({name}))" for name in FLUXES)
    positive = " AND ".join(f"{name} > 0" for name in FLUXES)
    query = f"""SELECT CAST(floor(({g} - {r} + 0.5) / 2.5 * 200) AS INT) AS x,
        CAST(floor(({r} - {i} + 0.5) / 4.5 * 400) AS INT) AS y, count(*) AS n
        FROM read_parquet(?) WHERE {COLUMNS[3]} < 0.5 AND {positive} GROUP BY x, y"""

    def ask() -> np.ndarray:
        return _of_counts(*connection.execute(query, [list(files)]).fetchnumpy().values())

    yield ask
    connection.close()


@contextlib.contextmanager
def polars(files: Sequence[str], workers: int) -> Iterator[Ask]:
    """Group by bins in polars; its threads are set by the environment before it is first imported."""
    os.environ["POLARS_MAX_THREADS"] = str(workers)
    import polars as engine

    g, r, i = (27 - 2.5 * engine.col(name).log10() for name in FLUXES)
    points = engine.all_horizontal(engine.col(COLUMNS[3]) < 0.5, *(engine.col(name) > 0 for name in FLUXES))
    x = ((g - r + 0.5) / 2.5 * 200).floor().cast(engine.Int32).alias("x")
    y = ((r - i + 0.5) / 4.5 * 400).floor().cast(engine.Int32).alias("y")

    def ask() -> np.ndarray:
        lazy = engine.scan_parquet(list(files)).filter(points).select(x, y).group_by("x", "y").len()
        found = lazy.collect(engine="streaming")
        return _of_counts(*(found[name].to_numpy() for name in ("x", "y", "len")))

    yield ask


@contextlib.contextmanager
def cluster(workers: int) -> Iterator[Any]:
    """Start Dask workers of one thread each; give their client, which is the default one then."""
    from distributed import Client, LocalCluster

    with LocalCluster(workers, threads_per_worker=1, dashboard_address=None) as started, Client(started) as client:
        yield client


def on_cluster(files: Sequence[str], collection: str) -> tuple[Ask, Ask]:
    """Map over the partitions of dask.dataframe, and of LSDB, on the workers of the default client; return both."""
    warnings.simplefilter("ignore")
    import dask
    import dask.dataframe as frames
    import lsdb

    def of_dask() -> np.ndarray:
        parts = frames.read_parquet(list(files), columns=COLUMNS).to_delayed()
        return np.asarray(dask.delayed(sum)([dask.delayed(of_frame)(part) for part in parts]).compute())

    def of_lsdb() -> np.ndarray:
        catalog = lsdb.open_catalog(collection, columns=COLUMNS)
        found = catalog.map_partitions(_counted).compute(progress_bar=False)
        return _of_counts(*(found[name].to_numpy() for name in ("x", "y", "n")))

    return of_dask, of_lsdb


def _counted(frame: Any) -> Any:
    """Return the bins of a partition's diagram that are not empty as a frame, which is what LSDB passes on."""
    import pandas as pd

    found = of_frame(frame)
    x, y = np.nonzero(found)
    return pd.DataFrame({"x": x, "y": y, "n": found[x, y]})


def _of_counts(x: np.ndarray, y: np.ndarray, count: np.ndarray) -> np.ndarray:
    inside = (x >= 0) & (x < BINS[0]) & (y >= 0) & (y < BINS[1])
    total = np.zeros(BINS)
    np.add.at(total, (x[inside], y[inside]), count[inside])
    return total
