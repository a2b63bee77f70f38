"""Verify a table: check each file against manifest, index, sort order, partition and the digest in its name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from gozen.archive import keys
from gozen.archive.stores.open_store import Store
from gozen.catalog.format import hats_files, healpix, layout, manifest, next_version, partition_parquet, row_group_index
from gozen.catalog.format.hats_files import Coverage
from gozen.catalog.format.manifest import DataFile, Manifest
from gozen.catalog.maintain.release import released
from gozen.errors import MissingObject

_RESTORE = "restore it from a copy of the archive; without a copy, make the table again from its commits or its file"
_PUBLISH = (
    "run `gozen catalog compact` on the table, or `gozen catalog release` again for a release: they write it again"
)
_APPEND = "LSDB and Spark count its rows too: run `gozen night append` for its night again"


@dataclass(frozen=True)
class Problem:
    """A fault of a table.

    Parameters
    ----------
    key
        The key of the faulty object.
    what
        The fault, in words that a message has after the key.
    remedy
        What the user can do to repair it.
    """

    key: str
    what: str
    remedy: str


@dataclass(frozen=True)
class Verified:
    """The result of a check of a table.

    Parameters
    ----------
    name
        The table.
    files, rows, bytes
        Totals of the data files in the manifests, including files of releases.
    problems
        The faults, in the order in which they were found.
    """

    name: str
    files: int
    rows: int
    bytes: int
    problems: tuple[Problem, ...]


def verify(store: Store, name: str) -> Verified:
    """Read a table and its releases completely, and return what is wrong and how to repair it; change nothing.

    Parameters
    ----------
    store
        The archive.
    name
        The table.

    Raises
    ------
    MissingObject
        There is no such table.
    """
    newest = manifest.current_or_raise(store, name)
    versions = {version.generation: version for version in released(store, name).values()}
    versions[newest.generation] = newest
    problems: list[Problem] = []
    for version in versions.values():
        problems += _version(store, version)
    problems += _collection(store, newest)
    files = [file for version in versions.values() for file in version.files]
    return Verified(name, len(files), sum(f.rows for f in files), sum(f.bytes for f in files), tuple(problems))


def _version(store: Store, version: Manifest) -> Iterator[Problem]:
    """Check all objects that a manifest names, and the side files of its generation."""
    parts, problems = _parts(store, version)
    yield from problems
    if {version.schema, version.index, version.coverage} - set(parts):
        return
    try:
        schema = partition_parquet.schema(parts[version.schema])
        groups = partition_parquet.decoded(parts[version.index])
        said = hats_files.read_map(parts[version.coverage])
    except (pa.ArrowException, OSError, KeyError) as error:
        yield Problem(
            version.key_of(version.index), f"or the schema or coverage next to it cannot be read: {error}", _RESTORE
        )
        return
    found: list[Coverage] = []
    for file in version.files:
        of_file = groups.filter(pc.equal(groups["file"], file.path))
        for what in _file(store, version, file, schema, of_file, found):
            yield Problem(version.key_of_file(file.path), what, _RESTORE)
    yield from _sums(version, groups, said, found)
    yield from _folder(store, version)


def _parts(store: Store, version: Manifest) -> tuple[dict[str, bytes], list[Problem]]:
    """Read schema, index, coverage and contents of nights, by path below the collection; return faults too."""
    parts: dict[str, bytes] = {}
    problems = []
    for path in (version.schema, version.index, version.coverage, *version.nights.values()):
        key = version.key_of(path)
        try:
            parts[path] = store.read(key)
        except MissingObject:
            problems.append(Problem(key, "does not exist, but the manifest names it", _RESTORE))
            continue
        if next_version.digest(parts[path]) not in path:
            problems.append(Problem(key, "does not have the checksum that is in its name", _RESTORE))
    return parts, problems


def _sums(version: Manifest, groups: pa.Table, said: Coverage, found: list[Coverage]) -> Iterator[Problem]:
    """Compare the index with the files of the manifest, and the coverage with the rows of these files."""
    lost = set(groups["file"].to_pylist()) - {file.path for file in version.files}
    if lost:
        yield Problem(version.key_of(version.index), f"lists {min(lost)}, which the manifest does not", _RESTORE)
    if len(found) == len(version.files) and not _same(hats_files.add_coverages([(1, one) for one in found]), said):
        yield Problem(version.key_of(version.coverage), "disagrees with the number of rows in the files", _RESTORE)


def _file(
    store: Store, version: Manifest, file: DataFile, schema: pa.Schema, groups: pa.Table, found: list[Coverage]
) -> Iterator[str]:
    """Yield the faults of a data file; append the coverage of a readable one to `found`."""
    try:
        data = store.read(version.key_of_file(file.path))
    except MissingObject:
        yield "does not exist, but the manifest names it"
        return
    if len(data) != file.bytes:
        yield f"has {len(data)} bytes, not the {file.bytes} of the manifest: it is truncated, or another file"
        return
    if next_version.digest(data) not in file.path.rsplit("-", 1)[1]:
        yield "does not have the checksum that is in its name: its bytes have changed"
        return
    try:
        rows = pq.ParquetFile(pa.BufferReader(data)).read(
            [name for name in ("_healpix_29", "source_id", "mjd", "ra", "dec") if name in schema.names],
            use_threads=False,
        )
    except (pa.ArrowException, OSError) as error:
        yield f"cannot be read: {error}"
        return
    yield from _rows(file, data, rows, schema, groups)
    found.append(hats_files.coverage_of(partition_parquet.numbers(rows, "_healpix_29")))


def _rows(file: DataFile, data: bytes, rows: pa.Table, schema: pa.Schema, groups: pa.Table) -> Iterator[str]:
    metadata = pq.read_metadata(pa.BufferReader(data))
    unknown = set(metadata.schema.to_arrow_schema().names) - set(schema.names)
    if unknown:
        yield f"has a column {min(unknown)} that the table does not have"
    if len(rows) != file.rows:
        yield f"has {len(rows)} rows, not the {file.rows} of the manifest"
    cuts = np.cumsum([0, *(metadata.row_group(i).num_rows for i in range(metadata.num_row_groups))]).tolist()
    if not row_group_index.rows_of_file(file.path, data, rows, cuts).equals(groups.combine_chunks()):
        yield "has other row groups than the index says"
    places = partition_parquet.numbers(rows, "_healpix_29")
    if not partition_parquet.is_sorted(rows):
        yield "is not sorted by _healpix_29, source_id and mjd"
    partition = layout.partition_of(file.path)
    outside = int(((places < partition.start) | (places >= partition.stop)).sum())
    if outside:
        yield f"has {outside} rows that do not belong to its partition"
    astray = int(
        (places != healpix.pixels(partition_parquet.numbers(rows, "ra"), partition_parquet.numbers(rows, "dec"))).sum()
    )
    if astray:
        yield f"has {astray} rows whose _healpix_29 is not that of their ra and dec"


def _folder(store: Store, version: Manifest) -> Iterator[Problem]:
    """Check a generation for readers that list folders: its side files, and files that are not in its manifest."""
    folder = layout.generation(version.name, version.generation)
    wanted = {
        "hats.properties": hats_files.properties(version, version.rows, version.kind),
        "partition_info.csv": hats_files.partition_info(version.partitions),
        "dataset/_common_metadata": store.read(version.key_of(version.schema)),
    }
    held = set(store.list(folder))
    for name, data in wanted.items():
        key = f"{folder}/{name}"
        if key not in held or store.read(key) != data:
            yield Problem(key, "is missing or out of date: LSDB and Spark may not see all rows", _PUBLISH)
    named = {version.key_of_file(file.path) for file in version.files}
    for key in sorted(held - named):
        if key.endswith(".parquet"):
            yield Problem(key, "is in the generation, but no manifest names it", _APPEND)


def _collection(store: Store, newest: Manifest) -> Iterator[Problem]:
    """Check that ``collection.properties`` names the current generation, and that the margin exists."""
    key = f"{keys.catalog(newest.name)}/collection.properties"
    if not store.exists(key) or f"={newest.name}.g{newest.generation}\n" not in store.read(key).decode():
        yield Problem(key, f"does not name the current generation {newest.generation}", _PUBLISH)
    margin = f"{keys.catalog(newest.name)}/{newest.margin}/hats.properties"
    if newest.margin and not store.exists(margin):
        yield Problem(margin, "does not exist, but the table has a margin", _RESTORE)


def _same(one: Coverage, other: Coverage) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
