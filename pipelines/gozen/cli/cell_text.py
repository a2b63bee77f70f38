"""Format one value for JSON, CSV or the terminal. No I/O."""

from __future__ import annotations

import base64
import datetime as dt
import json
from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa


def values(column: pa.ChunkedArray) -> list[Any]:
    """Return the values of a column as Python objects; dates and times that Python cannot represent become text."""
    import pyarrow as pa

    try:
        return list(column.to_pylist())
    except (OverflowError, ValueError):  # years outside 1 to 9999, or nanoseconds without pandas
        if pa.types.is_nested(column.type):
            return [_of_scalar(one) for chunk in column.chunks for one in chunk]
        return list(column.cast(pa.string()).to_pylist())


def plain(value: Any) -> Any:
    """Return a value in a form that JSON can represent.

    Dates and times become ISO 8601 text, and bytes become base64 text. A map with text keys becomes an object, any
    other map a list of pairs. NaN and infinity become null.
    """
    match value:
        case None | bool() | str() | int():
            return value
        case float():
            return value if value - value == 0 else None
        case Decimal():
            return int(value) if value == value.to_integral_value() and value.as_tuple().exponent == 0 else float(value)
        case bytes():
            return base64.b64encode(value).decode()
        case dt.datetime() | dt.date() | dt.time():
            return value.isoformat()
        case Mapping():
            return {str(name): plain(one) for name, one in value.items()}
        case list() if value and all(isinstance(one, tuple) for one in value):
            return _of_map(value)
        case list() | tuple():
            return [plain(one) for one in value]
        case _:
            return str(value)


def text(value: Any) -> str:
    """Return a value as the text of one cell: nested values as JSON, bytes as base64, null as an empty text."""
    if value is None:
        return ""
    found = plain(value)
    return json.dumps(found, ensure_ascii=False) if isinstance(found, list | dict) else str(found)


def for_csv(table: pa.Table) -> pa.Table:
    """Return a table in which nested and binary columns are converted to text, because CSV cannot represent them."""
    import pyarrow as pa

    columns = []
    for column in table.columns:
        if pa.types.is_nested(column.type) or _is_bytes(column.type):
            cells = [None if one is None else text(one) for one in values(column)]
            columns.append(pa.chunked_array([pa.array(cells, pa.string())]))
        else:
            columns.append(column)
    return pa.table(columns, names=table.column_names)


def _is_bytes(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind))


def _of_map(pairs: list[tuple[Any, Any]]) -> Any:
    if all(isinstance(name, str) for name, _ in pairs):
        return {name: plain(one) for name, one in pairs}
    return [[plain(name), plain(one)] for name, one in pairs]


def _of_scalar(scalar: pa.Scalar) -> Any:
    """Return a nested value as Python objects; dates that Python cannot represent become text."""
    import pyarrow as pa

    if not scalar.is_valid:
        return None
    if pa.types.is_map(scalar.type):
        return [(_of_scalar(pair["key"]), _of_scalar(pair["value"])) for pair in scalar.values]
    if pa.types.is_struct(scalar.type):
        return {name: _of_scalar(one) for name, one in scalar.items()}
    if pa.types.is_nested(scalar.type):
        return [_of_scalar(one) for one in scalar.values]
    try:
        return scalar.as_py()
    except (OverflowError, ValueError):
        return scalar.cast(pa.string()).as_py()
