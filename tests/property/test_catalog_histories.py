"""Random histories of a table: appends, compactions, releases and removals, compared with a model of its rows.

Covered: any order of appends (including corrections), compactions with any limits, releases and removals, each of them
killed at any write or not at all. After a kill, Gozen reads one complete version, and a reader that lists folders reads
no row twice. The same command then completes the change; no row is lost or duplicated, and releases never change. The
number of histories is in tests/effort.py.
"""

from __future__ import annotations

import itertools
import os
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from tests.effort import REPEATS, SEED, example

from gozen.archive.stores.open_store import Store, open_store
from gozen.catalog import open_catalog
from gozen.catalog.format import layout, manifest
from gozen.catalog.maintain.compact import compact
from gozen.catalog.maintain.old_generations import remove_older
from gozen.catalog.maintain.release import read_release, release, releases
from gozen.catalog.read.lookup import Catalog
from gozen.catalog.write.append import append_night
from gozen.errors import StorageUnavailable

from ..catalog_samples import DyingStore, directory_rows, field_of, generation_rows, identities, rows_of

HISTORIES = "histories of a table"
FIELD = field_of(count=5, lone=1, size=1.5)
NIGHTS = [20240101, 20240102, 20240103]
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)

killed = st.one_of(st.none(), st.integers(0, 40))
append = st.tuples(
    st.just("append"), st.sampled_from(NIGHTS), st.sampled_from(["1", "2"]), st.sampled_from(["r1", "r2"]), killed
)
compaction = st.tuples(st.just("compact"), st.sampled_from([1, 2, 16]), st.sampled_from([3, 10**6]), killed)
releasing = st.tuples(st.just("release"), st.sampled_from(["dr1", "dr2"]), killed)
removing = st.tuples(st.just("remove"), st.sampled_from([0.0, 2.0]), killed)
correction = st.tuples(st.just("correct"), st.integers(0, 9), killed)
step = st.one_of(append, append, correction, compaction, compaction, releasing, removing)
# Bugs hide where nights share a file and one of them changes: of any four steps these are rarely the ones drawn.
shared_file = st.tuples(append, compaction, correction).map(list)
histories = st.one_of(st.lists(step, min_size=2, max_size=6), shared_file)


@pytest.fixture(autouse=True)
def _fast_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do without fsync, which is most of the time here: no test cuts the power."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


class World:
    """An archive, and what its tables must hold."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.store = open_store(root)
        self.now = BEGIN
        self.held: dict[tuple[int, str], str] = {}
        self.released: dict[str, list[tuple[object, ...]]] = {}

    def rows(self) -> list[tuple[object, ...]]:
        return sorted(
            row for (n, exposure), run in self.held.items() for row in identities(rows_of(FIELD, n, exposure, run))
        )

    def run(self, act: Callable[[Store], object], after: int | None, before: list[tuple[object, ...]]) -> None:
        """Do it, at first killed after so many writes; look at what readers see in between."""
        if after is not None:
            try:
                act(DyingStore(self.root, after))
            except StorageUnavailable:
                self.look_after_a_kill(before)
        act(self.store)
        self.look()

    def look_after_a_kill(self, before: list[tuple[object, ...]]) -> None:
        if manifest.current(self.store, "lightcurves") is not None:
            assert identities(open_catalog(self.store, "lightcurves").table()) in ([], before, self.rows())
        seen = directory_rows(self.root, "lightcurves")
        if seen is not None:
            assert max(Counter(identities(seen)).values()) == 1, "a row counts twice"
            if before == self.rows():
                assert identities(seen) == before

    def look(self) -> None:
        wanted = self.rows()
        catalog = open_catalog(self.store, "lightcurves")
        assert identities(catalog.table()) == wanted
        assert identities(directory_rows(self.root, "lightcurves")) == wanted
        places = sorted((p.start, p.stop) for p in catalog.manifest.partitions)
        assert all(one[1] <= other[0] for one, other in itertools.pairwise(places)), "a partition inside another"
        star = catalog.lightcurve(int(FIELD.source_id[0]), ["mjd"])
        assert len(star) == 3 * len(self.held)
        assert star["mjd"].to_pylist() == sorted(star["mjd"].to_pylist())
        self.look_at_releases()

    def look_at_releases(self) -> None:
        assert releases(self.store) == sorted(self.released)
        for name, rows in self.released.items():
            version = read_release(self.store, name).tables["lightcurves"]
            assert identities(Catalog(self.store, version).table()) == rows
            folder = self.root / layout.generation("lightcurves", version.generation)
            assert identities(generation_rows(folder)) == rows

    def append(self, night: int, exposure: str, run: str, after: int | None) -> None:
        before = self.rows()
        self.held[night, exposure] = run
        table = rows_of(FIELD, night, exposure, run)
        self.run(lambda store: append_night(store, "lightcurves", night, [table]), after, before)

    def correct(self, which: int, after: int | None) -> None:
        """Append an exposure that the table holds, of another run."""
        night, exposure = sorted(self.held)[which % len(self.held)]
        self.append(night, exposure, "r2" if self.held[night, exposure] == "r1" else "r1", after)

    def compact(self, files: int, rows: int, after: int | None) -> None:
        self.run(lambda store: compact(store, "lightcurves", most_files=files, partition_rows=rows), after, self.rows())
        of = Counter(layout.partition_of(f.path) for f in open_catalog(self.store, "lightcurves").manifest.files)
        assert max(of.values()) <= files

    def release(self, name: str, after: int | None) -> None:
        tables = {"lightcurves": "lightcurves", "objects": "objects"}
        frozen = self.released.get(name, self.rows())
        if after is not None:
            try:
                release(DyingStore(self.root, after), name, tables)
            except StorageUnavailable:
                self.look_at_releases() if name not in releases(self.store) else None
        release(self.store, name, tables)
        self.released[name] = frozen
        self.look()

    def remove(self, days: float, after: int | None) -> None:
        self.now += timedelta(days=1)
        self.run(lambda store: remove_older(store, "lightcurves", self.now, days), after, self.rows())


@seed(SEED)
@settings(
    max_examples=REPEATS[HISTORIES].now, deadline=None, database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
@given(first=append, history=histories)
def test_readers_see_whole_versions_whatever_happens(
    tmp_path_factory: pytest.TempPathFactory, first: tuple, history: list[tuple]
) -> None:
    with example(HISTORIES):
        world = World(tmp_path_factory.mktemp("archive"))
        for act, *given_ in [first, *history]:
            getattr(world, act)(*given_)
