"""Cross-match positions within a radius, in memory or against a table, in several threads."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray

from gozen.archive.stores.open_store import Store
from gozen.catalog.format import healpix, partition_parquet
from gozen.catalog.format.layout import Partition
from gozen.catalog.imports.angle_units import in_degrees
from gozen.catalog.read.lookup import Catalog
from gozen.catalog.write import margins
from gozen.errors import BadRequest

if TYPE_CHECKING:
    from gozen.catalog.match.crossmatch_kernel import Grid, Zones

WIDEST_ARCSEC = 3600.0
_BLOCK = 65_536
_CELL_ORDER = 8
"""HEALPix order of the cells that are read from a table: 14 arcmin; cells are larger if the radius is large."""

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
_Pairs = tuple[Integers, Integers, Floats]


@dataclass(frozen=True)
class Matches:
    """Pairs of matching positions, sorted by row and then by separation; arrays of one length.

    Parameters
    ----------
    row, other
        Indices into the first and into the second list of positions.
    separation_arcsec
        Angle between the two, arcsec.
    """

    row: Integers
    other: Integers
    separation_arcsec: Floats

    def __len__(self) -> int:
        return len(self.row)


def crossmatch(
    ra: ArrayLike,
    dec: ArrayLike,
    other_ra: ArrayLike,
    other_dec: ArrayLike,
    radius_arcsec: float,
    *,
    nearest: bool = False,
    threads: int | None = None,
) -> Matches:
    """Find every pair of positions within a radius of each other.

    Parameters
    ----------
    ra, dec
        ICRS degrees, shape (N,); quantities with another unit are converted. NaN, masked values and declinations
        beyond 90 degrees match nothing.
    other_ra, other_dec
        The same for the second list, shape (M,).
    radius_arcsec
        Arcsec, above 0 and up to 3600.
    nearest
        Whether to keep only the nearest match of each position.
    threads
        Number of threads; by default one for each core.

    Raises
    ------
    BadRequest
        The radius is outside of these limits, the unit is not one of angles, or `ra` and `dec` differ in length.
    """
    from gozen.catalog.match import crossmatch_kernel

    radius = _degrees(radius_arcsec)
    workers = threads or os.cpu_count() or 1
    rows, alpha, delta = _positions(ra, dec)
    other_rows, other_alpha, other_delta = _positions(other_ra, other_dec)
    if not len(alpha) or not len(other_alpha):
        return _NONE
    with ThreadPoolExecutor(workers) as pool:
        points = _sorted(pool, workers, other_alpha, other_delta, crossmatch_kernel.zones(radius))

        def look(block: slice) -> _Pairs:
            found: _Pairs = crossmatch_kernel.near(alpha[block], delta[block], block.start, points, radius, nearest)
            return found

        parts = list(pool.map(look, _blocks(len(alpha))))
    left, right, squared = (np.concatenate([part[i] for part in parts]) for i in range(3))
    apart = np.degrees(2 * np.arcsin(np.minimum(np.sqrt(squared) / 2, 1))) * 3600
    return Matches(left if rows is None else rows[left], right if other_rows is None else other_rows[right], apart)


def crossmatch_table(
    store: Store,
    table: str | Catalog,
    ra: ArrayLike,
    dec: ArrayLike,
    radius_arcsec: float,
    *,
    columns: Sequence[str] | None = None,
    nearest: bool = False,
    threads: int | None = None,
) -> pa.Table:
    """Find the rows of a table within a radius of positions; only one partition is in memory at a time.

    Parameters
    ----------
    store
        The archive.
    table
        Name of the table, or an open version of it.
    ra, dec
        ICRS degrees, shape (N,); quantities with another unit are converted. NaN and masked values match nothing.
    radius_arcsec
        Arcsec, above 0 and up to 3600.
    columns
        Columns of the table to return; None returns all.
    nearest
        Whether to keep only the nearest match of each position.
    threads
        Number of threads; by default one for each core.

    Returns
    -------
    pa.Table
        ``row`` (index of the position), ``separation_arcsec`` and the columns, sorted by row, then by separation.

    Raises
    ------
    BadRequest
        The radius is outside of these limits, the unit is not one of angles, or the table has no such column.
    MissingObject
        The archive has no such table.
    """
    _degrees(radius_arcsec)
    catalog = table if isinstance(table, Catalog) else Catalog.open(store, table)
    names = list(catalog.schema.names if columns is None else columns)
    ra, dec = _pair(ra, dec)
    good = np.flatnonzero(np.isfinite(ra) & (np.abs(dec) <= 90))
    order = min(_CELL_ORDER, margins.cell_order(radius_arcsec))
    cell = healpix.pixels(ra[good], dec[good], order)
    found = []
    for cells, partition in _pieces(catalog, cell, order):
        rows = good[np.isin(cell, healpix.with_neighbours(cells, order))]
        ranges = np.clip(healpix.pixel_ranges(cells, order), partition.start, partition.stop)
        held = catalog.within(ranges, list(dict.fromkeys(["ra", "dec", *names])))
        pairs = crossmatch(
            ra[rows], dec[rows], partition_parquet.numbers(held, "ra"), partition_parquet.numbers(held, "dec"),
            radius_arcsec,
            nearest=nearest, threads=threads,
        )  # fmt: skip
        found.append(_joined(rows[pairs.row], pairs, held.select(names)))
    empty = _joined(np.empty(0, np.int64), _NONE, catalog.schema.empty_table().select(names))
    whole = pa.concat_tables([empty, *found]).unify_dictionaries()
    whole = whole.take(pa.array(np.lexsort([whole["separation_arcsec"].to_numpy(), whole["row"].to_numpy()])))
    return _first_of_each(whole) if nearest else whole


def _pieces(catalog: Catalog, cell: Integers, order: int) -> Iterator[tuple[Integers, Partition]]:
    """Yield each partition with its cells that may contain matches: the positions' cells and their neighbours."""
    wanted = healpix.with_neighbours(np.unique(cell), order) if len(cell) else cell
    shift = 2 * (healpix.ORDER - order)
    for partition in catalog.manifest.partitions:
        first, last = np.searchsorted(wanted, [partition.start >> shift, (partition.stop - 1 >> shift) + 1])
        if last > first:
            yield wanted[first:last], partition


