"""Write FITS header and data units as bytes: cards, padding, checksums with a given time."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.io.fits.verify import VerifyWarning
from numba import njit

Card = tuple[str, Any, str]
FITS_BLOCK = 2880
"""Bytes of a block: headers and data are padded to complete blocks (FITS standard 4.0, section 3.1)."""
_TEXT = 72
_PUNCTUATION = frozenset(range(0x3A, 0x41)) | frozenset(range(0x5B, 0x61))
_EMPTY = "0" * 16


def unit(cards: Sequence[Card], data: bytes, when: str) -> bytes:
    """Return a header and its data, with DATASUM and CHECKSUM (FITS standard 4.0, section 4.4.2.7 and appendix J).

    Parameters
    ----------
    cards
        Keyword, value, comment; the mandatory ones first. A float that is not finite becomes an undefined value.
    data
        Data without the padding.
    when
        Time in the comments of the checksums, FITS date.
    """
    padding = bytes(-len(data) % FITS_BLOCK)
    data_sum = _ones_complement_sum(data)
    last: list[Card] = [
        ("CHECKSUM", _EMPTY, f"checksum at {when}"),
        ("DATASUM", str(data_sum), f"checksum at {when}"),
    ]
    header = _header([*cards, *last])
    total = _fold(_ones_complement_sum(header) + data_sum)
    header = header.replace(f"CHECKSUM= '{_EMPTY}'".encode(), f"CHECKSUM= '{_encoded(~total & 0xFFFFFFFF)}'".encode())
    return b"".join((header, data, padding))


def _header(cards: Sequence[Card]) -> bytes:
    with warnings.catch_warnings():
        # Astropy warns if it truncates a long comment; nothing important is lost.
        warnings.simplefilter("ignore", VerifyWarning)
        text = "".join(image for card in cards for image in _images(*card)) + "END".ljust(80)
    return text.ljust(-(-len(text) // FITS_BLOCK) * FITS_BLOCK).encode("ascii")


def _images(word: str, value: Any, comment: str) -> list[str]:
    """Return the lines of one card; a text that is too long for one line is continued."""
    if word in ("HISTORY", "COMMENT"):
        parts = [value[start : start + _TEXT] for start in range(0, len(value), _TEXT)] or [""]
        return [f"{word:8s}{part}".ljust(80) for part in parts]
    known = None if isinstance(value, float) and not np.isfinite(value) else value
    return [fits.Card(word, known, comment).image]


def _ones_complement_sum(data: bytes) -> int:
    """Return the ones' complement sum of big-endian 32-bit words: carries are added at the low end."""
    whole = len(data) // 4 * 4
    rest = int.from_bytes(data[whole:].ljust(4, b"\0"), "big")
    return _fold(int(_sum_of_words(np.frombuffer(data, "<u4", whole // 4))) + rest)


@njit(cache=True)
def _sum_of_words(words: Any) -> Any:  # pragma: no cover (compiled)
    total = np.uint64(0)
    for word in words:
        low = ((word >> np.uint32(8)) & np.uint32(0xFF00)) | (word >> np.uint32(24))
        high = (word << np.uint32(24)) | ((word & np.uint32(0xFF00)) << np.uint32(8))
        total += np.uint64(np.uint32(high | low))
    return total


def _fold(total: int) -> int:
    while total >> 32:
        total = (total & 0xFFFFFFFF) + (total >> 32)
    return total


def _encoded(value: int) -> str:
    """Encode a checksum as 16 letters and digits (FITS standard 4.0, appendix J)."""
    columns = []
    for shift in (24, 16, 8, 0):
        quotient, remainder = divmod(value >> shift & 0xFF, 4)
        column = [quotient + remainder + 0x30, *(quotient + 0x30,) * 3]
        while any(code in _PUNCTUATION for code in column):
            for first in (0, 2):
                if column[first] in _PUNCTUATION or column[first + 1] in _PUNCTUATION:
                    column[first] += 1
                    column[first + 1] -= 1
        columns.append(column)
    codes = [columns[byte][row] for row in range(4) for byte in range(4)]
    return bytes(codes[-1:] + codes[:-1]).decode("ascii")
