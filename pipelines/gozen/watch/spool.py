"""Move files from the watched folder into the archive in steps that can be repeated; no step can lose a file.

A file is moved to the hidden spool in the watched folder, then added to the archive under its raw key. It is removed
from the spool when its rows are in the table. So folder and spool contain exactly the files that are not finished, and
a watch that was killed continues with these files. With ``keep``, files are copied and not moved.
"""

from __future__ import annotations

import contextlib
import fcntl
import gzip
import io
import os
import re
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, TypeGuard

from gozen.archive.stores.directory_store import sync_folder
from gozen.archive.stores.open_store import Store
from gozen.archive.stores.store import named_errors
from gozen.errors import BadRequest, MissingObject
from gozen.frames.archived_files import frame_of
from gozen.frames.assign_exposures import other_file
from gozen.frames.incoming_files import Arrival, stamp_of
from gozen.frames.raw import read_words, words_of_image
from gozen.instrument.profile import Profile
from gozen.instrument.read_header import read_header
from gozen.watch.scan_folder import REFUSED, SPOOL, header_at

_GZIP_MAGIC = b"\x1f\x8b"
_IMAGE = re.compile(rb"NAXIS   = +[2-9] ")


class _NamedBytes(io.BytesIO):
    """Bytes with the name of a file, for messages."""

    name = ""


def read_arrival(path: Path, profile: Profile) -> Arrival:
    """Read the header of a file; the complete file is read only if the image is compressed or not in the first HDU.

    Raises
    ------
    CorruptFile
        The file is not a raw file of this camera.
    """
    stamp = stamp_of(path)
    with named_errors(str(path), "read"), path.open("rb") as stream:
        first = header_at(stream, 0) if profile.hdu in (None, 0) else None
        if first is not None and first.startswith(b"SIMPLE") and _IMAGE.search(first):
            words, shape = words_of_image(first, path.name)
        else:
            stream.seek(0)
            whole = _NamedBytes(stream.read())
            whole.name = path.name
            words, shape = read_words(whole, profile.hdu)
    header = read_header(words, profile, path.name)
    return Arrival(path, header, frame_of(header, profile, shape), stamp)


@dataclass(frozen=True)
class _Move:
    """A move into the spool that was begun: the target path, and the identity of the file or link."""

    target: Path
    identity: tuple[int, int] | None


