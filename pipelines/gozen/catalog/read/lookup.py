"""Look up a star or a cone by manifest, row-group index and byte ranges, without listing the bucket."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gozen.archive.stores.open_store import Store
from gozen.catalog.format import healpix, layout, manifest, next_version, partition_parquet, source_ids
from gozen.catalog.format.manifest import Manifest
from gozen.catalog.format.row_group_index import RowGroup, RowGroups
from gozen.catalog.read.row_group_reader import AT_ONCE, DataFiles, damage_named
from gozen.errors import BadRequest
from gozen.resources.sky_circle import circle_fault

Rows = NDArray[np.intp]
Degrees = NDArray[np.float64]
_STAR_ORDER = ("_healpix_29", "source_id", "mjd")
_MOST_PIECES = 8
_FEW_COLUMNS = 12
_PIXELS = 12 * 4**source_ids.PIXEL_ORDER


@dataclass(frozen=True)
class CatalogInfo:
    """Facts of a version of a table.

    Parameters
    ----------
    name, version, generation
        Name of the table, number of the version, and of the generation of files that it names.
    rows, files, partitions, bytes
        Numbers of rows, data files and partitions, and size of the data files.
    nights
        ``YYYYMMDD``, sorted.
    columns
        Names in order.
    """

    name: str
    version: int
    generation: int
    rows: int
    files: int
    partitions: int
    bytes: int
    nights: tuple[int, ...]
    columns: tuple[str, ...]


class Catalog:
    """One version of a table, read by its manifest; caches the index and footers, and keeps local files open.

    Parameters
    ----------
    store
        The archive.
    version
        Manifest of the version of the table to read.

    Attributes
    ----------
    stored
        The columns of the table's files; an older file may lack some.
    schema
        The columns that can be read: those stored and, for light curves, the null columns that newer versions added.
    """

    def __init__(self, store: Store, version: Manifest) -> None:
        self._store = store
        self.manifest = version
        with damage_named(store, version.key_of(version.schema)):
            self.stored: pa.Schema = partition_parquet.schema(store.read(version.key_of(version.schema)))
        self.schema = next_version.readable_schema(version.kind, self.stored)
        with damage_named(store, version.key_of(version.index)):
            self.row_groups = RowGroups(partition_parquet.decoded(store.read(version.key_of(version.index))))
        self._files = DataFiles(store)
        self._known = frozenset(self.schema.names)
        self._schemas: dict[tuple[str, ...], pa.Schema] = {}

    @classmethod
    def open(cls, store: Store, name: str) -> Catalog:
        """Open the current version; raise `MissingObject` if the table does not exist."""
        return cls(store, manifest.current_or_raise(store, name))

    def refresh(self) -> Catalog:
        """Return the current version: this object if no newer version exists."""
        if not self._store.exists(layout.manifest(self.manifest.name, self.manifest.version + 1)):
            return self
        return Catalog.open(self._store, self.manifest.name)

    def lightcurve(self, source_id: int, columns: Sequence[str] | None = None) -> pa.Table:
        """Return all rows of one source, sorted by time.

        Parameters
        ----------
        source_id
            A Gaia id, or an id that Gozen made.
        columns
            Names; None reads all.

        Returns
        -------
        pa.Table
            Empty if the table does not have the source.
        """
        pixel = source_ids.pixel_of(source_id)
        if not 0 <= pixel < _PIXELS:
            return self._empty(columns)
        shift = 2 * (healpix.ORDER - source_ids.PIXEL_ORDER)
        found = self._of_id(source_id, np.array([[pixel << shift, (pixel + 1) << shift]]), columns)
        if not len(found):  # a star's id names a pixel that the star may have left by its proper motion
            around = healpix.with_neighbours(pixel, source_ids.PIXEL_ORDER)
            found = self._of_id(source_id, healpix.pixel_ranges(around, source_ids.PIXEL_ORDER), columns)
        return found

    def cone(self, ra: float, dec: float, radius_arcsec: float, columns: Sequence[str] | None = None) -> pa.Table:
        """Return all rows whose catalogue position is within a cone, grouped by star, each group sorted by time.

        Parameters
        ----------
        ra, dec
            The centre, ICRS degrees; the right ascension is at least 0 and less than 360.
        radius_arcsec
            Radius of the circle, arcsec.
        columns
            Names; None reads all.

        Raises
        ------
        BadRequest
            The centre is not on the sky, or the radius is not between 0 and 180 degrees.
        """
        fault = circle_fault(ra, dec, radius_arcsec / 3600)
        if fault is not None:
            raise BadRequest(f"no cone of {radius_arcsec} arcsec at ra {ra}, dec {dec}: {fault}")
        radius = radius_arcsec / 3600
        ranges = healpix.cone_ranges(ra, dec, radius)

        def inside(keys: pa.Table) -> Rows:
            rows = _in_ranges(partition_parquet.numbers(keys, "_healpix_29"), ranges)
            of_ra, of_dec = partition_parquet.numbers(keys, "ra")[rows], partition_parquet.numbers(keys, "dec")[rows]
            star = _runs(of_ra, of_dec)
            near = healpix.separation(ra, dec, of_ra[star[:-1]], of_dec[star[:-1]]) <= radius
            return rows[np.repeat(near, np.diff(star))]

        return self._read(self.row_groups.of_ranges(ranges), ("_healpix_29", "ra", "dec"), inside, columns, _STAR_ORDER)

    def within(self, ranges: NDArray[np.int64], columns: Sequence[str] | None = None) -> pa.Table:
        """Return all rows whose ``_healpix_29`` is in one of the ranges [start, stop), a sorted array, shape (M, 2)."""

        def inside(keys: pa.Table) -> Rows:
            return _in_ranges(partition_parquet.numbers(keys, "_healpix_29"), ranges)

        return self._read(self.row_groups.of_ranges(ranges), ("_healpix_29",), inside, columns, _STAR_ORDER)

    def table(self, columns: Sequence[str] | None = None) -> pa.Table:
        """Return all rows of the table; only for small tables."""
        return self.within(np.array([[0, 12 << 2 * healpix.ORDER]]), columns)

    def urls(self, paths: Collection[str] | None = None) -> list[str]:
        """Return the addresses of the data files of this version, to give to a SQL engine.

        Parameters
        ----------
        paths
            Only these files, by their paths in the index; None returns all.
        """
        files = (file.path for file in self.manifest.files if paths is None or file.path in paths)
        return [self._address(self.manifest.key_of_file(path)) for path in files]

    def schema_url(self) -> str:
        """Return the address of a Parquet file with the columns and no rows."""
        return self._address(self.manifest.key_of(self.manifest.schema))

    def _address(self, key: str) -> str:
        return str(self._store.path(key) or self._store.url_of(key))

    def info(self) -> CatalogInfo:
        """Return the facts of this version."""
        files = self.manifest.files
        return CatalogInfo(
            self.manifest.name,
            self.manifest.version,
            self.manifest.generation,
            rows=self.manifest.rows,
            files=len(files),
            partitions=len(self.manifest.partitions),
            bytes=sum(file.bytes for file in files),
            nights=tuple(sorted(int(night) for night in self.manifest.nights)),
            columns=tuple(self.schema.names),
        )

    def _of_id(self, source_id: int, ranges: NDArray[np.int64], columns: Sequence[str] | None) -> pa.Table:
        def same(keys: pa.Table) -> Rows:
            return np.flatnonzero(partition_parquet.numbers(keys, "source_id") == source_id)

        return self._read(self.row_groups.of_id(source_id, ranges), ("source_id",), same, columns, ("mjd",))

    def _read(
        self,
        groups: list[RowGroup],
        keys: Sequence[str],
        choose: Callable[[pa.Table], Rows],
        columns: Sequence[str] | None,
        sort: Sequence[str],
    ) -> pa.Table:
        """Read the rows that `choose` picks by the key columns; sort them if a partition has several files."""
        names = self._names(columns)
        paths = {group.path for group in groups}
        # Partitions are in the order of the sky already; the files of one partition, one a night, overlap on the sky.
        apart = len({path.rpartition("/")[0] for path in paths}) if sort is _STAR_ORDER else 1
        several = len(paths) > apart
        order = [name for name in sort if several and name in self.schema.names]
        wanted = self._schema_of((*names, *(name for name in order if name not in names)))
        # Reading the keys first pays off if many columns are wanted and some groups may have no matching row.
        twice = len(groups) > 1 and len(wanted) > _FEW_COLUMNS
        first = list(keys if twice else dict.fromkeys([*wanted.names, *keys]))
        parts = []
        for some in (groups[at : at + AT_ONCE] for at in range(0, len(groups), AT_ONCE)):
            self._files.fetch((self.manifest.key_of_file(group.path), group) for group in some)
            parts += [part for group in some if (part := self._part(group, first, choose, wanted)) is not None]
        if not parts:
            return self._empty(columns)
        found = parts[0] if len(parts) == 1 else pa.concat_tables(parts).unify_dictionaries()
        if order:
            found = found.take(
                pa.array(np.lexsort([partition_parquet.numbers(found, name) for name in reversed(order)]))
            )
            found = found.select(names)
        return found

    def _part(
        self, group: RowGroup, first: Sequence[str], choose: Callable[[pa.Table], Rows], wanted: pa.Schema
    ) -> pa.Table | None:
        """Read the columns `first` of a group, then the other wanted columns; None if no row is chosen."""
        key = self.manifest.key_of_file(group.path)
        known = self._files.read(key, group, first)
        rows = choose(known)
        if not len(rows):
            return None
        part = _chosen(known, rows)
        rest = [name for name in wanted.names if name not in first] if len(first) < len(wanted) else []
        if rest:
            others = _chosen(self._files.read(key, group, rest), rows)
            together = pa.schema([*part.schema, *others.schema], metadata=part.schema.metadata)
            part = pa.Table.from_arrays([*part.columns, *others.columns], schema=together)
        return _fitted(part, wanted)

    def _schema_of(self, names: tuple[str, ...]) -> pa.Schema:
        if names not in self._schemas:
            self._schemas[names] = pa.schema([self.schema.field(name) for name in names])
        return self._schemas[names]

    def _names(self, columns: Sequence[str] | None) -> list[str]:
        names = list(self.schema.names if columns is None else columns)
        if not self._known.issuperset(names):
            unknown = [name for name in names if name not in self._known]
            have = ", ".join(self.schema.names)
            raise BadRequest(f"the table {self.manifest.name} has no column {', '.join(unknown)}: it has {have}")
        return names

    def _empty(self, columns: Sequence[str] | None) -> pa.Table:
        return self._schema_of(tuple(self._names(columns))).empty_table()


def _in_ranges(healpix29: NDArray[np.int64], ranges: NDArray[np.int64]) -> Rows:
    """Return the row numbers of a sorted column whose values are in sorted ranges [start, stop)."""
    edges = np.searchsorted(healpix29, ranges)
    parts = [np.arange(first, last) for first, last in edges.tolist() if last > first]
    return np.concatenate(parts) if parts else np.empty(0, np.intp)


def _runs(ra: Degrees, dec: Degrees) -> Rows:
    """Return the index of the first row of each star (a run of equal positions), followed by the number of all rows.

    The distance to the cone's centre is then computed once for each star.
    """
    changes = np.flatnonzero((ra[1:] != ra[:-1]) | (dec[1:] != dec[:-1])) + 1
    return np.concatenate([[0], changes, [len(ra)]]) if len(ra) else np.zeros(1, np.intp)


def _chosen(table: pa.Table, rows: Rows) -> pa.Table:
    """Return some rows of a row group; contiguous rows, such as all rows of a star, are not copied."""
    if rows[-1] - rows[0] == len(rows) - 1:
        return table.slice(int(rows[0]), len(rows))
    breaks = np.flatnonzero(np.diff(rows) != 1) + 1
    if len(breaks) > _MOST_PIECES:
        return table.take(pa.array(rows))
    pieces = [table.slice(int(run[0]), len(run)) for run in np.split(rows, breaks)]
    return pa.concat_tables(pieces)


def _fitted(part: pa.Table, schema: pa.Schema) -> pa.Table:
    """Convert rows of a file to the table's types and column order; columns that an older file lacks become null."""
    present = set(part.column_names)
    if present.issuperset(schema.names):
        part = part.select(schema.names)
    if part.schema.equals(schema, check_metadata=True):
        return part
    columns = [
        part.column(name) if name in present else pa.nulls(len(part), kind)
        for name, kind in zip(schema.names, schema.types, strict=True)
    ]
    return pa.Table.from_arrays(columns, names=schema.names).cast(schema)
