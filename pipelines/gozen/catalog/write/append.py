"""Append a night to the light-curve table: one file for each touched partition, then the manifest that names them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from datetime import datetime

import numpy as np
import pyarrow as pa

from gozen.archive.stores.open_store import Store
from gozen.catalog.format import hats_files, healpix, layout, manifest, next_version, partition_parquet, row_group_index
from gozen.catalog.format.manifest import Manifest
from gozen.catalog.format.next_version import Put, Written
from gozen.catalog.format.partition_parquet import SOURCE_ROW_GROUP
from gozen.catalog.format.schema import lightcurve_schema
from gozen.catalog.read import row_group_reader
from gozen.catalog.write import conform_rows, source_registry
from gozen.catalog.write.conform_rows import Contents, HeldRun, NightChange
from gozen.catalog.write.spill import MEMORY, Buckets
from gozen.errors import BadRequest


@dataclass(frozen=True)
class AppendReport:
    """The result of an append.

    Parameters
    ----------
    night
        The night, as the number YYYYMMDD.
    version
        The table's version that contains the night.
    rows_added, rows_replaced
        Number of new rows, and of removed rows of an older run.
    exposures
        Exposures with new rows.
    files
        Number of data files that the version adds.
    new_objects
        Number of sources that got a new Gozen id.
    """

    night: int
    version: int
    rows_added: int = 0
    rows_replaced: int = 0
    exposures: tuple[str, ...] = ()
    files: int = 0
    new_objects: int = 0


def append_night(
    store: Store, name: str, night: str | int, tables: Iterable[pa.Table], *, memory: int = MEMORY
) -> AppendReport:
    """Append the rows of a night to a light-curve table; a second call with the same rows changes nothing.

    A sensor of an exposure that the table contains already is skipped. If an exposure comes from another run than in
    the table, all its rows are replaced, in a new generation. Sources without a reference star are grouped within
    1 arcsec. Each group gets a Gozen id, which the table ``objects`` keeps across nights. The process may be killed at
    any point, and appends may run at the same time.

    Parameters
    ----------
    store
        The archive.
    name
        The table, e.g. ``lightcurves``; created if it does not exist.
    night
        ``YYYYMMDD``.
    tables
        Rows as `format.schema.lightcurve_table` builds them, for example one table for each exposure and sensor.
    memory
        Bytes of rows to keep in memory; beyond that, rows are written to the temporary folder.

    Raises
    ------
    BadRequest
        The night is not a valid date, rows do not fit the table, or an exposure occurs in two runs.
    """
    day = _day(night)
    base = next_version.create(store, name, "source", lightcurve_schema())
    with Buckets(base.order, memory) as buckets:
        incoming, created = _collect(store, day, tables, buckets, memory)
        while True:
            base = manifest.current_or_raise(store, name)
            version, report = _next_version(store, base, day, buckets, incoming)
            # If another writer took the number, build on its version; files that are written already are found again.
            if version.version == base.version or manifest.commit(store, version):
                # Also if nothing changed: an append that was killed after its commit left the old side files.
                if version.files:
                    hats_files.publish(store, version)
                return replace(report, new_objects=created)


def read_contents(store: Store, version: Manifest, night: int) -> dict[str, HeldRun]:
    """Read the contents of a night in a version: run and sensors of each exposure."""
    if str(night) not in version.nights:
        return {}
    content = json.loads(store.read(version.key_of(version.nights[str(night)])))
    return {exposure: HeldRun(one["run"], tuple(one["sensors"])) for exposure, one in content.items()}


def _collect(
    store: Store, night: int, tables: Iterable[pa.Table], buckets: Buckets, memory: int
) -> tuple[Contents, int]:
    """Add all rows to the buckets; rows without a reference star first get a Gozen id.

    Returns
    -------
    incoming
        Exposures, runs and sensors of the rows.
    created
        Number of new ids.
    """
    incoming: Contents = {}
    nameless: list[pa.Table] = []
    created = waiting = 0
    for one in tables:
        conformed = conform_rows.conformed(one, night)
        incoming = conform_rows.merge_contents(incoming, conform_rows.contents_of(conformed))
        known, unknown = conform_rows.split_by_identity(conformed)
        buckets.add(_placed(known))
        nameless += [unknown] if len(unknown) else []
        waiting += unknown.nbytes
        if waiting > memory // 2:
            created += _identify(store, night, nameless, buckets)
            waiting = 0
    return incoming, created + _identify(store, night, nameless, buckets)


def _identify(store: Store, night: int, nameless: list[pa.Table], buckets: Buckets) -> int:
    """Give Gozen ids to rows without a reference star, and add them to the buckets; return the number of new ids."""
    if not nameless:
        return 0
    unknown = pa.concat_tables(nameless, promote_options="permissive")
    nameless.clear()
    positions = (partition_parquet.numbers(unknown, "ra_meas"), partition_parquet.numbers(unknown, "dec_meas"))
    identity, created = source_registry.register(store, night, *positions)
    buckets.add(_placed(conform_rows.identified(unknown, identity)))
    return created


def _placed(part: pa.Table) -> pa.Table:
    """Return rows with ``_healpix_29`` computed from ``ra`` and ``dec``."""
    pixel = healpix.pixels(partition_parquet.numbers(part, "ra"), partition_parquet.numbers(part, "dec"))
    return part.set_column(part.column_names.index("_healpix_29"), "_healpix_29", pa.array(pixel))


def _next_version(
    store: Store, base: Manifest, night: int, buckets: Buckets, incoming: Contents
) -> tuple[Manifest, AppendReport]:
    """Write the files of the version after `base`; return its manifest uncommitted, or `base` if nothing changes."""
    change = conform_rows.decide_night_change(read_contents(store, base, night), incoming)
    stray = _stray(store, base, night, change.after)
    if not change.new and not stray:
        return base, AppendReport(night, base.version)
    known = partition_parquet.schema(store.read(base.key_of(base.schema)))
    schema = next_version.union_schema(known, lightcurve_schema(buckets.diameters()))
    to_come = _new_files(base, night, buckets, change, schema, _discard) if stray else ()
    # Directory readers would count rows twice in a stray file that this append does not name. If there is one, the
    # append makes a new generation, without it.
    moves = bool(change.replaced or stray - {one.file.path for one in to_come})
    generation = manifest.claim_generation(store, base.name, base.generation) if moves else base.generation
    put = next_version.writer(store, base.name, generation)
    dropped, kept = _replaced(store, base, night, change, schema, put)
    if moves:
        gone = {one.file.path for one in dropped}
        next_version.link_files(store, base, generation, [file.path for file in base.files if file.path not in gone])
    added = list(_new_files(base, night, buckets, change, schema, put))
    version = next_version.successor(store, replace(base, generation=generation), schema, [*added, *kept], dropped)
    return _with_contents(store, version, night, change.after), AppendReport(
        night,
        version.version,
        rows_added=sum(one.file.rows for one in added),
        rows_replaced=sum(one.file.rows for one in dropped) - sum(one.file.rows for one in kept),
        exposures=tuple(sorted(change.new)),
        files=len(added) + len(kept),
    )


def _with_contents(store: Store, version: Manifest, night: int, after: Contents) -> Manifest:
    """Write the contents of a night in a version; return the manifest that names them."""
    content = {exposure: asdict(one) for exposure, one in after.items()}
    part = next_version.put_part(store, version.name, "contents", "json", json.dumps(content, sort_keys=True).encode())
    return replace(version, nights={**version.nights, str(night): part})


def _stray(store: Store, base: Manifest, night: int, after: Contents) -> set[str]:
    """Return files of the night that the manifest does not name and that have rows of the next version's exposures.

    A writer that was killed, or that lost a race, leaves such files. Programs that read all files of the folder read
    them too, and would count a row twice if a named file also contains it. Unnamed files of other exposures are
    not returned: a later append of these exposures names them.
    """
    folder = f"{layout.generation(base.name, base.generation)}/dataset/"
    data = (key.removeprefix(folder) for key in store.list(folder.rstrip("/")) if key.endswith(".parquet"))
    named = {file.path for file in base.files}
    unnamed = [path for path in data if layout.night_of_path(path) == night and path not in named]
    return {
        path
        for path in unnamed
        if conform_rows.have_rows_in_common(_contents_of_file(store, base.key_of_file(path)), after)
    }


def _contents_of_file(store: Store, key: str) -> Contents:
    return conform_rows.contents_of(partition_parquet.decoded(store.read(key)))


def _new_files(
    base: Manifest, night: int, buckets: Buckets, change: NightChange, schema: pa.Schema, put: Put
) -> Iterator[Written]:
    for pixel in buckets.pixels():
        part = buckets.rows(pixel)
        part = part if change.whole else conform_rows.selected(part, change.new)
        if not len(part):
            continue
        part = partition_parquet.sorted_rows(conform_rows.with_columns_of(part, schema))
        places = partition_parquet.numbers(part, "_healpix_29")
        for partition in layout.partitions_for(places, base.partitions, base.order):
            first, last = np.searchsorted(places, [partition.start, partition.stop])
            yield next_version.write_file(
                part.slice(first, last - first), partition, night, schema, put, SOURCE_ROW_GROUP
            )


def _replaced(
    store: Store, base: Manifest, night: int, change: NightChange, schema: pa.Schema, put: Put
) -> tuple[list[Written], list[Written]]:
    """Return the files with rows of replaced exposures, and the new files that replace them, without these rows."""
    dropped: list[Written] = []
    kept: list[Written] = []
    for file in base.files if change.replaced else ():
        named = layout.night_of_path(file.path)
        if named not in (night, layout.SEVERAL_NIGHTS) or not _holds(store, base, file.path, schema, change.replaced):
            continue
        old = partition_parquet.decoded(store.read(base.key_of_file(file.path)))
        rest = conform_rows.without(old, night, change.replaced)
        if len(rest) < len(old):
            places = partition_parquet.numbers(old, "_healpix_29")
            dropped.append(Written(file, row_group_index.SCHEMA.empty_table(), hats_files.coverage_of(places)))
            if len(rest):
                partition = layout.partition_of(file.path)
                kept.append(
                    next_version.write_file(
                        conform_rows.with_columns_of(rest, schema), partition, named, schema, put, SOURCE_ROW_GROUP
                    )
                )
    return dropped, kept


def _holds(store: Store, base: Manifest, path: str, schema: pa.Schema, exposures: frozenset[str]) -> bool:
    """Tell whether a file has rows of these exposures; only one column is read, because the file may be large."""
    key = base.key_of_file(path)
    file = row_group_reader.opened(store, key, schema)
    with row_group_reader.damage_named(store, key):
        held = file.read(["exposure"], use_threads=False)["exposure"]
    return bool(exposures & {one for chunk in held.chunks for one in chunk.dictionary.to_pylist()})


def _discard(path: str, data: bytes) -> None:
    """Write nothing: for a dry run that needs only the names of the files."""


def _day(night: str | int) -> int:
    try:
        return int(datetime.strptime(str(night), "%Y%m%d").strftime("%Y%m%d"))
    except ValueError as error:
        raise BadRequest(f"the night {night!r} is not a date: write it as YYYYMMDD") from error
