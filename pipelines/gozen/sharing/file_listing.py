"""Read the answers to PROPFIND requests: files and folders with size, ETag and checksum. No I/O."""

from __future__ import annotations

import email.utils
import io
from collections.abc import Iterator
from dataclasses import dataclass
from xml.etree.ElementTree import Element  # the parser is that of defusedxml

from defusedxml import ElementTree
from defusedxml.common import DefusedXmlException

from gozen.errors import UnexpectedAnswer
from gozen.sharing.checksums import best_of
from gozen.sharing.remote_names import path_of

_DAV, _OC = "{DAV:}", "{http://owncloud.org/ns}"
REQUEST = (
    b'<?xml version="1.0"?><d:propfind xmlns:d="DAV:" xmlns:oc="http://owncloud.org/ns"><d:prop>'
    b"<d:resourcetype/><d:getcontentlength/><d:getlastmodified/><d:getetag/><oc:checksums/><oc:permissions/>"
    b"</d:prop></d:propfind>"
)
"""The properties of files that transfers need."""


@dataclass(frozen=True)
class Entry:
    """A file or folder in Nextcloud.

    Parameters
    ----------
    path
        Relative to the user's folder, or to another folder that was listed; empty for this folder itself.
    etag
        With its quotes, as it is used in conditions.
    checksum
        The most reliable one that the server has, such as ``SHA256:...``; empty if it has none.
    modified_s
        Time of the last change, seconds since 1970; None if the server does not say.
    permissions
        Letters, as Nextcloud's documentation explains them.
    """

    path: str
    is_folder: bool
    size: int = 0
    etag: str = ""
    checksum: str = ""
    modified_s: float | None = None
    permissions: str = ""

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition("/")[2]


def entries(body: bytes, root: str) -> Iterator[Entry]:
    """Yield the entries of a listing, in the order of the server.

    Parameters
    ----------
    root
        Address of the folder to which paths are relative.

    Raises
    ------
    UnexpectedAnswer
        The body is not a WebDAV listing.
    """
    try:
        # One after the other, so that a folder of many thousand files needs little memory.
        for _, element in ElementTree.iterparse(io.BytesIO(body)):
            if element.tag == f"{_DAV}response":
                yield _entry(element, root)
                element.clear()
    except (ElementTree.ParseError, DefusedXmlException) as error:
        raise UnexpectedAnswer(
            f"the answer of {root} is not a WebDAV listing ({error}); check the address of the server"
        ) from error


def _entry(response: Element, root: str) -> Entry:
    found = _good_properties(response)

    def text(name: str) -> str:
        one = found.get(name)
        return (one.text or "").strip() if one is not None else ""

    kind, sums, size = found.get(f"{_DAV}resourcetype"), found.get(f"{_OC}checksums"), text(f"{_DAV}getcontentlength")
    return Entry(
        path=path_of(response.findtext(f"{_DAV}href") or "", root),
        is_folder=kind is not None and kind.find(f"{_DAV}collection") is not None,
        size=int(size) if size.isdecimal() else 0,
        etag=text(f"{_DAV}getetag"),
        checksum=best_of([] if sums is None else [one.text or "" for one in sums.iter()]),
        modified_s=_time(text(f"{_DAV}getlastmodified")),
        permissions=text(f"{_OC}permissions"),
    )


def _good_properties(response: Element) -> dict[str, Element]:
    """Return the properties that exist: a server lists the others with status 404."""
    return {
        one.tag: one
        for part in response.iter(f"{_DAV}propstat")
        if " 200" in (part.findtext(f"{_DAV}status") or "")
        for prop in part.iter(f"{_DAV}prop")
        for one in prop
    }


def _time(text: str) -> float | None:
    try:
        return float(email.utils.parsedate_to_datetime(text).timestamp())
    except ValueError:
        return None
