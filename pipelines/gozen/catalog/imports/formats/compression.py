"""Decompress files as streams; the format is recognised by the first bytes, not by the name."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import IO, cast

import pyarrow as pa

from gozen.catalog.imports.formats.file_request import NotATableError, joined_names

Open = Callable[[], AbstractContextManager[IO[bytes]]]
"""Function that opens a file at its start."""
Batches = Callable[[Sequence[str]], Iterator[pa.Table]]
"""Function that reads some columns of a file in batches."""

_ZIP = b"PK\x03\x04"
_PACKED: dict[bytes, Callable[[IO[bytes]], object]] = {
    b"\x1f\x8b": lambda stream: gzip.GzipFile(fileobj=stream, mode="rb"),
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ\x00": lzma.LZMAFile,
    b"\x28\xb5\x2f\xfd": lambda stream: pa.CompressedInputStream(pa.PythonFile(stream, mode="r"), "zstd"),
}
_OTHER = {
    b"\x89HDF": "HDF5",
    b"ORC": "ORC",
    b"FEA1": "Feather of version 1",
    b"SQLite": "an SQLite database",
    b"\x1f\x9d": "data compressed by the old `compress`, .Z",
    b"7z\xbc\xaf": "a 7-Zip archive",
    b"\xd0\xcf\x11\xe0": "an old Excel file",
    b"%PDF": "PDF",
}


def unpacked(head: bytes, begin: Open) -> Open | None:
    """Return a function that opens the decompressed content of a file; None if the file is not compressed.

    Raises
    ------
    NotATableError
        The file has a known format that Gozen does not read, or is an archive of several files.
    """
    for magic, kind in _OTHER.items():
        if head.startswith(magic):
            raise NotATableError(
                f"its format is not supported ({kind}): write it as Parquet, FITS, VOTable, ECSV or CSV"
            )
    if head.startswith(_ZIP):
        return _of_zip(begin)
    opener = next((one for magic, one in _PACKED.items() if head.startswith(magic)), None)
    if opener is None:
        return None

    @contextmanager
    def content() -> Iterator[IO[bytes]]:
        with begin() as packed:
            yield cast("IO[bytes]", opener(packed))

    return content


def _of_zip(begin: Open) -> Open:
    with begin() as packed:
        try:
            names = [one.filename for one in zipfile.ZipFile(packed).infolist() if not one.is_dir()]
        except (zipfile.BadZipFile, io.UnsupportedOperation) as error:
            raise NotATableError(
                f"it begins like a ZIP archive, but is not a valid one ({error}): copy it again"
            ) from error
    if "[Content_Types].xml" in names:
        raise NotATableError("it is an Excel workbook: save the sheet as CSV")
    names = [one for one in names if not one.startswith("__MACOSX/")]
    if len(names) != 1:
        raise NotATableError(
            f"it is a ZIP archive of {len(names)} files ({joined_names(names[:9])}): extract the files and import one"
        )

    @contextmanager
    def content() -> Iterator[IO[bytes]]:
        with begin() as packed, zipfile.ZipFile(packed) as archive, archive.open(names[0]) as member:
            yield member

    return content
