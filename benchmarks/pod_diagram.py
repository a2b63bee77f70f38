"""The colour-colour diagram, asked in a pod: by QuickDB on the workers of a lab, or by bare PyArrow in processes.

The program runs alone in the pod, without the other files of this folder; the image has no fast_histogram, so both
ways count with NumPy. It prints ``ready``. From then on each line that it reads makes it ask once; it answers with the
seconds and the number of objects in the diagram.

    python pod_diagram.py quickdb|pyarrow  # the first line that it reads is what to ask, in JSON
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import cache, partial
from multiprocessing import get_context
from typing import Any

import numpy as np

Ask = Callable[[], np.ndarray]
BINS = (200, 400)
FLUXES = ["g_psfflux_instflux", "r_psfflux_instflux", "i_psfflux_instflux"]
EXTENDED = "i_extendedness_value"


def diagram(g: np.ndarray, r: np.ndarray, i: np.ndarray) -> np.ndarray:
    """Return the counts of g-r and r-i, shape (200, 400), of magnitudes."""
    with np.errstate(invalid="ignore"):
        x, y = np.floor((g - r + 0.5) * (BINS[0] / 2.5)), np.floor((r - i + 0.5) * (BINS[1] / 4.5))
        inside = (x >= 0) & (x < BINS[0]) & (y >= 0) & (y < BINS[1])
    cells = (x[inside] * BINS[1] + y[inside]).astype(np.int64)
    return np.bincount(cells, minlength=BINS[0] * BINS[1]).reshape(BINS)


def of_patch(patch: Any) -> np.ndarray:
    """Return the diagram of a patch: what a user of QuickDB writes."""
    patch = patch[patch("forced.i.extendedness_value") < 0.5]
    return diagram(*(patch(f"forced.{band}.psfflux_instmag") for band in "gri"))


def add(a: Any, b: Any) -> Any:
    """Reduce."""
    return a + b


@cache
def store_at(endpoint: str) -> Any:
    """Return the S3 server; a process keeps its connections."""
    from pyarrow.fs import S3FileSystem

    return S3FileSystem(endpoint_override=endpoint, region="us-east-1", scheme="http")


def of_row_groups(question: dict[str, Any], share: int) -> np.ndarray:
    """Return the diagram of every n-th row group: those of a file at once, by few requests of many bytes."""
    import pyarrow.parquet as pq

    total = np.zeros(BINS, np.int64)
    for key in question["files"]:
        file = pq.ParquetFile(key, filesystem=store_at(question["endpoint"]), pre_buffer=True)
        groups = list(range(share, file.num_row_groups, question["workers"]))
        rows = file.read_row_groups(groups, columns=[*FLUXES, EXTENDED], use_threads=False)
        points = rows.column(EXTENDED).to_numpy() < 0.5
        fluxes = [rows.column(name).to_numpy()[points] for name in FLUXES]
        total += diagram(*(27.0 - 2.5 * np.log10(np.where(flux > 0, flux, np.nan)) for flux in fluxes))
    return total


@contextmanager
def by_pyarrow(question: dict[str, Any]) -> Iterator[Ask]:
    """Ask in so many processes."""
    shares = range(question["workers"])
    with ProcessPoolExecutor(len(shares), get_context("spawn")) as pool:
        yield lambda: np.sum(list(pool.map(partial(of_row_groups, question), shares)), axis=0)


@contextmanager
def by_quickdb(question: dict[str, Any]) -> Iterator[Ask]:
    """Ask on the user's own workers."""
    from gozen import quickdb

    with quickdb.connect(rerun=question["rerun"], workers=question["workers"]) as api:
        yield lambda: api.mapreduce(of_patch, add, progress=False, cache=False)


def main() -> None:
    """Answer until there are no more lines."""
    way = {"quickdb": by_quickdb, "pyarrow": by_pyarrow}[sys.argv[1]]
    with way(json.loads(sys.stdin.readline())) as ask:
        print("ready", flush=True)
        for _ in sys.stdin:
            begin = time.perf_counter()
            found = ask()
            print(json.dumps({"s": time.perf_counter() - begin, "counted": int(found.sum())}), flush=True)


if __name__ == "__main__":
    main()
