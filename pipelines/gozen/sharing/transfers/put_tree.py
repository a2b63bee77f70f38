"""Send files and folders: walk them, compare each file with Nextcloud, send what has changed."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from unicodedata import normalize

from gozen.archive.stores.store import named_errors
from gozen.errors import CloudConflict, GozenError, UnsuitableName
from gozen.sharing.file_listing import Entry
from gozen.sharing.remote_names import check_distinct, check_name, check_path, joined
from gozen.sharing.transfers.compare import Decision, LastTransfer, LocalState, There, after_comparison, decide_put
from gozen.sharing.transfers.local_file import LocalFile
from gozen.sharing.transfers.outcomes import FileOutcome, FileState, Transfers
from gozen.sharing.transfers.partial_download import is_partial
from gozen.sharing.transfers.transfer_notes import FolderNotes
from gozen.sharing.transfers.tree_transfer import TreeTransfer, not_overwritten
from gozen.sharing.transfers.upload import send
from gozen.sharing.transfers.workers import Task


class PutTree(TreeTransfer):
    """Sends files and folders."""

    def put(self, paths: Sequence[Path], folder: str) -> Transfers:
        """Send files and folders into a folder in Nextcloud, which is made if it does not exist."""
        inside = check_path(folder)
        if inside:
            self.remote.make_folder(inside)
        return self.carry_out(self._given(paths, inside))

    def _given(self, paths: Sequence[Path], folder: str) -> Iterator[Task]:
        for path in paths:
            absolute = path.expanduser().absolute()
            if absolute.is_dir():
                yield partial(self._folder, path, absolute, folder)
            else:
                yield partial(self._single, path, absolute, folder)

    def _single(self, shown: Path, path: Path, folder: str) -> None:
        def act() -> FileOutcome:
            name = _name_of(shown, path)
            there = self.remote.find(joined(folder, name))
            return self._send(shown, path, joined(folder, name), there, self.notes.of_folder(path.parent))

        self.attempt(str(shown), act)

    def _folder(self, shown: Path, path: Path, above: str) -> Iterable[Task]:
        """Make a folder, and return the tasks for what it contains."""
        try:
            with named_errors(str(shown), "read"):
                found = sorted(os.scandir(path), key=lambda one: one.name)
            check_distinct((one.name for one in found), str(shown))
            folder = joined(above, _name_of(shown, path))
            is_new = self.remote.make_folder(folder)
            there = {} if is_new else {normalize("NFC", one.name): one for one in self.remote.list(folder)}
            notes = self.notes.of_folder(path)
        except GozenError as error:
            self.fail(str(shown), error)
            return ()
        return self._inside(shown, folder, found, there, notes)

    def _inside(
        self, shown: Path, folder: str, found: list[os.DirEntry[str]], there: dict[str, Entry], notes: FolderNotes
    ) -> Iterator[Task]:
        for one in found:
            path, label = Path(one.path), shown / one.name
            visible = self.options.visible
            if visible is not None and (why_not := visible.why_not(path)):
                yield partial(self.record, FileOutcome(str(label), FileState.LEFT_OUT, remark=why_not))
            elif one.is_dir(follow_symlinks=False):
                yield partial(self._folder, label, path, folder)
            elif one.is_file():
                if not is_partial(one.name):
                    yield partial(self._known, label, path, folder, there, notes)
            else:
                kind = "a link to a folder or to nothing" if one.is_symlink() else "neither a file nor a folder"
                yield partial(self.record, FileOutcome(str(label), FileState.LEFT_OUT, remark=kind))

    def _known(self, shown: Path, path: Path, folder: str, there: dict[str, Entry], notes: FolderNotes) -> None:
        def act() -> FileOutcome:
            name = _name_of(shown, path)
            found = there.get(name)
            remote = found.path if found is not None else joined(folder, name)  # as the server writes it
            return self._send(shown, path, remote, found, notes)

        self.attempt(str(shown), act)

    def _send(self, shown: Path, path: Path, remote: str, there: Entry | None, notes: FolderNotes) -> FileOutcome:
        if there is not None and there.is_folder:
            raise CloudConflict(f"{shown} is not sent: {remote} is a folder in Nextcloud; rename one of the two")
        with LocalFile(path) as file:
            here = file.state
            self.progress.found(here.size)
            decision = self._decide(file, here, there, notes.last(path.name, remote))
            if decision is Decision.EQUAL:
                assert there is not None
                notes.add(path.name, remote, LastTransfer(here.size, here.mtime_ns, there.etag))
                self.progress.moved(here.size)
                return FileOutcome(str(shown), FileState.EQUAL, here.size)
            if decision is not Decision.TRANSFER:
                raise not_overwritten(decision, f"{remote} in Nextcloud", str(shown))
            replaced = there.etag if there is not None else None
            sent, remark = send(
                self.remote, file, remote, replaced=replaced, notes=self.notes, options=self.options.upload,
                moved=self.progress.moved,
            )  # fmt: skip
            notes.add(path.name, remote, LastTransfer(here.size, here.mtime_ns, sent.etag))
        return FileOutcome(str(shown), FileState.SENT, here.size, remark)

    def _decide(self, file: LocalFile, here: LocalState, there: Entry | None, last: LastTransfer | None) -> Decision:
        overwrite = self.options.overwrite
        state = None if there is None else There(there.size, there.etag, there.checksum)
        decision = decide_put(here, state, last, overwrite=overwrite)
        if decision is Decision.COMPARE:
            assert state is not None
            equal = file.checksum(state.checksum, self.remote.connection.check_running) == state.checksum
            return after_comparison(here, state, last, equal=equal, overwrite=overwrite)
        return decision


def _name_of(shown: Path, path: Path) -> str:
    """Return the name that a file or folder gets in Nextcloud."""
    try:
        return check_name(path.name)
    except UnsuitableName as error:
        raise UnsuitableName(f"{shown} is not sent: {error}") from None
