"""Decide what a transfer does with a file, from its state here, in Nextcloud and after the last transfer. No I/O.

Equal files are not transferred. If a file changed on the side to which it would be written, nothing is overwritten,
unless the user says so. A file without a record of its last transfer counts as changed, unless the checksums are equal.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True)
class LocalState:
    """The state of a file on this machine; the time is in ns since 1970."""

    size: int
    mtime_ns: int


@dataclass(frozen=True)
class There:
    """A file in Nextcloud."""

    size: int
    etag: str
    checksum: str = ""


@dataclass(frozen=True)
class LastTransfer:
    """The states of a file on both sides directly after its last transfer, when both were equal."""

    size: int
    mtime_ns: int
    etag: str


class Decision(StrEnum):
    """The action for one file of a transfer."""

    TRANSFER = "transfer it"
    EQUAL = "both sides are equal"
    COMPARE = "compare the checksums"
    CHANGED_THERE = "it has changed in Nextcloud"
    CHANGED_HERE = "it has changed on this machine"
    CHANGED_BOTH = "it has changed on both sides"
    UNKNOWN = "another file with this name exists"


def decide_put(
    here: LocalState, there: There | None, last: LastTransfer | None, *, overwrite: bool = False
) -> Decision:
    """Return what to do with a file that is to be sent.

    `Decision.COMPARE` is returned if the checksum of the local file decides; `after_comparison` says what follows.
    """
    if there is None:
        return Decision.TRANSFER
    if last is None or last.etag != there.etag:
        if _may_be_equal(here, there):
            return Decision.COMPARE
        return Decision.TRANSFER if overwrite else _who_changed(here, there, last)
    return Decision.EQUAL if _unchanged(here, last) else Decision.TRANSFER


def decide_get(
    here: LocalState | None, there: There, last: LastTransfer | None, *, overwrite: bool = False
) -> Decision:
    """Return what to do with a file that is to be fetched; see `decide_put`."""
    if here is None:
        return Decision.TRANSFER
    if last is not None and _unchanged(here, last):
        return Decision.EQUAL if last.etag == there.etag else Decision.TRANSFER
    if _may_be_equal(here, there):
        return Decision.COMPARE
    return Decision.TRANSFER if overwrite else _who_changed(here, there, last)


def after_comparison(
    here: LocalState, there: There, last: LastTransfer | None, *, equal: bool, overwrite: bool = False
) -> Decision:
    """Return what follows when the checksums have been compared."""
    if equal:
        return Decision.EQUAL
    return Decision.TRANSFER if overwrite else _who_changed(here, there, last)


def _may_be_equal(here: LocalState, there: There) -> bool:
    return bool(there.checksum) and here.size == there.size


def _unchanged(here: LocalState, last: LastTransfer) -> bool:
    return (here.size, here.mtime_ns) == (last.size, last.mtime_ns)


def _who_changed(here: LocalState, there: There, last: LastTransfer | None) -> Decision:
    if last is None:
        return Decision.UNKNOWN
    if last.etag == there.etag:
        return Decision.CHANGED_HERE
    return Decision.CHANGED_THERE if _unchanged(here, last) else Decision.CHANGED_BOTH
