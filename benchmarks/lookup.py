"""What the light-curve table costs: look-ups, bytes and appends, in ratios to peers measured in the same run.

Look-ups by id and by cones of 1 arcmin run against PostgreSQL (Debian's), which holds the same rows in the order of the
sky with B-trees on (source_id, mjd) and on _healpix_29, freshly analysed and in memory; its statements are prepared and
its values travel in binary form (psycopg). Compared is what each gives its user: an Arrow table, and Python tuples; all
columns, and six. Each answer is checked against PostgreSQL's. The cones take turns between plain fields and corners and
edges of HEALPix base pixels and the poles. DuckDB joins unsorted files with a table of stars, as the design before did;
LSDB opens our table unmodified. The floor of an append is PyArrow's sort and one Parquet file with the same
encodings, of rows that have ``_healpix_29`` already; both write down to the disk.

Compactions and cross-matches (benchmarks/merging.py) run with it, and look-ups in a table of five times the rows
(benchmarks/growth.py); each alone by ``--only``.

    python benchmarks/lookup.py [--json FILE] [--rows 20_000_000] [--targets 200]
                                [--only lookups|compaction|crossmatch|size]
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import psycopg
import pyarrow as pa
import pyarrow.parquet as pq

import growth
import merging
import postgres
import starfields
from goals import Goal, conclude
from gozen.archive.store import Store, open_store
from gozen.catalog import healpix, open_catalog, parquet
from gozen.catalog.append import append_night
from gozen.catalog.lookup import Catalog
from gozen.catalog.schema import lightcurve_schema
from gozen.errors import Bug

SIX = ["mjd", "flux", "flux_err", "mag", "mag_err", "flags"]
RADIUS_ARCSEC = 60.0
NIGHT = 20_260_115
STAR = ["ra", "dec", "phot_g_mean_mag", "bp_rp", "parallax", "pmra", "pmdec", "ruwe"]
ORDER = [("_healpix_29", "ascending"), ("source_id", "ascending"), ("mjd", "ascending")]
PARTS = ("lookups", "compaction", "crossmatch", "size")
LARGE = 5
"""How many times larger the other table of the part `size` is."""
COLUMNS = {"six columns": SIX, "all columns": lightcurve_schema().names}
Cone = tuple[float, float]


def say(text: str) -> None:
    """Print progress at once."""
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


def elapsed(act: Callable[[], Any]) -> float:
    """Return how long something takes, s."""
    begin = time.perf_counter()
    act()
    return time.perf_counter() - begin


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


def appending(folder: Path, rows: int, repeats: int) -> dict[str, float]:
    """Append the same rows by Gozen and by the floor, in turns; return the medians, the first turn left out."""
    ((night, made),) = night_of(rows)
    tables = list(made)
    placed = with_places(pa.concat_tables(tables))
    spent: dict[str, list[float]] = {"append_s": [], "floor_s": []}
    for number in range(repeats):
        store = open_store(folder / f"append-{number}")
        spent["append_s"].append(elapsed(lambda store=store: append_night(store, "lightcurves", night, tables)))
        spent["floor_s"].append(elapsed(lambda: floor(folder / "floor.parquet", placed)))
    return {"rows": len(placed), **{name: float(np.median(times[1:])) for name, times in spent.items()}}


def floor(path: Path, rows: pa.Table) -> None:
    """Sort by PyArrow, and write one file as our table writes its files, down to the disk."""
    options = parquet.options(rows.schema)
    with path.open("wb") as stream:
        pq.write_table(rows.sort_by(ORDER), stream, row_group_size=parquet.SOURCE_ROW_GROUP, **options)
        stream.flush()
        os.fsync(stream.fileno())


def with_places(rows: pa.Table) -> pa.Table:
    """Return rows with ``_healpix_29``."""
    place = healpix.pixels(parquet.numbers(rows, "ra"), parquet.numbers(rows, "dec"))
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
        whole = parquet.sorted_rows(with_places(pa.concat_tables(made)))
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


_INSIDE = """asin(least(1, sqrt(sin(radians(dec - %s) / 2) ^ 2
    + cos(radians(%s)) * cos(radians(dec)) * sin(radians(ra - %s) / 2) ^ 2))) <= %s"""


def _inside(cone: Cone) -> tuple[float, ...]:
    return cone[1], cone[1], cone[0], float(np.radians(RADIUS_ARCSEC / 3600) / 2)


def _listed(columns: list[str]) -> str:
    return ", ".join(f'"{name}"' for name in columns)


def in_turns(
    wanted: list[Any], ours: Callable[[Any], pa.Table], theirs: Callable[[Any], list[Any]], columns: list[str]
) -> dict[str, float]:
    """Check each answer, which warms both, then time both in turns; return medians and the 90th percentile in ms."""
    rows = [_agree(ours(one), theirs(one), columns) for one in wanted]
    spent = np.array([(elapsed(lambda o=one: ours(o)), elapsed(lambda o=one: theirs(o))) for one in wanted * 2]) * 1000
    medians, late = np.median(spent, axis=0), np.percentile(spent, 90, axis=0)
    return {
        "rows": float(np.median(rows)), "gozen_ms": medians[0], "postgres_ms": medians[1],
        "gozen_p90_ms": late[0], "postgres_p90_ms": late[1], "ratio": medians[0] / medians[1],
    }  # fmt: skip


def _agree(ours: pa.Table, theirs: list[tuple[Any, ...]], columns: list[str]) -> int:
    if not len(ours) == len(theirs) > 0:
        raise Bug(f"Gozen finds {len(ours)} rows, PostgreSQL {len(theirs)}")
    for name, mine, other in zip(columns, ours.select(columns).columns, zip(*theirs, strict=True), strict=True):
        if mine.to_pylist() != list(other):
            raise Bug(f"Gozen and PostgreSQL differ in {name}")
    return len(ours)


def against_postgres(catalog: Catalog, peer: Postgres, ids: list[int], cones: dict[str, list[Cone]]) -> dict[str, Any]:
    """Compare look-ups by id and cone."""
    out: dict[str, Any] = {}
    for label, columns in COLUMNS.items():
        out[f"id, {label}"] = in_turns(
            ids, lambda i, c=columns: catalog.lightcurve(i, c), lambda i, c=columns: peer.by_id(i, c), columns
        )
        for where, some in cones.items():
            out[f"cone, {where}, {label}"] = in_turns(
                some,
                lambda p, c=columns: catalog.cone(*p, RADIUS_ARCSEC, c),
                lambda p, c=columns: peer.cone(p, c),
                columns,
            )
    return out


def timed(catalog: Catalog, ids: list[int], cones: list[Cone]) -> dict[str, float]:
    """Return medians in ms of look-ups of six columns, after a warm pass."""
    by_id = [elapsed(lambda i=i: catalog.lightcurve(i, SIX)) for i in ids * 2][len(ids) :]
    by_cone = [elapsed(lambda p=p: catalog.cone(*p, RADIUS_ARCSEC, SIX)) for p in cones * 2][len(cones) :]
    return {"id_ms": float(np.median(by_id)) * 1000, "cone_ms": float(np.median(by_cone)) * 1000}


def opening(store: Store, ids: list[int]) -> float:
    """Return what opening the table and its first look-up take, median in ms."""
    spent = [elapsed(lambda i=i: open_catalog(store, "lightcurves").lightcurve(i, SIX)) for i in ids[:9]]
    return float(np.median(spent)) * 1000


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
    return {
        "id_ms": float(np.median([elapsed(lambda i=i: by_id(i)) for i in ids])) * 1000,
        "cone_ms": float(np.median([elapsed(lambda p=p: by_cone(p)) for p in cones])) * 1000,
    }


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
    return {
        "id_ms": float(np.median([elapsed(lambda i=i: by_id(i)) for i in ids])) * 1000,
        "cone_ms": float(np.median([elapsed(lambda p=p: by_cone(p)) for p in cones])) * 1000,
    }


def measured(folder: Path, rows: int, count: int) -> dict[str, Any]:
    """Build the tables and measure everything."""
    result: dict[str, Any] = {"rows": rows}
    some = rows // 4
    say(f"append of {some:,} rows, and the floor")
    result["append"] = appending(folder, some, 4)
    result["growth"] = []
    for size in (rows // 10, some, rows):
        say(f"a table of {size:,} rows")
        store = open_store(folder / f"table-{size}")
        spent = elapsed(lambda store=store, size=size: filled(store, size))
        ids, cones = targets(size, count)
        one = {"rows": size, "made_s": spent, **timed(open_catalog(store, "lightcurves"), ids, cones["plain"])}
        result["growth"].append({**one, "open_ms": opening(store, ids)})
    say(f"a table of {some:,} rows in five nights")
    nightly = filled(open_store(folder / "nightly"), some, 5)
    near, around = targets(some, count)
    result["five_nights"] = timed(nightly, near, around["plain"])
    kept = [
        path.stat().st_size for path in (folder / f"table-{rows}/catalogs/lightcurves").rglob("*") if path.is_file()
    ]
    catalog = open_catalog(store, "lightcurves")
    exact = catalog.info().rows
    with (
        postgres.server(max(256, rows * 300 // 2**20)) as address,
        psycopg.connect(address, autocommit=True) as connection,
    ):
        say("the same rows into PostgreSQL and into unsorted files")
        load_peers(folder, connection, rows)
        sizes = "SELECT pg_table_size('lightcurves'), pg_total_relation_size('lightcurves'), version()"
        heap, total, version = connection.execute(sizes).fetchone()
        result["bytes"] = {"gozen": sum(kept) / exact, "postgres": heap / exact, "postgres_indexed": total / exact}
        peer = Postgres(connection)
        result["postgres"] = {"version": version, "cone_by": peer.choose(cones["plain"][:20])}
        say(f"look-ups against {version.split(' (')[0]}, cones by {result['postgres']['cone_by']}")
        result["lookups"] = against_postgres(catalog, peer, ids, cones)
    say("look-ups by DuckDB and LSDB")
    result["duckdb_join"] = duckdb_join(folder, ids[:7], cones["plain"][:7])
    result["lsdb"] = lsdb_opens(folder / f"table-{rows}", ids[:7], cones["plain"][:7])
    return result


def goals_of(result: dict[str, Any]) -> list[Goal]:
    """Return each goal with what was measured and its limit."""
    append, sizes = result["append"], result["bytes"]
    return [
        Goal("append", append["append_s"] / append["floor_s"], 1.3),
        Goal("bytes", sizes["gozen"] / sizes["postgres"], 1 / 8),
        *(
            Goal(name.replace(",", "").replace(" ", "_"), float(one["ratio"]), 1.25 if name.startswith("id") else 1.0)
            for name, one in result["lookups"].items()
        ),
    ]


def show(result: dict[str, Any]) -> None:
    """Print what was measured."""
    append, sizes = result["append"], result["bytes"]
    speed = {name: append["rows"] / append[f"{name}_s"] / 1e6 for name in ("append", "floor")}
    print(f"append: {speed['append']:.2f} M rows/s, floor {speed['floor']:.2f} M rows/s")
    print(", ".join(f"{name} {value:.1f} bytes per row" for name, value in sizes.items()))
    for name, one in result["lookups"].items():
        print(
            f"{name}: {one['gozen_ms']:.3f} ms (p90 {one['gozen_p90_ms']:.3f}), PostgreSQL {one['postgres_ms']:.3f} ms "
            f"(p90 {one['postgres_p90_ms']:.3f}), {one['rows']:.0f} rows"
        )
    for name in ("five_nights", "duckdb_join", "lsdb"):
        print(f"{name}, six columns: id {result[name]['id_ms']:.2f} ms, cone {result[name]['cone_ms']:.2f} ms")
    for one in result["growth"]:
        print(
            f"{one['rows']:,} rows: id {one['id_ms']:.3f} ms, cone {one['cone_ms']:.3f} ms, "
            f"opening {one['open_ms']:.1f} ms"
        )
    x = np.array([one["rows"] for one in result["growth"]]) / 1e6
    for name in ("id_ms", "cone_ms", "open_ms"):
        slope, start = np.polyfit(x, [one[name] for one in result["growth"]], 1)
        result.setdefault("lines", {})[name] = {"at_0": start, "per_million_rows": slope}
        print(f"line {name} = {start:.3f} + {slope:.5f} * (rows / 1e6)")


def compacting(folder: Path, rows: int) -> dict[str, Any]:
    """Make a table of ten nights, and compact it."""
    say(f"a table of {rows:,} rows in ten nights, and its compaction")
    source = folder / "ten-nights"
    filled(open_store(source), rows, starfields.EXPOSURES)
    found = merging.compaction(source, folder, 4)
    shutil.rmtree(source)
    return found


def growing(folder: Path, rows: int) -> dict[str, Any]:
    """Make a table, and one of five times its rows, and look up in both."""
    wanted = []
    for size in (rows, LARGE * rows):
        say(f"a table of {size:,} rows")
        ids, cones = targets(size, 200)
        wanted.append((filled(open_store(folder / f"size-{size}"), size), (ids, cones["plain"])))
    (small, of_small), (large, of_large) = wanted
    found = growth.compared(small, large, of_small, of_large)
    shutil.rmtree(folder / f"size-{LARGE * rows}")
    return found


def main() -> int:
    """Measure, print, and say whether the goals are met."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--rows", type=int, default=20_000_000)
    parser.add_argument("--targets", type=int, default=200)
    parser.add_argument("--only", choices=PARTS, help="one part instead of all")
    given = parser.parse_args()
    parts = [given.only] if given.only else PARTS
    if "lookups" in parts:
        postgres.programs()
    result: dict[str, Any] = {"rows": given.rows}
    with tempfile.TemporaryDirectory(prefix="gozen-lookup-") as folder:
        if "compaction" in parts:
            result["compaction"] = compacting(Path(folder), given.rows // 4)
        if "crossmatch" in parts:
            say("cross-matches")
            result["crossmatch"] = merging.crossmatching(given.rows // 20, given.rows // 10, 3)
        if "size" in parts:
            result["size"] = growing(Path(folder), given.rows)
        if "lookups" in parts:
            result |= measured(Path(folder), given.rows, given.targets)
    goals = merging.goals_of(result)
    merging.show(result)
    if "size" in parts:
        growth.show(result["size"])
        goals += growth.goals_of(result["size"])
    if "lookups" in parts:
        show(result)
        goals = [*goals_of(result), *goals]
    return conclude(goals, result, given.json)


if __name__ == "__main__":
    sys.exit(main())
