"""Make the next version of a table: write data files into a generation, then build the manifest that names them.

The callers (`append`, `source_registry`, `write_table`) decide which rows to write.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from gozen.archive import keys
from gozen.archive.stores.open_store import Store
from gozen.catalog.format import hats_files, layout, manifest, partition_parquet, row_group_index
from gozen.catalog.format.hats_files import Coverage
from gozen.catalog.format.layout import Partition
from gozen.catalog.format.manifest import DataFile, Kind, Manifest
from gozen.catalog.format.schema import lightcurve_schema

Put = Callable[[str, bytes], None]
"""A function that writes bytes under a path below ``dataset/``."""

_LIGHTCURVES = {"source_id", "mjd", "flux", "flags", "exposure", "sensor", "frame"}
"""A ``source`` table with all these columns is a light-curve table."""

PARTITION_ORDER = 5
"""Order of new partitions, 3.4 square degrees each; some fifty exposures of 18 frames fill one with 20 M rows."""


@dataclass(frozen=True)
class Written:
    """A data file of the next version, with its share of the index and of the coverage.

    Parameters
    ----------
    file
        Its entry in the manifest.
    groups
        Its rows in the row-group index.
    coverage
        Number of its rows in each pixel of order 8.
    """

    file: DataFile
    groups: pa.Table
    coverage: Coverage


def create(store: Store, name: str, kind: Kind, schema: pa.Schema, order: int = PARTITION_ORDER) -> Manifest:
    """Return the current version of a table; create an empty first version if there is none.

    Parameters
    ----------
    store
        The archive.
    name
        The table.
    kind
        The HATS type.
    schema
        The columns of the first version.
    order
        HEALPix order of new partitions.
    """
    found = manifest.current(store, name)
    if found is None:
        generation = manifest.first_generation(store, name)
        empty = Manifest(name, 1, kind, generation, order, "", "", "")
        # If two processes create the table at once, their first versions are equal: either may win.
        manifest.commit(
            store,
            described(store, empty, schema, row_group_index.SCHEMA.empty_table(), hats_files.coverage_of(_NOWHERE)),
        )
        found = manifest.current_or_raise(store, name)
    return found


def write_file(
    rows: pa.Table,
    partition: Partition,
    night: int,
    schema: pa.Schema,
    put: Put,
    row_group: int = partition_parquet.ROW_GROUP,
) -> Written:
    """Sort and encode the rows of one partition and write them as ``{night}-{hash}.parquet``.

    Parameters
    ----------
    rows
        All rows to write, in any order.
    partition
        The partition of all these rows.
    night
        The number with which the file's name begins.
    schema
        The table's columns.
    put
        Stores bytes in the archive under a key.
    row_group
        Target number of rows in a row group.
    """
    rows = partition_parquet.sorted_rows(rows)
    healpix = partition_parquet.numbers(rows, "_healpix_29")
    cuts = partition_parquet.row_group_cuts(healpix, partition_parquet.numbers(rows, "source_id"), row_group)
    data = partition_parquet.encoded(rows, cuts, schema)
    # The name contains a digest: a retry after a kill finds its file again, and no writer overwrites another's file.
    path = f"{partition.folder}/{night}-{digest(data)}.parquet"
    put(path, data)
    return Written(
        DataFile(path, len(rows), len(data)),
        row_group_index.rows_of_file(path, data, rows, cuts),
        hats_files.coverage_of(healpix),
    )


def writer(store: Store, name: str, generation: int) -> Put:
    """Return a function that writes data files into a generation and never overwrites an existing one."""

    def put(path: str, data: bytes) -> None:
        put_new(store, layout.data_key(name, generation, path), data)

    return put


def successor(
    store: Store, base: Manifest, schema: pa.Schema, added: Iterable[Written], dropped: Iterable[Written] = ()
) -> Manifest:
    """Write schema, index and coverage of the next version; return its manifest, not yet committed.

    Parameters
    ----------
    store
        The archive.
    base
        The version to build on.
    schema
        The columns of the next version, which include all columns of the base.
    added, dropped
        Files that are in the next version but not in the base, and the reverse.
    """
    came = {one.file.path: one for one in added}
    gone = {one.file.path: one for one in dropped if one.file.path not in came}
    known = {file.path for file in base.files}
    fresh = [one for path, one in came.items() if path not in known]
    files = sorted({file for file in base.files if file.path not in gone} | {one.file for one in fresh})
    before = hats_files.read_map(store.read(base.key_of(base.coverage)))
    parts = [(1, before), *((1, one.coverage) for one in fresh), *((-1, one.coverage) for one in gone.values())]
    groups = row_group_index.next_index(
        partition_parquet.decoded(store.read(base.key_of(base.index))), gone, [one.groups for one in fresh]
    )
    return described(
        store,
        replace(base, version=base.version + 1, files=tuple(files)),
        schema,
        groups,
        hats_files.add_coverages(parts),
    )


def described(store: Store, version: Manifest, schema: pa.Schema, groups: pa.Table, coverage: Coverage) -> Manifest:
    """Write schema, index and coverage of a version under names with their digests; return the manifest with them."""
    return replace(
        version,
        schema=put_part(store, version.name, "schema", "parquet", partition_parquet.empty_file(schema)),
        index=put_part(store, version.name, "index", "parquet", partition_parquet.small_file(groups)),
        coverage=put_part(store, version.name, "index", "fits", hats_files.write_map(coverage)),
    )


def put_part(store: Store, name: str, folder: str, suffix: str, data: bytes) -> str:
    """Write an object under the digest of its bytes; return its path below the collection."""
    path = f"{folder}/{digest(data)}.{suffix}"
    put_new(store, f"{keys.catalog(name)}/{path}", data)
    return path


def put_new(store: Store, key: str, data: bytes) -> None:
    """Write an object whose name contains its digest, unless it exists already."""
    # If two writers both find the key free, they write the same bytes, because the key contains their digest.
    if store.exists(key):
        store.settle([key])  # its writer may have been killed before the file's name was safely on the disk
    else:
        store.write(key, data)


def link_files(store: Store, base: Manifest, generation: int, paths: Iterable[str]) -> None:
    """Link data files of a version into another generation: hard links on a disk, copies on S3."""
    store.copy_all({base.key_of_file(path): layout.data_key(base.name, generation, path) for path in paths})


def union_schema(old: pa.Schema, new: pa.Schema) -> pa.Schema:
    """Return the columns of both schemas: the columns of `old` in their order, and the ones that only `new` has.

    A column that only `new` has follows the column before it in `new`. If both have a column of the same name and type,
    its metadata (unit, description, encoding) come from `new`. If the types differ, the column of `old` remains.
    """
    same = {field.name: field for field in new if field.name in old.names and old.field(field.name).type == field.type}
    fields = [same.get(field.name, field) for field in old]
    for position, field in enumerate(new):
        if field.name not in old.names:
            names = [f.name for f in fields]
            after = [names.index(n) for n in new.names[:position] if n in names]
            fields.insert(max(after, default=-1) + 1, field)
    return pa.schema(fields)


def readable_schema(kind: Kind, stored: pa.Schema) -> pa.Schema:
    """Return the columns with which a table is read.

    The result contains the stored columns and, for light curves, the columns that Gozen added after the table was
    written.

    Parameters
    ----------
    kind
        The HATS type of the table.
    stored
        The columns that are stored with the table.
    """
    is_lightcurves = kind == "source" and set(stored.names) >= _LIGHTCURVES
    return union_schema(stored, lightcurve_schema()) if is_lightcurves else stored


def digest(data: bytes) -> str:
    """Return the digest that is part of a name: the first 12 hexadecimal digits of SHA-256."""
    return hashlib.sha256(data).hexdigest()[:12]


_NOWHERE = np.empty(0, np.int64)
