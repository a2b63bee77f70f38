"""Decide which shares of a folder to make and to withdraw: only shares that publications made are withdrawn. No I/O."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from gozen.sharing.people.rights import Rights
from gozen.sharing.people.share_records import Share
from gozen.sharing.publishing.published_record import LinkProperties, PublishedRecord, Receiver


@dataclass(frozen=True)
class SharingWish:
    """The receivers that a folder must have.

    Parameters
    ----------
    receivers
        Users and groups who may read it.
    link
        Properties of the public link; None for no link.
    """

    receivers: frozenset[Receiver] = frozenset()
    link: LinkProperties | None = None


@dataclass(frozen=True)
class ShareSteps:
    """The actions for the shares of a folder.

    Parameters
    ----------
    make
        Receivers with whom the folder is shared, or whose rights are set to reading.
    made
        Receivers whose shares belong to the publication afterwards.
    withdraw
        Shares that end.
    link
        The link that is kept; None if a new one is made, or no link is requested.
    retained
        Receivers that are no longer requested and keep access, with the name of a publication that names them.
    """

    make: Sequence[Receiver]
    made: frozenset[Receiver]
    withdraw: Sequence[Share]
    link: Share | None = None
    retained: Mapping[Receiver, str] = field(default_factory=dict)


def share_steps(
    wish: SharingWish,
    mine: PublishedRecord,
    others: Iterable[PublishedRecord],
    shares: Iterable[Share],
    label: str,
    *,
    all_known: bool = True,
) -> ShareSteps:
    """Return what happens to the shares of a folder.

    Parameters
    ----------
    mine
        The note of the publication.
    others
        Notes of other publications in the same folder: a share that they need is not withdrawn.
    shares
        The shares of the folder itself.
    label
        Label of the publication's links.
    all_known
        Whether `others` is complete; if not, no user or group loses access.
    """
    shares, others = list(shares), list(others)
    theirs = frozenset[Receiver]().union(*(one.made for one in others))
    present = {(one.kind, one.who): one for one in shares if one.kind in ("user", "group")}
    by_people = present.keys() - mine.made - theirs
    unwished = mine.made - wish.receivers - theirs
    kept_back = frozenset[Receiver]() if all_known else unwished & present.keys()
    made = (wish.receivers - by_people) | kept_back
    make = sorted(one for one in made - kept_back if one not in present or present[one].rights != Rights.READ)
    retained = {
        receiver: min(one.of for one in others if receiver in one.made)
        for receiver in sorted((mine.made - wish.receivers) & theirs & present.keys())
    }
    links = _links(shares, label)
    kept = links[0] if links and wish.link is not None and _is_as_wished(links[0], wish.link, mine.link) else None
    withdraw = [present[one] for one in sorted((unwished - kept_back) & present.keys())]
    return ShareSteps(make, frozenset(made), [*withdraw, *(one for one in links if one is not kept)], kept, retained)


def _links(shares: Collection[Share], label: str) -> list[Share]:
    """Return the links of the publication; there are two if the answer to a request was lost."""
    found = [one for one in shares if one.kind == "link" and one.label == label]
    return sorted(found, key=lambda one: (len(one.id), one.id))


def _is_as_wished(link: Share, wish: LinkProperties, noted: LinkProperties | None) -> bool:
    # Without a note a run was killed after it had made the link, and nobody knows for how many days.
    return wish == noted and link.password == wish.password
