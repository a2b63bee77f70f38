"""Decide what happens to each file of a publication: sent, equal, or kept because somebody changed it. No I/O."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from enum import StrEnum

from gozen.sharing.file_listing import Entry


class FileStep(StrEnum):
    """The action for one file of a publication."""

    SEND = "send it"
    EQUAL = "it is equal"
    KEEP = "it is another one than was published"


def step_for(checksum: str, there: Entry | None, ours: Collection[str]) -> FileStep:
    """Return what happens to a file that is to be published.

    Parameters
    ----------
    checksum
        Of the local file, with the algorithm of the file in Nextcloud if that has one.
    there
        The file in Nextcloud; None if there is none.
    ours
        Checksums with which this publication has sent the file.
    """
    if there is None:
        return FileStep.SEND
    if there.is_folder or not there.checksum:
        return FileStep.KEEP
    if there.checksum == checksum:
        return FileStep.EQUAL
    return FileStep.SEND if there.checksum in ours else FileStep.KEEP


def left_over(names: Collection[str], noted: Mapping[str, Collection[str]]) -> Sequence[str]:
    """Return the files that an earlier run has published and that are no longer part of the publication."""
    return sorted(set(noted) - set(names))


def is_ours(there: Entry, ours: Collection[str]) -> bool:
    """Tell whether a file in Nextcloud is unchanged since this publication sent it, so that it may be removed."""
    return not there.is_folder and there.checksum in ours
