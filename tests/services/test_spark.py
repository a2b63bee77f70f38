"""Unmodified Spark reads Gozen's tables: every row once, with the values that Gozen's own reader returns.

Covered: the list of files of a live light-curve table after a correction; the list and the directory of a release, also
after the live table changed; object tables with null bands; the program of docs/how-to/spark.md, with a join.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from pyspark.sql import DataFrame, SparkSession

from gozen.archive.stores.open_store import Store, open_store
from gozen.catalog import open_catalog
from gozen.catalog.maintain.release import release
from gozen.catalog.read.lookup import Catalog
from gozen.catalog.write.append import append_night
from gozen.simulator.objects.survey_release import simulate_objects

from ..catalog_samples import field_of, rows_of
from .pages import Command, File, first_missing, steps_of

pytestmark = pytest.mark.xdist_group("lsdb")  # one process imports what takes seconds to import

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "spark.md"
FIELD = field_of(count=50, lone=4)


@pytest.fixture(scope="module")
def spark() -> Iterator[SparkSession]:
    """Start Spark in this process' own Java, small."""
    builder = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false")
    settings = {
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.memory": "512m",
        "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
        "spark.sql.shuffle.partitions": "1",
        "spark.sql.autoBroadcastJoinThreshold": "-1",
    }
    for name, value in settings.items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    yield session
    session.stop()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Return an archive with two nights, one of them corrected, and a small survey."""
    store = open_store(tmp_path_factory.mktemp("spark") / "archive")
    append_night(store, "lightcurves", 20240101, [rows_of(FIELD, 20240101, "1")])
    append_night(store, "lightcurves", 20240102, [rows_of(FIELD, 20240102, "7", further=(10,))])
    append_night(store, "lightcurves", 20240101, [rows_of(FIELD, 20240101, "1", run="r2")])
    simulate_objects(store, "s20a_wide", 100_000)
    return store


def sums(rows: DataFrame | pa.Table, columns: list[str]) -> dict[str, tuple[int, float]]:
    """Return how many values a column has, and their sum."""
    table = rows if isinstance(rows, pa.Table) else rows.select(*columns).toArrow()
    found = {}
    for name in columns:
        values = table[name].cast(pa.float64(), safe=False)
        found[name] = len(values) - values.null_count, float(pc.sum(values).as_py() or 0)
    return found


def same(theirs: DataFrame, ours: pa.Table, columns: list[str]) -> None:
    """Compare by counts and sums."""
    assert theirs.count() == len(ours)
    mine = sums(ours, columns)
    for name, (count, total) in sums(theirs, columns).items():
        assert count == mine[name][0], name
        np.testing.assert_allclose(total, mine[name][1], rtol=1e-9, err_msg=name)


LIGHT = ["mjd", "flux", "flags", "night", "frame", "ra"]


def test_the_files_of_a_live_table_hold_every_row_once(spark: SparkSession, store: Store) -> None:
    catalog = open_catalog(store, "lightcurves")
    theirs = spark.read.option("mergeSchema", "true").parquet(*catalog.urls())
    same(theirs, catalog.table(), [*LIGHT, "flux_10"])
    assert {row.run for row in theirs.where("night = 20240101").select("run").distinct().collect()} == {"r2"}


def test_the_directory_of_a_release_is_that_release(spark: SparkSession, store: Store) -> None:
    version = release(store, "dr1", {"lightcurves": "lightcurves"}).tables["lightcurves"]
    frozen = Catalog(store, version)
    before = frozen.table()
    append_night(store, "lightcurves", 20240103, [rows_of(FIELD, 20240103, "9")])
    assert open_catalog(store, "lightcurves").info().rows > len(before)
    theirs = spark.read.parquet(str(store.path(version.key_of_file(""))))
    same(theirs, before, LIGHT)
    same(spark.read.parquet(*frozen.urls()), before, LIGHT)


def test_object_tables_are_read_with_their_missing_bands(spark: SparkSession, store: Store) -> None:
    forced = open_catalog(store, "s20a_wide_forced")
    columns = ["source_id", "isprimary", "parent_id", "deblend_nchild", "i_psfflux_flux", "y_pixelflags_bad"]
    ours = forced.table([*columns, "r_psfflux_instflux", "g_extendedness_value"])
    assert ours["r_psfflux_instflux"].null_count
    same(spark.read.parquet(*forced.urls()), ours, ours.column_names)


def test_the_program_of_the_page_does_what_it_says(
    spark: SparkSession, store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    steps = list(steps_of(PAGE.read_text(encoding="utf-8")))
    (program,) = [step for step in steps if isinstance(step, File) and step.name == "with_spark.py"]
    (command,) = [step for step in steps if isinstance(step, Command) and step.line == "python with_spark.py"]
    monkeypatch.chdir(Path(str(store.path("catalogs"))).parents[1])
    monkeypatch.setattr(SparkSession, "stop", lambda _: None)
    exec(compile(program.text, program.name, "exec"), {})  # in the Java that runs already: another costs 15 s
    assert first_missing(command.shows, capsys.readouterr().out) is None
