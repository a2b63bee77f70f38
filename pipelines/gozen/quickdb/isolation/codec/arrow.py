"""Encode Arrow data as plain buffers with lengths that are checked before use.

Arrow's own messages (IPC) are not read, because Arrow follows their positions, lengths and offsets before it checks
them. Here each number is a plain value that is compared with the number of bytes present, so that Arrow only gets
buffers that are large enough.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa

from gozen.quickdb.isolation.codec.arrow_types import describe_schema, is_nested, read_schema
from gozen.quickdb.isolation.codec.form import ARROW_KINDS, Malformed

Charge = Callable[[int], None]
"""Counts elements that take no memory: a few bytes could declare any number of them."""

_KINDS = {"array", *ARROW_KINDS.values()}
_MOST = 2**40
_REPEATED = 65_536
"""Bytes that may be sent more than once before chunks are joined: each chunk is sent with the dictionary it shares."""


def describe(kind: str, value: Any) -> tuple[Any, ...]:
    """Return a description of Arrow data: plain values and arrays of bytes.

    Parameters
    ----------
    kind
        ``table``, ``batch``, ``chunked`` or ``array``.
    value
        The Arrow object.

    Raises
    ------
    ValueError, pyarrow.ArrowException
        If a type in it is not allowed.
    """
    if kind == "batch":
        value = pa.Table.from_batches([value])
    elif kind in ("chunked", "array"):
        value = pa.table({"": value})
    schema = describe_schema(value.schema)
    columns = [[_described(one) for one in _compact(column, kind)] for column in value.columns]
    return (kind, schema, value.num_rows, columns)


def _compact(column: pa.ChunkedArray, kind: str) -> list[pa.Array]:
    """Return the chunks of a column, each with offset 0 and without memory of other chunks."""
    nested = is_nested(column.type)
    chunks = column.chunks
    shared = nested and column.nbytes > 2 * column.get_total_buffer_size() + _REPEATED
    if shared or (kind in ("batch", "array") and len(chunks) != 1):
        chunks = [pa.concat_arrays(chunks) if chunks else pa.array([], column.type)]
    return [_copied(one) if nested or one.offset else one for one in chunks]


def _copied(array: pa.Array) -> pa.Array:
    sink = pa.BufferOutputStream()
    batch = pa.record_batch([array], [""])
    with pa.ipc.new_stream(sink, batch.schema, options=pa.ipc.IpcWriteOptions(compression=None)) as stream:
        stream.write_batch(batch)
    return pa.ipc.open_stream(sink.getvalue()).read_all().column(0).chunk(0)


def _described(array: pa.Array) -> tuple[Any, ...]:
    kind, length = array.type, len(array)
    if pa.types.is_null(kind):
        return (length, None, [], [], None)
    if pa.types.is_dictionary(kind):
        count, bitmap, buffers, _, _ = _described(array.indices)
        (inner,) = _compact(pa.chunked_array([array.dictionary]), "array")
        return (count, bitmap, buffers, [], _described(inner))
    own = array.buffers()
    bitmap = _bytes(own[0], -(-length // 8)) if array.null_count else None
    if pa.types.is_struct(kind):
        return (length, bitmap, [], [_described(array.field(at)) for at in range(kind.num_fields)], None)
    if pa.types.is_fixed_size_list(kind):
        return (length, bitmap, [], [_described(array.values.slice(0, length * kind.list_size))], None)
    width = _offset_width(kind)
    if not width:
        return (length, bitmap, [_bytes(own[1], _memory(kind, length))], [], None)
    offsets = _bytes(own[1], (length + 1) * width) if length else np.zeros(width, np.uint8)
    end = int(offsets.view(f"<i{width}")[-1])
    if not is_nested(kind):
        return (length, bitmap, [offsets, _bytes(own[2], end)], [], None)
    children = [array.keys, array.items] if pa.types.is_map(kind) else [array.values]
    return (length, bitmap, [offsets], [_described(one.slice(0, end)) for one in children], None)


def _bytes(buffer: Any, count: int) -> np.ndarray[Any, Any]:
    return np.frombuffer(buffer, np.uint8, count) if count else np.zeros(0, np.uint8)


def _offset_width(kind: pa.DataType) -> int:
    types = pa.types
    if types.is_large_string(kind) or types.is_large_binary(kind) or types.is_large_list(kind):
        return 8
    return 4 if types.is_string(kind) or types.is_binary(kind) or types.is_list(kind) or types.is_map(kind) else 0


def _memory(kind: pa.DataType, length: int) -> int:
    return -(-length * int(kind.bit_width) // 8)


def read(described: Any, charge: Charge) -> Any:
    """Return the Arrow object of a description that may be hostile, without copying its buffers.

    Raises
    ------
    ValueError, pyarrow.ArrowException
        If the description is not one that `describe` can return.
    """
    kind, schema, rows, columns = _parts(described, str, tuple, int, list)
    schema = read_schema(schema)
    if kind not in _KINDS or not 0 <= rows <= _MOST or len(columns) != len(schema):
        raise Malformed(
            "the description of Arrow data has an unknown kind, or its rows or columns do not match the schema"
        )
    if not columns:
        charge(rows)
    arrays = [_chunked(field.type, chunks, rows, charge) for field, chunks in zip(schema, columns, strict=True)]
    if kind in ("chunked", "array") and len(arrays) != 1:
        raise Malformed("an Arrow array has several columns")
    if kind in ("batch", "array") and any(one.num_chunks != 1 for one in arrays):
        raise Malformed("an Arrow record batch has several chunks")
    if kind in ("chunked", "array"):
        return arrays[0] if kind == "chunked" else arrays[0].chunk(0)
    if not columns:
        empty = pa.RecordBatch.from_struct_array(pa.Array.from_buffers(pa.struct([]), rows, [None]))
        empty = empty.replace_schema_metadata(schema.metadata)
        return empty if kind == "batch" else pa.Table.from_batches([empty])
    if kind == "batch":
        return pa.RecordBatch.from_arrays([one.chunk(0) for one in arrays], schema=schema)
    return pa.Table.from_arrays(arrays, schema=schema)


def _chunked(kind: pa.DataType, described: Any, rows: int, charge: Charge) -> pa.ChunkedArray:
    if type(described) is not list:
        raise Malformed(f"the chunks of an Arrow column are not a list, but {type(described).__name__}")
    chunks = [_array(kind, one, charge) for one in described]
    if sum(map(len, chunks)) != rows:
        raise Malformed("an Arrow column has another length than its table")
    for one in chunks:
        one.validate(full=True)  # the remaining checks: characters, keys, digits
    return pa.chunked_array(chunks, kind)


def _array(kind: pa.DataType, described: Any, charge: Charge) -> pa.Array:
    length, bitmap, buffers, children, dictionary = _parts(described, int, object, list, list, object)
    if not 0 <= length <= _MOST:
        raise Malformed(f"the length of an Arrow array is not between 0 and {_MOST}")
    if pa.types.is_null(kind):
        charge(length)
        return pa.nulls(length)
    valid = None if bitmap is None else _checked(bitmap, -(-length // 8))
    if pa.types.is_dictionary(kind):
        words = _array(kind.value_type, dictionary, charge)
        numbers = _checked(_only(buffers), _memory(kind.index_type, length))
        numbers = _checked_indices(kind.index_type, numbers, valid, length, len(words))
        return pa.DictionaryArray.from_buffers(kind, length, [_buffer(valid), _buffer(numbers)], words)
    if pa.types.is_struct(kind):
        return _struct(kind, length, valid, children, charge)
    if pa.types.is_fixed_size_list(kind):
        charge(0 if kind.list_size else length)
        inner = _array(kind.value_type, _only(children), charge)
        _must(len(inner) == length * kind.list_size)
        return pa.Array.from_buffers(kind, length, [_buffer(valid)], children=[inner])
    width = _offset_width(kind)
    if not width:
        charge(0 if kind.bit_width else length)
        memory = _checked(_only(buffers), _memory(kind, length))
        return pa.Array.from_buffers(kind, length, [_buffer(valid), _buffer(memory)])
    return _counted(kind, length, valid, buffers, children, charge)


def _struct(kind: pa.DataType, length: int, valid: Any, children: list[Any], charge: Charge) -> pa.Array:
    _must(len(children) == kind.num_fields)
    charge(0 if children else length)
    inner = [_array(kind.field(at).type, one, charge) for at, one in enumerate(children)]
    _must(all(len(one) == length for one in inner))
    return pa.Array.from_buffers(kind, length, [_buffer(valid)], children=inner)


def _counted(
    kind: pa.DataType, length: int, valid: Any, buffers: list[Any], children: list[Any], charge: Charge
) -> pa.Array:
    """Return an array whose elements have different lengths, given by offsets."""
    width = _offset_width(kind)
    nested = is_nested(kind)
    _must(len(buffers) == (1 if nested else 2))
    offsets = _checked(buffers[0], (length + 1) * width)
    places = offsets.view(f"<i{width}")[: length + 1]
    if places[0] < 0 or np.any(places[1:] < places[:-1]):
        raise Malformed("the offsets of an Arrow array decrease")
    end = int(places[-1])
    if not nested:
        text = _checked(buffers[1], end)
        return pa.Array.from_buffers(kind, length, [_buffer(valid), _buffer(offsets), _buffer(text)])
    if pa.types.is_map(kind):
        _must(len(children) == 2)
        pair = pa.struct([kind.key_field, kind.item_field])
        keys = children[0]
        inner = _struct(pair, _parts(keys, int, object, list, list, object)[0], None, children, charge)
        _must(inner.field(0).null_count == 0)  # null keys would make Arrow abort the process
    else:
        inner = _array(kind.value_type, _only(children), charge)
    _must(end <= len(inner))
    return pa.Array.from_buffers(kind, length, [_buffer(valid), _buffer(offsets)], children=[inner])


def _checked_indices(
    kind: pa.DataType, memory: np.ndarray[Any, Any], valid: Any, length: int, words: int
) -> np.ndarray[Any, Any]:
    """Return the memory of dictionary indices, in which indices out of range are 0 if their elements are null.

    Arrow uses the indices of null elements, too, when it unifies dictionaries; pandas writes -1 for these indices.
    """
    numbers = memory[: _memory(kind, length)].view(np.dtype(kind.to_pandas_dtype()))
    if not numbers.size or (int(numbers.min()) >= 0 and int(numbers.max()) < words):
        return memory
    outside = (numbers < 0) | (numbers >= words)
    if valid is None or np.any(outside & np.unpackbits(valid, count=length, bitorder="little").astype(bool)):
        raise Malformed("an Arrow column has an index without a value in its dictionary")
    inside: np.ndarray[Any, Any] = np.where(outside, numbers.dtype.type(0), numbers).view(np.uint8)
    return inside


def _checked(memory: Any, count: int) -> np.ndarray[Any, Any]:
    """Return a buffer; raise `Malformed` if it has fewer than `count` bytes."""
    if type(memory) is not np.ndarray or memory.dtype != np.uint8 or memory.ndim != 1 or memory.size < count:
        raise Malformed("an Arrow buffer is too short, or does not consist of bytes")
    return memory


def _buffer(memory: np.ndarray[Any, Any] | None) -> pa.Buffer | None:
    return None if memory is None else pa.py_buffer(memory)


def _only(parts: list[Any]) -> Any:
    _must(len(parts) == 1)
    return parts[0]


def _must(holds: bool) -> None:
    if not holds:
        raise Malformed("the parts of an Arrow array contradict each other")


def _parts(described: Any, *kinds: type) -> tuple[Any, ...]:
    if type(described) is not tuple or len(described) != len(kinds):
        raise Malformed("the description of Arrow data has too many or too few parts")
    if any(kind is not object and type(one) is not kind for one, kind in zip(described, kinds, strict=True)):
        raise Malformed("the description of Arrow data has a part of the wrong type")
    return described
