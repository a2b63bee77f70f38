"""Convert stored pixels to numbers without loss; find undefined and overflowed pixels. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from gozen.errors import CorruptFile

Pixels = NDArray[np.uint16] | NDArray[np.float32] | NDArray[np.float64]
Stored = NDArray[np.int16]
STORED = np.dtype(">i2")
"""FITS's form of uint16: big-endian int16, with 32768 subtracted (``BZERO``)."""
_EXACT_IN_FLOAT64 = 2**53
_EXACT_OFFSET = 2**23
"""Largest offset with which every 16-bit integer is exact in float32."""
_FAR_ADU, _BRIGHT_ADU, _ALMOST_FULL = 1000.0, 3277.0, 28000.0
_FIRST, _LAST, _ALL = slice(None, -1), slice(1, None), slice(None)
_NEIGHBOURS = (
    ((_FIRST, _ALL), (_LAST, _ALL)),
    ((_LAST, _ALL), (_FIRST, _ALL)),
    ((_ALL, _FIRST), (_ALL, _LAST)),
    ((_ALL, _LAST), (_ALL, _FIRST)),
)
"""Slices of pixels and of their neighbours in the next row, previous row, next column and previous column."""


@dataclass(frozen=True)
class Scaling:
    """The conversion of stored values to pixel values: ``BZERO + BSCALE * stored`` (FITS standard 4.0, 4.4.2.5).

    Parameters
    ----------
    blank
        Stored integer of an undefined pixel (``BLANK``); None if there is none.
    """

    offset: float = 0.0
    scale: float = 1.0
    blank: int | None = None

    @property
    def is_of_uint16(self) -> bool:
        """Whether the scaling means uint16 stored as int16: BZERO = 32768 and BSCALE = 1."""
        return self.offset == 32768 and self.scale == 1


def scaling_of(words: Mapping[str, Any], name: str) -> Scaling:
    """Read BZERO, BSCALE and BLANK.

    Raises
    ------
    CorruptFile
        One of them is not a number, or BSCALE is zero; the pixels are then meaningless.
    """
    offset, scale = (_number(words, *of, name) for of in (("BZERO", 0.0), ("BSCALE", 1.0)))
    if scale == 0:
        raise CorruptFile(f"{name}: BSCALE = 0, so all pixels have the same value; correct the header")
    blank = words.get("BLANK")
    # The standard defines BLANK for integers only (floats have NaN), and a BLANK without a value marks no pixels.
    if not isinstance(blank, str | int | float) or _number(words, "BITPIX", 16.0, name) < 0:
        return Scaling(offset, scale)
    return Scaling(offset, scale, int(_number(words, "BLANK", 0.0, name)))


def native(pixels: Pixels | Stored) -> Pixels:
    """Return pixels in native byte order; int16 that FITS stores in place of uint16 is converted to uint16."""
    if pixels.dtype != STORED:
        return cast("Pixels", pixels)
    # Adding 32768 to a two's complement number flips its highest bit.
    swapped: NDArray[np.uint16] = pixels.byteswap().view(np.uint16)
    swapped ^= np.uint16(0x8000)
    return swapped


def apply_scaling(stored: NDArray[Any], scaling: Scaling, name: str) -> Pixels | Stored:
    """Return the values of a frame; undefined pixels are NaN.

    Pixels of uint16 that FITS stores as int16 (BZERO = 32768) are returned as stored, unless one is undefined.
    Unscaled uint16 is returned as uint16. All others become float32 if that is exact for every value, else float64.

    Raises
    ------
    CorruptFile
        An integer is too large to be exact in float64.
    """
    whole = stored.dtype.kind in "iu"
    undefined = stored == scaling.blank if whole and scaling.blank is not None else np.zeros(0, np.bool_)
    if stored.dtype == STORED and scaling.is_of_uint16 and not undefined.any():
        return cast("Stored", stored)
    if stored.dtype.kind == "u" and stored.dtype.itemsize == 2 and scaling == Scaling():
        return stored.astype(np.uint16)
    short = whole and stored.dtype.itemsize <= 2 and scaling.scale == 1 and float(scaling.offset).is_integer()
    numbers: NDArray[np.float32] | NDArray[np.float64]
    if short and abs(scaling.offset) <= _EXACT_OFFSET:
        numbers = stored.astype(np.float32) + np.float32(scaling.offset)
    elif stored.dtype.kind == "f" and stored.dtype.itemsize == 4 and scaling == Scaling():
        numbers = stored.astype(np.float32)
    else:
        numbers = _narrowed(_wide(stored, scaling, name))
    if undefined.any():
        numbers[undefined] = np.nan
    return numbers


