"""Read row groups from data files: local files are kept open, remote row groups are fetched and cached."""

from __future__ import annotations

import contextlib
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from gozen.archive.stores.open_store import Store
from gozen.archive.stores.range_file import RangedFile
from gozen.archive.stores.store import named_errors
from gozen.catalog.format.row_group_index import RowGroup
from gozen.errors import MissingObject, StorageUnavailable, UnreadableInput

OPEN_FILES = 256
"""Local files that are kept open: to open one costs as much as to read six columns of a row group."""

KEPT_BYTES = 64 * 2**20
"""Size of the cache of remote row groups, bytes; a row group of a light-curve table has about 60 kB."""

AT_ONCE = 16
"""Concurrent requests: each takes about 20 ms, and a star has one row group for each of its nights."""


_VERIFY = "`gozen catalog verify` checks the table and gives advice"


class DataFiles:
    """Reader of a table's data files by row group, with caches of footers and row groups; it is thread-safe.

    Parameters
    ----------
    store
        The archive.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._footers: dict[str, Footer] = {}
        self._open: OrderedDict[str, pq.ParquetFile] = OrderedDict()
        self._kept: OrderedDict[tuple[str, int], bytes] = OrderedDict()
        self._lock = threading.Lock()

    def fetch(self, wanted: Iterable[tuple[str, RowGroup]]) -> None:
        """Fetch the remote row groups and footers that are not cached yet, with concurrent requests."""
        far = [one for one in wanted if self._store.path(one[0]) is None and not self._is_kept(*one)]
        if len(far) > 1:
            with ThreadPoolExecutor(min(AT_ONCE, len(far))) as pool:
                list(pool.map(lambda one: self._fetched(*one), far))

    def read(self, key: str, group: RowGroup, columns: Sequence[str]) -> pa.Table:
        """Read the wanted columns of a row group; columns that the file does not have are left out.

        A remote row group costs at most one request, and one more if the file's footer is not cached.

        Raises
        ------
        UnreadableInput
            The file is missing (`MissingObject`), cut short or damaged; the message names it.
        StorageUnavailable
            The storage does not answer.
        """
        with damage_named(self._store, key):
            return self._read(key, group, columns)

    def _read(self, key: str, group: RowGroup, columns: Sequence[str]) -> pa.Table:
        footer = self._footer(key, group)
        wanted = [name for name in columns if name in footer.names]
        with self._lock:
            file = self._open.pop(key, None)  # taken out, because two threads must not read from one open file
        file = file or self._opened(key, footer)
        if file is None:
            part = pa.PythonFile(window(group.start, self._bytes(key, group), group.size), mode="r")
            return footer.opened(part).read_row_group(group.number, columns=wanted, use_threads=False)
        found = file.read_row_group(group.number, columns=wanted, use_threads=False)
        with self._lock:
            self._open[key] = file
            if len(self._open) > OPEN_FILES:
                self._open.popitem(last=False)
        return found

    def _fetched(self, key: str, group: RowGroup) -> None:
        with damage_named(self._store, key):
            self._footer(key, group)
            self._bytes(key, group)

    def _is_kept(self, key: str, group: RowGroup) -> bool:
        return key in self._footers and (key, group.number) in self._kept

    def _footer(self, key: str, group: RowGroup) -> Footer:
        footer = self._footers.get(key)
        if footer is None:
            footer = Footer.of(self._store.read_range(key, group.footer, group.size))
            self._footers[key] = footer
        return footer

    def _bytes(self, key: str, group: RowGroup) -> bytes:
        name = key, group.number
        with self._lock:
            data = self._kept.pop(name, None)
        if data is None:
            data = self._store.read_range(key, group.start, group.stop)
        with self._lock:
            self._kept[name] = data
            held = sum(map(len, self._kept.values()))
            while held > KEPT_BYTES and len(self._kept) > 1:
                held -= len(self._kept.popitem(last=False)[1])
        return data

    def _opened(self, key: str, footer: Footer) -> pq.ParquetFile | None:
        path = self._store.path(key)
        if path is None:
            return None
        with named_errors(self._store.url_of(key), "read"):
            return footer.opened(pa.OSFile(str(path)))


@dataclass(frozen=True)
class Footer:
    """Parsed footer of a Parquet file, and the names of the file's columns."""

    metadata: pq.FileMetaData
    names: frozenset[str]

    @classmethod
    def of(cls, data: bytes | memoryview) -> Footer:
        """Parse the bytes from the start of the footer to the end of the file."""
        metadata = pq.read_metadata(pa.BufferReader(data))
        leaves = [metadata.schema.column(number) for number in range(metadata.num_columns)]
        roots = (leaf.path.split(".", 1)[0] for leaf in leaves)  # a list column is named at its root, not at its leaf
        return cls(metadata, frozenset(roots).union(leaf.name for leaf in leaves))

    def opened(self, source: pa.NativeFile) -> pq.ParquetFile:
        """Open the file that this footer belongs to."""
        return pq.ParquetFile(source, metadata=self.metadata, pre_buffer=False)


@contextlib.contextmanager
def damage_named(store: Store, key: str) -> Iterator[None]:
    """Convert errors of reading a data file into errors that name the file and say what to do."""
    url = store.url_of(key)
    try:
        yield
    except MissingObject as error:
        raise MissingObject(f"{url} does not exist, but the manifest of its table names it: {_VERIFY}") from error
    except (pa.ArrowException, UnreadableInput) as error:
        raise UnreadableInput(f"{url} is truncated or damaged ({_first_line(error)}): {_VERIFY}") from error
    except OSError as error:
        if error.errno is not None:
            raise StorageUnavailable(f"cannot read {url}: {error}; try again when the storage answers") from error
        raise UnreadableInput(f"{url} is truncated or damaged ({_first_line(error)}): {_VERIFY}") from error


def opened(store: Store, key: str, schema: pa.Schema) -> pq.ParquetFile:
    """Open a data file to read all of it, with text columns as dictionaries.

    Raises the errors of `DataFiles.read`.
    """
    path = store.path(key)
    with damage_named(store, key):
        if path is not None and not path.exists():
            raise MissingObject(key)
        source = pa.memory_map(str(path)) if path is not None else pa.BufferReader(store.read(key))
        metadata = pq.read_metadata(source)
        has = set(metadata.schema.names)  # an older file may lack columns of the table
        texts = [field.name for field in schema if pa.types.is_string(field.type) and field.name in has]
        return pq.ParquetFile(source, metadata=metadata, read_dictionary=texts, pre_buffer=False)


def _first_line(error: BaseException) -> str:
    return str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__


def window(start: int, data: bytes, size: int) -> RangedFile:
    """Return a file object for a part of a file: offsets are counted from the start of the complete file.

    Reading outside of the part raises `UnreadableInput`.

    Parameters
    ----------
    start
        Offset of the part in the file, bytes.
    data
        The bytes of the part.
    size
        Size of the complete file, bytes.
    """
    memory = memoryview(data)

    def piece(first: int, last: int) -> memoryview:
        if first < start or last > start + len(memory):
            raise UnreadableInput(f"its footer refers to bytes {first} to {last}, outside the row group that is read")
        return memory[first - start : last - start]

    return RangedFile(size, piece)
