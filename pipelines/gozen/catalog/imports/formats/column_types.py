"""Arrow types that a table of the archive can store, and conversion of other types. No I/O."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from gozen.catalog.imports.formats.file_request import NotATableError

_LISTS = (
    pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list, pa.types.is_list_view,
    pa.types.is_large_list_view,
)  # fmt: skip
_TEXTS = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
_BYTES = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view)
_NOT_KEPT = (pa.types.is_union, pa.types.is_interval)
_DECIMAL_DIGITS = 38
"""Most digits of decimal128; DuckDB reads wrong numbers from wider decimals without an error."""


def plain(kind: pa.DataType) -> pa.DataType | None:
    """Return the type in which a column is stored: without the encodings of the file; None if it cannot be stored."""
    if isinstance(kind, pa.UuidType):
        return pa.string()
    if isinstance(kind, pa.BaseExtensionType):
        return plain(kind.storage_type)
    if pa.types.is_dictionary(kind) or pa.types.is_run_end_encoded(kind):
        return plain(kind.value_type)
    if any(is_one(kind) for is_one in _TEXTS):
        return pa.string()
    if any(is_one(kind) for is_one in _BYTES):
        return pa.binary()
    if any(is_one(kind) for is_one in _LISTS):
        inner = plain(kind.value_type)
        return None if inner is None else pa.list_(inner)
    if pa.types.is_nested(kind):
        return _plain_nested(kind)
    if any(is_one(kind) for is_one in _NOT_KEPT):
        return None
    return _plain_number(kind)


def _plain_nested(kind: pa.DataType) -> pa.DataType | None:
    if pa.types.is_map(kind):
        key, item = plain(kind.key_type), plain(kind.item_type)
        return None if key is None or item is None else pa.map_(key, item)
    if pa.types.is_struct(kind) and kind.num_fields:
        inner = [plain(field.type) for field in kind]
        if None not in inner and len({field.name for field in kind}) == kind.num_fields:
            return pa.struct([pa.field(field.name, one) for field, one in zip(kind, inner, strict=True)])
    return None


def _plain_number(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_decimal(kind):
        return pa.decimal128(min(kind.precision, _DECIMAL_DIGITS), kind.scale)
    if pa.types.is_float16(kind):
        return pa.float32()
    if pa.types.is_date64(kind):
        return pa.date32()
    if pa.types.is_time32(kind):
        return pa.time32("ms")
    if pa.types.is_timestamp(kind) and kind.unit == "s":  # Parquet has no timestamps in seconds
        return pa.timestamp("ms", kind.tz)
    return kind


def plain_field(field: pa.Field) -> pa.Field:
    """Return a field with the type in which it is stored.

    Raises
    ------
    NotATableError
        A table of the archive cannot store this type.
    """
    kind = plain(field.type)
    if kind is None:
        raise NotATableError(
            f"the column {field.name} has the type {field.type}, which a table of the archive cannot contain: "
            "leave it out, or write it as numbers or text"
        )
    return pa.field(field.name, kind, metadata=field.metadata)


def converted(name: str, column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    """Convert a column to the type that `plain` returns for it.

    Raises
    ------
    NotATableError
        A value does not fit the type, for example a decimal of more than 38 digits.
    """
    if column.type.equals(kind):
        return column
    chunks = [_decoded(chunk) for chunk in column.chunks]
    try:
        return pa.chunked_array([_cast(chunk, kind) for chunk in chunks], kind)
    except pa.ArrowInvalid as error:
        raise NotATableError(
            f"the column {name} of type {column.type} does not fit {kind} ({error}): write it as float64 or text"
        ) from error


def _cast(chunk: pa.Array, kind: pa.DataType) -> pa.Array:
    try:
        return chunk.cast(kind)
    except pa.ArrowNotImplementedError:  # Arrow cannot cast views and dictionaries inside of lists
        return pa.array(chunk.to_pylist(), kind)


def _decoded(chunk: pa.Array) -> pa.Array:
    while isinstance(chunk, pa.ExtensionArray) or pa.types.is_run_end_encoded(chunk.type):
        if isinstance(chunk.type, pa.UuidType):
            return pa.array([one and str(one) for one in chunk.to_pylist()], pa.string())
        chunk = chunk.storage if isinstance(chunk, pa.ExtensionArray) else pc.run_end_decode(chunk)
    return chunk
