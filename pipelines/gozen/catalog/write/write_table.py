"""Write a table in one step, with its margin: object tables, reference catalogues, imports."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

import pyarrow as pa

from gozen.archive.stores.open_store import Store
from gozen.catalog.format import hats_files, healpix, layout, manifest, next_version, partition_parquet, row_group_index
from gozen.catalog.format.content_digest import Content, digest
from gozen.catalog.format.layout import Partition
from gozen.catalog.format.manifest import Manifest
from gozen.catalog.format.next_version import Written
from gozen.catalog.write import conform_rows, margins
from gozen.catalog.write.external_sort import SortedRuns
from gozen.catalog.write.table_options import DEFAULT_OPTIONS, TableOptions
from gozen.errors import BadRequest

KEYS = ("_healpix_29", "source_id", "ra", "dec")

_WHOLE_SKY = tuple(Partition(0, pixel) for pixel in range(12))
_WRITERS = 2
"""Number of partitions that are encoded at the same time: Arrow's writer uses one core for each."""


def write_table(
    store: Store,
    name: str,
    schema: pa.Schema,
    chunks: Iterable[pa.Table],
    options: TableOptions = DEFAULT_OPTIONS,
) -> Manifest:
    """Write a complete table as the collection ``catalogs/{name}``, in bounded memory.

    With the same options, partitions and row groups depend only on the positions and ids of the rows. So tables with
    the same objects get the same partitions and row groups.

    Parameters
    ----------
    store
        The archive.
    name
        The table. It is immutable: writing the same rows again changes nothing, in any order if their ids are distinct.
    schema
        Its columns, which include ``_healpix_29``, ``source_id``, ``ra`` and ``dec`` (degrees). The metadata
        ``encoding`` of a field names its encoding; by default it follows from name and type (`with_encodings`). The
        schema's metadata are stored.
    chunks
        Its rows. A column that is absent in a chunk is null there; ``_healpix_29`` is computed if it is missing.
    options
        Size of partitions, margin, and memory. If the archive already has the same rows, the options are ignored.

    Returns
    -------
    Manifest
        The table's only version.

    Raises
    ------
    BadRequest
        There are no rows, they do not fit the schema, or the archive contains other rows under this name.
    """
    schema = with_encodings(schema)
    with SortedRuns(_working(schema), options.memory) as runs:
        for chunk in chunks:
            runs.add(conformed(chunk, schema, name))
        runs.finish()
        deepest = margins.deepest(options.margin_arcsec, layout.DEEPEST)
        partitions = partitions_of(runs.count, options.partition_rows, deepest)
        if not partitions:
            raise BadRequest(f"the table {name!r} has no rows, so nothing is written: give at least one row")
        found = manifest.current(store, name)
        if found is None:
            version = _written(store, name, schema, runs, partitions, options)
            manifest.commit(store, version)
            found = manifest.current_or_raise(store, name)
            content = version.content
        else:
            content = digest(schema, (runs.rows(one.start, one.stop) for one in partitions))
    if found.content != content:
        raise BadRequest(
            f"the archive {store.url} has a table {name!r} with other rows: write these rows under another name"
        )
    hats_files.publish(store, found)
    return found


def partitions_of(
    count: Callable[[int, int], int],
    most: int,
    deepest: int = layout.DEEPEST,
    within: Sequence[Partition] = _WHOLE_SKY,
) -> list[Partition]:
    """Return the largest pixels with at most `most` rows each, sorted by sky position, without empty ones.

    Parameters
    ----------
    count
        Returns the number of rows in [start, stop) of ``_healpix_29``.
    most
        Maximum number of rows in a pixel; a pixel of the order `deepest` may have more.
    deepest
        The HEALPix order at which splitting ends.
    within
        The pixels to split; by default the 12 pixels of order 0.
    """
    done: list[Partition] = []
    pending = list(within)
    while pending:
        one = pending.pop()
        held = count(one.start, one.stop)
        if held > most and one.order < deepest:
            pending += one.quarters
        elif held:
            done.append(one)
    return sorted(done, key=lambda p: p.start)


