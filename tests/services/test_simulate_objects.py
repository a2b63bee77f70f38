"""``gozen simulate objects`` and the release that it writes, as a user sees them.

Covered: tables with the same partitions and patches, a valid collection, the same bytes for the same seed, a second
run, another seed with the same name, a kill at every write, `gozen simulate` without a subcommand. The objects
themselves: tests/unit/test_simulator_objects.py.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hats.io.validation import is_valid_catalog

from gozen.archive.stores.open_store import Store, open_store
from gozen.catalog import open_catalog
from gozen.catalog.maintain.release import read_release
from gozen.catalog.read.lookup import Catalog
from gozen.cli.call import run
from gozen.errors import StorageUnavailable
from gozen.simulator.objects.survey_objects import OBJECTS_PER_TILE
from gozen.simulator.objects.survey_release import simulate_objects

from ..catalog_samples import DyingStore

pytestmark = pytest.mark.xdist_group("lsdb")  # one process imports what takes seconds to import

Command = Callable[..., subprocess.CompletedProcess[str]]
COUNT = 20_000


@pytest.fixture(autouse=True)
def _fast_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do without fsync, which is most of the time here: no test cuts the power."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, command: Command) -> Path:
    """Return the folder of a small survey; not to be changed."""
    folder = tmp_path_factory.mktemp("survey")
    done = command("simulate", "objects", "--objects", str(COUNT), "--name", "small", cwd=folder)
    assert "forced: 20,000 rows in 2 partitions, catalogs/small_forced" in done.stdout
    assert "the release small is in" in done.stdout
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_release_holds_both_tables_cut_alike(made: Path) -> None:
    store = open_store(made / "archive")
    tables = read_release(store, "small").tables
    assert set(tables) == {"forced", "meas"}
    forced, meas = (open_catalog(store, f"small_{word}") for word in ("forced", "meas"))
    assert forced.info().rows == meas.info().rows == COUNT
    assert forced.row_groups.partitions == meas.row_groups.partitions
    places = [one.table(["_healpix_29", "source_id"]) for one in (forced, meas)]
    assert places[0].equals(places[1])
    assert forced.schema.metadata[b"gozen_bands"] == b"g r i z y"
    for word in tables:
        assert is_valid_catalog(made / f"archive/catalogs/small_{word}", strict=True)


def test_the_truth_names_the_pairs(made: Path) -> None:
    pairs = pq.read_table(made / "archive/truth/small/pairs.parquet")
    ids = set(open_catalog(open_store(made / "archive"), "small_forced").table(["source_id"])["source_id"].to_pylist())
    assert len(pairs) > 40
    assert set(pairs["source_id_a"].to_pylist()) | set(pairs["source_id_b"].to_pylist()) <= ids


def test_again_nothing_changes_and_elsewhere_the_bytes_are_the_same(
    made: Path, tmp_path: Path, command: Command
) -> None:
    before = contents(made)
    command("simulate", "objects", "--objects", str(COUNT), "--name", "small", cwd=made)
    assert contents(made) == before
    simulate_objects(open_store(tmp_path / "archive"), "small", COUNT)
    assert contents(tmp_path) == before


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--name", "small", "--seed", "2"), "another survey as 'small' (seed 1, 20,000 objects)"),
        (("--name", "../small"), "'../small_forced'"),
        (("--objects", "0"), "--objects"),
    ],
)
def test_what_cannot_be_is_refused_and_changes_nothing(
    made: Path, command: Command, words: tuple[str, ...], sentence: str
) -> None:
    before = contents(made)
    done = command("simulate", "objects", *words, cwd=made, check=False)
    assert done.returncode == 64
    assert sentence in done.stderr
    assert contents(made) == before


def test_simulate_without_a_verb_takes_exposures_as_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["simulate", "--help"]) == 0
    shown = capsys.readouterr().out
    assert "night" in shown
    assert "objects" in shown
    assert run(["simulate", "nowhere.yaml", "--nframe", "6"]) == 64
    assert "cannot read the recipe nowhere.yaml" in capsys.readouterr().err
    assert run(["simulate", "--dec", "95"]) == 64


def test_killed_at_a_write_it_completes_when_it_is_run_again(tmp_path: Path) -> None:
    count = OBJECTS_PER_TILE // 16
    whole = open_store(tmp_path / "whole")
    simulate_objects(whole, "tiny", count)
    wanted = open_catalog(whole, "tiny_forced").table()
    survives = 0
    while killed(DyingStore(tmp_path / f"{survives}", survives), count):
        store = open_store(tmp_path / f"{survives}")
        simulate_objects(store, "tiny", count)
        released = read_release(store, "tiny").tables
        assert Catalog(store, released["forced"]).table().equals(wanted)
        assert released["meas"].rows == count
        survives += 8
    assert survives > 20


def killed(store: Store, count: int) -> bool:
    """Simulate on a store that dies; return whether it did."""
    try:
        simulate_objects(store, "tiny", count)
    except StorageUnavailable:
        return True
    return False
