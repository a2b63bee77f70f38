"""Compiled Rice compression of images: float pixels to scaled int16, tile by tile, in the form that FITS defines.

The form is that of RICE_1 with blocks of 32 pixels and two bytes each (FITS standard 4.0, section 10.4.1; Rice, Yeh &
Miller 1993, AIAA 93-4541): the first pixel as it is, then for each block the number of bits that are kept as they are,
and for each difference to the pixel before its high part as so many zeros and a one, and its low part in those bits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

BLANK = -32768
BLOCK = 32
_SCALE_BITS, _MOST_BITS, _WHOLE_BITS = 4, 14, 16
_WORST_BYTES = 2.2
"""Of a pixel: sixteen bits, and the block's four."""


@dataclass(frozen=True)
class Tiles:
    """The compressed tiles of an image, one after the other.

    Parameters
    ----------
    heap
        Their bytes.
    lengths
        Bytes of each tile.
    """

    heap: bytes
    lengths: NDArray[np.int64]


def rice_tiles(image: NDArray[np.float32], scale: float, zero: float, tile_rows: int) -> Tiles:
    """Compress an image in tiles of whole rows.

    Parameters
    ----------
    image
        Shape (rows, columns); NaN becomes `BLANK`.
    scale, zero
        A level is (pixel - zero) / scale, rounded and limited to -32767 to 32767.
    tile_rows
        Rows of a tile; the last one may have fewer.
    """
    rows = len(image)
    heap = np.empty(int(image.size * _WORST_BYTES) + 64 * (rows // tile_rows + 2), np.uint8)
    lengths = np.empty(-(-rows // tile_rows), np.int64)
    size = _compress(np.ascontiguousarray(image), np.float32(scale), np.float32(zero), tile_rows, heap, lengths)
    return Tiles(heap[:size].tobytes(), lengths)


@njit(cache=True, error_model="numpy")
def _compress(
    image: Any, scale: Any, zero: Any, tile_rows: int, heap: Any, lengths: Any
) -> int:  # pragma: no cover (compiled)
    rows, columns = image.shape
    levels = np.empty(tile_rows * columns, np.int16)
    size = 0
    for tile in range(len(lengths)):
        first, last = tile * tile_rows, min((tile + 1) * tile_rows, rows)
        for row in range(first, last):
            begin = (row - first) * columns
            _quantise(image[row], scale, zero, levels[begin : begin + columns])
        length = _encode(levels[: (last - first) * columns], heap[size:])
        lengths[tile] = length
        size += length
    return size


@njit(cache=True, error_model="numpy")
def _quantise(row: Any, scale: Any, zero: Any, levels: Any) -> None:  # pragma: no cover (compiled)
    for x in range(len(row)):
        level = np.rint((row[x] - zero) / scale)
        # The comparison is false for what is no number.
        limited = min(max(level, np.float32(-32767)), np.float32(32767)) if level == level else np.float32(BLANK)
        levels[x] = np.int16(limited)


@njit(cache=True)
def _encode(levels: Any, out: Any) -> int:  # pragma: no cover (compiled)
    """Write one tile and return how many bytes it takes; bits gather in a word until 32 are there."""
    one, whole = np.uint64(1), np.uint64(32)
    word, held = np.uint64(np.uint16(levels[0])), np.uint64(_WHOLE_BITS)
    size = 0
    differences = np.empty(BLOCK, np.uint16)
    for begin in range(0, len(levels), BLOCK):
        count = min(BLOCK, len(levels) - begin)
        total = _differences(levels, begin, count, differences)
        kept = _kept_bits(total, count)
        code = np.uint64(0 if total == 0 else min(kept, _MOST_BITS) + 1)
        word, held = (word << np.uint64(_SCALE_BITS)) | code, held + np.uint64(_SCALE_BITS)
        if held >= whole:
            held -= whole
            size = _put(out, size, word >> held)
        if total == 0:
            continue
        if kept >= _MOST_BITS:
            low, mark = np.uint64(_WHOLE_BITS), np.uint64(0)
        else:
            low, mark = np.uint64(kept), one
        for j in range(count):
            value = np.uint64(differences[j])
            high = (value >> low) if mark else np.uint64(0)
            while high > np.uint64(14):
                word, held, high = word << np.uint64(14), held + np.uint64(14), high - np.uint64(14)
                if held >= whole:
                    held -= whole
                    size = _put(out, size, word >> held)
            length = high + mark + low
            word = (word << length) | (mark << low) | (value & ((one << low) - one))
            held += length
            if held >= whole:
                held -= whole
                size = _put(out, size, word >> held)
    while held > 0:
        bits = min(held, np.uint64(8))
        out[size] = np.uint8(((word >> (held - bits)) << (np.uint64(8) - bits)) & np.uint64(0xFF))
        held -= bits
        size += 1
    return size


@njit(cache=True, inline="always")
def _put(out: Any, size: int, word: Any) -> int:  # pragma: no cover (compiled)
    out[size] = np.uint8((word >> np.uint64(24)) & np.uint64(0xFF))
    out[size + 1] = np.uint8((word >> np.uint64(16)) & np.uint64(0xFF))
    out[size + 2] = np.uint8((word >> np.uint64(8)) & np.uint64(0xFF))
    out[size + 3] = np.uint8(word & np.uint64(0xFF))
    return size + 4


@njit(cache=True)
def _differences(levels: Any, begin: int, count: int, out: Any) -> Any:  # pragma: no cover (compiled)
    """Give the differences to the pixels before, their sign in the lowest bit, and return their sum."""
    total: Any = 0
    start = 0
    if begin == 0:
        out[0] = np.uint16(0)
        start = 1
    for j in range(start, count):
        step = np.int16(levels[begin + j] - levels[begin + j - 1])
        out[j] = np.uint16((step << 1) ^ (step >> 15))
    for j in range(count):
        total += np.int64(out[j])
    return total


@njit(cache=True)
def _kept_bits(total: int, count: int) -> Any:  # pragma: no cover (compiled)
    """Return how many low bits of a block's differences are kept as they are, by their mean."""
    mean = np.int64(max((total - count // 2 - 1) / count, 0.0)) >> 1
    bits = 0
    while mean > 0:
        bits += 1
        mean >>= 1
    return bits
