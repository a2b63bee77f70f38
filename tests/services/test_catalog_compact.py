"""Compaction, releases and removal, as a user sees them, on a disk and on S3.

Covered: fewer files and smaller partitions with the same rows; shared files; readers of the old generation; a
correction of merged rows; a kill at every write; appends and other compactions at the same time, at each kind of write
and in two processes; existing, missing and different releases; which generations are removed and which are kept, also
of killed releases; damaged and missing files. Random histories are in tests/property, LSDB is in tests/real.
"""

from __future__ import annotations

import itertools
import os
import pickle
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gozen.archive.stores.open_store import Store, open_store
from gozen.catalog import open_catalog
from gozen.catalog.format import layout, partition_parquet
from gozen.catalog.maintain.compact import compact
from gozen.catalog.maintain.old_generations import remove_older
from gozen.catalog.maintain.release import read_release, release, releases
from gozen.catalog.maintain.verify import verify
from gozen.catalog.read.lookup import Catalog
from gozen.catalog.write.append import append_night
from gozen.catalog.write.table_options import TableOptions
from gozen.catalog.write.write_table import write_table
from gozen.errors import BadRequest, MissingObject, RerunNotFound, StorageUnavailable, UnreadableInput

from ..catalog_samples import (
    DyingStore,
    RacingStore,
    directory_rows,
    field_of,
    generation_rows,
    identities,
    object_schema,
    objects_of,
    rows_of,
)  # fmt: skip
from ..interruptions import Life, Watched
from .s3_server import S3Server

FIELD = field_of(count=30, lone=4, size=0.6)
NIGHTS = {night: [rows_of(FIELD, night, "1"), rows_of(FIELD, night, "2")] for night in (20240101, 20240102, 20240103)}
EVERY = identities(pa.concat_tables([one for night in NIGHTS.values() for one in night]))
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
NUMBER = itertools.count()
TABLES = {"lightcurves": "lightcurves", "objects": "objects"}


@pytest.fixture(autouse=True)
def _fast_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do without fsync, which is most of the time here: no test cuts the power."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an archive with three nights, to be copied."""
    root = tmp_path_factory.mktemp("base")
    for night, tables in NIGHTS.items():
        append_night(open_store(root), "lightcurves", night, tables)
    return root


@pytest.fixture(params=["disk", "s3", "memory"])
def store(request: pytest.FixtureRequest, base: Path, tmp_path: Path) -> Store:
    """Return an archive of each kind with the same three nights."""
    if request.param == "disk":
        return open_store(shutil.copytree(base, tmp_path / "archive"))
    if request.param == "s3":
        server: S3Server = request.getfixturevalue("s3")
        there: Store = server.store(f"s3://{server.bucket(f'tables-{next(NUMBER)}')}/a")
    else:
        there = open_store(f"memory://{tmp_path}")
    for key in open_store(base).list("catalogs"):
        there.write(key, open_store(base).read(key))
    return there


@pytest.fixture
def here(base: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(base, tmp_path / "archive"))


def test_fewer_files_hold_the_same_rows_and_the_old_reader_goes_on(store: Store) -> None:
    old = open_catalog(store, "lightcurves")
    report = compact(store, "lightcurves", everything=True)
    new = old.refresh()
    assert report.files_before == 3 * report.files_after == old.info().files
    assert (new.info().generation, new.info().files) == (2, report.files_after)
    assert new.table().equals(old.table())
    assert new.lightcurve(int(FIELD.source_id[0])).equals(old.lightcurve(int(FIELD.source_id[0])))
    where = (float(FIELD.ra[3]), float(FIELD.dec[3]), 600.0)
    assert new.cone(*where).equals(old.cone(*where))
    again = compact(store, "lightcurves", everything=True)
    assert (again.version, again.merged) == (report.version, 0)


def test_a_partition_that_grew_is_split_and_appends_go_on(store: Store) -> None:
    before = open_catalog(store, "lightcurves").table()
    report = compact(store, "lightcurves", partition_rows=100)
    catalog = open_catalog(store, "lightcurves")
    rows: Counter[object] = Counter()
    for file in catalog.manifest.files:
        rows[layout.partition_of(file.path)] += file.rows
    assert report.split > 0
    assert max(rows.values()) <= 100
    assert catalog.table().equals(before)
    late = rows_of(FIELD, 20240104, "1")
    append_night(store, "lightcurves", 20240104, [late])
    catalog = catalog.refresh()
    assert identities(catalog.table()) == sorted([*EVERY, *identities(late)])
    places = sorted((p.start, p.stop) for p in catalog.manifest.partitions)
    assert all(one[1] <= other[0] for one, other in itertools.pairwise(places))


