"""Digest of a table's values, independent of their encoding and their row groups."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa


class Content:
    """The digest of a table's rows, which are added part by part, sorted by sky position.

    For numbers and booleans the digest does not depend on the division into parts. For texts it does.

    Parameters
    ----------
    schema
        The table's columns.
    """

    def __init__(self, schema: pa.Schema) -> None:
        self._types = list(schema.types)
        self._values = [hashlib.sha256(f"{field.name} {field.type}".encode()) for field in schema]
        self._nulls = [hashlib.sha256() for _ in schema]
        self._rows = 0

    def add(self, part: pa.Table) -> None:
        """Add the next rows to the digest."""
        for column, kind, values, nulls in zip(part.columns, self._types, self._values, self._nulls, strict=True):
            if column.null_count:
                nulls.update((np.flatnonzero(column.is_null().to_numpy()) + self._rows).tobytes())
            for data in _bytes(column.combine_chunks(), kind):
                values.update(data)
        self._rows += len(part)

    def digest(self) -> str:
        """Return the digest of all rows that were added, in hexadecimal."""
        whole = hashlib.sha256()
        for values, nulls in zip(self._values, self._nulls, strict=True):
            whole.update(values.digest() + nulls.digest())
        return whole.hexdigest()


def digest(schema: pa.Schema, parts: Iterable[pa.Table]) -> str:
    """Return the digest of a table's sorted rows.

    Parameters
    ----------
    schema
        The table's columns.
    parts
        Its rows, one part after the other. A table with text columns must be divided in the same way each time.
    """
    content = Content(schema)
    for part in parts:
        content.add(part)
    return content.digest()


def _bytes(column: pa.Array, kind: pa.DataType) -> Iterator[bytes | memoryview]:
    """Yield the bytes of a column's values; a null counts as zero, False or empty, whatever is stored under it."""
    if pa.types.is_boolean(kind) or pa.types.is_integer(kind) or pa.types.is_floating(kind):
        filled = column.fill_null(False if pa.types.is_boolean(kind) else 0) if column.null_count else column
        yield np.ascontiguousarray(filled.to_numpy(zero_copy_only=False)).data.cast("B")
    elif pa.types.is_string(kind) or pa.types.is_binary(kind):
        whole = column.cast(kind).fill_null("" if pa.types.is_string(kind) else b"")
        offsets = np.frombuffer(whole.buffers()[1], np.int32)[whole.offset : whole.offset + len(whole) + 1]
        yield np.diff(offsets).tobytes()
        if whole.buffers()[2] is not None:
            yield memoryview(whole.buffers()[2])[offsets[0] : offsets[-1]]
    else:
        yield repr(column.to_pylist()).encode()
