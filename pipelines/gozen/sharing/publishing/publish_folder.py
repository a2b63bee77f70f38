"""Bring a folder in Nextcloud to what a publication says, or remove what the publication has put there.

A run can be killed at any time and repeated: files are noted before they are sent, and nothing that people have changed
is overwritten, withdrawn or removed.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from gozen.errors import CloudConflict, ExitCode, SharingError
from gozen.sharing.checksums import OURS
from gozen.sharing.cloud_connection import Connection
from gozen.sharing.file_listing import Entry
from gozen.sharing.people.share_records import Share
from gozen.sharing.people.shares import Shares
from gozen.sharing.publishing.decide_files import FileStep, is_ours, left_over, step_for
from gozen.sharing.publishing.decide_shares import ShareSteps, SharingWish, share_steps
from gozen.sharing.publishing.published_record import (
    PublishedRecord,
    is_record,
    read_published,
    record_name,
    records_folder,
)
from gozen.sharing.remote_files import RemoteFiles
from gozen.sharing.remote_names import check_path, joined
from gozen.sharing.transfers.local_file import LocalFile
from gozen.sharing.transfers.sending import UploadOptions
from gozen.sharing.transfers.transfer_notes import TransferNotes
from gozen.sharing.transfers.upload import send

_NAMED = 4


@dataclass
class PublishOutcome:
    """What became of a publication.

    Parameters
    ----------
    link
        Address of its public link; empty without one.
    sent, equal, removed
        Numbers of files.
    kept
        Files that somebody has changed in Nextcloud: they are not overwritten or removed.
    withdrawn
        Number of shares that were withdrawn.
    """

    folder: str
    link: str = ""
    sent: int = 0
    equal: int = 0
    removed: int = 0
    kept: list[str] = field(default_factory=list)
    withdrawn: int = 0


@dataclass(frozen=True)
class _Seen:
    """A folder as it was found: its files, its shares, the notes about it, and the file with the own note."""

    entries: Mapping[str, Entry]
    record: Entry | None
    mine: PublishedRecord
    others: Sequence[PublishedRecord]
    shares: Sequence[Share]


class PublishedFolder:
    """A folder in Nextcloud in which one or several publications have files.

    Parameters
    ----------
    folder
        The folder, from the top of the account.
    of
        Name of the publication, unique among those of the account. It is the label of its link.
    notes
        Notes on this machine about uploads in chunks.
    """

    def __init__(
        self,
        connection: Connection,
        folder: str,
        of: str,
        notes: TransferNotes,
        options: UploadOptions = UploadOptions(),  # noqa: B008 it is frozen
    ) -> None:
        self._remote, self._notes, self._options = RemoteFiles(connection), notes, options
        self._shares = Shares(connection, self._remote)
        self._folder, self._of = check_path(folder), of
        self._records = records_folder(self._folder)

    def publish(self, files: Iterable[Path], wish: SharingWish, password: str = "") -> PublishOutcome:
        """Send files that are new or have changed, and make and withdraw shares.

        Parameters
        ----------
        files
            Files on this machine, with different names.
        password
            Password of the link, if the wish has one.

        Raises
        ------
        CloudConflict
            Files were changed in Nextcloud: they are kept, and everything else is done.
        SharingError
            Nextcloud cannot be reached, or refuses a file or share.
        """
        self._remote.make_folder(self._folder)
        self._remote.make_folder(self._records)
        local, seen = {one.name: one for one in files}, self._look()
        steps = share_steps(wish, seen.mine, seen.others, seen.shares, self._of)
        sums = {name: self._sum(path, OURS) for name, path in local.items()}
        noted = {name: seen.mine.files.get(name, frozenset()) | {sums[name]} for name in local}
        begun = replace(seen.mine, files={**seen.mine.files, **noted}, made=seen.mine.made | steps.made)
        self._note(seen, begun)
        done = PublishOutcome(self._folder)
        published = {
            name: frozenset({sums[name]}) if self._send(path, sums[name], seen, done) else seen.mine.files.get(name, ())
            for name, path in local.items()
        }
        self._remove(left_over(local, seen.mine.files), seen, done)
        errors = self._share(steps, wish, password, done)
        failed = frozenset(one for one in steps.make if one in errors)
        link = wish.link if done.link else None
        ended = replace(
            begun,
            files={name: frozenset(one) for name, one in published.items() if one},
            made=steps.made - failed,
            link=link,
        )
        self._note(self._look(), ended)
        _raise_first(list(errors.values()), done)
        return done

    def remove(self) -> PublishOutcome:
        """Remove the files of the publication, and withdraw its shares; a folder or file that is gone is no error.

        Files that somebody has changed stay, and so does the folder itself.
        """
        done = PublishOutcome(self._folder)
        if any(self._remote.find(one) is None for one in (self._folder, self._records)):
            return done
        seen = self._look()
        steps = share_steps(SharingWish(), seen.mine, seen.others, seen.shares, self._of)
        self._shares.withdraw(steps.withdraw)
        done.withdrawn = len(steps.withdraw)
        self._remove(sorted(seen.mine.files), seen, done)
        if seen.record is not None:
            self._remote.remove(seen.record.path, seen.record.etag)
        return done

    def _look(self) -> _Seen:
        entries = {one.name: one for one in self._remote.list(self._folder)}
        files = {one.name: one for one in self._remote.list(self._records) if is_record(one.name)}
        records = {name: self._read(entry) for name, entry in files.items()}
        name = record_name(self._of)
        mine = records.pop(name, PublishedRecord(self._of))
        shares = [one for one in self._shares.of(self._folder) if one.path == self._folder]
        return _Seen(entries, files.get(name), mine, list(records.values()), shares)

    def _read(self, entry: Entry) -> PublishedRecord:
        answer = self._remote.connection.request(
            "GET", self._remote.address(entry.path), subject=entry.path, doing="read"
        )
        return read_published(answer.body, entry.path)

    def _note(self, seen: _Seen, record: PublishedRecord) -> None:
        """Write the note, unless it is as it should be."""
        if seen.record is not None and seen.mine == record:
            return
        with tempfile.TemporaryDirectory() as scratch:
            path = Path(scratch) / record_name(self._of)
            path.write_bytes(record.to_json())
            self._upload(path, self._records, seen.record)

    def _send(self, path: Path, checksum: str, seen: _Seen, done: PublishOutcome) -> bool:
        """Send a file if it is not there; return whether it is there now, as it is here."""
        there, ours = seen.entries.get(path.name), seen.mine.files.get(path.name, frozenset())
        if there is not None and there.checksum and not there.checksum.startswith(f"{OURS}:"):
            checksum = self._sum(path, there.checksum)
        step = step_for(checksum, there, ours)
        if step is FileStep.KEEP:
            done.kept.append(joined(self._folder, path.name))
        elif step is FileStep.EQUAL:
            done.equal += 1
        else:
            self._upload(path, self._folder, there)
            done.sent += 1
        return step is not FileStep.KEEP

    def _upload(self, path: Path, folder: str, there: Entry | None) -> None:
        with LocalFile(path) as file:
            replaced = there.etag if there is not None else None
            send(
                self._remote, file, joined(folder, path.name),
                replaced=replaced, notes=self._notes, options=self._options,
            )  # fmt: skip

    def _sum(self, path: Path, like: str) -> str:
        with LocalFile(path) as file:
            return file.checksum(like, self._remote.connection.check_running)

    def _remove(self, names: Iterable[str], seen: _Seen, done: PublishOutcome) -> None:
        for name in names:
            there = seen.entries.get(name)
            if there is not None and is_ours(there, seen.mine.files[name]):
                self._remote.remove(there.path, there.etag)
                done.removed += 1
            elif there is not None:
                done.kept.append(there.path)

    def _share(
        self, steps: ShareSteps, wish: SharingWish, password: str, done: PublishOutcome
    ) -> dict[object, SharingError]:
        """Make and withdraw shares; return the refusals that need a person, by receiver."""
        errors: dict[object, SharingError] = {}
        for kind, name in steps.make:
            users, groups = ([name], []) if kind == "user" else ([], [name])
            _attempt((kind, name), partial(self._shares.share_with, self._folder, users, groups), errors)
        if steps.link is not None:
            done.link = steps.link.url
        elif wish.link is not None:
            _attempt("link", lambda: self._make_link(wish, password, done), errors)
        old = [one for one in steps.withdraw if one.kind != "link" or "link" not in errors]
        self._shares.withdraw(old)
        done.withdrawn = len(old)
        return errors

    def _make_link(self, wish: SharingWish, password: str, done: PublishOutcome) -> None:
        assert wish.link is not None
        secret = password if wish.link.password else ""
        made = self._shares.link(self._folder, password=secret, expires=wish.link.days, label=self._of)
        done.link = made.url


def _attempt(what: object, act: Callable[[], object], errors: dict[object, SharingError]) -> None:
    """Share something; keep a refusal that a retry cannot change, so that the other shares are made all the same."""
    try:
        act()
    except SharingError as error:
        if error.exit_code != ExitCode.BAD_REQUEST:
            raise
        errors[what] = error


def _raise_first(errors: Sequence[SharingError], done: PublishOutcome) -> None:
    """Raise the refusal of a share, else an error that names the files that were kept."""
    if errors:
        more = f" (and {len(errors) - 1} more refusals)" if len(errors) > 1 else ""
        raise type(errors[0])(f"{errors[0]}{more}")
    if done.kept:
        names = ", ".join(done.kept[:_NAMED]) + (" ..." if len(done.kept) > _NAMED else "")
        raise CloudConflict(
            f"not overwritten, because somebody has changed them in Nextcloud: {names}; all else is published: rename "
            "or remove these files there, and publish again"
        )
