"""The result of a publication, and the errors that report it at the end. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from gozen.errors import CloudConflict, GozenError, SharingError
from gozen.sharing.people.share_records import Share
from gozen.sharing.publishing.published_record import Receiver

_NAMED = 4


@dataclass
class PublishOutcome:
    """The result of a publication.

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
    retained
        Sentences about users and groups who are no longer named and keep access.
    was_found
        Whether the folder and the note of the publication were there.
    unreadable
        Damaged notes of other publications in the folder: because of them no user or group loses access, and no
        old file is removed.
    kept_back
        Users and groups who are no longer named and keep access because of that, or because another publication is
        about to share the folder with them.
    waiting
        Files that are no longer published, and that a later run removes, because of these notes.
    settled
        Whether each file and share was dealt with. Some may have been refused; none is left to be tried.
    """

    folder: str
    link: str = ""
    sent: int = 0
    equal: int = 0
    removed: int = 0
    kept: list[str] = field(default_factory=list)
    withdrawn: int = 0
    retained: list[str] = field(default_factory=list)
    was_found: bool = False
    unreadable: list[str] = field(default_factory=list)
    kept_back: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    settled: bool = False

    def who_keeps_access(self) -> list[str]:
        """Return sentences about users and groups who keep access although they are no longer named."""
        if not self.unreadable:
            return self.retained
        keep = f": {_some(self.kept_back)}" if self.kept_back else ""
        files = f", and old files were not removed: {_some(self.waiting)}" if self.waiting else ""
        damaged = (
            f"no user or group lost access{keep}{files}, because notes of other publications are damaged: "
            f"{_some(self.unreadable)}; restore earlier versions of these notes in Nextcloud, or remove them"
        )
        return [damaged, *self.retained]


def raise_first(errors: Sequence[GozenError], done: PublishOutcome) -> None:
    """Raise the refusal of a share, else an error that names the files that were kept."""
    if errors:
        more = f" (and {len(errors) - 1} more refusals)" if len(errors) > 1 else ""
        raise type(errors[0])(f"{errors[0]}{more}")
    if done.kept:
        raise CloudConflict(
            f"not overwritten, because somebody has changed them in Nextcloud: {_some(done.kept)}; all else is "
            "published: rename or remove these files there, and publish again"
        )


def without_access(made: Iterable[Receiver], shares: Iterable[Share]) -> set[Receiver]:
    """Return the receivers whose shares are not there."""
    there = {(one.kind, one.who.casefold()) for one in shares}  # Nextcloud knows users in any case
    return {(kind, name) for kind, name in made if (kind, name.casefold()) not in there}


def check_shared(lost: Iterable[Receiver], folder: str) -> None:
    """Raise an error, after which a retry may succeed, if a receiver has lost access since the shares were made."""
    if names := [f"{kind} {name}" for kind, name in sorted(lost)]:
        raise SharingError(
            f"{', '.join(names)} has lost access meanwhile: somebody has withdrawn a share of {folder} while it "
            "was published; publish again"
        )


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_NAMED]) + (" ..." if len(names) > _NAMED else "")
