"""The state of the server: users, files below a folder, checksums, quotas, locks."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass, field
from pathlib import Path
from unicodedata import normalize

from .external_storage import ExternalStorage


@dataclass
class State:
    """The state of one server.

    Parameters
    ----------
    root
        Folder with ``files/USER`` and ``uploads/USER``.
    users
        App passwords by user id.
    quota
        Bytes that a user may have; others have no limit.
    locked
        Files and folders that an editor has locked, as ``USER/path``.
    smallest, largest
        Bytes of a chunk.
    is_brief
        Whether answers to uploads lack the headers that are not in every version: ETag, hash.
    ignores_checksums
        Whether it does not keep the checksums of uploads in chunks, as a server with an object store; a file that is
        replaced keeps the old one.
    forgets_uploads
        Whether it has lost what its cache knew about uploads in chunks, as a server with an object store may.
    storages
        Folders outside that users see among their files.
    """

    root: Path
    users: dict[str, str]
    quota: dict[str, int] = field(default_factory=dict)
    locked: set[str] = field(default_factory=set)
    smallest: int = 5 * 10**6
    largest: int = 5 * 10**9
    is_brief: bool = False
    ignores_checksums: bool = False
    forgets_uploads: bool = False
    lock: threading.RLock = field(default_factory=threading.RLock)
    storages: list[ExternalStorage] = field(default_factory=list)
    _checksums: dict[Path, tuple[str, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for user, password in self.users.items():
            self.add_user(user, password)

    def add_user(self, user: str, password: str) -> None:
        """Add a user."""
        self.users[user] = password
        self.files(user).mkdir(parents=True, exist_ok=True)
        self.uploads(user).mkdir(parents=True, exist_ok=True)

    def files(self, user: str) -> Path:
        """Return the folder of a user's files."""
        return self.root / "files" / user

    def uploads(self, user: str) -> Path:
        """Return the folder of a user's uploads in chunks."""
        return self.root / "uploads" / user

    def file(self, user: str, path: str) -> Path:
        """Return the place of a file; Nextcloud keeps names in the composed Unicode form."""
        return self.files(user) / normalize("NFC", path.strip("/"))

    def show(self, user: str, path: str, folder: Path, *, checks: bool = True) -> ExternalStorage:
        """Show a folder of this machine among the files of a user."""
        mount = self.file(user, path)
        mount.symlink_to(folder, target_is_directory=True)
        found = ExternalStorage(mount, folder, checks)
        self.storages.append(found)
        return found

    def is_known(self, file: Path) -> bool:
        """Tell whether the server knows a file; it may not know one of an external storage."""
        return all(one.knows(file) for one in self.storages if one.has(file))

    def is_found(self, file: Path) -> bool:
        """Tell whether a direct access finds a file."""
        return file.exists() and all(one.accessed(file) for one in self.storages if one.has(file))

    def set_checksum(self, file: Path, checksum: str) -> None:
        """Keep the checksum that a client has sent; the server does not verify it."""
        self._checksums[file] = etag_of(file), checksum

    def checksum(self, file: Path) -> str:
        """Return the checksum of a file, unless the file has changed since the client sent it."""
        etag, text = self._checksums.get(file, ("", ""))
        return text if etag == etag_of(file) else ""

    def moved(self, source: Path, target: Path) -> None:
        """Let a file keep its checksum under its new name."""
        if (found := self._checksums.pop(source, None)) is not None:
            self._checksums[target] = etag_of(target), found[1]

    def free(self, user: str) -> int | None:
        """Return how many bytes a user may still add, None without a limit."""
        if user not in self.quota:
            return None
        return self.quota[user] - sum(one.stat().st_size for one in self.files(user).rglob("*") if one.is_file())

    def is_locked(self, user: str, file: Path) -> bool:
        """Tell whether a file or a folder above it is locked."""
        path = file.relative_to(self.files(user)).as_posix()
        return any(f"{user}/{path}" == one or f"{user}/{path}".startswith(f"{one}/") for one in self.locked)


def etag_of(file: Path) -> str:
    """Return the ETag of a file without its quotes; every change makes another one."""
    found = file.stat()
    text = f"{found.st_ino} {found.st_size} {found.st_mtime_ns} {found.st_ctime_ns}"
    return hashlib.sha256(text.encode()).hexdigest()[:13]
