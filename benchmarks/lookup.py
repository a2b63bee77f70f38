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
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pyarrow as pa

import growth
import merging
import postgres
from appends import appending
from goals import Goal, conclude
from gozen.archive.stores.open_store import Store, open_store
from gozen.catalog import open_catalog
from gozen.catalog.format.schema import lightcurve_schema
from gozen.catalog.read.lookup import Catalog
from gozen.errors import Bug
from peers import Postgres, duckdb_join, load_peers, lsdb_opens
from star_tables import RADIUS_ARCSEC, SIX, Cone, filled, targets
from timing import elapsed, median_ms, say

PARTS = ("lookups", "compaction", "crossmatch", "size")
COLUMNS = {"six columns": SIX, "all columns": lightcurve_schema().names}


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
    return {
        "id_ms": median_ms(lambda i: catalog.lightcurve(i, SIX), ids, warm=True),
        "cone_ms": median_ms(lambda p: catalog.cone(*p, RADIUS_ARCSEC, SIX), cones, warm=True),
    }


def opening(store: Store, ids: list[int]) -> float:
    """Return what opening the table and its first look-up take, median in ms."""
    return median_ms(lambda i: open_catalog(store, "lightcurves").lightcurve(i, SIX), ids[:9])


def measured(folder: Path, rows: int, count: int) -> dict[str, Any]:
    """Build the tables and measure everything."""
    some = rows // 4
    say(f"append of {some:,} rows, and the floor")
    result: dict[str, Any] = {"rows": rows, "append": appending(folder, some, 4)}
    result["growth"] = [of_size(folder / f"table-{size}", size, count) for size in (rows // 10, some, rows)]
    say(f"a table of {some:,} rows in five nights")
    nightly = filled(open_store(folder / "nightly"), some, 5)
    near, around = targets(some, count)
    result["five_nights"] = timed(nightly, near, around["plain"])
    ids, cones = targets(rows, count)
    result |= beside_postgres(folder, rows, ids, cones)
    say("look-ups by DuckDB and LSDB")
    result["duckdb_join"] = duckdb_join(folder, ids[:7], cones["plain"][:7])
    result["lsdb"] = lsdb_opens(folder / f"table-{rows}", ids[:7], cones["plain"][:7])
    return result


def of_size(folder: Path, rows: int, count: int) -> dict[str, float]:
    """Make a table of this many rows, and look up in it."""
    say(f"a table of {rows:,} rows")
    store = open_store(folder)
    spent = elapsed(lambda: filled(store, rows))
    ids, cones = targets(rows, count)
    found = timed(open_catalog(store, "lightcurves"), ids, cones["plain"])
    return {"rows": rows, "made_s": spent, **found, "open_ms": opening(store, ids)}


def beside_postgres(folder: Path, rows: int, ids: list[int], cones: dict[str, list[Cone]]) -> dict[str, Any]:
    """Give PostgreSQL the rows of the largest table; compare bytes and look-ups."""
    root = folder / f"table-{rows}"
    catalog = open_catalog(open_store(root), "lightcurves")
    exact = catalog.info().rows
    kept = [path.stat().st_size for path in (root / "catalogs/lightcurves").rglob("*") if path.is_file()]
    with (
        postgres.server(max(256, rows * 300 // 2**20)) as address,
        psycopg.connect(address, autocommit=True) as connection,
    ):
        say("the same rows into PostgreSQL and into unsorted files")
        load_peers(folder, connection, rows)
        sizes = "SELECT pg_table_size('lightcurves'), pg_total_relation_size('lightcurves'), version()"
        heap, total, version = connection.execute(sizes).fetchone()
        peer = Postgres(connection)
        chosen = {"version": version, "cone_by": peer.choose(cones["plain"][:20])}
        say(f"look-ups against {version.split(' (')[0]}, cones by {chosen['cone_by']}")
        lookups = against_postgres(catalog, peer, ids, cones)
    held = {"gozen": sum(kept) / exact, "postgres": heap / exact, "postgres_indexed": total / exact}
    return {"bytes": held, "postgres": chosen, "lookups": lookups}


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
            result["compaction"] = merging.compacting(Path(folder), given.rows // 4)
        if "crossmatch" in parts:
            say("cross-matches")
            result["crossmatch"] = merging.crossmatching(given.rows // 20, given.rows // 10, 3)
        if "size" in parts:
            result["size"] = growth.measured(Path(folder), given.rows)
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
