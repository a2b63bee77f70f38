"""Encode Arrow types as trees of plain values. Only listed types are allowed, and every number is checked.

Unions, run-end encoding and views are not allowed, because their arrays contain further kinds of numbers that would
have to be checked. Extension types are not allowed, because they run the code that is registered for their name.
"""

from __future__ import annotations

import re
from typing import Any

import pyarrow as pa

from gozen.quickdb.isolation.codec.form import Malformed

_LEVELS = 24
_DIGITS = {"decimal32": 9, "decimal64": 18, "decimal128": 38, "decimal256": 76}
_MOST_SCALE = 128
_LARGEST = 2**31 - 1
_ZONE = re.compile(r"[A-Za-z0-9_+:/-]{1,64}")
_EXTENSION = b"ARROW:extension:"
_PLAIN = (
    "null bool_ int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64 date32 date64 "
    "month_day_nano_interval string large_string binary large_binary"
)
PLAIN: dict[str, pa.DataType] = {name: getattr(pa, name)() for name in _PLAIN.split()}
_NAMES = {kind: name for name, kind in PLAIN.items()}
_TIMES = {
    "time32": ("s", "ms"),
    "time64": ("us", "ns"),
    "duration": ("s", "ms", "us", "ns"),
    "timestamp": ("s", "ms", "us", "ns"),
}


def is_nested(kind: pa.DataType) -> bool:
    """Tell whether arrays of a type contain other arrays."""
    return bool(pa.types.is_nested(kind) or pa.types.is_dictionary(kind))


def _is_word(kind: pa.DataType) -> bool:
    """Tell whether a type is allowed for values of an Arrow dictionary; Arrow cannot read some nested types back."""
    return not (is_nested(kind) or pa.types.is_null(kind))


def describe(kind: pa.DataType) -> tuple[Any, ...]:
    """Return a description of a type: plain values.

    Raises
    ------
    ValueError
        If the type is not allowed.
    """
    if kind in _NAMES:
        return (_NAMES[kind],)
    name = re.split(r"[\[<(]", str(kind))[0]
    if pa.types.is_timestamp(kind):
        return ("timestamp", kind.unit, kind.tz)
    if pa.types.is_time(kind) or pa.types.is_duration(kind):
        return (name, kind.unit)
    if pa.types.is_decimal(kind):
        return (name, kind.precision, kind.scale)
    if pa.types.is_fixed_size_binary(kind):
        return ("fixed_size_binary", kind.byte_width)
    if pa.types.is_dictionary(kind):
        if not _is_word(kind.value_type):
            raise ValueError("Arrow data with a dictionary of nested or null values")
        return ("dictionary", describe(kind.index_type), describe(kind.value_type), kind.ordered)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return ("list_" if pa.types.is_list(kind) else "large_list", describe_field(kind.value_field))
    if pa.types.is_fixed_size_list(kind):
        return ("fixed_size_list", describe_field(kind.value_field), kind.list_size)
    if pa.types.is_struct(kind):
        return ("struct", [describe_field(field) for field in kind])
    if pa.types.is_map(kind):
        return ("map_", describe_field(kind.key_field), describe_field(kind.item_field), kind.keys_sorted)
    what = "an extension type" if isinstance(kind, pa.BaseExtensionType) else f"the type {name}"
    raise ValueError(f"Arrow data with {what}")


def describe_field(field: pa.Field) -> tuple[Any, ...]:
    """Return a description of a field; raise `ValueError` if its type is not allowed."""
    return (field.name, describe(field.type), field.nullable, _pairs(field.metadata))


def describe_schema(schema: pa.Schema) -> tuple[Any, ...]:
    """Return a description of a schema; raise `ValueError` if a type in it is not allowed."""
    return ([describe_field(field) for field in schema], _pairs(schema.metadata))


def _pairs(metadata: Any) -> list[tuple[bytes, bytes]] | None:
    if metadata is not None and any(key.startswith(_EXTENSION) for key in metadata):
        raise ValueError("Arrow data with an extension type")
    return None if metadata is None else list(metadata.items())


def read_schema(described: Any) -> pa.Schema:
    """Return the schema of a description that may be hostile; raise `ValueError` if it is not valid."""
    fields, metadata = _parts(described, list, object)
    return pa.schema([_field(one, 0) for one in fields], _metadata(metadata))


