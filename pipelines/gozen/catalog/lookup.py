"""Look up a star or a cone: manifest, row-group index, byte ranges. Never lists the bucket to find data."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from gozen.archive.store import Store
from gozen.catalog import healpix, ids, layout, manifest, parquet
from gozen.catalog.index import RowGroup, RowGroups
from gozen.catalog.manifest import Manifest
from gozen.errors import BadRequest, UnreadableInput

Rows = NDArray[np.intp]
_STAR_ORDER = ("_healpix_29", "source_id", "mjd")
_PIXELS = 12 * 4**ids.PIXEL_ORDER


@dataclass(frozen=True)
class CatalogInfo:
    """What a version of a table is.

    Parameters
    ----------
    name, version, generation
        Which one.
    rows, files, partitions, bytes
        How much.
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
    """One version of a table, read by its manifest; keeps the index and the footers that it has read.

    Parameters
    ----------
    store
        The archive.
    version
        Its manifest.
    """

    def __init__(self, store: Store, version: Manifest) -> None:
        self._store = store
        self.manifest = version
        self.schema: pa.Schema = parquet.schema(store.read(version.key_of(version.schema)))
        self.row_groups = RowGroups(parquet.decoded(store.read(version.key_of(version.index))))
        self._footers: dict[str, _Footer] = {}

    @classmethod
    def open(cls, store: Store, name: str) -> Catalog:
        """Open the current version; `MissingObject` where there is no such table."""
        return cls(store, manifest.current_or_raise(store, name))

    def refresh(self) -> Catalog:
        """Return the current version, or this one where it is."""
        if not self._store.exists(layout.manifest(self.manifest.name, self.manifest.version + 1)):
            return self
        return Catalog.open(self._store, self.manifest.name)

    def lightcurve(self, source_id: int, columns: Sequence[str] | None = None) -> pa.Table:
        """Return all rows of one source, in time.

        Parameters
        ----------
        source_id
            Gaia's, or one of ours.
        columns
            Names; all where none are given.

        Returns
        -------
        pa.Table
            Empty where the table does not have the source.
        """
        pixel = ids.pixel_of(source_id)
        if not 0 <= pixel < _PIXELS:
            return self._empty(columns)
        found = self._of_id(source_id, np.array([pixel]), columns)
        if not len(found):  # the star has left the pixel in which Gaia first saw it
            found = self._of_id(source_id, healpix.with_neighbours(pixel, ids.PIXEL_ORDER), columns)
        return found

    def cone(self, ra: float, dec: float, radius_arcsec: float, columns: Sequence[str] | None = None) -> pa.Table:
        """Return all rows whose catalogue position lies within a cone, star by star, in time.

        Parameters
        ----------
        ra, dec
            The centre, ICRS degrees.
        radius_arcsec
            Arcsec.
        columns
            Names; all where none are given.

        Raises
        ------
        BadRequest
            The centre is not on the sky, or the radius is negative.
        """
        if not (-90 <= dec <= 90 and np.isfinite(ra) and radius_arcsec >= 0):
            raise BadRequest(f"no cone of {radius_arcsec} arcsec at ra {ra}, dec {dec}: dec is -90 to 90 degrees")
        radius = radius_arcsec / 3600
        ranges = healpix.cone_ranges(ra, dec, radius)

        def inside(keys: pa.Table) -> Rows:
            rows = _in_ranges(parquet.numbers(keys, "_healpix_29"), ranges)
            there = keys.take(pa.array(rows))
            far = healpix.separation(ra, dec, parquet.numbers(there, "ra"), parquet.numbers(there, "dec"))
            return rows[far <= radius]

        return self._read(self.row_groups.of_ranges(ranges), ("_healpix_29", "ra", "dec"), inside, columns, _STAR_ORDER)

    def within(self, ranges: NDArray[np.int64], columns: Sequence[str] | None = None) -> pa.Table:
        """Return all rows in sorted ranges [start, stop) of ``_healpix_29``, shape (M, 2)."""

        def inside(keys: pa.Table) -> Rows:
            return _in_ranges(parquet.numbers(keys, "_healpix_29"), ranges)

        return self._read(self.row_groups.of_ranges(ranges), ("_healpix_29",), inside, columns, _STAR_ORDER)

    def table(self, columns: Sequence[str] | None = None) -> pa.Table:
        """Return every row: for small tables."""
        return self.within(np.array([[0, 12 << 2 * healpix.ORDER]]), columns)

    def urls(self) -> list[str]:
        """Return the address of every file of this version: the explicit list that a SQL engine is given."""
        keys = (self.manifest.key_of_file(file.path) for file in self.manifest.files)
        return [str(self._store.path(key) or self._store.url_of(key)) for key in keys]

    def info(self) -> CatalogInfo:
        """Return what this version is."""
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

    def _of_id(self, source_id: int, pixel: NDArray[np.int64], columns: Sequence[str] | None) -> pa.Table:
        ranges = healpix.pixel_ranges(pixel, ids.PIXEL_ORDER)

        def same(keys: pa.Table) -> Rows:
            return np.flatnonzero(parquet.numbers(keys, "source_id") == source_id)

        return self._read(self.row_groups.of_id(source_id, ranges), ("source_id",), same, columns, ("mjd",))

    def _read(
        self,
        groups: list[RowGroup],
        keys: Sequence[str],
        choose: Callable[[pa.Table], Rows],
        columns: Sequence[str] | None,
        sort: Sequence[str],
    ) -> pa.Table:
        """Read the rows that `choose` picks by the key columns, and bring those of several files into one order."""
        names = self._names(columns)
        several = len({group.path for group in groups}) > 1
        order = [name for name in sort if several and name in self.schema.names]
        wanted = list(dict.fromkeys([*names, *order]))
        parts = [part for group in groups if (part := self._part(group, keys, choose, wanted)) is not None]
        if not parts:
            return self._empty(columns)
        found = pa.concat_tables(parts).unify_dictionaries()
        if order:
            found = found.take(pa.array(np.lexsort([parquet.numbers(found, name) for name in reversed(order)])))
        return found.select(names)

    def _part(
        self, group: RowGroup, keys: Sequence[str], choose: Callable[[pa.Table], Rows], wanted: list[str]
    ) -> pa.Table | None:
        file = self._file(group)
        rows = choose(file.read_row_group(group.number, columns=list(keys), use_threads=False))
        if not len(rows):
            return None
        inside = self._footers[group.path].names
        present = [name for name in wanted if name in inside]
        part = file.read_row_group(group.number, columns=present, use_threads=False)
        first, last = int(rows[0]), int(rows[-1]) + 1
        part = part.slice(first, last - first) if last - first == len(rows) else part.take(pa.array(rows))
        return _fitted(part, pa.schema([self.schema.field(name) for name in wanted]))

    def _file(self, group: RowGroup) -> pq.ParquetFile:
        """Return the file as far as one row group reaches: one request, and one for the footer when it is new."""
        key = self.manifest.key_of_file(group.path)
        footer = self._footers.get(group.path)
        if footer is None:
            footer = _Footer.of(self._store.read_range(key, group.footer, group.size))
            self._footers[group.path] = footer
        window = _Window(group.start, self._store.read_range(key, group.start, group.stop), group.size)
        return pq.ParquetFile(pa.PythonFile(window, mode="r"), metadata=footer.metadata, read_dictionary=footer.texts)

    def _names(self, columns: Sequence[str] | None) -> list[str]:
        names = list(self.schema.names if columns is None else columns)
        unknown = [name for name in names if name not in self.schema.names]
        if unknown:
            have = ", ".join(self.schema.names)
            raise BadRequest(f"the table {self.manifest.name} has no column {', '.join(unknown)}: it has {have}")
        return names

    def _empty(self, columns: Sequence[str] | None) -> pa.Table:
        return pa.schema([self.schema.field(name) for name in self._names(columns)]).empty_table()


