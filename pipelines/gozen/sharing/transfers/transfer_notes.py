"""Notes on this machine: the state of files after their last transfer, and uploads that are not complete.

A lost or damaged note costs a comparison of checksums, or an upload from the start; it never leads to a wrong file.
Each local folder has one file of notes, to which lines are added.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import threading
from dataclasses import asdict, dataclass
from pathlib import Path

from gozen.archive.stores.store import named_errors
from gozen.sharing.account import Account
from gozen.sharing.transfers.compare import LastTransfer

_SPARE = 1000
"""Number of outdated lines above which a file of notes is rewritten without them."""


@dataclass(frozen=True)
class UploadNote:
    """An upload in chunks that was begun.

    Parameters
    ----------
    folder
        Name of the upload folder.
    size, mtime_ns
        State of the local file.
    chunk_size
        Bytes of each chunk but the last.
    began_again
        Whether the server had removed an earlier upload folder of the same file.
    """

    folder: str
    size: int
    mtime_ns: int
    chunk_size: int
    began_again: bool = False


class TransferNotes:
    """All notes about the files of one account.

    Parameters
    ----------
    root
        Folder in which notes are kept.
    """

    def __init__(self, root: Path, account: Account) -> None:
        self._root, self._account = root, f"{account.url} {account.id}"

    def of_folder(self, folder: Path) -> FolderNotes:
        """Return the notes about the files of a local folder."""
        return FolderNotes(self._root / "folders" / f"{self._key(str(folder.absolute()))}.jsonl")

    def unfinished(self, path: Path, remote: str) -> UploadNote | None:
        """Return the note about an upload that is not complete, None if there is none."""
        try:
            return UploadNote(**json.loads(self._upload(path, remote).read_text()))
        except (OSError, ValueError, TypeError):
            return None

    def begin(self, path: Path, remote: str, note: UploadNote) -> None:
        """Note that an upload has begun."""
        target = self._upload(path, remote)
        partial = target.with_name(f"{target.name}.{os.getpid()}-{threading.get_ident()}")
        with named_errors(str(target), "write"):
            target.parent.mkdir(parents=True, exist_ok=True)
            partial.write_text(json.dumps(asdict(note)))
            partial.replace(target)

    def end(self, path: Path, remote: str) -> None:
        """Forget the note about an upload."""
        with named_errors(str(path), "forget the upload of"), contextlib.suppress(FileNotFoundError):
            self._upload(path, remote).unlink()

    def _upload(self, path: Path, remote: str) -> Path:
        return self._root / "uploads" / f"{self._key(str(path.absolute()), remote)}.json"

    def _key(self, *parts: str) -> str:
        return hashlib.sha256("\0".join((self._account, *parts)).encode(errors="surrogateescape")).hexdigest()[:40]


class FolderNotes:
    """The notes about the files of a local folder; threads may share it."""

    def __init__(self, file: Path) -> None:
        self._file, self._lock = file, threading.Lock()
        self._found, lines = _read(file)
        if lines > 2 * len(self._found) + _SPARE:
            self._write_again()

    def last(self, name: str, remote: str) -> LastTransfer | None:
        """Return the state after the last transfer of a file to or from a path in Nextcloud."""
        with self._lock:
            return self._found.get((name, remote))

    def add(self, name: str, remote: str, state: LastTransfer) -> None:
        """Note a transfer."""
        line = _line(name, remote, state)
        with self._lock, named_errors(str(self._file), "write"):
            if self._found.get((name, remote)) == state:
                return
            self._file.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self._file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                # In one piece, and after a line break: the last line may be a part that a killed process has left.
                os.write(descriptor, b"\n" + line)
            finally:
                os.close(descriptor)
            self._found[name, remote] = state

    def _write_again(self) -> None:
        partial = self._file.with_name(f"{self._file.name}.{os.getpid()}-{threading.get_ident()}")
        with contextlib.suppress(OSError):  # the long file is good, too
            partial.write_bytes(b"\n".join(_line(*key, state) for key, state in self._found.items()))
            partial.replace(self._file)


def _line(name: str, remote: str, state: LastTransfer) -> bytes:
    return json.dumps([name, remote, state.size, state.mtime_ns, state.etag]).encode()


def _read(file: Path) -> tuple[dict[tuple[str, str], LastTransfer], int]:
    found: dict[tuple[str, str], LastTransfer] = {}
    lines: list[bytes] = []
    with named_errors(str(file), "read notes in"), contextlib.suppress(FileNotFoundError):
        lines = file.read_bytes().splitlines()
    for line in lines:
        with contextlib.suppress(ValueError, TypeError):
            name, remote, size, mtime_ns, etag = json.loads(line)
            found[str(name), str(remote)] = LastTransfer(int(size), int(mtime_ns), str(etag))
    return found, len(lines)