def conformed(chunk: pa.Table, schema: pa.Schema, name: str) -> pa.Table:
    """Return rows with the schema's columns and ``_healpix_29``; texts are dictionary-encoded.

    Raises
    ------
    BadRequest
        A column is unknown or has another type, or an id or a position is missing.
    """
    unknown = [one for one in chunk.column_names if one not in schema.names]
    missing = [one for one in KEYS if one not in schema.names or (one not in chunk.column_names and one != KEYS[0])]
    if unknown or missing:
        said = f"has no column {unknown[0]}" if unknown else f"needs a column {missing[0]}"
        raise BadRequest(f"the table {name!r} {said}: its columns are {', '.join(schema.names)}")
    try:
        fitted = conform_rows.with_columns_of(chunk, schema)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise BadRequest(f"rows do not fit the table {name!r}: {error}") from error
    for key in KEYS[1:]:
        if fitted.column(key).null_count:
            raise BadRequest(
                f"{fitted.column(key).null_count} rows of the table {name!r} have no {key}: every row needs one"
            )
    if KEYS[0] not in chunk.column_names or fitted.column(KEYS[0]).null_count:
        place = healpix.pixels(partition_parquet.numbers(fitted, "ra"), partition_parquet.numbers(fitted, "dec"))
        fitted = fitted.set_column(schema.names.index(KEYS[0]), KEYS[0], pa.array(place))
    return fitted


def with_encodings(schema: pa.Schema) -> pa.Schema:
    """Return the schema with an encoding for every field.

    A field that names none gets ``delta`` if it is ``_healpix_29`` or ``source_id``, ``split`` if it is a float,
    ``dictionary`` if it is a text, else ``plain``.
    """
    return pa.schema([_with_encoding(field) for field in schema], metadata=schema.metadata)


def _with_encoding(field: pa.Field) -> pa.Field:
    if b"encoding" in (field.metadata or {}):
        return field
    if field.name in KEYS[:2]:
        encoding = "delta"
    elif pa.types.is_float32(field.type) or pa.types.is_float64(field.type):
        encoding = "split"
    else:
        encoding = "dictionary" if pa.types.is_string(field.type) else "plain"
    return field.with_metadata({**(field.metadata or {}), b"encoding": encoding.encode()})


def _working(schema: pa.Schema) -> pa.Schema:
    """Return the schema of rows in memory, with texts as dictionaries."""
    return conform_rows.with_columns_of(schema.empty_table(), schema).schema


def _written(
    store: Store,
    name: str,
    schema: pa.Schema,
    runs: SortedRuns,
    partitions: list[Partition],
    options: TableOptions,
) -> Manifest:
    """Write all files of the first version into a new generation; return its manifest, not yet committed."""
    generation = manifest.claim_generation(store, name, after=0)
    write = partial(
        next_version.write_file, night=options.night, schema=schema, put=next_version.writer(store, name, generation)
    )
    content = Content(schema)
    files = _files(runs, partitions, write, content)
    named = tuple(sorted(one.file for one in files))
    version = Manifest(name, 1, options.kind, generation, 0, "", "", "", named, content=content.digest())
    if options.margin_arcsec is not None:
        version = margins.write(store, version, options.margin_arcsec, schema, runs.ranges, options.night)
    groups = row_group_index.next_index(row_group_index.SCHEMA.empty_table(), (), [one.groups for one in files])
    return next_version.described(
        store, version, schema, groups, hats_files.add_coverages([(1, one.coverage) for one in files])
    )


def _files(
    runs: SortedRuns, partitions: list[Partition], write: Callable[[pa.Table, Partition], Written], content: Content
) -> list[Written]:
    """Write the file of each partition, a few at the same time, and add its rows to the content digest."""
    files: list[Written] = []
    pending: deque[Future[Written]] = deque()
    with ThreadPoolExecutor(_WRITERS) as pool:
        for one in partitions:
            part = runs.rows(one.start, one.stop)
            pending.append(pool.submit(write, part, one))
            content.add(part)
            if len(pending) > _WRITERS:
                files.append(pending.popleft().result())
        return [*files, *(one.result() for one in pending)]
