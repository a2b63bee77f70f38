"""Registry of sources without a reference star: assigns their ids and keeps them in the table ``objects``.

A registration is one entry in a numbered journal, created only if its number is free. So two appends at the same time
cannot use one id for two sources, or give one source two ids. The HATS table is derived from the journal; every process
derives the same table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gozen.archive.stores.open_store import Store
from gozen.catalog.format import hats_files, healpix, layout, manifest, next_version, partition_parquet, source_ids
from gozen.catalog.format.manifest import Manifest
from gozen.catalog.format.schema import OBJECT_COLUMNS, schema_of
from gozen.catalog.read.lookup import Catalog

OBJECTS = "objects"
RADIUS = 1.0
"""Measurements within this distance, in arcsec, belong to one source (docs/reference/tables.md)."""

_PARTITION_ORDER = 3
_SCHEMA = schema_of(OBJECT_COLUMNS)

FloatArray = NDArray[np.float64]


def register(store: Store, night: int, ra: FloatArray, dec: FloatArray) -> tuple[Mapping[str, pa.Array], int]:
    """Assign each position to the nearest registered object within 1 arcsec, and register new objects for the others.

    Parameters
    ----------
    store
        The archive.
    night
        ``YYYYMMDD``, the first night of the new objects.
    ra, dec
        Measured positions, ICRS degrees, shape (N,).

    Returns
    -------
    identity
        Arrow arrays ``source_id, ra, dec`` of length N: id and registered position of each position's object.
    created
        Number of new objects.
    """
    positions, inverse = _distinct(ra, dec)
    while True:
        base = _published(store)
        known = _near(store, base, positions)
        found = new_objects(known, positions, night)
        # If another writer took the number, compare again: it may have registered the same sources.
        if not len(found) or store.create(
            layout.journal(OBJECTS, base.journal + 1), partition_parquet.small_file(found)
        ):
            break
    # A kill before this line leaves an entry that is not in the table yet; the next `_published` adds it.
    hats_files.publish(store, _published(store))
    every = pa.concat_tables([known, found])
    nearest = _nearest(every, positions)[inverse]
    return {name: every.column(name).take(pa.array(nearest)) for name in ("source_id", "ra", "dec")}, len(found)


def new_objects(known: pa.Table, positions: FloatArray, night: int) -> pa.Table:
    """Return the new objects to register for positions. No I/O.

    Parameters
    ----------
    known
        All registered objects in the HEALPix-12 pixels of the positions and in the neighbouring pixels.
    positions
        Distinct ra and dec in ICRS degrees, sorted by ``_healpix_29``, shape (N, 2).
    night
        The first night of the new objects.

    Returns
    -------
    pa.Table
        Rows of the table ``objects``. A position within 1 arcsec of a known object, or of an earlier new one, needs no
        new object. The numbers in the ids continue from the highest one in their pixel.
    """
    lonely = positions[_distance(known, positions) > RADIUS]
    leaders = lonely[_leaders(healpix.unit_vectors(lonely[:, 0], lonely[:, 1]))]
    place = healpix.pixels(leaders[:, 0], leaders[:, 1])
    pixel = place >> 2 * (healpix.ORDER - source_ids.PIXEL_ORDER)
    number = _rank_in_run(pixel) + _first_free(partition_parquet.numbers(known, "source_id"), pixel)
    columns: dict[str, Any] = {
        "_healpix_29": place,
        "source_id": source_ids.own_source_id(pixel, number),
        "ra": leaders[:, 0],
        "dec": leaders[:, 1],
        "first_night": np.full(len(leaders), night, np.int32),
    }
    return pa.table([pa.array(columns[name]) for name in _SCHEMA.names], schema=_SCHEMA)


def _published(store: Store) -> Manifest:
    """Return a version of the table with every entry of the journal; commit missing entries first."""
    base = next_version.create(store, OBJECTS, "object", _SCHEMA, _PARTITION_ORDER)
    while store.exists(layout.journal(OBJECTS, base.journal + 1)):
        entry = partition_parquet.decoded(store.read(layout.journal(OBJECTS, base.journal + 1)))
        manifest.commit(store, _with_entry(store, base, entry))  # if another writer was first, the loop rereads
        base = manifest.current_or_raise(store, OBJECTS)
    return base


def _with_entry(store: Store, base: Manifest, entry: pa.Table) -> Manifest:
    entry = partition_parquet.sorted_rows(entry)
    places = partition_parquet.numbers(entry, "_healpix_29")
    night = int(entry.column("first_night")[0].as_py())
    put = next_version.writer(store, OBJECTS, base.generation)
    written = []
    for partition in layout.partitions_for(places, base.partitions, base.order):
        first, last = np.searchsorted(places, [partition.start, partition.stop])
        written.append(next_version.write_file(entry.slice(first, last - first), partition, night, _SCHEMA, put))
    return replace(next_version.successor(store, base, _SCHEMA, written), journal=base.journal + 1)


def _near(store: Store, base: Manifest, positions: FloatArray) -> pa.Table:
    pixel = healpix.pixels(positions[:, 0], positions[:, 1], source_ids.PIXEL_ORDER)
    around = healpix.with_neighbours(pixel, source_ids.PIXEL_ORDER)
    return Catalog(store, base).within(healpix.pixel_ranges(around, source_ids.PIXEL_ORDER))


def _distinct(ra: FloatArray, dec: FloatArray) -> tuple[FloatArray, NDArray[np.intp]]:
    """Return the distinct positions, sorted by ``_healpix_29``, and for each input position its index among them."""
    positions, inverse = np.unique(np.stack([ra, dec], axis=1), axis=0, return_inverse=True)
    order = np.argsort(healpix.pixels(positions[:, 0], positions[:, 1]), kind="stable")
    rank = np.empty(len(order), np.intp)
    rank[order] = np.arange(len(order))
    return positions[order], rank[inverse.reshape(-1)]


def _chord(arcsec: float) -> float:
    return float(2 * np.sin(np.radians(arcsec / 3600) / 2))


def _tree(objects: pa.Table) -> Any:
    from scipy.spatial import cKDTree

    return cKDTree(
        healpix.unit_vectors(partition_parquet.numbers(objects, "ra"), partition_parquet.numbers(objects, "dec"))
    )


def _distance(objects: pa.Table, positions: FloatArray) -> FloatArray:
    """Return the distance of each position to the nearest object, in arcsec; infinite without any object."""
    if not len(objects):
        return np.full(len(positions), np.inf)
    chord, _ = _tree(objects).query(healpix.unit_vectors(positions[:, 0], positions[:, 1]))
    return np.asarray(np.degrees(2 * np.arcsin(chord / 2)) * 3600)


def _nearest(objects: pa.Table, positions: FloatArray) -> NDArray[np.intp]:
    _, at = _tree(objects).query(healpix.unit_vectors(positions[:, 0], positions[:, 1]))
    return np.asarray(at, np.intp)


def _leaders(vectors: FloatArray) -> NDArray[np.intp]:
    """Return the indices of unit vectors that become objects; no two objects are within 1 arcsec of each other."""
    from scipy.spatial import cKDTree

    leads = np.ones(len(vectors), bool)
    pairs = (
        cKDTree(vectors).query_pairs(_chord(RADIUS), output_type="ndarray") if len(vectors) else np.empty((0, 2), int)
    )
    for first, second in sorted(pairs.tolist()):
        if leads[first]:
            leads[second] = False
    return np.flatnonzero(leads)


def _rank_in_run(pixel: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return 0, 1, 2, ... for the rows of each pixel; the pixels are sorted."""
    _, first, inverse = np.unique(pixel, return_index=True, return_inverse=True)
    return np.arange(len(pixel)) - first[inverse]


def _first_free(source_id: NDArray[np.int64], pixel: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return for each pixel the lowest number above all those in use there."""
    highest = np.full(len(pixel), -1, np.int64)
    own = np.sort(source_id)  # ids of a pixel ascend with their number
    most = source_ids.own_source_id(pixel, np.full(len(pixel), source_ids.MOST_NUMBERS))
    last = np.searchsorted(own, most, side="right") - 1
    taken = (
        (last >= 0) & (source_ids.pixel_of(own[np.maximum(last, 0)]) == pixel)
        if len(own)
        else np.zeros(len(pixel), bool)
    )
    highest[taken] = source_ids.number_of(own[last[taken]])
    return highest + 1
