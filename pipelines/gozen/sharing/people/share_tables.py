"""Shares as a table: readable as text, and as HTML in a notebook. No I/O."""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from typing import overload

from gozen.sharing.people.qr_codes import qr_svg, qr_text
from gozen.sharing.people.rights import rights_words
from gozen.sharing.people.share_records import Share

COLUMNS = ("path", "shared with", "kind", "may", "until", "label", "link", "id")
_NONE = "nothing is shared"
Row = dict[str, str]


class ShareTable(Sequence[Share]):
    """Shares in a table, in the order of their paths.

    Parameters
    ----------
    shares
        The shares.
    nothing
        What is shown if there are none.
    """

    def __init__(self, shares: Sequence[Share], nothing: str = _NONE) -> None:
        self._shares = sorted(shares, key=lambda one: (one.path, one.kind, one.who, one.id))
        self._nothing = nothing

    @overload
    def __getitem__(self, place: int) -> Share: ...
    @overload
    def __getitem__(self, place: slice) -> ShareTable: ...
    def __getitem__(self, place: int | slice) -> Share | ShareTable:
        return ShareTable(self._shares[place], self._nothing) if isinstance(place, slice) else self._shares[place]

    def __len__(self) -> int:
        return len(self._shares)

    def __iter__(self) -> Iterator[Share]:
        return iter(self._shares)

    def rows(self) -> list[Row]:
        """Return one row of texts for each share, with the keys `COLUMNS`."""
        return [row_of(one) for one in self._shares]

    def columns(self) -> list[str]:
        """Return the columns that are not empty in all rows."""
        return [name for name in COLUMNS if any(row[name] for row in self.rows())]

    def __repr__(self) -> str:
        if not self._shares:
            return self._nothing
        names = self.columns()
        lines = [names, *([row[name] for name in names] for row in self.rows())]
        widths = [max(len(line[place]) for line in lines) for place in range(len(names))]
        return "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
        )

    def _repr_html_(self) -> str:
        if not self._shares:
            return f"<p>{html.escape(self._nothing)}</p>"
        names = self.columns()
        head = "".join(f'<th scope="col" style="text-align:left">{html.escape(name)}</th>' for name in names)
        body = "".join(
            "<tr>" + "".join(f'<td style="text-align:left">{_cell(name, row[name])}</td>' for name in names) + "</tr>"
            for row in self.rows()
        )
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


class NewLink:
    """A public link that was just made, with its password, which cannot be read again later.

    Parameters
    ----------
    share
        The link as a share.
    password
        Its password; empty if it has none.
    """

    def __init__(self, share: Share, password: str = "") -> None:
        self.share = share
        self.password = password

    @property
    def url(self) -> str:
        """The address of the link."""
        return self.share.url

    def qr(self) -> str:
        """Return the address as a QR code of characters, for a terminal."""
        return qr_text(self.url)

    def __repr__(self) -> str:
        # Without the password: outputs of notebooks are saved and shared.
        return f"{self.url} ({described(self.share)})"

    def _repr_html_(self) -> str:
        return f"<p>{_address(self.url)}<br>{html.escape(described(self.share))}</p>{qr_svg(self.url)}"


def described(link: Share) -> str:
    """Return the path, rights, end and protection of a link, in words."""
    parts = [f"{link.path}: {rights_words(link.rights)}"]
    parts += [f"until {link.expires}"] if link.expires else ["does not expire"]
    return ", ".join(parts + (["with a password"] if link.password else ["without a password"]))


def row_of(share: Share) -> Row:
    """Return a share as a row of texts."""
    name = share.who if share.name in ("", share.who) else f"{share.name} ({share.who})"
    with_password = " (password)" if share.password else ""
    return {
        "path": share.path + ("/" if share.folder else ""),
        "shared with": name + with_password,
        "kind": share.kind,
        "may": rights_words(share.rights),
        "until": share.expires.isoformat() if share.expires else "",
        "label": share.label,
        "link": share.url,
        "id": share.id,
    }


def _cell(name: str, text: str) -> str:
    return _address(text) if name == "link" else html.escape(text)


def _address(url: str) -> str:
    text = html.escape(url)
    # An address of another kind, such as javascript:, is shown and cannot be clicked.
    return f'<a href="{text}" rel="noreferrer">{text}</a>' if url.startswith(("https://", "http://")) else text
