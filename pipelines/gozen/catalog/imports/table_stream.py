"""Read user tables in batches, so that large Parquet, FITS and CSV files need not fit into memory."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import pyarrow as pa

from gozen.archive.stores.open_store import open_store
from gozen.catalog.imports import astropy_tables
from gozen.catalog.imports.formats.compression import Batches
from gozen.catalog.imports.formats.file_request import FileRequest, NotATableError
from gozen.catalog.imports.table_readers import HEAD, open_batches
from gozen.errors import GozenError, StorageUnavailable, UnreadableInput
from gozen.settings import StorageSettings

_NOTHING = FileRequest()


@dataclass(frozen=True)
class TableStream:
    """An open table file; its rows can be read several times, always in the same order.

    Parameters
    ----------
    url
        The file, for messages.
    schema
        Its columns; the metadata ``unit`` and ``description`` of a field are those of its column.
    read
        Reads some of the columns in batches.
    is_unchanged
        Returns whether the file is unchanged since it was opened.
    """

    url: str
    schema: pa.Schema
    read: Batches
    is_unchanged: Callable[[], bool]

    def batches(self, names: Sequence[str]) -> Iterator[pa.Table]:
        """Yield these columns in batches.

        Raises
        ------
        UnreadableInput
            The file is damaged behind the part that was read when it was opened.
        """
        found = self.read(names)
        while True:
            with _named(self.url):
                batch = next(found, None)
            if batch is None:
                return
            yield batch

    def columns(self, names: Sequence[str]) -> pa.Table:
        """Return all rows of some columns."""
        fields = [self.schema.field(name) for name in names]
        return pa.concat_tables([pa.schema(fields).empty_table(), *self.batches(names)])


@contextlib.contextmanager
def _named(url: str) -> Iterator[None]:
    """Convert the errors of a format's library into an error that names the file."""
    try:
        yield
    except GozenError:
        raise
    except NotATableError as error:
        raise UnreadableInput(f"cannot read the table {url}: {error}") from error
    except Exception as error:  # each library has error classes of its own
        raise UnreadableInput(
            f"cannot read the table {url} as {astropy_tables.FORMATS}: {error}; check that it is complete"
        ) from error


def open_table_stream(
    url: str, storage: StorageSettings | None = None, data: bytes | None = None, asked: FileRequest = _NOTHING
) -> TableStream:
    """Open a table file.

    Parameters
    ----------
    url
        A path or any fsspec URL.
    storage
        Access to S3.
    data
        The file's bytes, if they have been read already.
    asked
        The user's choices: table of the file, encoding, columns.

    Raises
    ------
    UnreadableInput
        The file cannot be read, or is not a table.
    StorageUnavailable
        The storage does not answer.
    """
    parent, _, name = url.rstrip("/").rpartition("/")
    with _named(url):
        if data is None and Path(url).is_fifo():  # a pipe can be read only once
            data = Path(url).read_bytes()

    def begin() -> IO[bytes]:
        return io.BytesIO(data) if data is not None else store.open(name)

    try:
        store = open_store(parent or ("/" if url.startswith("/") else "."), storage)
        before = None if data is not None else store.stamp(name)
        with begin() as file:
            head = file.read(HEAD)
    except StorageUnavailable:
        raise
    except GozenError as error:
        text = str(error)
        reason = text.partition(": ")[2] if text.startswith("cannot read ") else text  # the file is named once
        raise UnreadableInput(f"cannot read the table {url}: {reason}") from error
    with _named(url):
        return TableStream(
            url, *open_batches(name, head, begin, asked), lambda: data is not None or store.stamp(name) == before
        )