def _joined(row: Integers, pairs: Matches, held: pa.Table) -> pa.Table:
    part = held.take(pa.array(pairs.other))
    part = part.add_column(0, "separation_arcsec", pa.array(pairs.separation_arcsec))
    return part.add_column(0, "row", pa.array(row))


def _first_of_each(pairs: pa.Table) -> pa.Table:
    _, first = np.unique(pairs["row"].to_numpy(), return_index=True)
    return pairs.take(pa.array(first))


def _pair(ra: ArrayLike, dec: ArrayLike) -> tuple[Floats, Floats]:
    alpha, delta = in_degrees(ra), in_degrees(dec)
    if len(alpha) != len(delta):
        raise BadRequest(
            f"there are {len(alpha)} right ascensions and {len(delta)} declinations; give the same number of both"
        )
    return alpha, delta


def _positions(ra: ArrayLike, dec: ArrayLike) -> tuple[Integers | None, Floats, Floats]:
    """Return the indices of the positions that are on the sky (None for all), and their RA in [0, 360) and Dec."""
    alpha, delta = _pair(ra, dec)
    good = np.isfinite(alpha) & (np.abs(delta) <= 90)
    rows = None if good.all() else np.flatnonzero(good)
    if rows is not None:
        alpha, delta = alpha[rows], delta[rows]
    if len(alpha) and not 0 <= alpha.min() <= alpha.max() < 360:
        alpha = alpha % 360.0
        alpha[alpha == 360.0] = 0.0  # the remainder of a tiny negative angle rounds to 360
    return rows, alpha, delta


def _sorted(pool: ThreadPoolExecutor, workers: int, ra: Floats, dec: Floats, zones: Zones) -> Grid:
    """Sort positions into the buckets of a grid; each thread fills its share of the buckets."""
    from gozen.catalog.match import crossmatch_kernel

    many = 2 << max(int(len(ra) - 1).bit_length(), 1)
    bucket = np.empty(len(ra), np.int64)
    start = np.zeros(many + 1, np.int32)
    point = np.empty((len(ra), 4))
    edges = [many * part // workers for part in range(workers + 1)]
    shares = list(itertools.pairwise(edges))
    list(pool.map(lambda s: crossmatch_kernel.buckets(ra[s], dec[s], zones, many - 1, bucket[s]), _blocks(len(ra))))
    list(pool.map(lambda share: crossmatch_kernel.counted(bucket, *share, start), shares))
    np.cumsum(start, out=start)
    at = start[:-1].copy()
    list(pool.map(lambda share: crossmatch_kernel.placed(ra, dec, bucket, *share, at, point), shares))
    return crossmatch_kernel.Grid(zones, start, point)


def _blocks(count: int) -> list[slice]:
    return [slice(at, min(at + _BLOCK, count)) for at in range(0, count, _BLOCK)]


def _degrees(radius_arcsec: float) -> float:
    if not 0 < radius_arcsec <= WIDEST_ARCSEC:
        raise BadRequest(
            f"the radius {radius_arcsec} arcsec is not allowed: give more than 0 and at most {WIDEST_ARCSEC:g} arcsec"
        )
    return radius_arcsec / 3600


_NONE = Matches(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))
