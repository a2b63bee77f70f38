"""Rice compression of images as FITS defines it: float pixels to scaled int16, tile by tile (compiled code).

The format is RICE_1 with blocks of 32 pixels of two bytes each (FITS standard 4.0, section 10.4.1; Rice, Yeh & Miller
1993, AIAA 93-4541). The first pixel is stored as is. For each block follows the number k of low bits; each difference
to the previous pixel is stored as its high part in unary and its k low bits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

BLANK = -32768
BLOCK = 32
_SCALE_BITS, _WHOLE_BITS, _FITTING_BITS = np.uint64(4), np.uint64(16), np.uint64(32)
_MOST_BITS = 14
_WORST_BYTES = 2.2
"""Upper limit of compressed bytes per pixel: 16 bits, and 4 bits per block."""


@dataclass(frozen=True)
class Tiles:
    """The compressed tiles of an image, one after the other.

    Parameters
    ----------
    heap
        The bytes of all tiles.
    lengths
        Number of bytes of each tile.
    """

    heap: bytes
    lengths: NDArray[np.int64]


def rice_tiles(image: NDArray[np.float32], scale: float, zero: float, tile_rows: int) -> Tiles:
    """Compress an image in tiles of complete rows.

    Parameters
    ----------
    image
        Shape (rows, columns); NaN becomes `BLANK`.
    scale, zero
        The stored level is (pixel - zero) / scale, rounded and limited to -32767 to 32767.
    tile_rows
        Number of rows of a tile; the last tile may have fewer.
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
    # One more level at the front, so that the first level has a predecessor.
    levels = np.empty(1 + tile_rows * columns, np.int16)
    words = np.empty(tile_rows * columns, np.uint32)
    size = 0
    for tile in range(len(lengths)):
        first, last = tile * tile_rows, min((tile + 1) * tile_rows, rows)
        for row in range(first, last):
            begin = 1 + (row - first) * columns
            _quantise(image[row], scale, zero, levels[begin : begin + columns])
        levels[0] = levels[1]
        length = _encode(levels[: 1 + (last - first) * columns], words)
        heap[size : size + length] = words.view(np.uint8)[:length]
        lengths[tile] = length
        size += length
    return size


@njit(cache=True, error_model="numpy")
def _quantise(row: Any, scale: Any, zero: Any, levels: Any) -> None:  # pragma: no cover (compiled)
    for x in range(len(row)):
        level = np.rint((row[x] - zero) / scale)
        # The comparison is false for NaN.
        limited = min(max(level, np.float32(-32767)), np.float32(32767)) if level == level else np.float32(BLANK)
        levels[x] = np.int16(limited)


@njit(cache=True)
def _encode(levels: Any, out: Any) -> Any:  # pragma: no cover (compiled)
    """Write one tile, whose first level is given twice, into words; return the number of bytes."""
    count = len(levels) - 1
    size, word, held = _write(out, 0, np.uint64(0), np.uint64(0), np.uint64(np.uint16(levels[0])), _WHOLE_BITS)
    differences = np.zeros(BLOCK, np.uint16)
    for begin in range(0, count, BLOCK):
        block = min(BLOCK, count - begin)
        # Both branches do the same; the first is fast, because the compiler knows its length.
        if block == BLOCK:
            total = _differences(levels[begin : begin + BLOCK + 1], BLOCK, differences)
        else:
            total = _differences(levels[begin : begin + block + 1], block, differences)
        kept = _kept_bits(total, block)
        code = np.uint64(0 if total == 0 else min(kept, _MOST_BITS) + 1)
        size, word, held = _write(out, size, word, held, code, _SCALE_BITS)
        if total == 0:
            continue
        if kept >= _MOST_BITS:
            for j in range(block):
                size, word, held = _write(out, size, word, held, np.uint64(differences[j]), _WHOLE_BITS)
        elif block == BLOCK:
            size, word, held = _write_block(out, size, word, held, differences, np.uint64(kept))
        else:
            for j in range(block):
                size, word, held = _write_one(out, size, word, held, np.uint64(differences[j]), np.uint64(kept))
    if held > 0:
        out[size] = _swapped(word << (np.uint64(64) - held) >> np.uint64(32))
    return 4 * size + np.int64((held + np.uint64(7)) >> np.uint64(3))


