"""Nextcloud for notebooks and commands: put, get and list files."""

from __future__ import annotations

import dataclasses
import functools
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType

from gozen.settings import SharingSettings, load_settings
from gozen.sharing.account import Account
from gozen.sharing.cloud_connection import Connection
from gozen.sharing.current_account import current_account
from gozen.sharing.file_listing import Entry
from gozen.sharing.home_folder import HomeFolder, home_folder
from gozen.sharing.html_table import Table, size_text
from gozen.sharing.people.shares import Shares
from gozen.sharing.remote_files import RemoteFiles
from gozen.sharing.remote_names import check_path
from gozen.sharing.retrying import ConnectionLimits
from gozen.sharing.transfers.get_tree import GetTree
from gozen.sharing.transfers.outcomes import Transfers
from gozen.sharing.transfers.progress import Progress
from gozen.sharing.transfers.put_tree import PutTree
from gozen.sharing.transfers.sending import UploadOptions
from gozen.sharing.transfers.transfer_notes import TransferNotes
from gozen.sharing.transfers.tree_transfer import TransferOptions
from gozen.sharing.transfers.visible_files import VisibleFiles

ATTEMPTS_BY_HAND = 3
"""Number of attempts at one request if a user waits for the answer and can repeat the action."""


def connect(
    account: Account | None = None,
    settings: SharingSettings | None = None,
    *,
    attempts: int = ConnectionLimits.attempts,
) -> Cloud:
    """Return the files of an account; no request is sent yet.

    Parameters
    ----------
    account
        Default: the account of the settings.
    settings
        Default: the settings of the settings file and the environment.
    attempts
        Attempts at one request.

    Raises
    ------
    BadRequest
        No account is known.
    """
    chosen = settings or load_settings().sharing
    account = account or current_account(chosen)
    options = TransferOptions(upload=UploadOptions(chunk_bytes=int(chosen.chunk_mb * 10**6)))
    notes = TransferNotes(chosen.state.expanduser(), account)
    return Cloud(connection_for(account, chosen, attempts), notes, options, home_folder(chosen))


def connection_for(
    account: Account, settings: SharingSettings, attempts: int = ConnectionLimits.attempts, *, log_in: bool = True
) -> Connection:
    """Return a connection with the settings; without log-in its requests are anonymous."""
    limits = ConnectionLimits(
        settings.connections,
        settings.connect_timeout_s,
        settings.read_timeout_s,
        # Who logs in is at the keyboard, and may have written a wrong address.
        attempts=attempts if log_in else ATTEMPTS_BY_HAND,
        patience_s=settings.patience_s,
    )
    ca_file = str(settings.ca_file.expanduser()) if settings.ca_file else None
    return Connection(account, limits, ca_file=ca_file, log_in=log_in)


@dataclass(frozen=True)
class Listing(Sequence[Entry]):
    """The content of a folder in Nextcloud; notebooks show it as a table."""

    folder: str
    entries: tuple[Entry, ...]

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, index):  # type: ignore[no-untyped-def]
        return self.entries[index]

    def __repr__(self) -> str:
        return "\n".join(f"{when_text(one):16}  {size_text(one.size):>9}  {shown_name(one)}" for one in self.entries)

    def _repr_html_(self) -> str:
        table = Table(f"{self.folder or 'your files'}: {len(self)} entries", ("name", "size", "changed (UTC)"))
        for one in self.entries:
            table.add(shown_name(one), "" if one.is_folder else size_text(one.size), when_text(one))
        return table.html()


class Cloud:
    """The files of an account in Nextcloud; a context manager.

    Transfers can be interrupted at any time; the same call continues them.
    """

    def __init__(
        self, connection: Connection, notes: TransferNotes, options: TransferOptions, home: HomeFolder | None = None
    ) -> None:
        self.connection, self._notes, self._options = connection, notes, options
        self.home = home or HomeFolder(Path.home())
        self._remote = RemoteFiles(connection)

    def __repr__(self) -> str:
        return f"Cloud({self.connection.account.user!r} at {self.connection.account.url!r})"

    def __enter__(self) -> Cloud:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self.connection.close()

    @functools.cached_property
    def shares(self) -> Shares:
        """The shares of this account."""
        return Shares(self.connection, self._remote, home=self.home)

    def path_of(self, file: str | Path) -> str:
        """Return the path in Nextcloud of a file of this home, which Nextcloud shows without a transfer.

        Raises
        ------
        BadRequest
            Nextcloud does not show it: it is not in the home, or the setting ``sharing.home_folder`` is empty.
        """
        return self.home.path_of(Path(file))

    def put(
        self,
        paths: str | Path | Sequence[str | Path],
        to: str = "",
        *,
        overwrite: bool = False,
        progress: Progress | None = None,
        check: bool = True,
        stop: threading.Event | None = None,
        visible: VisibleFiles | None = None,
    ) -> Transfers:
        """Send files and folders into a folder in Nextcloud.

        Files that are equal are not sent. A file that has changed in Nextcloud is not overwritten.

        Parameters
        ----------
        paths
            Files and folders on this machine.
        to
            Folder in Nextcloud, which is made if it does not exist; default: the user's own folder.
        overwrite
            Whether files that have changed in Nextcloud are overwritten.
        check
            Whether a file that cannot be sent raises an error. If not, only its outcome contains the error.
        stop
            If another thread sets it, the transfer ends with `gozen.sharing.pauses.Stopped`.
        visible
            Which files of a folder are sent; default: all.

        Raises
        ------
        SharingError
            Some files were not sent; the others were.
        """
        options = dataclasses.replace(self._options, overwrite=overwrite, visible=visible)
        many = [paths] if isinstance(paths, str | Path) else paths
        tree = PutTree(self._remote, self._notes, options, progress or Progress(), stop)
        done = tree.put([Path(one) for one in many], to)
        return done.check() if check else done

    def get(
        self,
        paths: str | Sequence[str],
        to: str | Path = ".",
        *,
        overwrite: bool = False,
        progress: Progress | None = None,
        check: bool = True,
    ) -> Transfers:
        """Fetch files and folders into a folder on this machine.

        Files that are equal are not fetched. A file that has changed on this machine is not overwritten.

        Parameters
        ----------
        paths
            Files and folders in Nextcloud.
        to
            Folder on this machine, which is made if it does not exist; default: the current one.
        overwrite
            Whether files that have changed on this machine are overwritten.
        check
            Whether a file that cannot be fetched raises an error. If not, only its outcome contains the error.

        Raises
        ------
        SharingError
            Some files were not fetched; the others were.
        """
        options = dataclasses.replace(self._options, overwrite=overwrite)
        many = [paths] if isinstance(paths, str) else paths
        done = GetTree(self._remote, self._notes, options, progress or Progress()).get(many, Path(to))
        return done.check() if check else done

    def list(self, folder: str = "") -> Listing:
        """Return what a folder in Nextcloud contains, folders first.

        Raises
        ------
        CloudPathNotFound
            There is no such folder.
        """
        path = check_path(folder)
        found = sorted(self._remote.list(path), key=lambda one: (not one.is_folder, one.path))
        return Listing(path, tuple(found))


def shown_name(entry: Entry) -> str:
    """Return the name of an entry, with a slash at the end if the entry is a folder."""
    return f"{entry.name}/" if entry.is_folder else entry.name


def when_text(entry: Entry) -> str:
    """Return the time of the last change in UTC, empty if it is not known."""
    if entry.modified_s is None:
        return ""
    return datetime.fromtimestamp(entry.modified_s, UTC).strftime("%Y-%m-%d %H:%M")
