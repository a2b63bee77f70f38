"""Move files from the watched folder into the archive in repeatable steps; every file always has a name.

A file goes to the hidden spool beside it, then into the archive under its raw key; the spool lets go of it when its
rows are in the table. So what is in folder and spool is what is not finished, and a watch that was killed needs no
other memory. With ``keep`` files are copied and stay where they are.
"""

from __future__ import annotations

import fcntl
import gzip
import io
import os
import re
import shutil
from pathlib import Path
from typing import IO

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
    """Bytes that have a file's name, for messages."""

    name = ""


def read_arrival(path: Path, profile: Profile) -> Arrival:
    """Read a file's header, without its pixels where they are not compressed.

    Raises
    ------
    CorruptFile
        It is no raw file of this camera.
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


class Intake:
    """Moves files of one folder.

    Parameters
    ----------
    keep
        Leave the files where they are: the archive gets copies.
    """

    def __init__(self, folder: Path, store: Store, *, keep: bool = False) -> None:
        self._folder, self._store, self._keep = folder, store, keep
        self._lock: IO[str] | None = None

    def claim(self) -> None:
        """Keep a second watch away from the folder.

        Raises
        ------
        BadRequest
            There is one already.
        StorageUnavailable
            The folder cannot be written.
        """
        if self._keep:
            return
        with named_errors(f"{self._folder} (with --keep files stay there and it need not be writable)", "write"):
            (self._folder / SPOOL).mkdir(exist_ok=True)
            self._lock = (self._folder / SPOOL / "lock").open("w")
        try:
            # The kernel lets go of it when the process dies; the mere presence of a file would outlive a kill.
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise BadRequest(f"another gozen watch looks after {self._folder}; stop it first") from error

    def release(self) -> None:
        """Let others watch the folder."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def take(self, arrival: Arrival, key: str) -> Path:
        """Take one file into the archive under a key; return where it lies now.

        Raises
        ------
        CorruptFile
            The archive has other bytes under this key.
        MissingObject
            It went or changed since its header was read.
        StorageUnavailable
            Folder or archive cannot be written.
        """
        path = arrival.path
        if path.exists() and arrival.stamp not in (None, stamp_of(path)):
            raise MissingObject(f"{path} has changed; the next look will see it anew")
        # Renamed, unless it stays, before it is read: a camera that uses the name again makes another file.
        held = self.spooled(path)
        with named_errors(str(held), "read"), held.open("rb") as stream:
            compressed = stream.read(2) == _GZIP_MAGIC
            shared = os.fstat(stream.fileno()).st_nlink > 1
        if compressed:
            # The archive's name ends in .fits, so that is what it holds.
            with named_errors(str(held), "read"), gzip.open(held) as stream:
                data = stream.read()
            fits = self._store.create(key, data) or self._store.read(key) == data
        elif self._keep or shared:
            # Whoever has another name of the file could write into the archive by it.
            with named_errors(str(held), "read"):
                data = held.read_bytes()
            fits = self._store.create(key, data) or self._store.read(key) == data
        else:
            fits = self._store.take(key, held)
        if not fits:
            raise other_file(path, key)
        return held

    def finish(self, path: Path) -> None:
        """Let go of a file whose work is done."""
        if self._keep:
            return
        with named_errors(str(path), "delete"):
            # An earlier try may have removed it and failed at the folder.
            path.unlink(missing_ok=True)
            self._remove_empty(path.parent)

    def refuse(self, path: Path) -> Path:
        """Put a file aside for people to look at; return where it lies now. A link stays where it is."""
        if self._keep or path.is_symlink():
            return path
        target = self._folder / REFUSED / path.name
        number = 1
        with named_errors(str(target), "write"):
            target.parent.mkdir(exist_ok=True)
            while target.exists():
                number += 1
                target = target.with_name(f"{path.name}.{number}")
            path.rename(target)
        return target

    def spooled(self, path: Path) -> Path:
        """Move a file into the spool, unless it is there already or stays where it is; return where it lies now."""
        spool = self._folder / SPOOL
        if self._keep or path.is_relative_to(spool):
            return path
        target = spool / path.relative_to(self._folder)
        if not path.exists() and target.exists():
            return target  # an earlier try came as far as this
        number = 1
        while target.exists():
            # An earlier file of this name is still being worked on.
            number += 1
            target = spool / str(number) / path.relative_to(self._folder)
        with named_errors(f"{path} (with --keep files stay where they are)", "write"):
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                if path.is_symlink():
                    _move_content(path, target)
                else:
                    path.rename(target)
            except FileNotFoundError as error:
                raise MissingObject(f"{path} is gone") from error
        return target

    def _remove_empty(self, folder: Path) -> None:
        while folder != self._folder / SPOOL:
            if folder.exists():  # an earlier attempt may have removed it before an error stopped that attempt
                if any(os.scandir(folder)):
                    return
                folder.rmdir()
            folder = folder.parent


def _move_content(link: Path, target: Path) -> None:
    """Put a copy of the file that a link means in place of the link; that file stays as it is."""
    partial = target.with_name(f".{target.name}.partial")
    shutil.copyfile(link, partial)
    with partial.open("rb") as stream:
        os.fsync(stream.fileno())  # the link goes: an empty file in its place would be refused for good
    partial.replace(target)
    sync_folder(target.parent)
    # Last: a kill before this leaves the file twice, never not at all.
    link.unlink()
