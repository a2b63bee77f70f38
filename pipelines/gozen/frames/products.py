"""FITS products as bytes: scaled int16 images, Rice-compressed, and plain float32 masters, with checksums.

The bytes depend on nothing but the content: what FITS libraries stamp with the clock gets the exposure's own time.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.io.fits.verify import VerifyWarning
from astropy.utils.exceptions import AstropyWarning
from numpy.typing import NDArray

from gozen.errors import UnreadableInput

Card = tuple[str, Any, str]
BLANK = -32768
_STEPS_PER_SIGMA = 4.0
"""Quantisation by a quarter of the noise adds 1/(2 * 12 * 16) = 0.26 % to it."""
_TILE_ROWS = 16


def scaling(image: NDArray[np.float32], noise: float) -> tuple[float, float]:
    """Return BSCALE and BZERO that keep an image's range in int16, in steps of a quarter of its noise if that fits.

    Parameters
    ----------
    noise
        Of one pixel, in the image's unit.
    """
    finite = image[np.isfinite(image)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    step = max(noise / _STEPS_PER_SIGMA if noise > 0 else 0.0, (high - low) / 65000, 1e-6)
    return float(np.float32(step)), float(np.float32(low + 32500 * step))


def compressed(
    image: NDArray[np.float32],
    cards: Sequence[Card],
    noise: float,
    when: str,
    tables: Mapping[str, Mapping[str, NDArray[Any]]] | None = None,
) -> bytes:
    """Return a FITS file that holds an image or a cube as scaled int16 with Rice compression.

    Parameters
    ----------
    image
        Shape (rows, columns) or (frames, rows, columns); NaN becomes BLANK.
    cards
        Header cards: word, value, comment.
    noise
        Of one pixel, which the steps are chosen by.
    when
        Time that the checksums carry, FITS date.
    tables
        Binary tables to add, by extension name: columns by name.
    """
    scale, zero = scaling(image, noise)
    levels = np.empty(image.shape, np.int16)
    for plane, target in zip(_planes(image), _planes(levels), strict=True):
        scaled = np.rint((plane - np.float32(zero)) / np.float32(scale))
        target[...] = np.where(np.isfinite(plane), np.clip(scaled, BLANK + 1, 32767), BLANK).astype(np.int16)
    header = _header(cards)
    header["BSCALE"], header["BZERO"], header["BLANK"] = scale, zero, BLANK
    hdu = fits.CompImageHDU(levels, header, compression_type="RICE_1", tile_shape=_tile(image.shape))
    for word, value in (("BSCALE", scale), ("BZERO", zero), ("BLANK", BLANK)):
        hdu.header[word] = value  # the constructor drops them when the data are integers
    hdus = fits.HDUList([fits.PrimaryHDU(), hdu])
    for name, columns in (tables or {}).items():
        hdus.append(fits.BinTableHDU(_fits_table(columns), name=name))
    return with_checksums(_written(hdus), when)


def plain(image: NDArray[np.float32], cards: Sequence[Card], when: str) -> bytes:
    """Return a FITS file that holds an image as float32."""
    hdu = fits.PrimaryHDU(np.asarray(image, np.float32), _header(cards))
    return with_checksums(_written(fits.HDUList([hdu])), when)


def read_plain(data: bytes, name: str, shape: tuple[int, int]) -> tuple[NDArray[np.float32], fits.Header]:
    """Read what `plain` wrote.

    Raises
    ------
    UnreadableInput
        The bytes are no such file, or of another shape.
    """
    try:
        with warnings.catch_warnings():
            # A truncated file shows when its pixels are read; the warning would only say it twice.
            warnings.simplefilter("ignore", AstropyWarning)
            with fits.open(io.BytesIO(data), memmap=False) as hdus:
                image, header = np.asarray(hdus[0].data, np.float32), hdus[0].header.copy()
    except (OSError, ValueError, TypeError) as error:
        raise UnreadableInput(f"{name} cannot be read as FITS: {error}; make the master again") from error
    if image.shape != shape:
        raise UnreadableInput(
            f"{name} has shape {image.shape}, the active area of the profile is {shape}; make the master again"
        )
    return image, header


def with_checksums(data: bytes, when: str) -> bytes:
    """Return the same FITS file with DATASUM and CHECKSUM in every unit, stamped with a given time."""
    with fits.open(io.BytesIO(data), disable_image_compression=True, memmap=False) as hdus:
        buffer = io.BytesIO()
        for hdu in hdus:
            hdu.add_checksum(when=f"checksum at {when}")
        hdus.writeto(buffer, output_verify="ignore")
        return buffer.getvalue()


def _planes(image: NDArray[Any]) -> list[NDArray[Any]]:
    return list(image) if image.ndim == 3 else [image]


def _tile(shape: tuple[int, ...]) -> tuple[int, ...]:
    rows = min(_TILE_ROWS, shape[-2])
    return (1, rows, shape[-1]) if len(shape) == 3 else (rows, shape[-1])


def _header(cards: Sequence[Card]) -> fits.Header:
    header = fits.Header()
    for word, value, comment in cards:
        if word in ("HISTORY", "COMMENT"):
            header[word] = value
        else:
            header[word] = (None if isinstance(value, float) and not np.isfinite(value) else value, comment)
    return header


def _written(hdus: fits.HDUList) -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # A long comment is cut at the card's end, which loses nothing that matters.
        warnings.simplefilter("ignore", VerifyWarning)
        hdus.writeto(buffer)
    return buffer.getvalue()


def _fits_table(columns: Mapping[str, NDArray[Any]]) -> fits.FITS_rec:
    kinds = {"f": "D", "i": "J", "b": "L"}
    return fits.FITS_rec.from_columns(
        fits.ColDefs(
            [
                fits.Column(name, kinds.get(values.dtype.kind, f"{max(values.dtype.itemsize // 4, 1)}A"), array=values)
                for name, values in columns.items()
            ]
        )
    )
