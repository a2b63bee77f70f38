"""Publish files in a folder in Nextcloud and share it, or remove what a publication has put there.

A run can be killed at any time and repeated: files are noted before they are sent, and nothing that people have changed
is overwritten, withdrawn or removed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from gozen.errors import BadRequest, CloudConflict, ExitCode, GozenError, SharingError
from gozen.sharing.checksums import OURS
from gozen.sharing.file_listing import Entry
from gozen.sharing.people.share_records import Share
from gozen.sharing.publishing.decide_files import FileStep, is_ours, left_over, step_for
from gozen.sharing.publishing.decide_shares import ShareSteps, SharingWish, share_steps
from gozen.sharing.publishing.folder_files import FolderFiles, FolderSeen
from gozen.sharing.publishing.publish_outcome import PublishOutcome, check_shared, raise_first
from gozen.sharing.publishing.published_record import PublishedRecord, Receiver
from gozen.sharing.remote_names import joined

_LINK = ("link", "")
"""Key of the link in the dict of refused shares, whose other keys are users and groups."""


class PublishedFolder:
    """A folder in Nextcloud in which one or several publications have files.

    Parameters
    ----------
    files
        The folder; the name of the publication is the label of its link.

    Attributes
    ----------
    outcome
        What has become of the publication, also if an error was raised.
    """

    def __init__(self, files: FolderFiles) -> None:
        self._files, self._folder = files, files.folder
        self.outcome = PublishOutcome(self._folder)

    def check(self) -> None:
        """Send one request that only reads, to check that Nextcloud answers and accepts the app password.

        Raises
        ------
        SharingError
            Nextcloud does not answer, or refuses the app password.
        """
        self._files.remote.find(self._folder)

    def publish(self, files: Iterable[Path], wish: SharingWish, password: str = "") -> PublishOutcome:
        """Send files that are new or have changed, and make and withdraw shares.

        Parameters
        ----------
        files
            Files on this machine, with different names.
        password
            Password of the link, if `wish` requests a link with a password.

        Raises
        ------
        CloudConflict
            Files were changed in Nextcloud: they are kept, and everything else is done.
        BadRequest
            One of the receivers is the account itself; everything else is done.
        SharingError
            Nextcloud cannot be reached, refuses a file or share, or another client has withdrawn a share meanwhile.
        """
        self._files.make()
        done = self.outcome = PublishOutcome(self._folder)
        local, seen = {one.name: one for one in files}, self._files.look()
        done.was_found = seen.record is not None
        steps = self._steps(wish, seen.mine, seen, done)
        sums = {name: self._files.checksum(path, OURS) for name, path in local.items()}
        begun = _begun(seen.mine, sums, steps)
        self._files.note(seen, begun)
        is_there = {name: self._send(path, sums[name], seen, done) for name, path in local.items()}
        waiting = self._remove_left_over(local, seen, done)
        ended, errors = self._share_now(wish, seen.mine, begun, password, done)
        published = {name: {sums[name]} if is_there[name] else seen.mine.files.get(name, ()) for name in local}
        published |= {name: seen.mine.files[name] for name in waiting}
        ended = replace(ended, files={name: frozenset(one) for name, one in published.items() if one})
        last = self._files.look()
        self._files.note(last, ended)
        done.settled = True
        raise_first(errors, done)
        check_shared(ended.made, last.shares, self._folder)
        return done

    def remove(self) -> PublishOutcome:
        """Remove the files of the publication, and withdraw its shares; a missing folder or file is not an error.

        Files that somebody has changed stay, and so does the folder itself.
        """
        done = self.outcome = PublishOutcome(self._folder)
        if not self._files.exist():
            return done
        seen = self._files.look()
        done.was_found = seen.record is not None
        steps = self._steps(SharingWish(), seen.mine, seen, done)
        self._withdraw(steps.withdraw, done)
        self._remove(seen.mine.files, seen, done)
        if seen.record is not None:
            self._files.remote.remove(seen.record.path, seen.record.etag)
        return done

    def _share_now(
        self, wish: SharingWish, mine: PublishedRecord, begun: PublishedRecord, password: str, done: PublishOutcome
    ) -> tuple[PublishedRecord, Sequence[GozenError]]:
        """Make and withdraw shares; return the note with them, and the refusals.

        People and other publications may have changed shares during the uploads, so the present shares are read again.
        """
        now = self._files.look()
        steps = self._steps(wish, mine, now, done)
        begun = replace(begun, made=begun.made | steps.made)
        self._files.note(now, begun)
        present = {(one.kind, one.who) for one in now.shares}
        found, errors = self._share(steps, present, wish, password, done)
        if found:  # of people, unless another publication has noted that it makes the share
            found -= frozenset[Receiver]().union(*(one.made for one in self._files.look().others))
        link = wish.link if done.link and _LINK not in errors else None
        return replace(begun, made=steps.made - errors.keys() - found, link=link), list(errors.values())

    def _steps(self, wish: SharingWish, mine: PublishedRecord, seen: FolderSeen, done: PublishOutcome) -> ShareSteps:
        done.unreadable = list(seen.unreadable)
        steps = share_steps(wish, mine, seen.others, seen.shares, self._files.of, all_known=not seen.unreadable)
        done.retained = [
            f"{kind} {who} keeps access, because {of} names it" for (kind, who), of in steps.retained.items()
        ]
        return steps

    def _send(self, path: Path, checksum: str, seen: FolderSeen, done: PublishOutcome) -> bool:
        """Send a file unless Nextcloud has an equal one; return whether Nextcloud has it now, with the same content."""
        there, ours = seen.entries.get(path.name), seen.mine.files.get(path.name, frozenset())
        if there is not None and there.checksum and not there.checksum.startswith(f"{OURS}:"):
            checksum = self._files.checksum(path, there.checksum)
        step = step_for(checksum, there, ours)
        if step is FileStep.EQUAL:
            done.equal += 1
        elif step is FileStep.SEND and self._upload(path, there):
            done.sent += 1
        else:
            done.kept.append(joined(self._folder, path.name))
            return False
        return True

    def _upload(self, path: Path, there: Entry | None) -> bool:
        """Send a file; return False if it was not sent, because somebody has changed it in Nextcloud meanwhile."""
        try:
            self._files.upload(path, there)
        except CloudConflict:
            return False
        return True

    def _remove_left_over(self, local: Collection[str], seen: FolderSeen, done: PublishOutcome) -> Sequence[str]:
        """Remove files that are no longer published; return those that a later run removes.

        Another publication whose note is damaged may need them.
        """
        names = left_over(local, seen.mine.files)
        if seen.unreadable:
            return names
        self._remove(names, seen, done)
        return ()

    def _remove(self, names: Iterable[str], seen: FolderSeen, done: PublishOutcome) -> None:
        theirs = {name for one in seen.others for name in one.files}
        for name in sorted(set(names) - theirs):
            there = seen.entries.get(name)
            if there is not None and is_ours(there, seen.mine.files[name]):
                self._files.remote.remove(there.path, there.etag)
                done.removed += 1
            elif there is not None:
                done.kept.append(there.path)

    def _share(
        self,
        steps: ShareSteps,
        present: Collection[Receiver],
        wish: SharingWish,
        password: str,
        done: PublishOutcome,
    ) -> tuple[set[Receiver], dict[Receiver, GozenError]]:
        """Make and withdraw shares; return receivers with a share of others, and refusals that need a person."""
        errors: dict[Receiver, GozenError] = {}
        found: set[Receiver] = set()
        self._withdraw([one for one in steps.withdraw if one.kind != "link"], done)
        for one in steps.make:
            share = self._set_rights if one in present else partial(self._share_with, found)
            _attempt(one, partial(share, one), errors)
        if steps.link is not None:
            done.link = steps.link.url
        elif wish.link is not None:
            _attempt(_LINK, partial(self._make_link, wish, password, done), errors)
        links = [one for one in steps.withdraw if one.kind == "link"]
        if _LINK not in errors:
            self._withdraw(links, done)
        elif links:
            done.link = links[0].url  # the old link opens until there is a new one
        return found, errors

    def _withdraw(self, shares: Sequence[Share], done: PublishOutcome) -> None:
        self._files.shares.withdraw(shares)
        done.withdrawn += len(shares)

    def _set_rights(self, receiver: Receiver) -> None:
        """Set the rights of a share of publications back to reading."""
        kind, name = receiver
        users, groups = ([name], []) if kind == "user" else ([], [name])
        self._files.shares.share_with(self._folder, users, groups)

    def _share_with(self, found: set[Receiver], receiver: Receiver) -> None:
        """Share the folder with a receiver, or add it to `found` if somebody has done so meanwhile."""
        try:
            is_made = self._files.shares.share_if_new(self._folder, *receiver)
        except SharingError as error:
            if receiver not in {(one.kind, one.who) for one in self._files.look().shares}:
                raise
            # Refused: somebody has shared it between the two requests. Otherwise only the answer was lost.
            is_made = error.exit_code != ExitCode.BAD_REQUEST
        if not is_made:
            found.add(receiver)

    def _make_link(self, wish: SharingWish, password: str, done: PublishOutcome) -> None:
        assert wish.link is not None
        secret = password if wish.link.password else ""
        made = self._files.shares.link(self._folder, password=secret, expires=wish.link.days, label=self._files.of)
        done.link = made.url


def _begun(mine: PublishedRecord, sums: Mapping[str, str], steps: ShareSteps) -> PublishedRecord:
    """Return the note that is valid until everything is sent and shared: it contains the old and the new state."""
    noted = {name: mine.files.get(name, frozenset()) | {checksum} for name, checksum in sums.items()}
    return replace(mine, files={**mine.files, **noted}, made=mine.made | steps.made)


def _attempt(what: Receiver, act: Callable[[], object], errors: dict[Receiver, GozenError]) -> None:
    """Make one share; record a refusal that a retry cannot change, so that the other shares are still made."""
    try:
        act()
    except (SharingError, BadRequest) as error:
        if error.exit_code != ExitCode.BAD_REQUEST:
            raise
        errors[what] = error
