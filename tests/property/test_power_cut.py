"""Published data survive a power failure: all names and bytes that they refer to were written to the disk before.

Covered: appends, compactions, releases, raw files that are copied and recorded, commits, and objects of another process
that was killed before its `fsync`. The calls of the operating system (`mkdir`, `link`, `rename`, `fsync`) are recorded,
not those of Gozen. Not covered: whether a disk obeys `fsync`.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.unit.archive_samples import commit, processing_of
from tests.unit.test_exposure_grouping import PROFILE

from gozen.archive.commit import put_product, write_commit
from gozen.archive.stores.open_store import Store, open_store
from gozen.catalog.format import layout
from gozen.catalog.maintain.compact import compact
from gozen.catalog.maintain.release import release
from gozen.catalog.write.append import append_night
from gozen.frames.incoming_files import read_arrivals
from gozen.frames.take_in import take_in
from gozen.instrument.profile import parse_profile
from gozen.watch.spool import Intake

from ..catalog_samples import field_of, rows_of
from .test_arrivals_in_portions import write

CAMERA = parse_profile(PROFILE, "tiny")
FIELD = field_of(count=5, lone=1, size=1.5)
ROWS = {night: rows_of(FIELD, night, "1") for night in (20240101, 20240102)}
PUBLISHING = ("/manifest/", "/release/", "releases/", "exposures/", "/exposure.json", "/record/")
Call = Callable[..., Any]


class Disk:
    """Which names and which bytes below a folder a power cut would take away, from the calls that were made."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.names: set[Path] = set()
        self.bytes = {path.stat().st_ino for path in root.rglob("*") if path.is_file()}
        self.published: list[str] = []

    def made(self, path: Path) -> None:
        """Note a new name in a folder; check that all is safe when it is one that publishes."""
        path = Path(path)
        if not path.is_relative_to(self.root) or ".partial" in path.parts:
            return
        if path.is_file():
            if path.stat().st_ino not in self.bytes:
                raise AssertionError(f"{path} has a name before its bytes are on the disk")
            if any(word in path.as_posix() for word in PUBLISHING):
                assert not self.names, f"{path} is published before {sorted(self.names)[:3]} are on the disk"
                self.published.append(path.as_posix())
        self.names.add(path)

    def synced(self, descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        if path.is_dir():
            self.names = {one for one in self.names if one.parent != path}
        else:
            self.bytes.add(os.fstat(descriptor).st_ino)

    def found(self) -> None:
        """Take all files that are there as those of a killed process: their bytes are safe, their names are not."""
        self.names = {path for path in self.root.rglob("*") if path.is_file()}


@contextmanager
def recorded(root: Path) -> Iterator[Disk]:
    disk = Disk(root)
    mkdir, link, rename, replace, fsync = os.mkdir, os.link, os.rename, os.replace, os.fsync

    def naming(call: Call, target: int) -> Call:
        def made(*args: Any, **words: Any) -> None:
            call(*args, **words)
            disk.made(Path(args[target]))

        return made

    def synced(descriptor: int) -> None:
        disk.synced(descriptor)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "mkdir", naming(mkdir, 0))
        for name, call in (("link", link), ("rename", rename), ("replace", replace)):
            patch.setattr(os, name, naming(call, 1))
        patch.setattr(os, "fsync", synced)
        yield disk
    assert os.fsync is fsync


def appended(store: Store, night: int = 20240101) -> None:
    append_night(store, "lightcurves", night, [ROWS[night]])


def compacted(store: Store) -> None:
    compact(store, "lightcurves", everything=True, partition_rows=30)


def released(store: Store) -> None:
    release(store, "dr1", {"lightcurves": "lightcurves"})


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("table") / "archive"
    for night in ROWS:
        appended(open_store(root), night)
    return root


@pytest.mark.parametrize("act", [appended, compacted, released])
def test_a_version_of_a_table_is_published_last(act: Callable[[Store], None], table: Path, tmp_path: Path) -> None:
    root = tmp_path / "archive"
    if act is not appended:
        shutil.copytree(table, root)
    with recorded(root) as disk:
        act(open_store(root))
    assert any("/manifest/" in one or "/release/" in one for one in disk.published)
    assert disk.names == set()


def test_files_of_a_killed_writer_are_made_safe_before_a_version_names_them(table: Path, tmp_path: Path) -> None:
    shutil.copytree(table, tmp_path / "archive")
    root = tmp_path / "archive"
    last = sorted((root / "catalogs/lightcurves/manifest").iterdir())[-1]
    last.unlink()  # so the second append was killed just before its manifest
    with recorded(root) as disk:
        disk.found()
        disk.names = {one for one in disk.names if f"{layout.generation('lightcurves', 1)}/dataset" in one.as_posix()}
        assert disk.names
        appended(open_store(root), 20240102)
    assert last.as_posix() in disk.published


@pytest.mark.parametrize("again", [False, True])
def test_raw_files_are_safe_before_they_are_recorded(again: bool, tmp_path: Path) -> None:
    words = {"OBJECT": "M 67", "FILTER": "R", "DEC": 20.0}
    shots = write(tmp_path / "shots", [{**words, "CHIP": chip, "step": 7} for chip in "12"])
    root = tmp_path / "archive"
    arrivals = read_arrivals(shots, CAMERA)[0]
    if again:  # an earlier process was killed before the record
        take_in(open_store(root), CAMERA, arrivals)
        for path in root.rglob("exposure.json"):
            path.unlink()
    with recorded(root) as disk:
        if again:
            disk.found()
        take_in(open_store(root), CAMERA, arrivals)
    assert [one.rpartition("/")[2] for one in disk.published] == ["exposure.json"]
    assert disk.names == set()


@pytest.mark.parametrize("again", [False, True])
def test_a_watched_file_is_safe_before_the_spool_lets_go_of_it(again: bool, tmp_path: Path) -> None:
    (shot,) = write(tmp_path / "folder", [{"OBJECT": "M 67", "FILTER": "R", "DEC": 20.0, "CHIP": "1", "step": 7}])
    root = tmp_path / "archive"
    intake = Intake(tmp_path / "folder", open_store(root))
    intake.claim()
    (arrival,), _ = read_arrivals([shot], CAMERA)
    key = "raw/20240301/m-67/0.fits"
    if again:
        arrival = intake.collect(arrival)
        intake.take(arrival, key)
    with recorded(root) as disk:
        if again:
            disk.found()
        intake.take(arrival, key)
    intake.release()
    assert disk.names == set()


def test_a_copy_is_on_the_disk_when_it_is_made(tmp_path: Path) -> None:
    store = open_store(tmp_path / "archive")
    store.write("raw/a", b"raw")
    with recorded(tmp_path / "archive") as disk:
        store.copy("raw/a", "raw/deep/b")
    assert disk.names == set()


def test_a_commit_comes_after_its_products(tmp_path: Path) -> None:
    store = open_store(tmp_path / "archive")
    with recorded(store.path("")) as disk:  # type: ignore[arg-type]
        product = put_product(store, "stack/20240105/e1/r1/a.fits.fz", b"pixels")
        one = commit(products={"stack": product})
        write_commit(store, processing_of(one), one)
    assert len(disk.published) == 1
    assert disk.names == set()
