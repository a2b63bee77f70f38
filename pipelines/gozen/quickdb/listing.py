"""Build tables for users: the columns of a rerun, and light curves with derived columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from gozen.catalog.format import partition_parquet
from gozen.catalog.read.lookup import Catalog
from gozen.errors import BadRequest
from gozen.lightcurves.barycentric_times import Place, bjd_tdb, say_uncertainty
from gozen.quickdb.jobs.rerun_tables import Tables
from gozen.quickdb.patches.column_definitions import BARYCENTRIC, TableColumns
from gozen.resources.sky_circle import SkyCircle

if TYPE_CHECKING:
    import pandas as pd

_NEEDS = ("mjd", "ra", "dec")


def listed(tables: Tables) -> pd.DataFrame:
    """Return type, unit and meaning of every column of every table, indexed by the name of the column in a patch."""
    import pandas as pd

    rows = []
    for word, schema in sorted(tables.schemas.items()):
        names = TableColumns.of_schema(word, schema).names()
        for name, field in zip(names, schema, strict=True):
            metadata = field.metadata or {}
            unit, meaning = (metadata.get(key, b"").decode() for key in (b"unit", b"description"))
            rows.append((name, str(field.type), unit, meaning))
    return pd.DataFrame(rows, columns=["name", "type", "unit", "meaning"]).set_index("name")


def star_or_circle(source_id: int | None, ra: float | None, dec: float | None, radius: float) -> int | SkyCircle:
    """Return the star or the circle (`radius` in arcsec) to look up; raise `BadRequest` unless exactly one is given."""
    if source_id is not None and (ra is None or dec is None):
        return source_id
    if source_id is None and ra is not None and dec is not None:
        return SkyCircle(ra, dec, radius / 3600)
    what = "no star is given" if source_id is None else "a star and a circle are given"
    raise BadRequest(f"{what}: give either source_id=..., or ra=... and dec=... in degrees")


def light_curve(
    catalog: Catalog, wanted: int | SkyCircle, columns: Sequence[str] | None, place_m: Place | None
) -> pa.Table:
    """Look up a star or a circle; return the requested columns in the requested order, including derived ones."""
    names = None if columns is None else _read_for(columns, place_m)
    if isinstance(wanted, SkyCircle):
        rows = catalog.cone(wanted.ra, wanted.dec, wanted.radius_arcsec, names)
    else:
        rows = catalog.lightcurve(wanted, names)
    return _with_derived(rows, columns, place_m)


def _read_for(columns: Sequence[str], place_m: Place | None) -> list[str]:
    """Return the columns to read from the files in order to compute the requested columns."""
    if BARYCENTRIC not in columns or place_m is None:
        return list(columns)
    return list(dict.fromkeys([*(name for name in columns if name != BARYCENTRIC), *_NEEDS]))


def _with_derived(rows: pa.Table, columns: Sequence[str] | None, place_m: Place | None) -> pa.Table:
    if columns is None or place_m is None or BARYCENTRIC not in columns:
        return rows
    mjd, ra, dec = (partition_parquet.numbers(rows, name) for name in _NEEDS)
    times = bjd_tdb(mjd, ra, dec, place_m)
    if np.isfinite(times).any():
        say_uncertainty(float(np.nanmax(mjd)), place_m)
    return rows.append_column(pa.field(BARYCENTRIC, pa.float64(), metadata={"unit": "d"}), pa.array(times)).select(
        list(columns)
    )
