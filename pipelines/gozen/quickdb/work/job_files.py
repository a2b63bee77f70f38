"""Open files of a job in a worker: columns of patches and of their margins, read on demand."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import pyarrow as pa
from numpy.typing import NDArray

from gozen.archive.stores.open_store import Store
from gozen.catalog.format import partition_parquet
from gozen.errors import BadRequest
from gozen.quickdb.isolation.limits import Limits, too_much_memory
from gozen.quickdb.patches.column_reader import TableReader
from gozen.quickdb.patches.patch_data import ORDER, PatchData
from gozen.quickdb.patches.patch_extents import Groups, PatchExtent
from gozen.quickdb.patches.region import around
from gozen.quickdb.work.tasks import TableFiles
from gozen.quickdb.work.validate_child import checked_request

_held = threading.local()
_READERS = 8
"""Tables whose files a worker keeps open from job to job: opening a file costs as much as reading a row group."""


_MARGINS = 16
"""Maximum number of margins of a patch that are open at a time."""

_CHANGES = 16
"""Maximum number of changes of the prefetched columns in a task: the time of the prefetching threads is not limited."""


class FileSource:
    """Reads the columns of a job's patches from the archive.

    Parameters
    ----------
    store
        The archive.
    tables
        Files of the tables that a patch spans, by table.
    expected
        Columns that the first patch will probably request, by table.
    """

    def __init__(
        self, store: Store, tables: Mapping[str, TableFiles], expected: Mapping[str, Sequence[str]] | None = None
    ) -> None:
        self._store = store
        self._tables = tables
        self._readers = {name: _reader(store, table.folder) for name, table in tables.items()}
        self._schemas = {name: table.schema for name, table in tables.items()}
        self._names = {name: frozenset(schema.names) for name, schema in self._schemas.items()}
        self._patches: dict[int, PatchExtent] = {}
        self._data: dict[int, PatchData] = {}
        self._usual = {name: tuple(columns) for name, columns in (expected or {}).items()}
        self._indexes: dict[str, Groups] = {}
        self._margins: dict[tuple[int, float], int] = {}
        self._changes = 0

    def begin(self, patches: Sequence[tuple[int, PatchExtent]]) -> None:
        """Set the patches of a task, each with its number; earlier patches are forgotten."""
        self._patches = dict(patches)
        self._data, self._margins, self._changes = {}, {}, 0
        for table, reader in self._readers.items():
            reader.begin([one for _, patch in patches for one in patch.pieces[table]], self._usual.get(table, ()))

    def rows(self, patch: int) -> int:
        """Return the number of rows of a patch."""
        return self._of(patch).rows

    def columns(self, patch: int, table: str, names: Sequence[str]) -> dict[str, NDArray[Any]]:
        """Return columns of a table's files, and prefetch the same columns of the following patches."""
        found = self._of(patch).columns(table, names)
        first = next(iter(self._patches), patch)
        # The first patch requests one column after the other; later patches request all of these at once.
        if patch in self._patches and patch != first and (len(names) > 1 or table not in self._usual):
            self._expect(table, (*names, *self._keys(table, patch)))
        return found

    def _expect(self, table: str, columns: tuple[str, ...]) -> None:
        """Prefetch columns, unless the function has changed them too often: each change starts the prefetch again."""
        if columns != self._usual.get(table) and self._changes < _CHANGES:
            self._changes += 1
            self._usual[table] = columns
            self._readers[table].expect(columns)

    def margin(self, patch: int, arcsec: float) -> tuple[int, int]:
        """Open the margin of a patch, `arcsec` wide; return an identifier for later requests, and the count of rows."""
        if patch not in self._patches:
            raise BadRequest(
                f"margin({arcsec:g}) was called on rows that are themselves a margin: call it on the patch, with a "
                "larger width"
            )
        inner = self._patches[patch]
        known = self._margins.get((patch, arcsec))
        if known is not None and known in self._data:
            return known, self._data[known].rows
        number = min(self._margins.values(), default=0) - 1
        if sum(one < 0 for one in self._data) >= _MARGINS:
            raise BadRequest(f"more than {_MARGINS} margins of one patch: request the widest one, and use a part of it")
        ranges = around(inner.start, inner.stop, arcsec)
        pieces = {table: self._groups(table).overlapping(ranges).pieces() for table in self._tables}
        rows = sum(piece.rows for piece in next(iter(pieces.values())))
        outer = PatchExtent(inner.id, rows, inner.start, inner.stop, True, pieces)
        self._data[number] = PatchData(outer, self._readers, self._schemas, ranges)
        self._margins[patch, arcsec] = number
        return number, self._data[number].rows

    @property
    def patches(self) -> Mapping[int, str]:
        """The id of each patch of the task, by its number."""
        return {number: patch.id for number, patch in self._patches.items()}

    @property
    def names(self) -> Mapping[str, Collection[str]]:
        """Names of the columns of the files, by table."""
        return self._names

    def answer(self, request: Any, limits: Limits) -> Any:
        """Answer a request of a program that runs in an isolated process with these limits."""
        kind, patch, *rest = checked_request(request, {*self._patches, *self._data}, self._names)
        if kind == "columns":
            table, names = rest
            least = sum(_width(self._schemas[table].field(name).type) for name in names)
            if self._of(patch).rows * least > limits.memory_bytes:
                raise too_much_memory(limits)
            return self.columns(patch, table, names)
        return self.margin(patch, *rest) if kind == "margin" else self.rows(patch)

    def _of(self, patch: int) -> PatchData:
        if patch not in self._data:
            pieces = self._patches[patch].pieces
            for table, reader in self._readers.items():
                reader.reach(pieces[table])
            self._data = {patch: PatchData(self._patches[patch], self._readers, self._schemas)}
        return self._data[patch]

    def _keys(self, table: str, patch: int) -> tuple[str, ...]:
        """Return the columns by which stars are selected from row groups."""
        return tuple(name for name in ORDER if self._patches[patch].picked and name in self._names[table])

    def _groups(self, table: str) -> Groups:
        if table not in self._indexes:
            self._indexes[table] = Groups.of_index(
                partition_parquet.decoded(self._store.read(self._tables[table].index))
            )
        return self._indexes[table]


def _reader(store: Store, folder: str) -> TableReader:
    """Return this thread's earlier reader of a table, with its open files, or a new one."""
    readers: OrderedDict[tuple[str, str], TableReader] = _held.__dict__.setdefault("readers", OrderedDict())
    reader = readers.pop((store.identity, folder), None) or TableReader(store, folder)
    readers[store.identity, folder] = reader
    if len(readers) > _READERS:
        readers.popitem(last=False)
    return reader


def _width(kind: pa.DataType) -> int:
    """Return the smallest number of bytes of a value in an array."""
    fixed = pa.types.is_primitive(kind) and not pa.types.is_boolean(kind)
    return int(kind.bit_width) // 8 if fixed else 1