def test_a_release_stays_while_the_table_goes_on(store: Store) -> None:
    made = release(store, "dr1", TABLES)
    generation = made.tables["lightcurves"].generation
    append_night(store, "lightcurves", 20240101, [rows_of(FIELD, 20240101, "2", run="r2")])
    compact(store, "lightcurves", everything=True)
    remove_older(store, "lightcurves", BEGIN, 0)
    again = release(store, "dr1", TABLES)
    assert again == made == read_release(store, "dr1")
    assert releases(store) == ["dr1"]
    assert identities(Catalog(store, again.tables["lightcurves"]).table()) == EVERY
    assert {layout.generation_of("lightcurves", key) for key in store.list("catalogs/lightcurves")} == {
        None, generation, open_catalog(store, "lightcurves").info().generation,
    }  # fmt: skip
    with pytest.raises(BadRequest, match="another name"):
        release(store, "dr1", {"lightcurves": "lightcurves"})
    with pytest.raises(RerunNotFound, match="did you mean dr1"):
        read_release(store, "dr2")


def test_what_cannot_be_released_is_said_and_nothing_is_written(here: Path) -> None:
    store = open_store(here)
    append_night(store, "empty", 20240101, [])
    before = store.list("")
    for tables, says in (({}, "no table"), ({"a": "lightcurves", "b": "empty"}, "no rows")):
        with pytest.raises(BadRequest, match=says):
            release(store, "dr1", tables)
    with pytest.raises(MissingObject, match="nowhere"):
        release(store, "dr1", {"a": "lightcurves", "b": "nowhere"})
    assert store.list("") == before


def test_files_are_shared_on_a_disk(here: Path) -> None:
    store = open_store(here)
    version = release(store, "dr1", TABLES).tables["lightcurves"]
    for file in version.files:
        old, new = (store.path(layout.data_key("lightcurves", g, file.path)) for g in (1, version.generation))
        assert old.samefile(new)


def test_merged_rows_are_in_order_and_corrections_reach_them(here: Path) -> None:
    store = open_store(here)
    compact(store, "lightcurves", everything=True)
    for url in open_catalog(store, "lightcurves").urls():
        table = pq.read_table(url, partitioning=None)
        keys = [partition_parquet.numbers(table, name) for name in ("mjd", "source_id", "_healpix_29")]
        np.testing.assert_array_equal(np.lexsort(keys), np.arange(len(table)))
    better = rows_of(FIELD, 20240101, "2", run="r2")
    report = append_night(store, "lightcurves", 20240101, [better])
    assert (report.rows_added, report.rows_replaced) == (len(better), len(better))
    wanted = pa.concat_tables([NIGHTS[20240101][0], better, *NIGHTS[20240102], *NIGHTS[20240103]])
    assert identities(open_catalog(store, "lightcurves").table()) == identities(wanted)
    assert identities(directory_rows(here, "lightcurves")) == identities(wanted)


