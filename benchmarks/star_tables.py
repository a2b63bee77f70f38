"""Light-curve tables of the stars of benchmarks/starfields.py, and the stars and cones that are looked up in them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

import starfields
from gozen.archive.stores.open_store import Store
from gozen.catalog import open_catalog
from gozen.catalog.format import healpix, partition_parquet
from gozen.catalog.read.lookup import Catalog
from gozen.catalog.write.append import append_night

SIX = ["mjd", "flux", "flux_err", "mag", "mag_err", "flags"]
RADIUS_ARCSEC = 60.0
NIGHT = 20_260_115
Cone = tuple[float, float]


def night_of(rows: int, nights: int = 1) -> Iterator[tuple[int, Iterator[pa.Table]]]:
    """Yield each night with its rows."""
    each = starfields.EXPOSURES // nights
    for night in range(nights):
        wanted = range(each * night, each * (night + 1))
        stars = starfields.fields(rows)
        yield NIGHT + night, (one for field in stars for one in starfields.exposures(field, NIGHT + night, wanted))


def filled(store: Store, rows: int, nights: int = 1) -> Catalog:
    """Make a table of this many rows, appended in so many nights."""
    for night, tables in night_of(rows, nights):
        append_night(store, "lightcurves", night, tables)
    return open_catalog(store, "lightcurves")


def with_places(rows: pa.Table) -> pa.Table:
    """Return rows with ``_healpix_29``."""
    place = healpix.pixels(partition_parquet.numbers(rows, "ra"), partition_parquet.numbers(rows, "dec"))
    return rows.set_column(0, rows.schema.field(0), pa.array(place))


def targets(rows: int, count: int) -> tuple[list[int], dict[str, list[Cone]]]:
    """Choose stars by chance, and cones around plain stars and around the special points that fields are centred on."""
    rng = np.random.default_rng(3)
    stars = starfields.fields(rows)
    ids = rng.choice(np.concatenate([field.source_id for field in stars]), count)
    cones: dict[str, list[Cone]] = {"plain": [], "edges and poles": []}
    for number in range(count):
        field = stars[number % len(stars)]
        ra, dec = starfields.FIELDS[field.name]
        if field.name in starfields.PLAIN:
            at = int(rng.integers(len(field.ra)))
            cones["plain"].append((float(field.ra[at]), float(field.dec[at])))
        else:
            up = float(np.clip(dec + rng.uniform(-0.008, 0.008), -90, 90))
            aside = rng.uniform(0, 360) if abs(dec) == 90 else rng.uniform(-0.008, 0.008) / np.cos(np.radians(dec))
            cones["edges and poles"].append(((ra + float(aside)) % 360, up))
    return ids.tolist(), cones
