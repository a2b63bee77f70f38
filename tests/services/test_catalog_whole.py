"""A table written in one step, as a user sees it.

Covered: rows in any order and any chunks give the same bytes, also beyond the memory limit; other rows are refused;
columns that a chunk lacks; the same partitions and row groups for tables of the same objects; a kill at every write;
bad input. The margin: tests/unit/test_catalog_reference.py. LSDB: tests/real/test_catalog_lsdb.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gozen.archive.stores.open_store import Store, open_store
from gozen.catalog import open_catalog
from gozen.catalog.format import partition_parquet
from gozen.catalog.write.table_options import TableOptions
from gozen.catalog.write.write_table import write_table
from gozen.errors import BadRequest, StorageUnavailable

from ..catalog_samples import DyingStore, object_schema, objects_of

CHUNKS = [objects_of(700, seed=seed) for seed in range(4)]
SCHEMA = object_schema()


@pytest.fixture(autouse=True)
def _fast_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do without fsync, which is most of the time here: no test cuts the power."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path)


def everything(store: Store) -> dict[str, bytes]:
    return {key: store.read(key) for key in store.list("catalogs")}


def test_every_row_comes_back_with_its_types_and_nulls(store: Store) -> None:
    version = write_table(store, "stars", SCHEMA, CHUNKS, TableOptions(partition_rows=500))
    found = open_catalog(store, "stars").table()
    wanted = pa.concat_tables(CHUNKS).sort_by([("_healpix_29", "ascending"), ("source_id", "ascending")])
    assert found.equals(wanted)
    for schema in (open_catalog(store, "stars").schema, pq.read_schema(open_catalog(store, "stars").urls()[0])):
        assert schema.metadata[b"gozen_bands"] == b"g r"
    assert version.kind == "object"
    assert len(version.partitions) > 3


def test_order_chunks_and_memory_do_not_matter(tmp_path: Path) -> None:
    stores = [open_store(tmp_path / name) for name in "abc"]
    rows = pa.concat_tables(CHUNKS)
    shuffled = rows.take(pa.array(np.random.default_rng(1).permutation(len(rows))))
    write_table(stores[0], "stars", SCHEMA, CHUNKS, TableOptions(partition_rows=500))
    write_table(stores[1], "stars", SCHEMA, iter([shuffled]), TableOptions(partition_rows=500))
    write_table(
        stores[2], "stars", SCHEMA, [shuffled[:900], shuffled[900:]], TableOptions(partition_rows=500, memory=1)
    )
    assert everything(stores[0]) == everything(stores[1]) == everything(stores[2])


def test_written_again_nothing_changes_and_other_rows_are_refused(store: Store) -> None:
    write_table(store, "stars", SCHEMA, CHUNKS)
    before = everything(store)
    write_table(store, "stars", SCHEMA, CHUNKS[::-1], TableOptions(memory=1))
    for other in (CHUNKS[:3], [*CHUNKS[:3], _changed(CHUNKS[3])], [*CHUNKS[:3], _nulled(CHUNKS[3])]):
        with pytest.raises(BadRequest, match="another name"):
            write_table(store, "stars", SCHEMA, other)
    assert everything(store) == before


def _changed(chunk: pa.Table) -> pa.Table:
    flux = partition_parquet.numbers(chunk, "parent_id").copy()
    flux[5] += 1
    return chunk.set_column(chunk.column_names.index("parent_id"), chunk.schema.field("parent_id"), pa.array(flux))


def _nulled(chunk: pa.Table) -> pa.Table:
    """Replace a zero, which is what stands under a null, by a null."""
    parents = chunk["parent_id"].to_pylist()
    parents[parents.index(0)] = None
    return chunk.set_column(chunk.column_names.index("parent_id"), chunk.schema.field("parent_id"), pa.array(parents))


def test_a_column_that_a_chunk_lacks_is_null_and_the_place_is_computed(store: Store) -> None:
    less = CHUNKS[1].drop_columns(["g_psfflux_flux", "_healpix_29"])
    write_table(store, "stars", SCHEMA, [CHUNKS[0], less])
    found = open_catalog(store, "stars").table()
    assert found["g_psfflux_flux"].null_count == len(less)
    assert set(partition_parquet.numbers(found, "_healpix_29")) == {
        place for chunk in CHUNKS[:2] for place in partition_parquet.numbers(chunk, "_healpix_29")
    }


def test_tables_of_the_same_objects_have_the_same_partitions_and_row_groups(store: Store) -> None:
    forced = write_table(store, "forced", SCHEMA, CHUNKS, TableOptions(partition_rows=500))
    narrow = pa.schema([field for field in SCHEMA if field.name != "g_psfflux_flux"])
    meas = write_table(
        store, "meas", narrow, [c.select(narrow.names) for c in CHUNKS[::-1]], TableOptions(partition_rows=500)
    )
    assert forced.partitions == meas.partitions
    groups = [
        [m.row_group(i).num_rows for url in open_catalog(store, name).urls() for m in [pq.read_metadata(url)]
         for i in range(m.num_row_groups)]
        for name in ("forced", "meas")
    ]  # fmt: skip
    assert groups[0] == groups[1]


def test_killed_at_any_write_it_is_not_there_and_running_again_completes(tmp_path: Path) -> None:
    few = CHUNKS[0].slice(0, 9)
    writes = 0
    while True:
        root = tmp_path / str(writes)
        try:
            write_table(DyingStore(root, writes), "stars", SCHEMA, [few], TableOptions(partition_rows=5))
            break
        except StorageUnavailable:
            writes += 1
        write_table(open_store(root), "stars", SCHEMA, [few], TableOptions(partition_rows=5))
        assert len(open_catalog(open_store(root), "stars").table()) == len(few)
    assert writes > 10


@pytest.mark.parametrize(
    ("chunk", "says"),
    [
        (CHUNKS[0].slice(0, 0), "no rows"),
        (CHUNKS[0].append_column("fluxx", CHUNKS[0]["ra"]), "fluxx"),
        (CHUNKS[0].drop_columns(["dec"]), "dec"),
        (CHUNKS[0].set_column(1, "source_id", pa.nulls(700, pa.int64())), "source_id"),
        (CHUNKS[0].set_column(1, "source_id", pa.array(["x"] * 700)), "do not fit"),
    ],
)
def test_rows_that_do_not_fit_are_refused_and_nothing_is_written(store: Store, chunk: pa.Table, says: str) -> None:
    with pytest.raises(BadRequest, match=says):
        write_table(store, "stars", SCHEMA, [chunk])
    assert not store.list("catalogs")
