"""Write FITS products: scaled int16 images (Rice) and float32 masters, with checksums.

The bytes depend only on the content: time stamps, which FITS libraries take from the clock, are the exposure's time.
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
from numba import njit
from numpy.typing import NDArray

from gozen.errors import UnreadableInput
from gozen.frames.fits_images import reason_in_file
from gozen.frames.fits_units import FITS_BLOCK, Card, unit
from gozen.frames.rice import BLANK, BLOCK, Tiles, rice_tiles

_FIRST_CARDS: tuple[Card, ...] = (
    ("SIMPLE", True, "conforms to the FITS standard"),
    ("BITPIX", 8, "no data in this unit"),
    ("NAXIS", 0, "no data in this unit"),
    ("EXTEND", True, "the image is in the next unit"),
)
_STEPS_PER_SIGMA = 4.0
"""Quantisation steps per sigma of the noise. A step of sigma/4 increases the noise by 1/(2 * 12 * 16) = 0.26 %."""
_TILE_ROWS = 16


def scaling(image: NDArray[np.float32], noise: float) -> tuple[float, float]:
    """Return BSCALE and BZERO that fit an image's range into int16; the step is a quarter of the noise if that fits.

    Parameters
    ----------
    noise
        Noise of one pixel, in the image's unit.
    """
    low, high = _range(image.ravel())
    if low > high:
        low, high = 0.0, 0.0
    step = max(noise / _STEPS_PER_SIGMA if noise > 0 else 0.0, (high - low) / 65000, 1e-6)
    return float(np.float32(step)), float(np.float32(low + 32500 * step))


@njit(cache=True)
def _range(pixels: Any) -> tuple[float, float]:  # pragma: no cover (compiled)
    """Return the lowest and the highest finite value; (inf, -inf) if there is none."""
    low, high = np.float32(np.inf), np.float32(-np.inf)
    for i in range(len(pixels)):
        value = pixels[i]
        number = abs(value) < np.inf
        low = value if number and value < low else low
        high = value if number and value > high else high
    return float(low), float(high)


def compressed(
    image: NDArray[np.float32],
    cards: Sequence[Card],
    noise: float,
    when: str,
    tables: Mapping[str, Mapping[str, NDArray[Any]]] | None = None,
) -> bytes:
    """Return a FITS file with an image or a cube as scaled int16, Rice-compressed.

    Parameters
    ----------
    image
        Shape (rows, columns) or (frames, rows, columns); NaN becomes BLANK.
    cards
        Header cards: keyword, value, comment.
    noise
        Noise of one pixel, which sets the quantisation step.
    when
        Time in the comments of the checksums, FITS date.
    tables
        Binary tables to add, by extension name; each has its columns by name.
    """
    scale, zero = scaling(image, noise)
    planes = image if image.ndim == 3 else image[np.newaxis]
    rows = min(_TILE_ROWS, image.shape[-2])
    tiles = [rice_tiles(plane, scale, zero, rows) for plane in planes]
    parts = [unit(_FIRST_CARDS, b"", when), unit(*_tile_table(tiles, image.shape, rows, cards, scale, zero), when)]
    if tables:
        hdus = fits.HDUList([fits.PrimaryHDU()])
        for name, columns in tables.items():
            hdus.append(fits.BinTableHDU(_fits_table(columns), name=name))
        parts.append(with_checksums(_written(hdus), when)[FITS_BLOCK:])
    return b"".join(parts)


def _tile_table(
    tiles: Sequence[Tiles], shape: tuple[int, ...], tile_rows: int, cards: Sequence[Card], scale: float, zero: float
) -> tuple[list[Card], bytes]:
    """Return header and data of the binary table that stores a compressed image (FITS standard 4.0, section 10)."""
    lengths = np.concatenate([plane.lengths for plane in tiles])
    ends = np.cumsum(lengths)
    # Heaps of 2 GB and more need descriptors of 64 bits.
    letter, kind = ("P", ">i4") if ends[-1] < 2**31 else ("Q", ">i8")
    places = np.column_stack([lengths, ends - lengths]).astype(kind).tobytes()
    axes, tile = shape[::-1], (shape[-1], tile_rows, 1)[: len(shape)]
    table: list[Card] = [
        ("XTENSION", "BINTABLE", "binary table extension"),
        ("BITPIX", 8, "bits of a table's element"),
        ("NAXIS", 2, "axes of the table"),
        ("NAXIS1", len(places) // len(lengths), "bytes of a row"),
        ("NAXIS2", len(lengths), "rows: tiles of the image"),
        ("PCOUNT", int(ends[-1]), "bytes of the tiles"),
        ("GCOUNT", 1, "one group"),
        ("TFIELDS", 1, "columns"),
        ("TTYPE1", "COMPRESSED_DATA", "bytes of a tile"),
        ("TFORM1", f"1{letter}B({int(lengths.max())})", "variable length"),
        ("ZIMAGE", True, "this table holds a compressed image"),
        ("ZTENSION", "IMAGE", "image extension"),
        ("ZBITPIX", 16, "bits of a pixel"),
        ("ZNAXIS", len(axes), "axes of the image"),
        *((f"ZNAXIS{axis}", size, "pixels of the axis") for axis, size in enumerate(axes, 1)),
        ("ZPCOUNT", 0, "no group parameters"),
        ("ZGCOUNT", 1, "one group"),
        *((f"ZTILE{axis}", size, "pixels of a tile") for axis, size in enumerate(tile, 1)),
        ("ZCMPTYPE", "RICE_1", "compression algorithm"),
        ("ZNAME1", "BLOCKSIZE", "pixels that share a coding"),
        ("ZVAL1", BLOCK, ""),
        ("ZNAME2", "BYTEPIX", "bytes of a pixel"),
        ("ZVAL2", 2, ""),
        ("EXTNAME", "COMPRESSED_IMAGE", "name of this unit"),
        *cards,
        ("BSCALE", scale, "pixel = BZERO + BSCALE * level"),
        ("BZERO", zero, "[adu] of level 0"),
        ("BLANK", BLANK, "level of a pixel without a value"),
    ]
    return table, places + b"".join(plane.heap for plane in tiles)


def plain(image: NDArray[np.float32], cards: Sequence[Card], when: str) -> bytes:
    """Return a FITS file with an image as float32."""
    rows, columns = image.shape
    first: tuple[Card, ...] = (
        ("SIMPLE", True, "conforms to the FITS standard"),
        ("BITPIX", -32, "single precision"),
        ("NAXIS", 2, "axes of the image"),
        ("NAXIS1", columns, "pixels of a row"),
        ("NAXIS2", rows, "rows"),
    )
    return unit((*first, *cards), image.astype(">f4").tobytes(), when)


def read_plain(data: bytes, name: str, shape: tuple[int, int] | None) -> tuple[NDArray[np.float32], fits.Header]:
    """Read a file that `plain` wrote.

    Raises
    ------
    UnreadableInput
        The bytes are not such a file, or the image has another shape.
    """
    try:
        with warnings.catch_warnings():
            # A truncated file raises an error when its pixels are read; the warning would only repeat it.
            warnings.simplefilter("ignore", AstropyWarning)
            with fits.open(io.BytesIO(data), memmap=False) as hdus:
                image, header = np.asarray(hdus[0].data, np.float32), hdus[0].header.copy()
    except (OSError, ValueError, TypeError) as error:
        raise UnreadableInput(
            f"{name} cannot be read as FITS ({reason_in_file(error)}); make the master again"
        ) from error
    if shape is not None and image.shape != shape:
        raise UnreadableInput(
            f"{name} has shape {image.shape}, but the active area of the profile has shape {shape}; make the master "
            "again"
        )
    return image, header


def with_checksums(data: bytes, when: str) -> bytes:
    """Return the same FITS file with DATASUM and CHECKSUM in every unit; their comments contain the given time."""
    with fits.open(io.BytesIO(data), disable_image_compression=True, memmap=False) as hdus:
        buffer = io.BytesIO()
        for hdu in hdus:
            hdu.add_checksum(when=f"checksum at {when}")
        hdus.writeto(buffer, output_verify="ignore")
        return buffer.getvalue()


def _written(hdus: fits.HDUList) -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # Astropy warns if it truncates a long comment; nothing important is lost.
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
