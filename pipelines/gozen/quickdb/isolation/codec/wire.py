"""Encode and decode values between processes that do not trust each other; nothing is executed.

A value is a tree of tagged nodes, followed by the memory of its arrays, each aligned to 64 bytes, so that the reader
uses the arrays without a copy. Each length is compared with the number of bytes present before it is used.
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
    """Return a value as bytes; `decode` lists the types that it may contain.

    Raises
    ------
    NotEncodable
        If the value contains something that is not plain data.
    """
    return b"".join(parts(value))


def parts(value: object) -> list[Buffer]:
    """Return the parts that `encode` joins: head, tree, and views of the arrays' memory with padding between them.

    Raises
    ------
    NotEncodable
        If the value contains something that is not plain data.
    """
    return _laid_out(_written(value))


def parts_and_texts(value: object) -> tuple[list[Buffer], list[Buffer]]:
    """Return the result of `parts`, and a list of the parts that may contain text."""
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
        The bytes. Arrays of the value are views of them, and are read-only if the bytes are.
    plain
        Whether arrays, NumPy scalars and Arrow data are refused.
    shown
        Whether text arrays with invalid characters are refused, because they cannot be printed.
    seconds
        Maximum processor time for decoding: hostile keys of a dict can make it slow.

    Returns
    -------
    Nested tuples, lists and dicts (keys: text and integers) of None, bool, int, float, complex, text, bytes, NumPy
    scalars, NumPy arrays of plain dtypes, Arrow tables, record batches, chunked arrays and arrays. Types and values
    equal the encoded ones bit by bit.

    Raises
    ------
    UnreadableInput
        If the bytes are not a valid value. The memory that was allocated is limited by their length.
    """
    try:
        return Reader(memoryview(data).cast("B"), plain, shown, seconds).whole()
    except Malformed as error:
        raise UnreadableInput(f"an encoded value cannot be decoded: {error}") from None
    except Exception as error:  # without the message of NumPy or Arrow, which may quote the bytes
        raise UnreadableInput(
            f"an encoded value cannot be decoded: its bytes are damaged ({type(error).__name__})"
        ) from None
