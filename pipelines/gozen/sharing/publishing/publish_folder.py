"""Publish files in a folder in Nextcloud and share it, or remove what a publication has put there.

A run can be killed at any time and repeated: files are noted before they are sent, and nothing that people have changed
is overwritten, withdrawn or removed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from gozen.errors import CloudConflict, GozenError
from gozen.sharing.checksums import OURS
from gozen.sharing.file_listing import Entry
from gozen.sharing.publishing.decide_files import FileStep, is_ours, left_over, step_for
from gozen.sharing.publishing.decide_shares import ShareSteps, SharingWish, share_steps
from gozen.sharing.publishing.folder_files import FolderFiles, FolderSeen
from gozen.sharing.publishing.publish_outcome import PublishOutcome, check_shared, raise_first, without_access
from gozen.sharing.publishing.published_record import PublishedRecord
from gozen.sharing.publishing.share_folder import LINK, FolderShares
from gozen.sharing.remote_names import joined


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
        begun, shares = _begun(seen.mine, sums, steps), FolderShares(self._files, done, steps)
        self._files.note(seen, begun)
        with self._noted_after_failure(begun, shares, wish):
            is_there = {name: self._send(path, sums[name], seen, done) for name, path in local.items()}
            waiting = self._remove_left_over(local, seen, done)
            self._share_now(wish, begun, password, shares)
            last = self._files.look()
            lost = without_access(shares.made, last.shares)
            shares.made -= lost  # a person may share it with them again
            published = {name: sums[name] for name, is_equal in is_there.items() if is_equal}
            link = wish.link if done.link and LINK not in shares.errors else None
            noted = _ended(seen.mine, published, [*local, *waiting])
            self._files.note(last, PublishedRecord(self._files.of, noted, frozenset(shares.made), link))
        done.settled = True
        raise_first(list(shares.errors.values()), done)
        check_shared(lost, self._folder)
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
        shares = FolderShares(self._files, done, steps)
        with self._noted_after_failure(seen.mine, shares, SharingWish()):
            shares.withdraw(steps.withdraw)
            self._remove(seen.mine.files, seen, done)
        if seen.record is None:
            return done
        if steps.kept_back:  # the next removal withdraws them
            self._files.note(seen, PublishedRecord(self._files.of, made=steps.kept_back))
        else:
            self._files.remote.remove(seen.record.path, seen.record.etag)
        return done

    @contextmanager
    def _noted_after_failure(self, begun: PublishedRecord, shares: FolderShares, wish: SharingWish) -> Iterator[None]:
        """After an error, note only shares that are known to be the publication's own: the next attempt may be late."""
        try:
            yield
        except GozenError:
            known = replace(begun, made=frozenset(shares.made), wished=frozenset(shares.unsure))
            if shares.is_link_requested:
                is_made = self.outcome.link and LINK not in shares.errors
                known = replace(known, link=wish.link if is_made else None)
            with suppress(GozenError):  # of a Nextcloud that is down; the first error says more
                if (now := self._files.look()).record is not None:
                    self._files.note(now, known)
            raise

    def _share_now(self, wish: SharingWish, begun: PublishedRecord, password: str, shares: FolderShares) -> None:
        """Make and withdraw shares.

        People and other publications may have changed shares during the uploads, so the present shares are read again.
        """
        now = self._files.look()
        steps = self._steps(wish, begun, now, self.outcome)
        # A link with other properties is requested: until the answer is known, so are none of its properties.
        link = begun.link if steps.link is not None else None
        self._files.note(now, replace(begun, made=steps.owned, wished=steps.wished, link=link))
        shares.change(steps, now, wish, password)

    def _steps(self, wish: SharingWish, mine: PublishedRecord, seen: FolderSeen, done: PublishOutcome) -> ShareSteps:
        done.unreadable = sorted({*done.unreadable, *seen.unreadable})
        steps = share_steps(wish, mine, seen.others, seen.shares, self._files.of, all_known=not seen.unreadable)
        done.kept_back = [f"{kind} {who}" for kind, who in sorted(steps.kept_back)]
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
            done.waiting = list(names)
            return names
        self._remove(names, seen, done)
        return ()

    def _remove(self, names: Iterable[str], seen: FolderSeen, done: PublishOutcome) -> None:
        theirs = {name for one in seen.others for name in one.files}
        for name in sorted(set(names) - theirs):
            there = seen.entries.get(name)
            if there is None:
                continue
            if is_ours(there, seen.mine.files[name]) and self._files.remote.remove(there.path, there.etag):
                done.removed += 1
            else:
                done.kept.append(there.path)


def _begun(mine: PublishedRecord, sums: Mapping[str, str], steps: ShareSteps) -> PublishedRecord:
    """Return the note that is valid until everything is sent and shared: it contains the old and the new state."""
    noted = {name: mine.files.get(name, frozenset()) | {checksum} for name, checksum in sums.items()}
    # No share is requested yet: a share that appears during the uploads is a person's.
    return replace(mine, files={**mine.files, **noted}, made=steps.owned, wished=frozenset())


def _ended(mine: PublishedRecord, published: Mapping[str, str], names: Iterable[str]) -> Mapping[str, frozenset[str]]:
    """Return the files for the note at the end; those that were kept or wait for their removal stay as noted."""
    noted = {name: mine.files[name] for name in names if name in mine.files}
    return noted | {name: frozenset({checksum}) for name, checksum in published.items()}