def test_an_object_table_is_split_with_a_margin_of_its_new_partitions(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    write_table(store, "stars", object_schema(), [objects_of(3000, size=0.02)])
    compact(store, "stars", partition_rows=300)
    version = open_catalog(store, "stars").manifest
    assert version.margin == "stars_5arcs.g2"
    assert len(version.partitions) > 5
    lines = (tmp_path / f"catalogs/stars/{version.margin}/partition_info.csv").read_text().splitlines()
    assert len(lines) == 1 + len(version.partitions)
    assert f"default_margin={version.margin}" in (tmp_path / "catalogs/stars/collection.properties").read_text()


@pytest.mark.parametrize("act", ["compact", "split", "release", "remove"])
def test_killed_at_any_write_readers_see_whole_generations_and_running_again_completes(
    act: str, base: Path, tmp_path: Path
) -> None:
    acts = {
        "compact": lambda store: compact(store, "lightcurves", everything=True),
        "split": lambda store: compact(store, "lightcurves", partition_rows=400),
        "release": lambda store: release(store, "dr1", TABLES),
        "remove": lambda store: remove_older(store, "lightcurves", BEGIN + timedelta(days=3), 0),
    }
    begin = shutil.copytree(base, tmp_path / "begin")
    if act == "remove":
        compact(open_store(begin), "lightcurves", everything=True)
    deaths, died = 0, True
    while died:
        root = shutil.copytree(begin, tmp_path / str(deaths))
        store = open_store(root)
        try:
            acts[act](DyingStore(root, deaths))
            died = False
        except StorageUnavailable:
            deaths += 1
        assert identities(open_catalog(store, "lightcurves").table()) == EVERY
        assert identities(directory_rows(root, "lightcurves")) == EVERY
        assert died == (releases(store) == []) or act != "release"
        acts[act](store)
        assert identities(open_catalog(store, "lightcurves").table()) == EVERY
        assert identities(directory_rows(root, "lightcurves")) == EVERY
        if act == "release":
            assert identities(Catalog(store, read_release(store, "dr1").tables["lightcurves"]).table()) == EVERY
        shutil.rmtree(root)
    assert deaths > 5


@pytest.mark.parametrize("store", ["s3"], indirect=True)
def test_on_s3_too_a_kill_leaves_a_whole_version_and_running_again_completes(store: Store) -> None:
    acts = (
        lambda there: release(there, "dr1", TABLES),
        lambda there: compact(there, "lightcurves", everything=True, partition_rows=400),
    )
    for act in acts:
        deaths, died = 0, True
        while died:
            try:
                act(dying(store, deaths))
                died = False
            except StorageUnavailable:
                deaths += 6
            assert identities(open_catalog(store, "lightcurves").table()) == EVERY
        assert deaths > 6
    assert identities(Catalog(store, read_release(store, "dr1").tables["lightcurves"]).table()) == EVERY


def dying(store: Store, survives: int) -> Store:
    """Return the same archive on S3, where writes fail after so many of them."""
    there = pickle.loads(pickle.dumps(store))
    left = itertools.count(survives, -1)

    def guarded(method: Callable[..., object]) -> Callable[..., object]:
        def call(*given: object) -> object:
            if next(left) <= 0:
                raise StorageUnavailable("killed here")
            return method(*given)

        return call

    for name in ("write", "create", "copy", "delete"):
        setattr(there, name, guarded(getattr(there, name)))
    return there


LATE = rows_of(FIELD, 20240104, "1")
BETTER = rows_of(FIELD, 20240101, "2", run="r2")


@pytest.mark.parametrize("moment", ["lightcurves.g", "index", "manifest/00000000", "generation"])
@pytest.mark.parametrize("rows", [100, 10**6], ids=["split", "merge"])
@pytest.mark.parametrize("other", ["append", "correction", "compaction"])
def test_who_comes_second_rereads_and_nothing_is_lost(here: Path, other: str, rows: int, moment: str) -> None:
    store = open_store(here)
    nights = [one for night in NIGHTS.values() for one in night]
    act, wanted = {
        "append": (lambda: append_night(store, "lightcurves", 20240104, [LATE]), [*nights, LATE]),
        "correction": (
            lambda: append_night(store, "lightcurves", 20240101, [BETTER]), [nights[0], BETTER, *nights[2:]],
        ),
        "compaction": (lambda: compact(store, "lightcurves", everything=True, partition_rows=rows), nights),
    }[other]  # fmt: skip
    racing = RacingStore(here, f"catalogs/lightcurves/{moment}", act)
    compact(racing, "lightcurves", everything=True, partition_rows=rows)
    assert racing.acted
    places = sorted((p.start, p.stop) for p in open_catalog(store, "lightcurves").manifest.partitions)
    assert all(one[1] <= other[0] for one, other in itertools.pairwise(places)), "a partition inside another"
    assert identities(open_catalog(store, "lightcurves").table()) == identities(pa.concat_tables(wanted))
    assert identities(directory_rows(here, "lightcurves")) == identities(pa.concat_tables(wanted))


@pytest.mark.parametrize("moment", ["lightcurves.g", "release", "generation"])
def test_an_append_during_a_release_never_shows_in_it(here: Path, moment: str) -> None:
    store = open_store(here)
    racing = RacingStore(
        here, f"catalogs/lightcurves/{moment}", lambda: append_night(store, "lightcurves", 20240104, [LATE])
    )
    version = release(racing, "dr1", TABLES).tables["lightcurves"]
    assert racing.acted
    append_night(store, "lightcurves", 20240105, [rows_of(FIELD, 20240105, "1")])
    assert identities(Catalog(store, version).table()) == EVERY
    assert identities(generation_rows(here / layout.generation("lightcurves", version.generation))) == EVERY
    assert set(identities(LATE)) < set(identities(open_catalog(store, "lightcurves").table()))


def test_old_generations_go_when_their_time_is_up(here: Path) -> None:
    store = open_store(here)
    old = open_catalog(store, "lightcurves")
    compact(store, "lightcurves", everything=True)
    for days, files in ((0, False), (29, False), (30, True)):
        (removal,) = remove_older(store, "lightcurves", BEGIN + timedelta(days=days), 30)
        assert (removal.generation, removal.since, removal.files > 0) == (1, BEGIN, files)
        assert len(store.list("catalogs/lightcurves/lightcurves.g1")) == 0 or not files
    assert remove_older(store, "lightcurves", BEGIN + timedelta(days=31), 30) == []
    with pytest.raises(MissingObject, match=r"lightcurves\.g1.*verify"):
        old.table(["mjd"])
    assert identities(open_catalog(store, "lightcurves").table()) == EVERY


@pytest.mark.parametrize(("deaths", "completed"), [(2, False), (8, True), (11, False)])
def test_what_a_killed_release_left_goes_when_its_time_is_up_though_the_table_never_changes(
    tmp_path: Path, deaths: int, completed: bool
) -> None:
    store = open_store(tmp_path)
    write_table(store, "stars", object_schema(), [objects_of(300, size=0.01)], TableOptions(margin_arcsec=None))
    wanted = open_catalog(store, "stars").table()
    with pytest.raises(StorageUnavailable):
        release(DyingStore(tmp_path, deaths), "dr1", {"stars": "stars"})
    assert not store.exists("catalogs/stars/release/dr1.json")
    if completed:
        release(store, "dr1", {"stars": "stars"})
    for days in (0, 29, 30):
        (removal,) = remove_older(store, "stars", BEGIN + timedelta(days=days), 30)
        assert (removal.generation, removal.since, removal.files > 0) == (layout.FIRST_RELEASED, BEGIN, days == 30)
    assert remove_older(store, "stars", BEGIN + timedelta(days=31), 30) == []
    version = release(store, "dr1", {"stars": "stars"}).tables["stars"]
    assert remove_older(store, "stars", BEGIN + timedelta(days=99), 30) == []
    assert Catalog(store, version).table().equals(wanted)
    assert open_catalog(store, "stars").table().equals(wanted)
    assert verify(store, "stars").problems == ()


def test_a_generation_that_was_seen_unfinished_has_its_whole_time_once_it_is_old(here: Path) -> None:
    store = open_store(here)
    seen = []
    racing = RacingStore(
        here, "catalogs/lightcurves/manifest", lambda: seen.extend(remove_older(store, "lightcurves", BEGIN, 30))
    )
    compact(racing, "lightcurves", everything=True)
    assert [(one.generation, one.files) for one in seen] == [(2, 0)]
    second = open_catalog(store, "lightcurves")
    append_night(store, "lightcurves", 20240101, [rows_of(FIELD, 20240101, "2", run="r2")])
    assert open_catalog(store, "lightcurves").info().generation == 3
    for days, files in ((40, False), (69, False), (70, True)):
        found = remove_older(store, "lightcurves", BEGIN + timedelta(days=days), 30)
        assert [(one.generation, one.files > 0) for one in found] == [(1, files), (2, files)]
        if not files:
            assert identities(second.table()) == EVERY


def test_a_generation_that_becomes_current_while_others_are_removed_stays(here: Path) -> None:
    store = open_store(here)
    writer = Life(lambda: compact(Watched(store), "lightcurves", everything=True))
    while not writer.over and not store.list("catalogs/lightcurves/lightcurves.g2"):
        writer.go()
    remover = Life(lambda: remove_older(Watched(store), "lightcurves", BEGIN, 0))
    while not remover.over and not store.exists(layout.unfinished("lightcurves", 2)):
        remover.go()
    writer.finish()
    remover.finish()
    assert open_catalog(store, "lightcurves").info().generation == 2
    assert identities(open_catalog(store, "lightcurves").table()) == EVERY


def test_a_writer_that_is_slower_than_old_generations_are_kept_names_no_half_generation(here: Path) -> None:
    """Whatever part of the removal overtakes it before it commits, it ends whole or is told to run again."""
    told: list[str] = []
    removals: list[Life] = []
    over = False
    while not over:
        root = Path(shutil.copytree(here, here.with_name(f"archive-{len(told)}")))
        store = open_store(root)

        def remove_in_part(store: Store = store) -> None:
            remove_older(store, "lightcurves", BEGIN, 30)
            late = BEGIN + timedelta(days=31)
            removals.append(Life(lambda: remove_older(Watched(store), "lightcurves", late, 30)))
            for _ in range(3 * len(told)):
                removals[-1].go()

        racing = RacingStore(root, "catalogs/lightcurves/index", remove_in_part)
        try:
            compact(racing, "lightcurves", everything=True)
            said = ""
        except StorageUnavailable as error:
            said = str(error)
        over = removals[-1].over
        removals[-1].finish()
        told.append(said)
        append_night(store, "lightcurves", 20240104, [LATE])
        compact(store, "lightcurves", everything=True)
        assert set(identities(open_catalog(store, "lightcurves").table())) == {*EVERY, *identities(LATE)}
        shutil.rmtree(root)
    assert told[0] == ""
    assert "was deleted while it was written" in told[-1]


@pytest.mark.parametrize("keep", [0, -20, -3])
def test_a_file_that_is_cut_short_is_named(store: Store, keep: int) -> None:
    version = open_catalog(store, "lightcurves").manifest
    key = version.key_of_file(version.files[0].path)
    data = store.read(key)
    store.delete(key)
    store.write(key, data[:keep])
    for act in (
        lambda: open_catalog(store, "lightcurves").table(),
        lambda: compact(store, "lightcurves", everything=True),
    ):
        with pytest.raises(UnreadableInput, match=version.files[0].path.replace("=", ".")):
            act()


@pytest.mark.parametrize("part", ["index", "schema"])
def test_an_index_that_is_damaged_or_gone_is_named(here: Path, part: str) -> None:
    store = open_store(here)
    version = open_catalog(store, "lightcurves").manifest
    path = getattr(version, part)
    store.write(version.key_of(path), store.read(version.key_of(path))[:-9])
    with pytest.raises(UnreadableInput, match=f"{path} is truncated or damaged"):
        open_catalog(store, "lightcurves")
    store.delete(version.key_of(path))
    with pytest.raises(MissingObject, match=f"{path} does not exist, but the manifest of its table names it"):
        open_catalog(store, "lightcurves")


WORK = """
import sys
sys.path.insert(0, {tests!r})
from catalog_samples import field_of, rows_of
from gozen.archive.stores.open_store import open_store
from gozen.catalog.write.append import append_night
from gozen.catalog.maintain.compact import compact
store, field = open_store({root!r}), field_of(count=30, lone=4, size=0.6)
sys.stdin.readline()
for night in range({first}, {first} + 3):
    append_night(store, "lightcurves", night, [rows_of(field, night, "1")])
    compact(store, "lightcurves", everything=True, partition_rows=200)
"""


def test_two_processes_that_append_and_compact_lose_nothing(here: Path) -> None:
    tests = str(Path(__file__).parents[1])
    nights = {20240201, 20240301}
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORK.format(tests=tests, root=str(here), first=night)], stdin=subprocess.PIPE
        )
        for night in nights
    ]
    for worker in workers:
        worker.stdin.write(b"\n")
        worker.stdin.flush()
    assert [worker.wait(90) for worker in workers] == [0, 0]
    added = [rows_of(FIELD, night + day, "1") for night in nights for day in range(3)]
    wanted = sorted([*EVERY, *identities(pa.concat_tables(added))])
    assert identities(open_catalog(open_store(here), "lightcurves").table()) == wanted
    assert identities(directory_rows(here, "lightcurves")) == wanted
