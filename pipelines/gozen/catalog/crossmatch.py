"""Cross-match: all pairs of positions within a radius, in memory or against a table of the archive, with threads."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray

from gozen.archive.store import Store
from gozen.catalog import healpix, parquet
from gozen.catalog.layout import Partition
from gozen.catalog.lookup import Catalog
from gozen.errors import BadRequest

WIDEST_ARCSEC = 3600.0
_BLOCK = 65_536
_CELL_ORDER = 8
"""Of the pieces of sky of a table that are read: 14 arcmin, much wider than a row group of it is long."""

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Matches:
    """Pairs, by row and then by separation; arrays of one length.

    Parameters
    ----------
    row, other
        Which position of the first and of the second list.
    separation_arcsec
        Their angle.
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
        ICRS degrees, shape (N,); what is not a number matches nothing.
    other_ra, other_dec
        ICRS degrees, shape (M,).
    radius_arcsec
        Arcsec, above 0 and up to 3600.
    nearest
        Whether only the nearest of each position's matches is kept.
    threads
        By default one a core.

    Raises
    ------
    BadRequest
        The radius makes no sense, or the arrays differ in length.
    """
    from gozen.catalog import grid  # numba's compiler is a second of start-up

    chord = _chord(radius_arcsec)
    with ThreadPoolExecutor(threads or os.cpu_count() or 1) as pool:
        rows, points = _vectors(pool, ra, dec)
        other_rows, held = _vectors(pool, other_ra, other_dec)
        if not len(points) or not len(held):
            return Matches(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))
        cube = grid.cube_of(chord)
        mask = (1 << max(int(len(held) - 1).bit_length(), 1)) - 1
        bucket = np.empty(len(held), np.int64)
        _in_blocks(pool, len(held), lambda s: grid.buckets(held[s], cube, mask, bucket[s]))
        start, ordered, row = grid.scattered(held, bucket, mask + 1)
        parts = _in_blocks(
            pool, len(points), lambda s: grid.near(points[s], s.start, start, ordered, row, cube, chord, nearest)
        )
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
    """Find the rows of a table within a radius of positions; one partition is in memory at a time.

    Parameters
    ----------
    store
        The archive.
    table
        Its name, or a version of it.
    ra, dec
        ICRS degrees, shape (N,).
    radius_arcsec
        Arcsec, above 0 and up to 3600.
    columns
        Of the table; all where none are given.
    nearest
        Whether only the nearest of each position's matches is kept.
    threads
        By default one a core.

    Returns
    -------
    pa.Table
        ``row`` (of the positions), ``separation_arcsec`` and the columns, by row and then by separation.

    Raises
    ------
    BadRequest
        The radius makes no sense, or the table has no such column.
    MissingObject
        The archive has no such table.
    """
    _chord(radius_arcsec)
    catalog = table if isinstance(table, Catalog) else Catalog.open(store, table)
    names = list(catalog.schema.names if columns is None else columns)
    ra, dec = np.asarray(ra, np.float64), np.asarray(dec, np.float64)
    good = np.flatnonzero(np.isfinite(ra) & np.isfinite(dec))
    cell = healpix.pixels(ra[good], dec[good], _CELL_ORDER)
    found = []
    for cells, partition in _pieces(catalog, cell, radius_arcsec):
        rows = good[np.isin(cell, healpix.with_neighbours(cells, _CELL_ORDER))]
        held = catalog.within(_clipped(cells, partition), list(dict.fromkeys(["ra", "dec", *names])))
        pairs = crossmatch(
            ra[rows], dec[rows], parquet.numbers(held, "ra"), parquet.numbers(held, "dec"), radius_arcsec,
            nearest=nearest, threads=threads,
        )  # fmt: skip
        found.append(_joined(rows[pairs.row], pairs, held.select(names)))
    empty = _joined(np.empty(0, np.int64), _NONE, catalog.schema.empty_table().select(names))
    whole = pa.concat_tables([empty, *found]).unify_dictionaries()
    whole = whole.take(pa.array(np.lexsort([whole["separation_arcsec"].to_numpy(), whole["row"].to_numpy()])))
    return _first_of_each(whole) if nearest else whole


def _pieces(catalog: Catalog, cell: Integers, radius_arcsec: float) -> Iterator[tuple[Integers, Partition]]:
    """Yield each partition with the cells in which a match may lie."""
    wanted = np.unique(cell)
    steps = 1 + int(radius_arcsec // 600)  # a cell is 14 arcmin wide, and narrower in the caps of the poles
    for _ in range(steps):
        wanted = healpix.with_neighbours(wanted, _CELL_ORDER) if len(wanted) else wanted
    shift = 2 * (healpix.ORDER - _CELL_ORDER)
    for partition in catalog.manifest.partitions:
        first, last = np.searchsorted(wanted, [partition.start >> shift, (partition.stop - 1 >> shift) + 1])
        if last > first:
            yield wanted[first:last], partition


def _clipped(cells: Integers, partition: Partition) -> Integers:
    """Return the ranges of ``_healpix_29`` of cells inside a partition, which may be smaller than a cell."""
    return np.clip(healpix.pixel_ranges(cells, _CELL_ORDER), partition.start, partition.stop)


def _joined(row: Integers, pairs: Matches, held: pa.Table) -> pa.Table:
    part = held.take(pa.array(pairs.other))
    part = part.add_column(0, "separation_arcsec", pa.array(pairs.separation_arcsec))
    return part.add_column(0, "row", pa.array(row))


def _first_of_each(pairs: pa.Table) -> pa.Table:
    _, first = np.unique(pairs["row"].to_numpy(), return_index=True)
    return pairs.take(pa.array(first))


def _vectors(pool: ThreadPoolExecutor, ra: ArrayLike, dec: ArrayLike) -> tuple[Integers | None, Floats]:
    """Return unit vectors of positions, and which positions they are of, None for all."""
    from gozen.catalog import grid

    alpha = np.ascontiguousarray(np.atleast_1d(ra), np.float64)
    delta = np.ascontiguousarray(np.atleast_1d(dec), np.float64)
    if len(alpha) != len(delta):
        raise BadRequest(f"{len(alpha)} right ascensions do not go with {len(delta)} declinations")
    good = np.isfinite(alpha) & np.isfinite(delta)
    rows = None if good.all() else np.flatnonzero(good)
    if rows is not None:
        alpha, delta = alpha[rows], delta[rows]
    out = np.empty((len(alpha), 3))
    _in_blocks(pool, len(alpha), lambda s: grid.unit_vectors(alpha[s], delta[s], out[s]))
    return rows, out


def _in_blocks(
    pool: ThreadPoolExecutor, count: int, act: Callable[[slice], object]
) -> list[tuple[Integers, Integers, Floats]]:
    """Do something for each block of rows; compiled loops let the other threads run."""
    blocks = [slice(at, min(at + _BLOCK, count)) for at in range(0, count, _BLOCK)]
    return list(pool.map(act, blocks))  # type: ignore[arg-type]


def _chord(radius_arcsec: float) -> float:
    if not 0 < radius_arcsec <= WIDEST_ARCSEC:
        raise BadRequest(
            f"no cross-match within {radius_arcsec} arcsec: give more than 0 and at most {WIDEST_ARCSEC:g}"
        )
    return float(2 * np.sin(np.radians(radius_arcsec / 3600) / 2))


_NONE = Matches(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))
