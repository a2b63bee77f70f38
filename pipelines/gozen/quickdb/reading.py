"""Columns of patches out of the files of a table: the bytes of those columns alone, from elsewhere in few requests."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import pyarrow as pa
import pyarrow.parquet as pq

from gozen.archive.interface import named_errors
from gozen.archive.ranges import RangedFile
from gozen.archive.store import Store
from gozen.catalog.files import Footer
from gozen.errors import GozenError, UnreadableInput
from gozen.quickdb.patches import Piece

OPEN_FILES = 64
"""Files that stay open, or whose footer is kept."""

GAP = 256 * 1024
"""Bytes between two columns that are read with them: on storage that answers in 15 ms they cost less than a request."""

REQUESTS = 16
"""Requests that are under way together."""

AHEAD = 32
"""Pieces that are fetched before they are asked for."""

_Wanted = tuple[Piece, tuple[str, ...]]


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
        self._open: OrderedDict[str, tuple[Footer, pq.ParquetFile | None]] = OrderedDict()
        self._coming: OrderedDict[_Wanted, Future[pa.Table]] = OrderedDict()
        self._requests = ThreadPoolExecutor(REQUESTS, "gozen-range")  # threads begin with the first request
        self._ahead = ThreadPoolExecutor(REQUESTS // 2, "gozen-ahead")

    def read(self, piece: Piece, columns: Sequence[str]) -> pa.Table:
        """Return those of the columns that the file has, of the row groups of a piece.

        Raises
        ------
        UnreadableInput
            The manifest names a file that is missing, cut off or damaged.
        """
        wanted = piece, tuple(columns)
        coming = self._coming.pop(wanted, None)
        return coming.result() if coming is not None else self._read(*wanted)

    def expect(self, pieces: Sequence[Piece], columns: Sequence[str]) -> None:
        """Begin to fetch what will be asked for next; of files on this machine nothing, they are near enough."""
        for piece in pieces:
            wanted = piece, tuple(columns)
            if wanted in self._coming or len(self._coming) >= AHEAD or not columns or not self._is_far(piece):
                continue
            self._coming[wanted] = self._ahead.submit(self._read, *wanted)

    def forget(self) -> None:
        """Drop what was expected and not asked for."""
        for coming in self._coming.values():
            coming.cancel()
        self._coming.clear()

    def _key(self, piece: Piece) -> str:
        return f"{self._folder}/{piece.path}"

    def _is_far(self, piece: Piece) -> bool:
        return self._store.path(self._key(piece)) is None

    def _read(self, piece: Piece, columns: tuple[str, ...]) -> pa.Table:
        key = self._key(piece)
        try:
            footer, file = self._opened(key, piece)
            names = [name for name in columns if name in footer.names]
            file = file or footer.opened(pa.PythonFile(self._fetched(key, piece, footer, names), mode="r"))
            return file.read_row_groups(list(piece.groups), columns=names, use_threads=False)
        except (pa.ArrowException, OSError, ValueError, KeyError) as error:
            if isinstance(error, GozenError):
                raise
            raise UnreadableInput(_damaged(self._store.url_of(key), error)) from error

    def _opened(self, key: str, piece: Piece) -> tuple[Footer, pq.ParquetFile | None]:
        found = self._open.pop(key, None)
        if found is None:
            footer = Footer.of(self._store.read_range(key, piece.footer, piece.size))
            path = self._store.path(key)
            with named_errors(self._store.url_of(key), "read"):
                found = footer, footer.opened(pa.OSFile(str(path))) if path is not None else None
        self._open[key] = found
        if len(self._open) > OPEN_FILES:
            self._open.popitem(last=False)
        return found

    def _fetched(self, key: str, piece: Piece, footer: Footer, columns: list[str]) -> RangedFile:
        """Return a file of which the columns of these row groups are here: all requests at once."""
        ranges = coalesced(chunks(footer.metadata, piece.groups, columns))
        parts = list(self._requests.map(lambda one: self._store.read_range(key, *one), ranges))
        held = [(start, memoryview(data)) for (start, _), data in zip(ranges, parts, strict=True)]

        def piece_of(first: int, last: int) -> memoryview:
            for start, data in held:
                if start <= first and last <= start + len(data):
                    return data[first - start : last - start]
            raise UnreadableInput(_damaged(self._store.url_of(key), f"bytes {first} to {last} are not where it says"))

        return RangedFile(piece.size, piece_of, key)


def chunks(metadata: pq.FileMetaData, groups: Sequence[int], columns: Sequence[str]) -> list[tuple[int, int]]:
    """Return the bytes [start, stop) of each column in each row group."""
    wanted = set(columns)
    at = [one for one in range(metadata.num_columns) if metadata.schema.column(one).name in wanted]
    found = []
    for number in groups:
        group = metadata.row_group(number)
        for column in (group.column(one) for one in at):
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
