"""The peers of look-ups, filled with the same rows and asked the same: PostgreSQL, DuckDB and LSDB."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import psycopg
import pyarrow as pa
import pyarrow.parquet as pq

import postgres
import starfields
from gozen.catalog.format import healpix, partition_parquet
from gozen.catalog.format.schema import lightcurve_schema
from gozen.errors import Bug
from star_tables import NIGHT, RADIUS_ARCSEC, SIX, Cone, with_places
from timing import elapsed, median_ms

STAR = ["ra", "dec", "phot_g_mean_mag", "bp_rp", "parallax", "pmra", "pmdec", "ruwe"]
_INSIDE = """asin(least(1, sqrt(sin(radians(dec - %s) / 2) ^ 2
    + cos(radians(%s)) * cos(radians(dec)) * sin(radians(ra - %s) / 2) ^ 2))) <= %s"""


def load_peers(folder: Path, connection: psycopg.Connection, rows: int) -> None:
    """Give the rows to PostgreSQL in the order of the sky, and to DuckDB as they come, beside a table of stars."""
    schema = lightcurve_schema()
    postgres.create(connection, "lightcurves", schema)
    for field in starfields.fields(rows):
        made = []
        for number, one in enumerate(starfields.exposures(field, NIGHT, range(starfields.EXPOSURES))):
            detections = one.drop_columns(["_healpix_29", *STAR])
            pq.write_table(detections, folder / f"detections-{field.name}-{number}.parquet", compression="zstd")
            made.append(one)
        whole = partition_parquet.sorted_rows(with_places(pa.concat_tables(made)))
        stars = whole.select(["source_id", *STAR])[:: starfields.ROWS_PER_STAR]
        pq.write_table(stars, folder / f"gaia-{field.name}.parquet")
        postgres.copy(connection, "lightcurves", whole)
    connection.execute("CREATE INDEX ON lightcurves (source_id, mjd)")
    connection.execute("CREATE INDEX ON lightcurves (_healpix_29)")
    connection.execute("VACUUM ANALYZE lightcurves")
    connection.execute("CREATE EXTENSION pg_prewarm")
    connection.execute("SELECT pg_prewarm(c.oid) FROM pg_class c WHERE relname LIKE 'lightcurves%'")


class Postgres:
    """Look-ups in PostgreSQL; a cone is asked for in the faster of two ways."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self._cursor = connection.cursor(binary=True)
        connection.execute("SET enable_seqscan = off")  # a prepared join with ranges would else read the whole table
        self.cone = self.cone_by_join

    def by_id(self, source_id: int, columns: list[str]) -> list[tuple[Any, ...]]:
        """Return all rows of a star, in time."""
        query = f"SELECT {_listed(columns)} FROM lightcurves WHERE source_id = %s ORDER BY mjd"
        return self._cursor.execute(query, (source_id,), prepare=True).fetchall()

    def cone_by_join(self, cone: Cone, columns: list[str]) -> list[tuple[Any, ...]]:
        """Join with the ranges of the cone, one index scan each."""
        ranges = healpix.cone_ranges(*cone, RADIUS_ARCSEC / 3600)
        query = f"""SELECT {_listed(columns)} FROM unnest(%s::bigint[], %s::bigint[]) AS r (start, stop),
            LATERAL (SELECT * FROM lightcurves WHERE _healpix_29 >= start AND _healpix_29 < stop) AS found
            WHERE {_INSIDE} ORDER BY _healpix_29, source_id, mjd"""
        given = (ranges[:, 0].tolist(), ranges[:, 1].tolist(), *_inside(cone))
        return self._cursor.execute(query, given, prepare=True).fetchall()

    def cone_by_alternatives(self, cone: Cone, columns: list[str]) -> list[tuple[Any, ...]]:
        """Name the ranges one by one, a bitmap scan over all."""
        ranges = healpix.cone_ranges(*cone, RADIUS_ARCSEC / 3600)
        either = " OR ".join("(_healpix_29 >= %s AND _healpix_29 < %s)" for _ in ranges)
        query = f"""SELECT {_listed(columns)} FROM lightcurves WHERE ({either}) AND {_INSIDE}
            ORDER BY _healpix_29, source_id, mjd"""
        return self._cursor.execute(query, (*ranges.ravel().tolist(), *_inside(cone)), prepare=True).fetchall()

    def choose(self, cones: list[Cone]) -> str:
        """Take the faster way to ask for a cone; return its name."""
        ways = {"join": self.cone_by_join, "alternatives": self.cone_by_alternatives}
        spent = {name: [elapsed(lambda w=way, c=c: w(c, SIX)) for c in cones * 2] for name, way in ways.items()}
        best = min(ways, key=lambda name: float(np.median(spent[name])))
        self.cone = ways[best]
        return best


def _inside(cone: Cone) -> tuple[float, ...]:
    return cone[1], cone[1], cone[0], float(np.radians(RADIUS_ARCSEC / 3600) / 2)


def _listed(columns: list[str]) -> str:
    return ", ".join(f'"{name}"' for name in columns)


def duckdb_join(folder: Path, ids: list[int], cones: list[Cone]) -> dict[str, float]:
    """Look up in unsorted files by a join with the table of stars."""
    connection = duckdb.connect()
    connection.execute("SET parquet_metadata_cache = true")
    detections, stars = (f"read_parquet('{folder}/{name}-*.parquet') AS {name}" for name in ("detections", "gaia"))
    source = f"{detections} JOIN {stars} USING (source_id)"
    select = f"SELECT {_listed(SIX)} FROM {source}"
    inside = _INSIDE.replace("%s", "?")

    def by_id(source_id: int) -> pa.Table:
        return connection.execute(f"{select} WHERE source_id = ? ORDER BY mjd", [source_id]).to_arrow_table()

    def by_cone(cone: Cone) -> pa.Table:
        return connection.execute(f"{select} WHERE {inside} ORDER BY source_id, mjd", _inside(cone)).to_arrow_table()

    by_id(ids[0])
    return {"id_ms": median_ms(by_id, ids), "cone_ms": median_ms(by_cone, cones)}


def lsdb_opens(folder: Path, ids: list[int], cones: list[Cone]) -> dict[str, float]:
    """Look up by LSDB in the same table: a cone search, and a filter in the pixel that the id names."""
    warnings.simplefilter("ignore")
    import dask
    import lsdb
    from hats import HealpixPixel

    dask.config.set(scheduler="synchronous")
    url = folder / "catalogs/lightcurves"

    def by_id(source_id: int) -> Any:
        near = lsdb.PixelSearch([HealpixPixel(12, source_id >> 35)])
        chosen = [("source_id", "==", source_id)]
        return lsdb.open_catalog(url, columns=["source_id", *SIX], search_filter=near, filters=chosen).compute(
            progress_bar=False
        )

    def by_cone(cone: Cone) -> Any:
        return lsdb.open_catalog(url, columns=SIX, search_filter=lsdb.ConeSearch(*cone, RADIUS_ARCSEC)).compute(
            progress_bar=False
        )

    if len(by_id(ids[0])) != starfields.ROWS_PER_STAR:
        raise Bug(f"LSDB does not find source {ids[0]}")
    return {"id_ms": median_ms(by_id, ids), "cone_ms": median_ms(by_cone, cones)}
