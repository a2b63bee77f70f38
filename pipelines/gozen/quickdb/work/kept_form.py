"""Encode the result of a block for the cache, once, in the worker.

Results are compressed: many, such as histograms, take longer to send and to write than to compress.
"""

from __future__ import annotations

import struct
from typing import Any

import pyarrow as pa

from gozen.errors import FunctionFailed, UnreadableInput
from gozen.quickdb.isolation.codec.wire import decode, parts_and_texts

_PARTS = ("values", "total", "first")
"""The items of a result of `Program.block` that are cached."""

_SIZE = struct.Struct("<Q")
_CODEC = "lz4_raw"
_ADDRESSES = [" at 0x".encode(form) for form in ("utf-8", "utf-32-le", "utf-32-be")]
"""Marks of a text that differs in each process, such as ``<function f at 0x7f..>``, as encoded in texts and arrays."""


def packed_for_keeping(result: dict[str, Any], *, is_reduced: bool) -> dict[str, Any]:
    """Return the result of a block with its encoded values as ``kept``; unchanged if they cannot be encoded.

    Parameters
    ----------
    result
        A result of `Program.block`.
    is_reduced
        Whether the worker reduces its total with the totals of other blocks. If so, the values remain in the result; if
        not, they are only in ``kept``.
    """
    kept = kept_bytes({part: result[part] for part in _PARTS})
    if kept is None:
        return result
    if is_reduced:
        return result | {"kept": kept}
    return {"kept": kept} | {part: one for part, one in result.items() if part not in _PARTS}


def unpacked(result: dict[str, Any]) -> dict[str, Any]:
    """Return a result with its values: decoded from ``kept`` if the result does not contain them otherwise."""
    return result | kept_value(result["kept"]) if "kept" in result and "values" not in result else result


def kept_bytes(value: Any) -> bytes | None:
    """Encode a value; return None if it is not plain data, or contains a memory address (different in each process)."""
    try:
        parts, texts = parts_and_texts(value)
    except FunctionFailed:
        return None
    if any(form in bytes(text) for text in texts for form in _ADDRESSES):
        return None
    data = b"".join(parts)
    compressed: bytes = pa.compress(data, _CODEC, asbytes=True)
    return _SIZE.pack(len(data)) + compressed


def kept_value(data: bytes) -> Any:
    """Decode bytes of `kept_bytes`; `reduce` may write to the arrays; raise `UnreadableInput` if bytes are damaged."""
    try:
        (size,) = _SIZE.unpack_from(data)
        whole = pa.decompress(memoryview(data)[_SIZE.size :], size, _CODEC)
        return decode(bytearray(memoryview(whole)))
    except (struct.error, OSError, ValueError, MemoryError, pa.ArrowException, UnreadableInput) as error:
        raise UnreadableInput(
            f"the encoded result of a block of patches is damaged ({error}): run the job again"
        ) from error
