"""Arrow data on the wire: IPC messages, which are looked at before Arrow may believe them."""

from __future__ import annotations

import struct
from typing import Any

import pyarrow as pa

_WASTE = 65_536
_EXTENSION = b"ARROW:extension:"
_SCHEMA, _DICTIONARY, _BATCH = 1, 2, 3


def write(kind: str, value: Any) -> pa.Buffer:
    """Return Arrow data as a stream of IPC messages, not compressed.

    Parameters
    ----------
    kind
        ``table``, ``batch``, ``chunked`` or ``array``.
    value
        The Arrow object.

    Raises
    ------
    ValueError
        When it has extension types.
    """
    if kind == "batch":
        value = pa.Table.from_batches([value])
    elif kind in ("chunked", "array"):
        value = pa.table({"": value})
    written = _write(value)
    if value.nbytes > _referred(len(written)):
        written = _write(value.combine_chunks())  # a dictionary that all chunks share would be counted for each
    return written


def _write(table: Any) -> pa.Buffer:
    if _EXTENSION in table.schema.serialize().to_pybytes():
        raise ValueError("Arrow data with an extension type")
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression=None)) as stream:
        stream.write_table(table)
    return sink.getvalue()


def read(kind: str, data: memoryview) -> Any:
    """Return the Arrow object of IPC messages that may be hostile, without a copy.

    Raises
    ------
    ValueError, struct.error, pyarrow.ArrowException
        When they are not what `write` makes.
    """
    buffer = pa.py_buffer(data)
    _check_messages(buffer)
    table = pa.ipc.open_stream(pa.BufferReader(buffer)).read_all()
    table.validate()
    if table.nbytes > _referred(len(data)):
        raise ValueError("Arrow columns that claim the same memory many times")
    table.validate(full=True)
    if kind == "table":
        return table
    if kind == "batch":
        batches = table.to_batches()
        if len(batches) > 1:
            raise ValueError("an Arrow batch in pieces")
        return batches[0] if batches else pa.RecordBatch.from_pylist([], schema=table.schema)
    if table.num_columns != 1:
        raise ValueError("an Arrow array of several columns")
    column = table.column(0)
    if kind == "chunked":
        return column
    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks or [pa.array([], column.type)])


def _referred(length: int) -> int:
    return 8 * length + _WASTE


def _check_messages(buffer: pa.Buffer) -> None:
    """Refuse what would make Arrow allocate more than it was given, or call code that is registered for a name."""
    reader = pa.ipc.MessageReader.open_stream(pa.BufferReader(buffer))
    while True:
        try:
            message = reader.read_next_message()
        except StopIteration:
            return
        metadata = memoryview(message.metadata)
        (root,) = struct.unpack_from("<I", metadata)
        kind = metadata[_field(metadata, root, 1)]
        header = _follow(metadata, _field(metadata, root, 2))
        if kind == _SCHEMA and _EXTENSION in bytes(metadata):
            raise ValueError("Arrow data with an extension type")
        if kind == _DICTIONARY:
            delta = _field(metadata, header, 2)
            if delta and metadata[delta]:
                raise ValueError("an Arrow dictionary in pieces")
            header = _follow(metadata, _field(metadata, header, 1))
        if kind not in (_SCHEMA, _DICTIONARY, _BATCH) or (kind != _SCHEMA and _field(metadata, header, 3)):
            raise ValueError("Arrow data that are compressed, or tensors")


def _field(data: memoryview, table: int, which: int) -> int:
    """Return where a field of a FlatBuffers table stands, 0 where it is left out (flatbuffers.dev, internals)."""
    (back,) = struct.unpack_from("<i", data, table)
    fields = table - back
    (length,) = struct.unpack_from("<H", data, fields)
    place = 4 + 2 * which
    (offset,) = struct.unpack_from("<H", data, fields + place) if place < length else (0,)
    return table + offset if offset else 0


def _follow(data: memoryview, place: int) -> int:
    return int(place + struct.unpack_from("<I", data, place)[0])
