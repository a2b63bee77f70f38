"""Compaction and cross-matches against their peers: two parts of benchmarks/lookup.py that also run alone.

The floor of a compaction is PyArrow alone on the same files, partition by partition: read, sort, write with the same
encodings, down to the disk. The peer of a cross-match is one `scipy.spatial.cKDTree` of all reference positions, built
and asked by as many threads; that both find the same pairs is checked.
"""

from __future__ import annotations

import os
import shutil
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from scipy.spatial import cKDTree

import starfields
from appends import write_sorted
from goals import Goal
from gozen.archive.stores.open_store import open_store
from gozen.catalog import open_catalog
from gozen.catalog.format import healpix, layout, manifest
from gozen.catalog.format.manifest import Manifest
from gozen.catalog.maintain.compact import compact
from gozen.catalog.match.crossmatch import crossmatch
from gozen.errors import Bug
from star_tables import filled
from timing import elapsed, say

TEXTS = ["exposure", "run", "origin"]
RADII_ARCSEC = (1.0, 2.0)
THREADS = 2
SCATTER_ARCSEC = 0.3
LOST = 0.2


def compacting(folder: Path, rows: int) -> dict[str, Any]:
    """Make a table of ten nights, and compact it."""
    say(f"a table of {rows:,} rows in ten nights, and its compaction")
    source = folder / "ten-nights"
    filled(open_store(source), rows, starfields.EXPOSURES)
    found = compaction(source, folder, 4)
    shutil.rmtree(source)
    return found


def compaction(source: Path, folder: Path, repeats: int) -> dict[str, Any]:
    """Bring every partition of a table to one file, by Gozen and by the floor, in turns; the first turn is left out.

    Parameters
    ----------
    source
        An archive with the table ``lightcurves``; it stays as it is.
    folder
        For copies, of links.
    repeats
        Turns.
    """
    spent: dict[str, list[float]] = {"compaction_s": [], "floor_s": []}
    rows = open_catalog(open_store(source), "lightcurves").info()
    for number in range(repeats):
        root = folder / f"compaction-{number}"
        shutil.copytree(source, root, copy_function=os.link)
        store = open_store(root)
        before = manifest.current_or_raise(store, "lightcurves")
        spent["floor_s"].append(elapsed(lambda root=root, before=before: _floor(root, before, folder / "floor")))
        spent["compaction_s"].append(elapsed(lambda store=store: compact(store, "lightcurves", everything=True)))
        after = open_catalog(store, "lightcurves").info()
        if after.rows != rows.rows or after.files != rows.partitions:
            raise Bug(f"{after.rows} rows in {after.files} files, of {rows.rows} rows in {rows.partitions} partitions")
        shutil.rmtree(root)
    times = {name: float(np.median(seconds[1:])) for name, seconds in spent.items()}
    return {"rows": rows.rows, "files": rows.files, "partitions": rows.partitions, **times}


def _floor(root: Path, version: Manifest, folder: Path) -> None:
    of: dict[layout.Partition, list[Path]] = defaultdict(list)
    for file in version.files:
        of[layout.partition_of(file.path)].append(root / version.key_of_file(file.path))
    folder.mkdir(exist_ok=True)
    for partition, paths in of.items():
        table = pq.read_table(paths, partitioning=None, read_dictionary=TEXTS)
        write_sorted(folder / f"{partition.order}-{partition.pixel}.parquet", table, pq.read_schema(paths[0]))


def crossmatching(detections: int, stars: int, repeats: int) -> dict[str, Any]:
    """Match detections, some of which have no star, with reference stars, by Gozen and by the tree, in turns."""
    rng = np.random.default_rng(4)
    side = float(np.sqrt(stars / 60_000))  # as dense as a field of the Milky Way
    ra, dec = rng.uniform(150, 150 + side, stars), rng.uniform(-side / 2, side / 2, stars)
    star = rng.integers(0, stars, detections)
    found_ra, found_dec = (x[star] + rng.normal(0, SCATTER_ARCSEC / 3600, detections) for x in (ra, dec))
    lost = rng.random(detections) < LOST
    found_ra[lost] = rng.uniform(150, 150 + side, int(lost.sum()))
    result: dict[str, Any] = {"detections": detections, "stars": stars}
    for radius in RADII_ARCSEC:
        positions = (found_ra, found_dec, ra, dec)
        for nearest in (False, True):
            spent = np.array([_match_once(positions, radius, nearest) for _ in range(repeats)])
            gozen, tree, pairs = np.median(spent[1:], axis=0).tolist()
            name = f"{'nearest' if nearest else 'all'} within {radius:g} arcsec"
            result[name] = {"gozen_s": gozen, "ckdtree_s": tree, "pairs": int(pairs), "speed": tree / gozen}
    return result


def _match_once(positions: tuple[np.ndarray, ...], radius: float, nearest: bool) -> tuple[float, float, int]:
    ra, dec, other_ra, other_dec = positions
    begin = time.perf_counter()
    ours = crossmatch(*positions, radius, nearest=nearest, threads=THREADS)
    ended = time.perf_counter()
    chord = 2 * np.sin(np.radians(radius / 3600) / 2)
    tree = cKDTree(healpix.unit_vectors(other_ra, other_dec))
    points = healpix.unit_vectors(ra, dec)
    if nearest:
        _, other = tree.query(points, distance_upper_bound=chord, workers=THREADS)
        spent = time.perf_counter() - ended
        row = np.flatnonzero(other < len(other_ra))
        other = other[row]
    else:
        lists = tree.query_ball_point(points, chord, workers=THREADS, return_sorted=False)
        spent = time.perf_counter() - ended
        row = np.repeat(np.arange(len(ra)), [len(one) for one in lists])
        other = np.concatenate([np.asarray(one, np.int64) for one in lists if one])
    same = np.array_equal(_pairs(ours.row, ours.other, len(other_ra)), _pairs(row, other, len(other_ra)))
    if not same:
        raise Bug(f"Gozen finds {len(ours)} pairs within {radius} arcsec, the tree {len(row)}, or not the same")
    return ended - begin, spent, len(ours)


def _pairs(row: np.ndarray, other: np.ndarray, stars: int) -> np.ndarray:
    return np.sort(row * stars + other)


def goals_of(result: dict[str, Any]) -> list[Goal]:
    """Return the goals of the parts that were measured."""
    found = []
    if "compaction" in result:
        one = result["compaction"]
        found.append(Goal("compaction/pyarrow", one["compaction_s"] / one["floor_s"], 1.3))
    if "crossmatch" in result:
        speeds = [one["speed"] for name, one in result["crossmatch"].items() if name.startswith("all")]
        found.append(Goal("crossmatch/ckdtree", min(speeds), 3.0, at_least=True))
    return found


def show(result: dict[str, Any]) -> None:
    """Print what was measured."""
    if "compaction" in result:
        one = result["compaction"]
        print(
            f"compaction of {one['rows']:,} rows in {one['files']} files to {one['partitions']}: "
            f"{one['compaction_s']:.2f} s, PyArrow alone {one['floor_s']:.2f} s"
        )
    for name, one in result.get("crossmatch", {}).items():
        if isinstance(one, dict):
            print(
                f"cross-match, {name}: {one['gozen_s']:.2f} s, cKDTree {one['ckdtree_s']:.2f} s, "
                f"{one['speed']:.1f} times as fast, {one['pairs']:,} pairs"
            )
