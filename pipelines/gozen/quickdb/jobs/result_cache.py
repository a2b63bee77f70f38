"""The cache of results on this machine, its keys and its size limit."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from gozen.errors import GozenError
from gozen.quickdb.work.kept_form import kept_value
from gozen.quickdb.work.tasks import Block, TableFiles

_TRIMMED_TO = 0.8
"""Fraction of the size limit to which the cache is trimmed: at a higher one it would soon be trimmed again."""

_LARGEST_SHARE = 16
"""A value above a sixteenth of the limit is not cached: it would displace too many others.

The cache is trimmed each time that a sixteenth of the limit has been added.
"""


class Cache:
    """Values by key in a folder; the least recently used are deleted when it is full.

    Parameters
    ----------
    folder
        The folder of the values; created with the first value.
    most_bytes
        The size limit; 0 disables the cache.
    """

    def __init__(self, folder: Path, most_bytes: int) -> None:
        self._folder = folder
        self._most = most_bytes
        self._added = 0

    def get(self, key: str) -> tuple[Any] | None:
        """Return a tuple that contains the value of a key, or None if no value is stored."""
        path = self._folder / key
        try:
            value = kept_value(path.read_bytes())
        except (OSError, GozenError):  # absent, or written by another version: the caller computes it again
            return None
        with contextlib.suppress(OSError):  # a folder that only another user may write
            # `_trim` needs the time of last use, and many file systems do not update it on reads (relatime, noatime).
            os.utime(path)
        return (value,)

    def put(self, key: str, data: bytes | None) -> None:
        """Store bytes from `kept_bytes`, unless they are too many; None (the value cannot be cached) is ignored."""
        if data is None or len(data) > self._most // _LARGEST_SHARE:
            return
        with contextlib.suppress(OSError):  # on a full disk the job continues without the cache
            descriptor, path = self._temporary()
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(data)
                # Renamed when complete: no session reads half a value, even after a kill.
                Path(path).replace(self._folder / key)
            except OSError:
                Path(path).unlink(missing_ok=True)  # a part of a value would fill the rest of the disk
                raise
            self._added += len(data)
            if self._added > self._most // _LARGEST_SHARE:
                self._trim()

    def _temporary(self) -> tuple[int, str]:
        try:
            return tempfile.mkstemp(dir=self._folder, prefix=".")
        except FileNotFoundError:  # the folder is created with the first value
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            return tempfile.mkstemp(dir=self._folder, prefix=".")

    def forget(self, keys: Iterable[str]) -> None:
        """Delete the values of these keys, if there are any."""
        for key in keys:
            with contextlib.suppress(OSError):
                (self._folder / key).unlink(missing_ok=True)

    def clear(self) -> int:
        """Delete all values; return their number."""
        kept = self._kept()
        for path, _ in kept:
            path.unlink(missing_ok=True)
        return len(kept)

    def _kept(self) -> list[tuple[Path, os.stat_result]]:
        if not self._folder.is_dir():
            return []
        found = []
        for path in self._folder.iterdir():
            with contextlib.suppress(OSError):
                found.append((path, path.stat()))
        return found

    def _trim(self) -> None:
        self._added = 0
        kept = sorted(self._kept(), key=lambda one: one[1].st_mtime)
        total = sum(status.st_size for _, status in kept)
        if total <= self._most:
            return
        for path, status in kept:
            if total <= self._most * _TRIMMED_TO:
                break
            path.unlink(missing_ok=True)
            total -= status.st_size


def key_of(code: str, mode: str, region: object, block: Block, tables: Mapping[str, TableFiles]) -> str:
    """Return the key of a block's result: a digest of the function and of the data that it reads.

    Names of files depend on their content, so an append or a compaction only changes the keys of blocks that it
    touches.
    """
    digest = hashlib.sha256(f"{code} {mode} {region!r}".encode())
    for table in tables.values():
        digest.update(f"{table.schema.names}".encode())
    for _, patch in block.patches:
        digest.update(f"{patch.id} {patch.start} {patch.stop} {patch.pieces!r}".encode())
    return digest.hexdigest()
