"""Write the margin of a table: for each partition the rows just outside it, which cross-matches need."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gozen.archive import keys
from gozen.archive.stores.open_store import Store
from gozen.catalog.format import hats_files, healpix, layout, next_version, partition_parquet
from gozen.catalog.format.layout import Partition
from gozen.catalog.format.manifest import Manifest

Ranges = Callable[[NDArray[np.int64]], pa.Table]
"""A function that returns the sorted rows in ranges [start, stop) of ``_healpix_29``, shape (M, 2)."""

_CELL_ARCSEC = 211_076.0
"""Square root of a pixel's area at order 0, in arcsec (Górski et al. 2005, ApJ 622, 759); it halves with each order."""


def cell_order(arcsec: float) -> int:
    """Return the highest HEALPix order at which one ring of cells around a partition contains the whole margin.

    The square root of a cell's area is at least 2.5 times the margin, because the narrowest pixels, near the poles, are
    about half as wide as the square root of their area.
    """
    return max(0, min(healpix.ORDER, math.floor(math.log2(_CELL_ARCSEC / (2.5 * arcsec)))))


def width(name: str) -> float:
    """Return the width in arcsec from the name of a margin."""
    found = re.search(r"_([0-9.]+)arcs", name)
    assert found, f"{name} is not the name of a margin"
    return float(found[1])


def deepest(arcsec: float | None, order: int) -> int:
    """Return the deepest order of partitions with a margin: a partition must not be smaller than a margin cell.

    Parameters
    ----------
    arcsec
        The margin's width; None without a margin.
    order
        The deepest order without a margin.
    """
    return order if arcsec is None else min(order, cell_order(arcsec))


def write(
    store: Store, version: Manifest, arcsec: float, schema: pa.Schema, ranges: Ranges, night: int = 0
) -> Manifest:
    """Write the margin of a version as a separate HATS catalogue, and return the manifest that names it.

    Parameters
    ----------
    store
        The archive.
    version
        The version of the table; the margin has the same partitions.
    arcsec
        Width of the margin, arcsec.
    schema
        The table's columns.
    ranges
        Returns the rows of the table in ranges of ``_healpix_29``.
    night
        The number with which the names of the files begin.
    """
    name = layout.margin(version.name, version.generation, arcsec)
    folder = f"{keys.catalog(version.name)}/{name}"

    def put(path: str, data: bytes) -> None:
        store.write(f"{folder}/dataset/{path}", data)

    written = {}
    for one in version.partitions:
        part = ranges(healpix.ring_ranges(one.pixel, one.order, cell_order(arcsec)))
        if len(part):
            written[one] = next_version.write_file(part, one, night, schema, put)
    _describe(store, folder, replace(version, margin=name), arcsec, schema, written)
    return replace(version, margin=name)


def _describe(
    store: Store,
    folder: str,
    version: Manifest,
    arcsec: float,
    schema: pa.Schema,
    written: dict[Partition, next_version.Written],
) -> None:
    """Write the HATS side files of the margin."""
    around = hats_files.add_coverages([(1, one.coverage) for one in written.values()])
    extra = {
        "obs_collection": version.margin,
        "hats_primary_table_url": f"{version.name}.g{version.generation}",
        "hats_margin_threshold": f"{arcsec:g}" if arcsec % 1 else f"{arcsec:.1f}",
    }
    count = sum(one.file.rows for one in written.values())
    store.write(f"{folder}/dataset/_common_metadata", partition_parquet.empty_file(schema))
    for map_name in ("skymap.fits", "point_map.fits"):
        store.write(f"{folder}/{map_name}", hats_files.write_map(around))
    store.write(f"{folder}/partition_info.csv", hats_files.partition_info(sorted(written, key=lambda p: p.start)))
    store.write(f"{folder}/hats.properties", hats_files.properties(version, count, "margin", extra))
