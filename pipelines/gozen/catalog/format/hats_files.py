"""Write the HATS side files for readers that list folders (LSDB, Spark), derived from a manifest.

The order of the writes is: data files, manifest, maps, list of partitions, ``collection.properties``. With this order,
such a reader sees only complete files while the table grows.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gozen.archive import keys
from gozen.archive.stores.open_store import Store
from gozen.catalog.format import layout, manifest
from gozen.catalog.format.healpix import ORDER
from gozen.catalog.format.manifest import Kind, Manifest

MAP_ORDER = 8
"""HEALPix order of the maps; LSDB 0.11 uses a map of this order to skip partitions outside a cone."""


class Coverage(NamedTuple):
    """HEALPix pixels of order 8 with rows, and the number of rows in each; both arrays have shape (N,)."""

    pixel: NDArray[np.int64]
    rows: NDArray[np.int64]


def coverage_of(healpix29: NDArray[np.int64]) -> Coverage:
    """Count rows in each pixel of order 8."""
    return Coverage(*np.unique(healpix29 >> 2 * (ORDER - MAP_ORDER), return_counts=True))


def add_coverages(parts: Iterable[tuple[int, Coverage]]) -> Coverage:
    """Return the sum of coverages, each times its factor (-1 subtracts); pixels without rows are left out."""
    counts = np.zeros(12 * 4**MAP_ORDER, np.int64)
    for factor, part in parts:
        counts[part.pixel] += factor * part.rows
    pixel = np.flatnonzero(counts)
    return Coverage(pixel, counts[pixel])


def write_map(coverage: Coverage) -> bytes:
    """Return a FITS HEALPix map (explicit, nested) of the pixels with rows: ``skymap.fits`` and ``point_map.fits``."""
    from astropy.io import fits

    columns = [fits.Column(n, "K", array=a) for n, a in zip(("PIXEL", "VALUE"), coverage, strict=True)]
    table = fits.BinTableHDU.from_columns(columns)
    table.header.update(
        PIXTYPE="HEALPIX", INDXSCHM="EXPLICIT", ORDERING="NESTED", COORDSYS="C",
        EXTNAME="xtension", NSIDE=2**MAP_ORDER, OBS_NPIX=len(coverage.pixel), ORDER=MAP_ORDER,
    )  # fmt: skip
    sink = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(sink)
    return sink.getvalue()


def read_map(data: bytes) -> Coverage:
    """Return the coverage in a map that `write_map` made."""
    from astropy.io import fits

    with fits.open(io.BytesIO(data)) as found:
        return Coverage(*(found[1].data[name].astype(np.int64) for name in ("PIXEL", "VALUE")))


def publish(store: Store, published: Manifest) -> None:
    """Update the side files to a version, or to a later one that another writer committed meanwhile."""
    newest = published
    while True:
        _write_side_files(store, newest)
        after = manifest.current_or_raise(store, published.name)
        # A slow writer may overwrite newer side files with older ones. The writer that ends last corrects this.
        if after.version == newest.version:
            return
        newest = after


def properties(version: Manifest, rows: int, kind: Kind | str, extra: dict[str, str] | None = None) -> bytes:
    """Return ``hats.properties`` of a table or of its margin."""
    lines = {
        "obs_collection": version.name,
        "dataproduct_type": kind,
        "hats_nrows": str(rows),
        "hats_col_ra": "ra",
        "hats_col_dec": "dec",
        "hats_col_healpix": "_healpix_29",
        "hats_col_healpix_order": str(ORDER),
        "hats_npix_suffix": "/",
        "hats_skymap_order": str(MAP_ORDER),
        "hats_builder": "gozen",
        "hats_version": "v1.0",
    }
    return _lines("HATS catalog", lines | (extra or {}))


def partition_info(partitions: list[layout.Partition]) -> bytes:
    """Return ``partition_info.csv``."""
    return "".join(["Norder,Npix\n", *(f"{p.order},{p.pixel}\n" for p in partitions)]).encode()


def replace(store: Store, key: str, data: bytes) -> None:
    """Write an object unless it contains these bytes already."""
    if not (store.exists(key) and store.read(key) == data):
        store.write(key, data)


def describe(store: Store, version: Manifest) -> None:
    """Write the side files of a generation: schema, maps, properties, list of partitions."""
    folder = layout.generation(version.name, version.generation)
    counts = store.read(version.key_of(version.coverage))
    replace(store, f"{folder}/dataset/_common_metadata", store.read(version.key_of(version.schema)))
    replace(store, f"{folder}/skymap.fits", counts)
    replace(store, f"{folder}/point_map.fits", counts)
    replace(store, f"{folder}/hats.properties", properties(version, version.rows, version.kind))
    replace(store, f"{folder}/partition_info.csv", partition_info(version.partitions))


def _write_side_files(store: Store, version: Manifest) -> None:
    describe(store, version)
    newest = manifest.current(store, version.name)
    if newest is None or newest.generation == version.generation:
        replace(store, f"{keys.catalog(version.name)}/collection.properties", _collection(version))


def _collection(version: Manifest) -> bytes:
    lines = {"obs_collection": version.name, "hats_primary_table_url": f"{version.name}.g{version.generation}"}
    if version.margin:
        lines |= {"all_margins": version.margin, "default_margin": version.margin}
    return _lines("HATS Collection", lines)


def _lines(title: str, lines: dict[str, str]) -> bytes:
    return "".join([f"#{title}\n", *(f"{key}={value}\n" for key, value in lines.items())]).encode()
