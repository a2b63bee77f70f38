"""Digest of a table's values, independent of their encoding, their row groups and their division into parts."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np
import pyarrow as pa


class Content:
    """The digest of a table's rows; the caller adds the rows part by part, sorted by sky position.

    Each column has three digests: of its values, of the lengths of its texts, and of the rows without a value. Each
    digest gets the same bytes however the rows are divided into parts.

    Parameters
    ----------
    schema
        The table's columns.
    """

    def __init__(self, schema: pa.Schema) -> None:
        self._types = list(schema.types)
        self._values = [hashlib.sha256(f"{field.name} {field.type}".encode()) for field in schema]
        self._lengths = [hashlib.sha256() for _ in schema]
        self._nulls = [hashlib.sha256() for _ in schema]
        self._rows = 0

    def add(self, part: pa.Table) -> None:
        """Add the next rows to the digest."""
        digests = zip(part.columns, self._types, self._values, self._lengths, self._nulls, strict=True)
        for column, kind, values, lengths, nulls in digests:
            if column.null_count:
                nulls.update((np.flatnonzero(column.is_null().to_numpy()) + self._rows).tobytes())
            of_values, of_lengths = _bytes(column.combine_chunks(), kind)
            values.update(of_values)
            lengths.update(of_lengths)
        self._rows += len(part)

    def digest(self) -> str:
        """Return the digest of all rows that were added, in hexadecimal."""
        whole = hashlib.sha256()
        for values, lengths, nulls in zip(self._values, self._lengths, self._nulls, strict=True):
            whole.update(values.digest() + lengths.digest() + nulls.digest())
        return whole.hexdigest()


def digest(schema: pa.Schema, parts: Iterable[pa.Table]) -> str:
    """Return the digest of a table's sorted rows.

    Parameters
    ----------
    schema
        The table's columns.
    parts
        Its rows, one part after the other.
    """
    content = Content(schema)
    for part in parts:
        content.add(part)
    return content.digest()


def _bytes(column: pa.Array, kind: pa.DataType) -> tuple[bytes | memoryview, bytes]:
    """Return the bytes of a column's values and, for texts, the bytes of their lengths.

    A null is digested as zero, False or empty, even if the array has another value in its place.
    """
    if pa.types.is_boolean(kind) or pa.types.is_integer(kind) or pa.types.is_floating(kind):
        filled = column.fill_null(False if pa.types.is_boolean(kind) else 0) if column.null_count else column
        return np.ascontiguousarray(filled.to_numpy(zero_copy_only=False)).data.cast("B"), b""
    if pa.types.is_string(kind) or pa.types.is_binary(kind):
        whole = column.cast(kind).fill_null("" if pa.types.is_string(kind) else b"")
        offsets = np.frombuffer(whole.buffers()[1], np.int32)[whole.offset : whole.offset + len(whole) + 1]
        texts = whole.buffers()[2]
        return memoryview(texts)[offsets[0] : offsets[-1]] if texts is not None else b"", np.diff(offsets).tobytes()
    shown = [repr(value).encode() for value in column.to_pylist()]
    return b"".join(shown), np.array(list(map(len, shown)), np.int32).tobytes()
