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
    owned
        Receivers whose shares exist and belong to the publication before these steps.
    withdraw
        Shares that end.
    link
        The link that is kept; None if a new one is made, or no link is requested.
    retained
        Receivers that are no longer requested and keep access, with the name of a publication that names them.
    kept_back
        Receivers that are no longer requested and keep access, and still belong to the publication: another one may
        need them.
    """

    make: Sequence[Receiver]
    owned: frozenset[Receiver]
    withdraw: Sequence[Share]
    link: Share | None = None
    retained: Mapping[Receiver, str] = field(default_factory=dict)
    kept_back: frozenset[Receiver] = frozenset()

    @property
    def wished(self) -> frozenset[Receiver]:
        """The receivers with whom the folder is not shared yet."""
        return frozenset(self.make) - self.owned


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
    present, theirs = _with_people(shares), _noted(others)
    needed = theirs.union(*(one.wished for one in others))
    by_people = of_people(mine, others, shares)
    ours = frozenset(present.keys() & (mine.made | mine.wished)) - by_people
    unwished = ours - wish.receivers - theirs
    kept_back = unwished & needed if all_known else unwished
    wanted = wish.receivers - by_people
    make = sorted(one for one in wanted if one not in present or not is_reading(present[one]))
    retained = {
        receiver: min(one.of for one in others if receiver in one.made | one.wished)
        for receiver in sorted((ours - wish.receivers) & needed)
    }
    owned = (wanted & present.keys()) | (ours - wish.receivers)
    links = _links(shares, label)
    kept = links[0] if links and wish.link is not None and _is_as_wished(links[0], wish.link, mine.link) else None
    withdraw = [present[one] for one in sorted(unwished - kept_back)]
    links = [one for one in links if one is not kept]
    return ShareSteps(make, frozenset(owned), [*withdraw, *links], kept, retained, kept_back)


def of_people(mine: PublishedRecord, others: Iterable[PublishedRecord], shares: Iterable[Share]) -> frozenset[Receiver]:
    """Return the receivers whose shares people have made.

    After a kill it is unknown whether a share that was about to be made exists. Publications only give the right to
    read, so one with more rights is a person's.
    """
    others, present = list(others), _with_people(shares)
    unsure = mine.wished.union(*(one.wished for one in others))
    unsure = frozenset(one for one in unsure & present.keys() if is_reading(present[one]))
    return frozenset(present.keys() - mine.made - _noted(others) - unsure)


def is_reading(share: Share) -> bool:
    """Tell whether a share gives the right to read, and no other."""
    return share.rights == Rights.READ


def _with_people(shares: Iterable[Share]) -> dict[Receiver, Share]:
    return {(one.kind, one.who): one for one in shares if one.kind in ("user", "group")}


def _noted(others: Iterable[PublishedRecord]) -> frozenset[Receiver]:
    return frozenset[Receiver]().union(*(one.made for one in others))


def _links(shares: Collection[Share], label: str) -> list[Share]:
    """Return the links of the publication; there are two if the answer to a request was lost."""
    found = [one for one in shares if one.kind == "link" and one.label == label]
    return sorted(found, key=lambda one: (len(one.id), one.id))


def _is_as_wished(link: Share, wish: LinkProperties, noted: LinkProperties | None) -> bool:
    # Without a note a run was killed after it had made the link, and nobody knows for how many days.
    return wish == noted and link.password == wish.password