@njit(cache=True, inline="always")
def _write_block(
    out: Any, size: int, word: Any, held: Any, differences: Any, kept: Any
) -> Any:  # pragma: no cover (compiled)
    """Write a complete block, two differences at a time if they fit into one word."""
    one, low = np.uint64(1), (np.uint64(1) << kept) - np.uint64(1)
    for j in range(0, BLOCK, 2):
        first, second = np.uint64(differences[j]), np.uint64(differences[j + 1])
        bits = (second >> kept) + one + kept
        length = (first >> kept) + one + kept + bits
        if length <= _FITTING_BITS:
            code = ((one << kept) | (first & low)) << bits | (one << kept) | (second & low)
            size, word, held = _write(out, size, word, held, code, length)
        else:
            size, word, held = _write_one(out, size, word, held, first, kept)
            size, word, held = _write_one(out, size, word, held, second, kept)
    return size, word, held


@njit(cache=True)
def _write_one(out: Any, size: int, word: Any, held: Any, value: Any, kept: Any) -> Any:  # pragma: no cover (compiled)
    """Write one difference; its high part may be thousands of zeros."""
    one = np.uint64(1)
    high = value >> kept
    while high > _WHOLE_BITS:
        size, word, held = _write(out, size, word, held, np.uint64(0), _WHOLE_BITS)
        high -= _WHOLE_BITS
    return _write(out, size, word, held, (one << kept) | (value & ((one << kept) - one)), high + one + kept)


@njit(cache=True, inline="always")
def _write(out: Any, size: int, word: Any, held: Any, code: Any, length: Any) -> Any:  # pragma: no cover (compiled)
    """Add up to 32 bits without a branch: the word is written at each call, and `size` grows once it is full."""
    word = (word << length) | code
    held += length
    out[size] = _swapped(word << (np.uint64(64) - held) >> np.uint64(32))
    return size + np.int64(held >> np.uint64(5)), word, held & np.uint64(31)


@njit(cache=True, inline="always")
def _swapped(word: Any) -> Any:  # pragma: no cover (compiled)
    """Return a word with its bytes swapped: big-endian in memory."""
    value = np.uint32(word)
    inner = ((value & np.uint32(0xFF00)) << np.uint32(8)) | ((value >> np.uint32(8)) & np.uint32(0xFF00))
    return np.uint32((value << np.uint32(24)) | inner | (value >> np.uint32(24)))


@njit(cache=True, inline="always")
def _differences(levels: Any, count: int, out: Any) -> Any:  # pragma: no cover (compiled)
    """Write the differences of levels to the previous ones, with the sign in the lowest bit; return their sum."""
    total = np.uint32(0)
    for j in range(count):
        # 32-bit numbers throughout, so that the compiler can vectorise; the difference itself has 16 bits.
        step = np.int32(np.int16(np.int32(levels[j + 1]) - np.int32(levels[j])))
        folded = np.uint32((step << np.int32(1)) ^ (step >> np.int32(31))) & np.uint32(0xFFFF)
        out[j] = np.uint16(folded)
        total += folded
    return np.int64(total)


@njit(cache=True)
def _kept_bits(total: int, count: int) -> Any:  # pragma: no cover (compiled)
    """Return how many low bits of a block's differences are stored as they are, by the mean of the differences."""
    mean = np.int64(max((total - count // 2 - 1) / count, 0.0)) >> 1
    bits = 0
    while mean > 0:
        bits += 1
        mean >>= 1
    return bits
