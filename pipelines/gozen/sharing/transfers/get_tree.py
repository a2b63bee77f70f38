"""Fetch files and folders: list them, compare each file with this machine, fetch what has changed."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from unicodedata import normalize

from gozen.archive.stores.output_files import writing
from gozen.errors import CloudConflict, CloudPathNotFound, GozenError
from gozen.sharing.file_listing import Entry
from gozen.sharing.transfers.compare import Decision, LastTransfer, LocalState, There, after_comparison, decide_get
from gozen.sharing.transfers.download import Download, state_here
from gozen.sharing.transfers.local_file import LocalFile
from gozen.sharing.transfers.outcomes import FileOutcome, FileState, Transfers
from gozen.sharing.transfers.partial_download import partials_in
from gozen.sharing.transfers.transfer_notes import FolderNotes
from gozen.sharing.transfers.tree_transfer import TreeTransfer, not_overwritten
from gozen.sharing.transfers.workers import Task


@dataclass(frozen=True)
class _Local:
    """The known facts about a folder on this machine: notes and partial files."""

    notes: FolderNotes
    partials: Collection[str]


class GetTree(TreeTransfer):
    """Fetches files and folders."""

    def get(self, paths: Sequence[str], folder: Path) -> Transfers:
        """Fetch files and folders into a folder on this machine, which is made if it does not exist."""
        inside = folder.expanduser().absolute()
        with writing(inside):
            inside.mkdir(parents=True, exist_ok=True)
        return self.carry_out(partial(self._given, path.strip("/"), inside) for path in paths)

    def _given(self, path: str, folder: Path) -> Iterable[Task]:
        try:
            found = self.remote.find(path, "download") or self.remote.find(normalize("NFC", path), "download")
            if found is None:
                raise CloudPathNotFound(
                    f"cannot download {path}: it does not exist in Nextcloud; `gozen share ls` lists what exists"
                )
            local = self._local(folder)
        except GozenError as error:
            self.fail(path, error)
            return ()
        name = found.name
        if found.is_folder:
            return self._folder(found.path, folder / name if name else folder)
        return (partial(self._file, found, folder / name, local),)

    def _local(self, folder: Path) -> _Local:
        return _Local(self.notes.of_folder(folder), partials_in(folder))

    def _folder(self, path: str, folder: Path) -> Iterable[Task]:
        """Make a folder, and return the tasks for what it contains."""
        try:
            found = self.remote.list(path)
            with writing(folder):
                folder.mkdir(exist_ok=True)
            local = self._local(folder)
        except GozenError as error:
            self.fail(path, error)
            return ()
        return self._inside(found, folder, local)

    def _inside(self, found: list[Entry], folder: Path, local: _Local) -> Iterator[Task]:
        for one in found:
            if one.is_folder:
                yield partial(self._folder, one.path, folder / one.name)
            else:
                yield partial(self._file, one, folder / one.name, local)

    def _file(self, entry: Entry, target: Path, local: _Local) -> None:
        self.progress.found(entry.size)
        self.attempt(entry.path, partial(self._fetch, entry, target, local))

    def _fetch(self, entry: Entry, target: Path, local: _Local) -> FileOutcome:
        if target.is_dir():
            raise CloudConflict(f"{entry.path} is not fetched: {target} is a folder; rename one of the two")
        here = state_here(target)
        decision = self._decide(entry, target, here, local.notes.last(target.name, entry.path))
        if decision is Decision.EQUAL:
            assert here is not None
            local.notes.add(target.name, entry.path, LastTransfer(here.size, here.mtime_ns, entry.etag))
            self.progress.moved(entry.size)
            return FileOutcome(entry.path, FileState.EQUAL, entry.size)
        if decision is not Decision.TRANSFER:
            raise not_overwritten(decision, str(target), f"{entry.path} in Nextcloud")
        now = Download(
            self.remote, entry, target, here, local.partials, self.options.download, self.progress.moved
        ).fetch()
        local.notes.add(target.name, entry.path, LastTransfer(now.size, now.mtime_ns, entry.etag))
        return FileOutcome(entry.path, FileState.FETCHED, entry.size)

    def _decide(self, entry: Entry, target: Path, here: LocalState | None, last: LastTransfer | None) -> Decision:
        overwrite, there = self.options.overwrite, There(entry.size, entry.etag, entry.checksum)
        decision = decide_get(here, there, last, overwrite=overwrite)
        if decision is Decision.COMPARE:
            assert here is not None
            with LocalFile(target) as file:
                equal = file.checksum(there.checksum, self.remote.connection.check_running) == there.checksum
            return after_comparison(here, there, last, equal=equal, overwrite=overwrite)
        return decision
