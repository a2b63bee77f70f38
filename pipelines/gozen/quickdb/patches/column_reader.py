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
"""Files that stay open, or whose footer is kept."""

GAP = 512 * 1024
"""Bytes between two columns that are read with them: on storage that answers in 15 ms they cost less than a request."""

_Opened = tuple[Footer, pq.ParquetFile | None]


@dataclass(frozen=True)
class _FileRanges:
    """Ranges of a file, and its footer: enough to read what lies in them."""

    url: str
    size: int
    footer: Footer
    held: Sequence[tuple[int, memoryview]]

    @functools.cached_property
    def file(self) -> pq.ParquetFile:
        """The file, of which there is no more than this."""
        # It must not refer to this object: nothing would ever find that neither of the two is used any more.
        source = RangedFile(self.size, functools.partial(_among, self.held, self.url), self.url)
        return self.footer.opened(pa.PythonFile(source, mode="r"))


def _among(held: Sequence[tuple[int, memoryview]], url: str, first: int, last: int) -> memoryview:
    for start, data in held:
        if start <= first and last <= start + len(data):
            return data[first - start : last - start]
    raise UnreadableInput(_damaged(url, f"bytes {first} to {last} are not where it says"))


class TableReader:
    """Reads the data files of one table; one thread uses it.

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
        # Files on this machine are near enough.
        self._ahead = Ahead(self._fetched) if store.path(folder) is None else None

    def begin(self, pieces: Sequence[Piece], columns: Sequence[str]) -> None:
        """Take the pieces that will be asked for, in their order, and what is known of the columns."""
        if self._ahead is not None:
            self._ahead.begin(pieces, columns)

    def expect(self, columns: Sequence[str]) -> None:
        """Begin to fetch these columns of the pieces that follow."""
        if self._ahead is not None:
            self._ahead.expect(columns)

    def reach(self, pieces: Sequence[Piece]) -> None:
        """Move on to pieces; what comes before them is not asked for any more."""
        if self._ahead is not None:
            self._ahead.reach(pieces)

    def read(self, piece: Piece, columns: Sequence[str]) -> pa.Table:
        """Return those of the columns that the file has, of the row groups of a piece.

        Raises
        ------
        UnreadableInput
            The manifest names a file that is missing, cut off or damaged.
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
        """Return the part of a file that has these columns of pieces: all requests at once."""
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
        """Return a file's footer, and the file where it is near; of threads that ask together one fetches it."""
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
                self._open.pop(key, None)  # the next one tries again
                found.set_exception(error)
        return found.result()

    def _fetched_footer(self, key: str, piece: Piece) -> _Opened:
        (data,) = self._store.read_ranges(key, [(piece.footer, piece.size)])
        footer, path = Footer.of(data), self._store.path(key)
        with named_errors(self._store.url_of(key), "read"):
            return footer, footer.opened(pa.OSFile(str(path))) if path is not None else None


def leaves(metadata: pq.FileMetaData, columns: Sequence[str]) -> list[int]:
    """Return the numbers of the columns."""
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
    """Return ranges [start, stop) in order, those made one that lie at most `gap` bytes apart."""
    found: list[tuple[int, int]] = []
    for start, stop in sorted(ranges):
        if found and start - found[-1][1] <= gap:
            found[-1] = found[-1][0], max(found[-1][1], stop)
        else:
            found.append((start, stop))
    return found


def _damaged(url: str, error: object) -> str:
    return f"cannot read {url}: {error}; the table names it, so it was cut off, changed or lost: gozen catalog verify"
