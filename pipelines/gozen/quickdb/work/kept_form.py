"""Encode the result of a block for the cache, once, in the worker.

It is compressed, as to carry and to write what many functions give, such as histograms, costs more than that.
"""

from __future__ import annotations

import struct
from typing import Any

import pyarrow as pa

from gozen.errors import FunctionFailed, UnreadableInput
from gozen.quickdb.isolation.codec.wire import decode, parts_and_texts

_PARTS = ("values", "total", "first")
"""Of what `Program.block` returns."""

_SIZE = struct.Struct("<Q")
_CODEC = "lz4_raw"
_ADDRESSES = [" at 0x".encode(form) for form in ("utf-8", "utf-32-le", "utf-32-be")]
"""Of a text such as ``<function f at 0x7f..>``, another one in each process, as texts and arrays of texts have it."""


def packed_for_keeping(result: dict[str, Any], *, is_reduced: bool) -> dict[str, Any]:
    """Return what a block gave with ``kept``, its values in this form; as it is where they are not of a kind for it.

    Parameters
    ----------
    result
        As `Program.block` returns it.
    is_reduced
        Whether its total is sent with that of other blocks, so that nobody asks for its own; else it is in ``kept``
        alone, as all of its values are.
    """
    kept = kept_bytes({part: result[part] for part in _PARTS})
    if kept is None:
        return result
    if is_reduced:
        return result | {"kept": kept}
    return {"kept": kept} | {part: one for part, one in result.items() if part not in _PARTS}


def unpacked(result: dict[str, Any]) -> dict[str, Any]:
    """Return it with all its values."""
    return result | kept_value(result["kept"]) if "kept" in result and "values" not in result else result


def kept_bytes(value: Any) -> bytes | None:
    """Return a value as bytes; None where it is no plain data, or another one in each process."""
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
    """Return the value of bytes; `UnreadableInput` where they are damaged. A reduce may work in place on it."""
    try:
        (size,) = _SIZE.unpack_from(data)
        whole = pa.decompress(memoryview(data)[_SIZE.size :], size, _CODEC)
    except (struct.error, OSError, ValueError, MemoryError, pa.ArrowException) as error:
        raise UnreadableInput(f"these bytes are not a result: {error}") from error
    return decode(bytearray(memoryview(whole)))