class Intake:
    """Moves the files of one folder into the archive.

    Parameters
    ----------
    keep
        Whether to copy the files and leave them in the folder.
    """

    def __init__(self, folder: Path, store: Store, *, keep: bool = False) -> None:
        self._folder, self._store, self._keep = folder, store, keep
        self._lock: IO[str] | None = None
        self._moving: dict[Path, _Move] = {}
        self._refusing: dict[Path, _Move] = {}

    def claim(self) -> None:
        """Lock the folder against a second watch.

        Raises
        ------
        BadRequest
            Another watch is using the folder.
        StorageUnavailable
            The folder cannot be written.
        """
        if self._keep:
            return
        with named_errors(
            (
                f"{self._folder} (the watch moves files out of this folder; with --keep it copies them, and the folder "
                "can be read-only)"
            ),
            "write",
        ):
            (self._folder / SPOOL).mkdir(exist_ok=True)
            self._lock = (self._folder / SPOOL / "lock").open("w")
        try:
            # The kernel releases this lock when the process dies; a lock that is only a file would remain.
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise BadRequest(f"another `gozen watch` already watches {self._folder}; stop it first") from error

    def release(self) -> None:
        """Release the lock, so that another watch can use the folder."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def collect(self, arrival: Arrival) -> Arrival:
        """Move one file into the spool; return it with its present path.

        After that the camera may use the old name for another file. If a later step fails and you call this method
        again, pass the file that it has returned, not the original one.

        Raises
        ------
        MissingObject
            The file was deleted or has changed since its header was read.
        StorageUnavailable
            The folder cannot be written.
        """
        path = arrival.path
        with named_errors(str(path), "read"):
            is_there = not _was_moved(self._moving.get(path), path) and path.exists()
        if is_there and arrival.stamp not in (None, stamp_of(path)):
            raise MissingObject(f"{path} has changed since its header was read; it is read again")
        held = self.spooled(path)
        return arrival if held == path else replace(arrival, path=held, stamp=None)

    def take(self, arrival: Arrival, key: str) -> Path:
        """Add one file to the archive under a key; return its present path.

        Raises
        ------
        CorruptFile
            The archive has other bytes under this key.
        MissingObject
            The file was deleted or has changed since its header was read.
        StorageUnavailable
            Folder or archive cannot be written.
        """
        # Moved before it is read (without `keep`): if the camera uses the name again, it makes another file.
        held = self.collect(arrival).path
        with named_errors(str(held), "read"), held.open("rb") as stream:
            compressed = stream.read(2) == _GZIP_MAGIC
            shared = os.fstat(stream.fileno()).st_nlink > 1
        if compressed:
            # Stored decompressed, because the key in the archive ends in .fits.
            with named_errors(str(held), "read"), gzip.open(held) as stream:
                data = stream.read()
            fits = self._store.create(key, data) or self._store.read(key) == data
        elif self._keep or shared:
            # Copied: through another name of the file, a program could write into the object in the archive.
            with named_errors(str(held), "read"):
                data = held.read_bytes()
            fits = self._store.create(key, data) or self._store.read(key) == data
        else:
            fits = self._store.take(key, held)
        if not fits:
            raise other_file(arrival.path, key)
        return held

    def finish(self, path: Path) -> None:
        """Delete a file from the spool when its work is done, and the folders that are empty then."""
        if self._keep:
            return
        with named_errors(str(path), "delete"):
            # An earlier attempt may have deleted the file and failed at the folder.
            path.unlink(missing_ok=True)
            self._remove_empty(path.parent)

    def refuse(self, path: Path) -> Path:
        """Move a file to ``refused`` for people to inspect; return its new path. A link is not moved."""
        if self._keep:
            return path
        with named_errors(str(self._folder / REFUSED / path.name), "write"):
            begun = self._refusing.get(path)
            if not _was_moved(begun, path):
                if path.is_symlink():
                    return path
                begun = self._refusing[path] = _Move(_free_name(self._folder / REFUSED / path.name), _identity(path))
                begun.target.parent.mkdir(exist_ok=True)
                with contextlib.suppress(FileNotFoundError):  # deleted by somebody, or moved without an answer
                    path.rename(begun.target)
            is_there = begun.target.exists()
        del self._refusing[path]
        return begun.target if is_there else path

    def spooled(self, path: Path) -> Path:
        """Move a file into the spool and return its path there; with ``keep``, return its path unchanged."""
        if self._keep or path.is_relative_to(self._folder / SPOOL):
            return path
        with named_errors(f"{path} (with --keep, files are copied and not moved)", "write"):
            if not _was_moved(self._moving.get(path), path):
                self._move(path)
        return self._moving.pop(path).target

    def _move(self, path: Path) -> None:
        begun = self._moving.get(path)
        if begun is None or not begun.target.exists():
            begun = self._moving[path] = _Move(self._free_place(path), _identity(path))
        target = begun.target
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            if path.is_symlink():
                _move_content(path, target)
            else:
                path.rename(target)
        except FileNotFoundError as error:
            # A network file system may move the file, lose its answer, and then not find the file any more.
            if not target.exists():
                del self._moving[path]
                raise MissingObject(
                    f"{path} does not exist any more: another program has moved or deleted it"
                ) from error

    def _free_place(self, path: Path) -> Path:
        spool, below = self._folder / SPOOL, path.relative_to(self._folder)
        target, number = spool / below, 1
        while target.exists():
            # An earlier file with this name is still being worked on.
            number += 1
            target = spool / str(number) / below
        return target

    def _remove_empty(self, folder: Path) -> None:
        while folder != self._folder / SPOOL:
            if folder.exists():  # an earlier attempt may have removed it before an error stopped that attempt
                if any(os.scandir(folder)):
                    return
                folder.rmdir()
            folder = folder.parent


def _was_moved(begun: _Move | None, path: Path) -> TypeGuard[_Move]:
    """Tell whether an earlier attempt that failed has moved the file; a file that is now at its path is a new one."""
    return begun is not None and begun.target.exists() and _identity(path) != begun.identity


def _free_name(path: Path) -> Path:
    """Return a path, with a number if another file has it."""
    free, number = path, 1
    while free.exists():
        number += 1
        free = path.with_name(f"{path.name}.{number}")
    return free


def _identity(path: Path) -> tuple[int, int] | None:
    """Return inode and modification time (ns) of a file or a link; None if it does not exist."""
    try:
        seen = path.lstat()
    except FileNotFoundError:
        return None
    return seen.st_ino, seen.st_mtime_ns


def _move_content(link: Path, target: Path) -> None:
    """Copy the target of a link to ``target`` and delete the link; the linked file is not changed."""
    partial = target.with_name(f".{target.name}.partial")
    shutil.copyfile(link, partial)
    with partial.open("rb") as stream:
        os.fsync(stream.fileno())  # before the link is deleted: after a power failure the copy would be empty
    partial.replace(target)
    sync_folder(target.parent)
    # Last, so that a kill before this leaves the file twice and never loses it.
    link.unlink()
