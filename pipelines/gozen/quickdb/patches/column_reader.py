"""Read columns of patches from the files of a table, with few requests for remote files."""

from __future__ import annotations

import contextlib
import functools
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from gozen.archive.stores.open_store import Store
from gozen.archive.stores.range_file import RangedFile
from gozen.archive.stores.store import named_errors
from gozen.catalog.read.row_group_reader import Footer
from gozen.errors import GozenError, MissingObject, UnreadableInput
from gozen.quickdb.patches.patch_extents import Piece
from gozen.quickdb.patches.prefetch import Ahead

OPEN_FILES = 64
"""Number of files that are kept open (local), or whose footer is cached (remote)."""

GAP = 512 * 1024
"""Columns at most this many bytes apart share a request: at a latency of 15 ms that is faster than another request."""

_Opened = tuple[Footer, pq.ParquetFile | None]


@dataclass(frozen=True)
class _FileRanges:
    """Fetched ranges of a file, and its footer: enough to read the columns in these ranges."""

    url: str
    size: int
    footer: Footer
    held: Sequence[tuple[int, memoryview]]

    @functools.cached_property
    def file(self) -> pq.ParquetFile:
        """A Parquet file of which only these ranges can be read."""
        # `source` must not refer to this object: Python's garbage collector cannot follow a cycle through Arrow, and
        # the two would never be freed.
        source = RangedFile(self.size, functools.partial(_among, self.held, self.url), self.url)
        return self.footer.opened(pa.PythonFile(source, mode="r"))


def _among(held: Sequence[tuple[int, memoryview]], url: str, first: int, last: int) -> memoryview:
    for start, data in held:
        if start <= first and last <= start + len(data):
            return data[first - start : last - start]
    raise UnreadableInput(
        _damaged(
            url, f"its footer points to bytes {first} to {last}, which are outside the ranges that contain the columns"
        )
    )


class TableReader:
    """Reads the data files of one table; to be used by one thread.

    Parameters
    ----------
    store
        The archive.
    folder
        The prefix of the keys of its data files.
    """

    def __init__(self, store: Store, folder: str) -> None:
        self._store = store
        self._folder = folder
        self._open: OrderedDict[str, Future[_Opened]] = OrderedDict()
        self._lock = threading.Lock()
        # Local files answer fast enough without prefetching.
        self._ahead = Ahead(self._fetched) if store.path(folder) is None else None

    def begin(self, pieces: Sequence[Piece], columns: Sequence[str]) -> None:
        """Announce the pieces that will be read, in order, and the columns that are expected."""
        if self._ahead is not None:
            self._ahead.begin(pieces, columns)

    def expect(self, columns: Sequence[str]) -> None:
        """Begin to fetch these columns of the next pieces."""
        if self._ahead is not None:
            self._ahead.expect(columns)

    def reach(self, pieces: Sequence[Piece]) -> None:
        """Move the window on to these pieces; earlier ones will not be read again."""
        if self._ahead is not None:
            self._ahead.reach(pieces)

    def read(self, piece: Piece, columns: Sequence[str]) -> pa.Table:
        """Return the requested columns of a piece; columns that the file lacks are left out.

        Raises
        ------
        UnreadableInput
            A file that the manifest lists is missing, truncated or damaged.
        """
        key = f"{self._folder}/{piece.path}"
        with self._damage_named(key):
            if self._ahead is None:
                footer, file = self._opened(key, piece)
                assert file is not None
            else:
                fetched = self._ahead.take(piece, columns) or self._fetched([piece], columns)[0]
                footer, file = fetched.footer, fetched.file
            names = [name for name in columns if name in footer.names]
            return file.read_row_groups(list(piece.groups), columns=names, use_threads=False)

    def _fetched(self, pieces: Sequence[Piece], columns: Sequence[str]) -> list[_FileRanges]:
        """Fetch these columns of pieces of one file, with concurrent requests; return them once for each piece."""
        key = f"{self._folder}/{pieces[0].path}"
        footer, _ = self._opened(key, pieces[0])
        places = leaves(footer.metadata, columns)
        ranges = [one for piece in pieces for one in coalesced(chunks(footer.metadata, piece.groups, places))]
        starts = [start for start, _ in ranges]
        held = list(zip(starts, self._store.read_ranges(key, ranges), strict=True))
        return [_FileRanges(self._store.url_of(key), pieces[0].size, footer, held)] * len(pieces)

    @contextlib.contextmanager
    def _damage_named(self, key: str) -> Iterator[None]:
        try:
            yield
        except MissingObject as error:
            raise UnreadableInput(_damaged(self._store.url_of(key), "there is no such file")) from error
        except GozenError:
            raise
        except (pa.ArrowException, OSError, ValueError, KeyError) as error:
            raise UnreadableInput(_damaged(self._store.url_of(key), error)) from error

    def _opened(self, key: str, piece: Piece) -> _Opened:
        """Return a file's footer, and the open file if it is local; only one of several threads fetches it."""
        with self._lock:
            found = self._open.pop(key, None)
            is_new = found is None
            found = self._open[key] = found or Future()
            if len(self._open) > OPEN_FILES:
                self._open.popitem(last=False)
        if is_new:
            try:
                found.set_result(self._fetched_footer(key, piece))
            except BaseException as error:
                self._open.pop(key, None)  # the next read tries again
                found.set_exception(error)
        return found.result()

    def _fetched_footer(self, key: str, piece: Piece) -> _Opened:
        (data,) = self._store.read_ranges(key, [(piece.footer, piece.size)])
        footer, path = Footer.of(data), self._store.path(key)
        with named_errors(self._store.url_of(key), "read"):
            return footer, footer.opened(pa.OSFile(str(path))) if path is not None else None


def leaves(metadata: pq.FileMetaData, columns: Sequence[str]) -> list[int]:
    """Return the numbers of these columns in a file."""
    wanted = set(columns)
    return [number for number in range(metadata.num_columns) if metadata.schema.column(number).name in wanted]


def chunks(metadata: pq.FileMetaData, groups: Sequence[int], columns: Sequence[int]) -> list[tuple[int, int]]:
    """Return the bytes [start, stop) of each column in each row group."""
    found = []
    for number in groups:
        group = metadata.row_group(number)
        for column in (group.column(one) for one in columns):
            start = column.dictionary_page_offset or column.data_page_offset
            found.append((start, start + column.total_compressed_size))
    return found


def coalesced(ranges: Sequence[tuple[int, int]], gap: int = GAP) -> list[tuple[int, int]]:
    """Return sorted ranges [start, stop), merged if they are at most `gap` bytes apart."""
    found: list[tuple[int, int]] = []
    for start, stop in sorted(ranges):
        if found and start - found[-1][1] <= gap:
            found[-1] = found[-1][0], max(found[-1][1], stop)
        else:
            found.append((start, stop))
    return found


def _damaged(url: str, error: object) -> str:
    return (
        f"cannot read {url}: {error}; this file of the table was truncated, changed or deleted: run `gozen catalog "
        "verify`, which lists all such files"
    )
