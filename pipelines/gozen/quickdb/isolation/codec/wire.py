"""Encode and decode values between processes that do not trust each other; nothing is executed.

A value is a tree of tagged nodes, then the memory of its arrays, each from a multiple of 64 bytes on, so that whoever
reads maps them and copies nothing. Lengths are checked against what is there before anything is made of them.
"""

from __future__ import annotations

import math
from typing import Any

from gozen.errors import UnreadableInput
from gozen.quickdb.isolation.codec.decode import Reader
from gozen.quickdb.isolation.codec.encode import NotEncodable, Writer
from gozen.quickdb.isolation.codec.form import ALIGNMENT, HEAD, MAGIC, Buffer, Malformed

__all__ = ["Buffer", "NotEncodable", "decode", "encode", "parts", "parts_and_texts"]


_PADDING = bytes(ALIGNMENT)


def encode(value: object) -> bytes:
    """Return a value as bytes; see `decode` for what may be in it.

    Raises
    ------
    NotEncodable
        When something in it is no plain data.
    """
    return b"".join(parts(value))


def parts(value: object) -> list[Buffer]:
    """Return what `encode` joins: views of the arrays' own memory and the little that stands between them.

    Raises
    ------
    NotEncodable
        When something in it is no plain data.
    """
    return _laid_out(_written(value))


def parts_and_texts(value: object) -> tuple[list[Buffer], list[Buffer]]:
    """Return the same, and those of them in which text may stand."""
    writer = _written(value)
    return _laid_out(writer), writer.texts


def _written(value: object) -> Writer:
    writer = Writer()
    writer.write(value)
    return writer


def _laid_out(writer: Writer) -> list[Buffer]:
    found: list[Buffer] = [HEAD.pack(MAGIC, len(writer.tree)), writer.tree]
    length = HEAD.size + len(writer.tree)
    for memory in writer.memory:
        found += [_PADDING[: -length % ALIGNMENT], memory]
        length += -length % ALIGNMENT + len(memory)
    return found


def decode(data: Buffer, *, plain: bool = False, shown: bool = False, seconds: float = math.inf) -> Any:
    """Return the value of encoded bytes that may be hostile.

    Parameters
    ----------
    data
        Kept for as long as any array of the value lives; where they cannot be written to, neither can the arrays.
    plain
        Whether arrays, NumPy scalars and Arrow data are refused.
    shown
        Whether text in arrays must be such that it can be shown.
    seconds
        Of the processor that it may take: whoever chooses the keys of a dict can make it slow.

    Returns
    -------
    Nested tuples, lists and dicts (keys: text and integers) of None, bool, int, float, complex, text, bytes, NumPy
    scalars, NumPy arrays of plain dtypes, Arrow tables, record batches, chunked arrays and arrays: of the same types
    and, bit by bit, the same values as were encoded.

    Raises
    ------
    UnreadableInput
        When the bytes are no value; nothing larger than they allow was made of them.
    """
    try:
        return Reader(memoryview(data).cast("B"), plain, shown, seconds).whole()
    except Malformed as error:
        raise UnreadableInput(f"these bytes are not a value: {error}") from None
    except Exception as error:  # whatever NumPy and Arrow say of them, which may quote them, the bytes are wrong
        raise UnreadableInput(f"these bytes are not a value: {type(error).__name__}") from None
