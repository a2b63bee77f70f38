"""An address as a QR code: for a terminal, and as SVG for a notebook or a page."""

from __future__ import annotations

import io

_MODULE_PX = 4


def qr_text(address: str) -> str:
    """Return a QR code as lines of half blocks, which a camera can read from a terminal with a dark background."""
    import segno

    out = io.StringIO()
    segno.make(address, micro=False).terminal(out, compact=True)
    return out.getvalue().rstrip("\n")


def qr_address(address: str) -> str:
    """Return a QR code as the address of a picture (``data:``), for a page."""
    import segno

    picture: str = segno.make(address, micro=False).svg_data_uri(scale=_MODULE_PX, dark="black", light="white")
    return picture


def qr_svg(address: str) -> str:
    """Return a QR code as an SVG element, black on white, with a title."""
    import segno

    code = segno.make(address, micro=False)
    svg: str = code.svg_inline(scale=_MODULE_PX, dark="black", light="white", title=address)
    return svg
