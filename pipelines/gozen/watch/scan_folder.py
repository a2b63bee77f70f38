"""List the FITS files of the watched folder and tell whether each is complete. Changes no files."""

from __future__ import annotations

import gzip
import os
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

from gozen.archive.keys import is_raw_file
from gozen.archive.stores.store import named_errors
from gozen.frames.fits_units import FITS_BLOCK

SPOOL = ".gozen"
"""Folder for files that are being worked on; hidden, so that other programs do not list them."""
REFUSED = "refused"
"""Folder for files that cannot be read, for people to inspect."""
_CARD = 80
_LONGEST_HEADER = 2000 * FITS_BLOCK
"""Size in bytes after which the search for ``END`` stops: a file that is not FITS is not read completely."""
_NUMBER = re.compile(rb"=\s*([+-]?\d+)")
Verdict = Literal["wait", "whole", "broken"]


@dataclass(frozen=True)
class FolderEntry:
    """One file as a scan saw it; if two entries are equal, the file was not written in between.

    Parameters
    ----------
    name
        Path below the folder, with slashes.
    """

    path: Path
    name: str
    size: int
    mtime_ns: int


def fits_files_below(folder: Path, left: list[Path] | None = None) -> list[FolderEntry]:
    """Return the FITS files below a folder, sorted by name, without hidden and refused files.

    A symbolic link to a file is treated as the file.

    Parameters
    ----------
    left
        List to which this function adds the links that it does not follow: links to folders, and broken links.

    Raises
    ------
    StorageUnavailable, MissingObject
        The folder cannot be read.
    """
    with named_errors(str(folder), "list"):
        return sorted(_walk(folder, "", {REFUSED}, [] if left is None else left), key=lambda entry: entry.name)


def look_at_spool(folder: Path) -> list[FolderEntry]:
    """Return the files that an earlier watch was working on; raises the errors of `fits_files_below`."""
    with named_errors(str(folder), "list"):
        spool = folder / SPOOL
        return sorted(_walk(spool, "", set(), []), key=lambda entry: entry.name) if spool.is_dir() else []


def verdict(*, same: bool, whole: bool, quiet_s: float, patience_s: float) -> Verdict:
    """Decide whether a file is complete or broken, or has to wait.

    Parameters
    ----------
    same
        Whether two scans have seen the same size and time.
    whole
        Whether the file is as long as its headers say.
    quiet_s
        Seconds since its last change.
    patience_s
        Seconds without a change after which an incomplete file counts as broken.
    """
    if not same:
        return "wait"
    if whole:
        return "whole"
    return "broken" if quiet_s >= patience_s else "wait"


def is_whole(path: Path, size: int) -> bool:
    """Tell whether a file is as long as its FITS headers say (FITS standard 4.0, sections 3 and 4).

    A file compressed by gzip is complete if it can be decompressed to its end.

    Raises
    ------
    StorageUnavailable, MissingObject
        The file cannot be read.
    """
    with named_errors(str(path), "read"), path.open("rb") as stream:
        if stream.read(2) == b"\x1f\x8b":
            return _gzip_ends(path)
        place = 0
        while place < size:
            header = header_at(stream, place)
            first = b"SIMPLE" if place == 0 else b"XTENSION"
            if header is None or not header.startswith(first):
                # After the first HDU other bytes are allowed; at the start of the file it is not a FITS file (yet).
                return place > 0 and header is not None
            place += len(header) + _padded(_data_length(header))
        return place == size and size > 0


def header_at(stream: IO[bytes], place: int) -> bytes | None:
    """Return the header that begins at byte ``place``, in full blocks; None if the file ends before ``END``."""
    stream.seek(place)
    blocks = bytearray()
    while len(blocks) < _LONGEST_HEADER:
        block = stream.read(FITS_BLOCK)
        if len(block) < FITS_BLOCK:
            return None
        blocks += block
        if any(block[card : card + 8] == b"END     " for card in range(0, FITS_BLOCK, _CARD)):
            return bytes(blocks)
    return bytes(blocks)


def _walk(folder: Path, before: str, without: set[str], left: list[Path]) -> Iterator[FolderEntry]:
    with os.scandir(folder) as found:
        for one in found:
            if one.name.startswith(".") or one.name in without:
                continue
            try:
                if one.is_dir(follow_symlinks=False):
                    yield from _walk(Path(one.path), f"{before}{one.name}/", set(), left)
                elif is_raw_file(one.name) and one.is_file():
                    seen = one.stat()
                    yield FolderEntry(Path(one.path), before + one.name, seen.st_size, seen.st_mtime_ns)
                elif one.is_symlink() and (one.is_dir() or is_raw_file(one.name)):
                    left.append(Path(one.path))
            except FileNotFoundError:
                continue  # renamed or removed since the folder was listed


def _gzip_ends(path: Path) -> bool:
    try:
        with gzip.open(path) as stream:
            while stream.read(1 << 20):
                pass
    except (EOFError, gzip.BadGzipFile, zlib.error):
        return False
    return True


def _data_length(header: bytes) -> int:
    """Return the size in bytes of the data after a header: |BITPIX|/8 * GCOUNT * (PCOUNT + NAXIS1 * ... * NAXISn)."""
    words: dict[bytes, int] = {}
    for start in range(0, len(header), _CARD):
        number = _NUMBER.match(header, start + 8, start + _CARD)
        if number:
            words.setdefault(header[start : start + 8].strip(), int(number.group(1)))
    axes = [words.get(b"NAXIS%d" % axis, 0) for axis in range(1, words.get(b"NAXIS", 0) + 1)]
    if not axes:
        return 0
    pixels = 1
    for length in axes:
        pixels *= length
    return abs(words.get(b"BITPIX", 8)) // 8 * words.get(b"GCOUNT", 1) * (words.get(b"PCOUNT", 0) + pixels)


def _padded(length: int) -> int:
    return -(-length // FITS_BLOCK) * FITS_BLOCK