@dataclass(frozen=True)
class _Footer:
    """A file's footer, and its columns: texts are decoded as dictionaries, which takes a third of the time."""

    metadata: pq.FileMetaData
    names: frozenset[str]
    texts: list[str]

    @classmethod
    def of(cls, data: bytes) -> _Footer:
        metadata = pq.read_metadata(pa.BufferReader(data))
        schema = metadata.schema.to_arrow_schema()
        texts = [field.name for field in schema if pa.types.is_string(field.type)]
        return cls(metadata, frozenset(schema.names), texts)


class _Window(io.RawIOBase):
    """A part of a file that answers as the file does."""

    def __init__(self, start: int, data: bytes, size: int) -> None:
        super().__init__()
        self._start = start
        self._data = memoryview(data)
        self._size = size
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + (0, self._at, self._size)[whence]
        return self._at

    def read(self, length: int | None = -1) -> bytes:
        first = self._at - self._start
        last = len(self._data) if length is None or length < 0 else first + length
        if first < 0 or last > len(self._data):
            raise UnreadableInput(
                f"bytes {self._at} to {self._start + last} lie outside the row group that was asked for"
            )
        self._at = self._start + last
        return bytes(self._data[first:last])


def _in_ranges(healpix29: NDArray[np.int64], ranges: NDArray[np.int64]) -> Rows:
    """Return the rows of a sorted column that lie in sorted ranges [start, stop)."""
    edges = np.searchsorted(healpix29, ranges)
    parts = [np.arange(first, last) for first, last in edges.tolist() if last > first]
    return np.concatenate(parts) if parts else np.empty(0, np.intp)


def _fitted(part: pa.Table, schema: pa.Schema) -> pa.Table:
    """Give a part of an older file the columns that it lacks, as nulls."""
    present = set(part.column_names)
    arrays: list[Any] = [part.column(f.name) if f.name in present else pa.nulls(len(part), f.type) for f in schema]
    return pa.table(arrays, names=schema.names).cast(schema)
