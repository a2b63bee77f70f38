"""Damage a valid FITS file in the ways in which files break between camera and archive."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
from astropy.io import fits

from gozen.archive.stores.open_store import Store
from gozen.errors import BadRequest


def truncated(data: bytes) -> bytes:
    """Cut the file off within its pixels, like an interrupted copy."""
    return data[: len(data) * 3 // 5]


def wrong_shape(data: bytes) -> bytes:
    """Remove the last quarter of the columns: the header matches the data, but not the camera's profile."""
    header, pixels = _read(data)
    return _write(header, pixels[..., : pixels.shape[-1] * 3 // 4])


def missing_word(data: bytes) -> bytes:
    """Remove the keyword UTC, without which no frame has a time."""
    header, pixels = _read(data)
    del header["UTC"]
    return _write(header, pixels)


def contradicting_times(data: bytes) -> bytes:
    """Set UTC-EXP one second later than UTC: the sequence then begins after the exposure of its first pixel."""
    header, pixels = _read(data)
    later = np.datetime64(header["UTC"]) + np.timedelta64(1_000_000, "us")
    header["UTC-EXP"] = str(later)
    return _write(header, pixels)


def impossible_pointing(data: bytes) -> bytes:
    """Set the telescope's declination to +119 degrees."""
    header, pixels = _read(data)
    header["DEC"] = "+119:00:00.00"
    return _write(header, pixels)


def not_a_number(data: bytes) -> bytes:
    """Convert the pixels to floating point and set some to NaN."""
    header, pixels = _read(data)
    floats = pixels.astype(np.float32)
    floats[..., ::97, ::89] = np.nan
    return _write(header, floats)


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "truncated": truncated,
    "wrong-shape": wrong_shape,
    "missing-word": missing_word,
    "contradicting-times": contradicting_times,
    "impossible-pointing": impossible_pointing,
    "nan": not_a_number,
}


def damage(store: Store, key: str, kind: str) -> None:
    """Replace a raw file by a damaged copy.

    Parameters
    ----------
    kind
        A key of `DAMAGES`.

    Raises
    ------
    BadRequest
        The kind of damage does not exist.
    """
    if kind not in DAMAGES:
        raise BadRequest(f"the damage {kind!r} is not known; give one of {', '.join(DAMAGES)}")
    store.write(key, DAMAGES[kind](store.read(key)))


def _read(data: bytes) -> tuple[fits.Header, np.ndarray[tuple[int, ...], np.dtype[np.generic]]]:
    with fits.open(io.BytesIO(data), memmap=False) as hdus:
        return hdus[0].header.copy(), np.asarray(hdus[0].data)


def _write(header: fits.Header, pixels: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> bytes:
    stream = io.BytesIO()
    fits.PrimaryHDU(pixels, header).writeto(stream)
    return stream.getvalue()