def read_type(described: Any, level: int = 0) -> pa.DataType:
    """Return the type of a description that may be hostile; raise `ValueError` if it is not valid."""
    if level > _LEVELS:
        raise Malformed(f"an Arrow type has more than {_LEVELS} levels")
    if type(described) is not tuple or not described or type(described[0]) is not str:
        raise Malformed("the description of an Arrow type does not begin with its name")
    name, rest = described[0], described[1:]
    if name in PLAIN:
        _parts(rest)
        return PLAIN[name]
    reader = _NESTED.get(name) or _PARAMETRIC.get(name)
    if reader is None:
        raise Malformed("an Arrow type is not allowed: give no unions, views, run-end encoding or extension types")
    return reader(name, rest, level)


def _parts(described: Any, *kinds: type) -> tuple[Any, ...]:
    if type(described) is not tuple or len(described) != len(kinds):
        raise Malformed("the description of an Arrow type has a wrong number of parts")
    if any(kind is not object and type(one) is not kind for one, kind in zip(described, kinds, strict=True)):
        raise Malformed("the description of an Arrow type has a part of the wrong type")
    return described


def _field(described: Any, level: int) -> pa.Field:
    name, kind, nullable, metadata = _parts(described, str, tuple, bool, object)
    return pa.field(name, read_type(kind, level + 1), nullable, _metadata(metadata))


def _metadata(described: Any) -> dict[bytes, bytes] | None:
    if described is None:
        return None
    if type(described) is not list:
        raise Malformed("Arrow metadata are not a list of pairs")
    pairs = dict(_parts(one, bytes, bytes) for one in described)
    if any(key.startswith(_EXTENSION) for key in pairs):
        raise Malformed("Arrow data have an extension type")
    return pairs


def _time(name: str, rest: Any, _level: int) -> pa.DataType:
    unit, *zone = _parts(rest, str, object) if name == "timestamp" else _parts(rest, str)
    if unit not in _TIMES[name]:
        raise Malformed(f"the unit of an Arrow type {name} is not one of {', '.join(_TIMES[name])}")
    if name != "timestamp":
        return getattr(pa, name)(unit)
    if zone[0] is not None and (type(zone[0]) is not str or _ZONE.fullmatch(zone[0]) is None):
        raise Malformed("the time zone of an Arrow timestamp is not a valid name")
    return pa.timestamp(unit, zone[0])


def _decimal(name: str, rest: Any, _level: int) -> pa.DataType:
    precision, scale = _parts(rest, int, int)
    if not 1 <= precision <= _DIGITS[name] or abs(scale) > _MOST_SCALE:
        raise Malformed(
            f"the digits of an Arrow {name} are not 1 to {_DIGITS[name]}, or its scale is not within ±{_MOST_SCALE}"
        )
    return getattr(pa, name)(precision, scale)


def _bytes(_name: str, rest: Any, _level: int) -> pa.DataType:
    (width,) = _parts(rest, int)
    if not 0 <= width <= _LARGEST:
        raise Malformed(f"the width of an Arrow type for bytes is not between 0 and {_LARGEST}")
    return pa.binary(width)


def _dictionary(_name: str, rest: Any, level: int) -> pa.DataType:
    index, value, ordered = _parts(rest, tuple, tuple, bool)
    of_index = read_type(index, level + 1)
    of_value = read_type(value, level + 1)
    if not pa.types.is_integer(of_index) or not _is_word(of_value):
        raise Malformed("the indices of an Arrow dictionary are not integers, or its values are not plain")
    return pa.dictionary(of_index, of_value, ordered)


def _list(name: str, rest: Any, level: int) -> pa.DataType:
    if name != "fixed_size_list":
        (of,) = _parts(rest, tuple)
        return getattr(pa, name)(_field(of, level))
    of, size = _parts(rest, tuple, int)
    if not 0 <= size <= _LARGEST:
        raise Malformed(f"the size of an Arrow list of fixed size is not between 0 and {_LARGEST}")
    return pa.list_(_field(of, level), size)


def _struct(_name: str, rest: Any, level: int) -> pa.DataType:
    (fields,) = _parts(rest, list)
    return pa.struct([_field(one, level) for one in fields])


def _map(_name: str, rest: Any, level: int) -> pa.DataType:
    key, item, is_sorted = _parts(rest, tuple, tuple, bool)
    of_key = _field(key, level)
    if pa.types.is_null(of_key.type):
        raise Malformed("an Arrow map has no keys")
    return pa.map_(of_key.with_nullable(False), _field(item, level), is_sorted)


_PARAMETRIC = {
    **dict.fromkeys(_TIMES, _time),
    **dict.fromkeys(_DIGITS, _decimal),
    "fixed_size_binary": _bytes,
}
_NESTED = {
    "dictionary": _dictionary,
    **dict.fromkeys(("list_", "large_list", "fixed_size_list"), _list),
    "struct": _struct,
    "map_": _map,
}
