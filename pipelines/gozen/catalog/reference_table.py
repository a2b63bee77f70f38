"""The reference catalogue as a HATS collection in the archive: written once with its 5-arcsec margin, read by cone."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gozen.archive import keys
from gozen.archive.store import Store
from gozen.catalog import hats, healpix, index, layout, manifest, parquet, table
from gozen.catalog.hats import Coverage
from gozen.catalog.layout import Partition
from gozen.catalog.lookup import Catalog
from gozen.catalog.manifest import Manifest
from gozen.catalog.reference import GAIA_DR3_EPOCH, ReferenceCatalogue
from gozen.catalog.schema import REFERENCE_COLUMNS, schema_of
from gozen.errors import BadRequest

PARTITION_ROWS = 1_000_000
"""Partitions split until they hold at most so many stars."""

MARGIN_ARCSEC = 5.0
_MARGIN_ORDER = 14
"""Cells of 13 arcsec: a ring of them around a partition is wider than the margin everywhere on the sky."""

_DEEPEST = 11
_SCHEMA = schema_of(REFERENCE_COLUMNS)


@dataclass(frozen=True)
class StoredReference:
    """A reference catalogue in the archive, read cone by cone."""

    store: Store
    name: str

    def cone(self, ra: float, dec: float, radius: float) -> ReferenceCatalogue:
        """Return the stars of a cone; raises as `reference_cone`."""
        return reference_cone(self.store, self.name, ra, dec, radius)


def write_reference(
    store: Store, name: str, reference: ReferenceCatalogue, partition_rows: int = PARTITION_ROWS
) -> Manifest:
    """Write a reference catalogue as the collection ``catalogs/{name}``, with a 5-arcsec margin for cross-matches.

    Parameters
    ----------
    store
        The archive.
    name
        The table, e.g. ``gaia``. It is immutable: written again with the same stars, nothing changes.
    reference
        The stars.
    partition_rows
        Most stars of a partition.

    Raises
    ------
    BadRequest
        The catalogue is empty, or the archive holds other stars under this name.
    """
    if not len(reference):
        raise BadRequest(f"the reference catalogue {name!r} has no stars: there is nothing to write")
    rows = parquet.sorted_rows(reference_rows(reference))
    content = _digest(rows)
    found = manifest.current(store, name)
    while found is None:
        version = _written(store, name, rows, reference.epoch, partition_rows)
        manifest.commit(store, replace(version, content=content))
        found = manifest.current(store, name)
    if found.content != content:
        raise BadRequest(f"the archive {store.url} holds other stars as {name!r}: write these under another name")
    hats.publish(store, found)
    return found


def reference_cone(store: Store, name: str, ra: float, dec: float, radius: float) -> ReferenceCatalogue:
    """Read the stars of a cone from a reference catalogue in the archive.

    Parameters
    ----------
    store
        The archive.
    name
        The table, e.g. ``gaia``.
    ra, dec, radius
        Degrees; by catalogue position.

    Raises
    ------
    MissingObject
        The archive has no such table.
    """
    rows = Catalog.open(store, name).cone(ra, dec, radius * 3600)
    epochs = parquet.numbers(rows, "ref_epoch")
    columns = {f: rows.column(c).to_numpy().astype(np.float64) for f, c in _COLUMNS.items()}
    epoch = float(epochs[0]) if len(epochs) else GAIA_DR3_EPOCH
    return ReferenceCatalogue(parquet.numbers(rows, "source_id"), **columns, epoch=epoch)


def reference_rows(reference: ReferenceCatalogue) -> pa.Table:
    """Return the rows of the table; NaN is null."""
    values = {column: getattr(reference, field) for field, column in _COLUMNS.items()}
    values["_healpix_29"] = healpix.pixels(reference.ra, reference.dec)
    values["source_id"] = reference.source_id
    values["ref_epoch"] = np.full(len(reference), reference.epoch)
    return pa.table([pa.array(values[f.name], from_pandas=True).cast(f.type) for f in _SCHEMA], schema=_SCHEMA)


def partitions_of(healpix29: NDArray[np.int64], most: int) -> list[Partition]:
    """Return the largest pixels that hold at most `most` of sorted positions each, those with none left out."""
    done: list[Partition] = []
    pending = [Partition(0, pixel) for pixel in range(12)]
    while pending:
        one = pending.pop()
        first, last = np.searchsorted(healpix29, [one.start, one.stop])
        if last - first > most and one.order < _DEEPEST:
            pending += [Partition(one.order + 1, 4 * one.pixel + quarter) for quarter in range(4)]
        elif last > first:
            done.append(one)
    return sorted(done, key=lambda p: p.start)


def _written(store: Store, name: str, rows: pa.Table, epoch: float, partition_rows: int) -> Manifest:
    """Write all files of the first version into a generation of its own."""
    places = parquet.numbers(rows, "_healpix_29")
    generation = manifest.claim_generation(store, name, after=0)
    put = table.writer(store, name, generation)
    partitions = partitions_of(places, partition_rows)
    year = int(epoch)
    files = []
    for one in partitions:
        first, last = np.searchsorted(places, [one.start, one.stop])
        files.append(table.write_file(rows.slice(first, last - first), one, year, _SCHEMA, put))
    version = Manifest(
        name, 1, "object", generation, 0, "", "", "", tuple(sorted(f.file for f in files)),
        margin=layout.margin(name, generation),
    )  # fmt: skip
    groups = index.merged(index.SCHEMA.empty_table(), (), [one.groups for one in files])
    _write_margin(store, version, rows, partitions, year)
    return table.described(store, version, _SCHEMA, groups, hats.total([(1, one.coverage) for one in files]))


def _write_margin(store: Store, version: Manifest, rows: pa.Table, partitions: list[Partition], year: int) -> None:
    folder = f"{keys.catalog(version.name)}/{version.margin}"

    def put(path: str, data: bytes) -> None:
        store.write(f"{folder}/dataset/{path}", data)

    written = {one: table.write_file(part, one, year, _SCHEMA, put) for one, part in _margins(rows, partitions)}
    around = hats.total([(1, one.coverage) for one in written.values()])
    extra = {
        "obs_collection": version.margin,
        "hats_primary_table_url": f"{version.name}.g{version.generation}",
        "hats_margin_threshold": str(MARGIN_ARCSEC),
    }
    count = sum(one.file.rows for one in written.values())
    store.write(f"{folder}/dataset/_common_metadata", parquet.empty_file(_SCHEMA))
    for map_name in ("skymap.fits", "point_map.fits"):
        store.write(f"{folder}/{map_name}", hats.write_map(Coverage(*around)))
    store.write(f"{folder}/partition_info.csv", hats.partition_info(list(written)))
    store.write(f"{folder}/hats.properties", hats.properties(version, count, "margin", extra))


def _margins(rows: pa.Table, partitions: list[Partition]) -> Iterator[tuple[Partition, pa.Table]]:
    """Yield for each partition the stars outside it that lie in the ring of 13-arcsec cells around it."""
    places = parquet.numbers(rows, "_healpix_29")
    for one in partitions:
        edges = np.searchsorted(places, healpix.ring_ranges(one.pixel, one.order, _MARGIN_ORDER))
        parts = [rows.slice(first, last - first) for first, last in edges.tolist() if last > first]
        if parts:
            yield one, pa.concat_tables(parts)


def _digest(rows: pa.Table) -> str:
    digest = hashlib.sha256()
    for column in rows.columns:
        digest.update(column.to_numpy().tobytes())
    return digest.hexdigest()


_COLUMNS = {
    "ra": "ra", "dec": "dec", "pmra": "pmra", "pmdec": "pmdec", "parallax": "parallax", "ruwe": "ruwe",
    "g": "phot_g_mean_mag", "bp_rp": "bp_rp",
}  # fmt: skip
