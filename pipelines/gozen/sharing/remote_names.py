"""Paths in Nextcloud: which names are accepted, their Unicode form, and their form in addresses. No I/O.

Names are sent in the composed Unicode form (NFC): Nextcloud stores this form, and the file systems of Linux would
otherwise show two files with the same name. A folder with two names that differ only in this form is refused. Names
that the server lists are used as they are.
"""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from urllib.parse import quote, unquote, urlsplit

from gozen.errors import BadRequest, UnsuitableName

LONGEST = 250
"""Bytes of a name in UTF-8 that Nextcloud's list of files keeps; file systems keep 255."""
_FORBIDDEN = "\\/"
_RENAME = "rename it and run again"


def check_name(name: str) -> str:
    """Return the name of a file or folder in the form in which it is sent.

    Raises
    ------
    UnsuitableName
        Nextcloud, or one of its clients, cannot keep this name.
    """
    try:
        size = len((sent := unicodedata.normalize("NFC", name)).encode())
    except UnicodeEncodeError:
        raise UnsuitableName(f"the name {name!a} is not valid UTF-8; {_RENAME}") from None
    if sent in ("", ".", ".."):
        raise UnsuitableName(f"{name!r} cannot be the name of a file or folder; {_RENAME}")
    if size > LONGEST:
        raise UnsuitableName(
            f"the name {sent[:40]!r}... has {size} bytes, Nextcloud keeps at most {LONGEST}; {_RENAME}"
        )
    if sent[-1] in ". ":
        raise UnsuitableName(
            f"the name {sent!r} ends with a {'dot' if sent[-1] == '.' else 'space'}, which Windows clients of "
            f"Nextcloud cannot keep; {_RENAME}"
        )
    for one in sent:
        if one in _FORBIDDEN or unicodedata.category(one) == "Cc":
            raise UnsuitableName(f"the name {sent!r} contains {one!r}, which Nextcloud does not accept; {_RENAME}")
    return sent


def check_path(path: str) -> str:
    """Return a path below the user's folder, as users write it, in the form in which it is sent.

    Slashes at both ends are dropped; an empty text is the user's folder itself.

    Raises
    ------
    UnsuitableName
        A part of it is not a suitable name.
    """
    return "/".join(check_name(part) for part in path.strip("/").split("/") if part) if path.strip("/") else ""


def joined(folder: str, name: str) -> str:
    """Return the path of a name in a folder; the empty text as folder is the user's top folder."""
    return f"{folder}/{name}" if folder else name


def check_distinct(names: Iterable[str], folder: str) -> None:
    """Check that no two names of a local folder become one in Nextcloud.

    Raises
    ------
    UnsuitableName
        Two names differ only in their Unicode form.
    """
    found: dict[str, list[str]] = defaultdict(list)
    for name in names:
        found[unicodedata.normalize("NFC", name)].append(name)
    for same in found.values():
        if len(same) > 1:
            raise UnsuitableName(
                f"{folder} contains {len(same)} files with the name {same[0]!r}, written in different Unicode forms "
                f"({' and '.join(map(ascii, same))}); Nextcloud keeps one form only: rename all but one, and run again"
            )


def quoted(path: str) -> str:
    """Return a path in the form that it has in an address."""
    return quote(path, safe="/")


def path_of(href: str, root: str) -> str:
    """Return the path of an entry in a listing, relative to a root.

    Parameters
    ----------
    href
        Address of the entry, with or without the server's name.
    root
        Address of the folder to which the path is relative.

    Raises
    ------
    BadRequest
        The entry is not below the root.
    """
    path, above = (unquote(urlsplit(one).path).rstrip("/") for one in (href, root))
    if path == above:
        return ""
    if not path.startswith(f"{above}/"):
        raise BadRequest(f"the server lists {path}, which is not in {above}: check the address of the server")
    return path[len(above) + 1 :]