def run_over(frame: NDArray[Any]) -> int:
    """Return the number of pixels of a signed frame that probably overflowed: values above 32767 ADU became negative.

    Such a pixel is negative and surrounded by bright ones, as in the middle of a star; or the sky itself is negative.

    Parameters
    ----------
    frame
        16-bit integers, interpreted as signed.
    """
    if frame.min() >= 0:
        return 0
    middle = float(np.median(frame))
    if middle < -_FAR_ADU:
        return int((frame < 0).sum())
    far = far_below(frame)
    bright = frame > min(middle + _BRIGHT_ADU, _ALMOST_FULL)
    labels, groups = ndimage.label(far)
    around, lit = np.zeros(groups + 1, np.int64), np.zeros(groups + 1, np.int64)
    for here, there in _NEIGHBOURS:
        edge = far[here] & ~far[there]
        around += np.bincount(labels[here][edge], minlength=groups + 1)
        lit += np.bincount(labels[here][edge & bright[there]], minlength=groups + 1)
    return int(np.bincount(labels.ravel(), minlength=groups + 1)[2 * lit > around].sum())


def has_negative_sky(frame: NDArray[Any]) -> bool:
    """Return whether the median of a frame, which is its sky, is far below zero."""
    return float(np.median(frame)) < -_FAR_ADU


def far_below(frame: NDArray[Any]) -> NDArray[np.bool_]:
    """Return a mask of pixels that are negative and more than 1000 ADU below the median."""
    return np.asarray(frame < min(0.0, float(np.median(frame)) - _FAR_ADU))


def _wide(stored: NDArray[Any], scaling: Scaling, name: str) -> NDArray[np.float64]:
    if stored.dtype.kind == "i" and stored.dtype.itemsize == 8:
        # Unsigned 64-bit integers are stored with 2^63 subtracted; adding it in float64 would not be exact.
        unsigned = scaling.offset == 2.0**63 and scaling.scale == 1
        kept = stored.astype(np.int64)
        whole = kept.view(np.uint64) ^ np.uint64(1 << 63) if unsigned else kept
        known = whole if scaling.blank is None else whole[stored != scaling.blank]
        if known.size and max(int(known.max()), -int(known.min())) > _EXACT_IN_FLOAT64:
            raise CorruptFile(
                f"{name}: a pixel is {int(known.max())} or {int(known.min())}, beyond 2^53; Gozen cannot represent "
                "such integers exactly, so write the image with 32-bit integers or floats"
            )
        if unsigned:
            return whole.astype(np.float64)
    return stored.astype(np.float64) * scaling.scale + scaling.offset


def _narrowed(numbers: NDArray[np.float64]) -> NDArray[np.float32] | NDArray[np.float64]:
    with np.errstate(over="ignore"):
        narrow = numbers.astype(np.float32)
    return narrow if np.array_equal(narrow, numbers, equal_nan=True) else numbers


def _number(words: Mapping[str, Any], word: str, default: float, name: str) -> float:
    value = words.get(word, default)
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        raise CorruptFile(f"{name}: {word} = {value!r} is not a number; correct the header") from error
    if not np.isfinite(number):
        raise CorruptFile(f"{name}: {word} = {value!r} is not a number; correct the header")
    return number
