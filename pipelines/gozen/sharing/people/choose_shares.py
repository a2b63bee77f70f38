"""Choose shares of a path: by user, group or label, or all of a kind. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gozen.errors import CloudPathNotFound
from gozen.sharing.people.share_records import Share


@dataclass(frozen=True)
class Choice:
    """A choice among the shares of a path.

    Parameters
    ----------
    users, groups, labels
        Receivers, and labels of links.
    links
        Whether all public links are meant.
    everything
        Whether all shares are meant.
    """

    users: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    links: bool = False
    everything: bool = False

    def __bool__(self) -> bool:
        return bool(self.users or self.groups or self.labels or self.links or self.everything)


def chosen(shares: Iterable[Share], path: str, choice: Choice) -> Sequence[Share]:
    """Return the chosen shares of a path, without the shares of the folders above it.

    Raises
    ------
    CloudPathNotFound
        The path has no such share; the message says with whom the path is shared.
    """
    here = [one for one in shares if one.path == path.strip("/")]
    wanted = [("user", one) for one in choice.users] + [("group", one) for one in choice.groups]
    for kind, name in wanted:
        if not any((one.kind, one.who) == (kind, name) for one in here):
            raise CloudPathNotFound(f"{path} is not shared with the {kind} {name}: {_with_whom(here, path)}")
    for label in choice.labels:
        if not any((one.kind, one.label) == ("link", label) for one in here):
            raise CloudPathNotFound(f"{path} has no link with the label {label!r}: {_with_whom(here, path)}")
    found = [one for one in here if _is_meant(one, choice)]
    if not found:
        raise CloudPathNotFound(f"there is nothing to withdraw: {_with_whom(here, path)}")
    return found


def _is_meant(share: Share, choice: Choice) -> bool:
    if choice.everything or (choice.links and share.kind == "link"):
        return True
    if share.kind == "link":
        return share.label in choice.labels
    return share.who in {"user": choice.users, "group": choice.groups}.get(share.kind, ())


def _with_whom(shares: Sequence[Share], path: str) -> str:
    names = ", ".join(f"{one.kind} {one.label if one.kind == 'link' else one.who}".strip() for one in shares)
    return (
        f"it is shared with {names}" if names else f"{path} itself is not shared; `gozen share list` shows all shares"
    )
