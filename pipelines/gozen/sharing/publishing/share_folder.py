"""Make and withdraw the shares of a published folder, and remember which of them are the publication's own.

A share is its own only if the server has confirmed it. A person can make a share with the same receiver at any moment;
it keeps its rights and is never withdrawn.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from gozen.errors import BadRequest, ExitCode, GozenError, SharingError
from gozen.sharing.people.share_records import Share
from gozen.sharing.publishing.decide_shares import ShareSteps, SharingWish, is_reading, of_people
from gozen.sharing.publishing.folder_files import FolderFiles, FolderSeen
from gozen.sharing.publishing.publish_outcome import PublishOutcome
from gozen.sharing.publishing.published_record import PublishedRecord, Receiver

LINK = ("link", "")
"""Key of the link in the dict of refused shares, whose other keys are users and groups."""


class FolderShares:
    """The shares of a folder while a publication changes them.

    Parameters
    ----------
    files
        The folder.
    done
        What has become of the publication; it gets the link and the number of shares that were withdrawn.
    steps
        The decision about the shares, from the first listing of the folder.

    Attributes
    ----------
    made
        Receivers whose shares belong to the publication now.
    unsure
        Receivers for whom a share was requested, without an answer that tells whether it was made.
    errors
        Refusals that a retry cannot change.
    is_link_requested
        Whether a link was requested; the answer may be unknown.
    """

    def __init__(self, files: FolderFiles, done: PublishOutcome, steps: ShareSteps) -> None:
        self._files, self._done = files, done
        self.made, self.unsure = set(steps.owned), set[Receiver]()
        self.errors: dict[Receiver, GozenError] = {}
        self.is_link_requested = False

    def change(self, steps: ShareSteps, now: FolderSeen, wish: SharingWish, password: str) -> None:
        """Make and withdraw shares and the link, as `steps`, which were decided for the present folder, say."""
        self.made = set(steps.owned - (steps.retained.keys() - steps.kept_back))
        self.withdraw([one for one in steps.withdraw if one.kind != "link"])
        present = {(one.kind, one.who) for one in now.shares}
        found = {one for one in steps.make if not self._attempt(one, partial(self._share, one, present))}
        if found - self.errors.keys():  # of people, unless another publication makes the share
            after = self._files.look()
            mine = PublishedRecord(self._files.of, made=frozenset(self.made))
            self.made |= found - self.errors.keys() - of_people(mine, after.others, after.shares)
        self._change_link(steps, wish, password)

    def withdraw(self, shares: Sequence[Share]) -> None:
        """Withdraw shares."""
        for one in shares:
            self._files.shares.withdraw([one])
            self.made.discard((one.kind, one.who))
            self._done.withdrawn += 1

    def _change_link(self, steps: ShareSteps, wish: SharingWish, password: str) -> None:
        if steps.link is not None:
            self._done.link = steps.link.url
        elif wish.link is not None:
            self.is_link_requested = True
            self._attempt(LINK, partial(self._make_link, wish, password))
        links = [one for one in steps.withdraw if one.kind == "link"]
        if LINK not in self.errors:
            self.withdraw(links)
        elif links:
            self._done.link = links[0].url  # the old link opens until there is a new one

    def _attempt(self, what: Receiver, act: Callable[[], bool]) -> bool:
        """Make one share; record a refusal that a retry cannot change, so that the other shares are still made."""
        try:
            return act()
        except (SharingError, BadRequest) as error:
            if error.exit_code != ExitCode.BAD_REQUEST:
                raise
            self.errors[what] = error
            self.unsure.discard(what)
            return False

    def _share(self, receiver: Receiver, present: set[Receiver]) -> bool:
        """Share the folder with a receiver; return False if somebody has done so meanwhile."""
        if receiver in present:
            kind, name = receiver
            users, groups = ([name], []) if kind == "user" else ([], [name])
            self._files.shares.share_with(self._files.folder, users, groups)
            return True
        self.unsure.add(receiver)
        is_made = self._share_if_new(receiver)
        self.unsure.discard(receiver)
        if is_made:
            self.made.add(receiver)
        return is_made

    def _share_if_new(self, receiver: Receiver) -> bool:
        try:
            return self._files.shares.share_if_new(self._files.folder, *receiver)
        except SharingError:
            there = [one for one in self._files.look().shares if (one.kind, one.who) == receiver]
            if not there:
                raise
            # Only the answer was lost, or it refuses a repeated request. A share of a person may look the same.
            return is_reading(there[0]) and self._files.is_own(there[0])

    def _make_link(self, wish: SharingWish, password: str) -> bool:
        assert wish.link is not None
        secret = password if wish.link.password else ""
        made = self._files.shares.link(
            self._files.folder, password=secret, expires=wish.link.days, label=self._files.of
        )
        self._done.link = made.url
        return True
