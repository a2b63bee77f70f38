"""The rights of a share: Nextcloud's numbers for them, and the words. No I/O."""

from __future__ import annotations

from enum import IntFlag


class Rights(IntFlag):
    """The rights of a share, as Nextcloud numbers them."""

    READ = 1
    UPDATE = 2
    CREATE = 4
    DELETE = 8
    RESHARE = 16


ALL = 31
"""All rights together."""
_FILE = Rights.READ | Rights.UPDATE | Rights.RESHARE
"""Nothing can be created in a file, and a shared file can be deleted only by its owner."""


def rights_of(*, folder: bool, write: bool = False, reshare: bool = False) -> Rights:
    """Return the rights to request; they always include reading."""
    found = Rights.READ
    if write:
        found |= Rights.UPDATE | Rights.CREATE | Rights.DELETE
    if reshare:
        found |= Rights.RESHARE
    return found if folder else found & _FILE


def rights_words(rights: Rights) -> str:
    """Return the rights in words, such as ``read and write, may share``."""
    read, write = Rights.READ in rights, bool(rights & (Rights.UPDATE | Rights.CREATE | Rights.DELETE))
    found = "read and write" if read and write else "read" if read else "upload only" if write else "nothing"
    return f"{found}, may share" if Rights.RESHARE in rights else found
