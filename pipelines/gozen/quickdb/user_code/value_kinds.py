"""Types of values that a function may refer to, and class attributes that do not affect results."""

from __future__ import annotations

import collections
import dataclasses
import fractions
import operator
import re
import types
from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa

from gozen.quickdb.patches.region import Box, Cone, Polygon
from gozen.quickdb.user_code.function_parts import FIELD
from gozen.quickdb.user_code.installed_code import is_installed_class, is_installed_function
from gozen.quickdb.user_code.pure import is_known

OF_EVERY_CLASS = frozenset({
    "__module__", "__qualname__", "__doc__", "__dict__", "__weakref__", "__annotations__", "__match_args__",
    "__dataclass_fields__", "__dataclass_params__", "__firstlineno__", "__static_attributes__", "__slots__",
    "__annotate__", "__annotate_func__", "__annotations_cache__", "__orig_bases__", "__parameters__",
})  # fmt: skip
TIMES = re.compile(r"(^|[<>=|,\s])M8(\[|,|$)|datetime64")
"""Matches the names of NumPy's datetime types, such as ``M8[s]``."""

FROZEN = ("__init__", "__setattr__", "__delattr__", "__hash__")
"""Methods that the standard library generates for a frozen dataclass."""

_GENERATED = "__create_fn__.<locals>."
_OF_ARRAYS = ("scipy.spatial", "scipy.interpolate")
PICKLING = ("__reduce__", "__reduce_ex__", "__getstate__", "__setstate__", "__slots__")
SCALARS = (str, bytes, int, float, complex, np.ndarray, np.generic)
DATA = (
    bool, int, float, complex, str, bytes, type(None), type(...), type(NotImplemented), slice, range, re.Pattern,
    fractions.Fraction, operator.itemgetter, np.poly1d, FIELD,
    types.MemberDescriptorType, types.GetSetDescriptorType, Cone, Box, Polygon, type(dataclasses.MISSING),
    type(getattr(dataclasses, "_HAS_DEFAULT_FACTORY", None)),
)  # fmt: skip


CONTAINERS = (
    np.ndarray, np.ma.MaskedArray, tuple, list, set, frozenset, collections.deque, dict, collections.Counter,
    collections.OrderedDict, collections.defaultdict,
)  # fmt: skip


def items_of(container: Any) -> Iterable[Any]:
    """Return the objects in a container; an empty result for an array of numbers."""
    if isinstance(container, np.ndarray):
        return tuple(container.ravel().tolist()) if container.dtype.hasobject else ()
    if isinstance(container, dict):
        return (getattr(container, "default_factory", None), *container.keys(), *container.values())
    return tuple(container)


def may_be_the_time(text: str | bytes) -> bool:
    """Return whether NumPy may convert a text to the current time, as it does for ``datetime64("now")``."""
    text = text.decode("latin-1") if isinstance(text, bytes) else text
    return text.strip().lower() in ("now", "today") or TIMES.search(text) is not None


def is_scalar_or_type(value: Any) -> bool:
    """Return whether a value is a NumPy scalar, or a data type, field or schema."""
    if isinstance(value, np.dtype):
        return value.kind != "M"
    if isinstance(value, pa.DataType | pa.Field | pa.Schema):
        return is_installed_class(type(value))
    return isinstance(value, np.datetime64 | np.timedelta64) or (
        isinstance(value, np.generic) and is_known(type(value))
    )


def is_computed(value: object) -> bool:
    """Return whether a value is a tree or an interpolator of SciPy, which is built only from arrays."""
    return name_of(type(value)).startswith(_OF_ARRAYS) and is_known(type(value))


def held_by(computed: object) -> list[Any]:
    """Return the attribute values of a tree or interpolator, without the private functions of SciPy."""
    attributes = getattr(computed, "__dict__", {})
    return [one for name, one in attributes.items() if not (name.startswith("_") and _is_of_scipy(one))]


def _is_of_scipy(value: object) -> bool:
    if not isinstance(value, types.FunctionType) or not is_installed_function(value):
        return False
    return str(value.__globals__["__name__"]).startswith("scipy.")


def is_told_by_attributes(value: object) -> bool:
    """Return whether an object of a user's class consists only of its attributes, with no state in compiled code."""
    own = own_kinds(type(value))
    special = (vars(one).get(name) for one in own for name in PICKLING)
    bases = set(type(value).__mro__).difference(own)
    return bases <= {object, *CONTAINERS} and not isinstance(value, SCALARS) and not any(special)


def name_of(value: object) -> str:
    """Return the full name of a function or class, or the class of another object, for messages."""
    name, kind = getattr(value, "__qualname__", None), type(value)
    return f"{getattr(value, '__module__', None)}.{name}" if name else f"a {kind.__module__}.{kind.__qualname__}"


def own_kinds(kind: type) -> list[type]:
    """Return the base classes of a class, itself included, that are the user's."""
    return [one for one in kind.__mro__ if not is_installed_class(one)]


def is_private(name: str) -> bool:
    """Return whether a name has the form ``__name__``, which Python itself uses."""
    return name.startswith("__") and name.endswith("__")


def is_of_frozen_dataclass(kind: type, method: types.FunctionType) -> bool:
    """Return whether the standard library has generated a method of a frozen dataclass."""
    code = method.__code__
    frozen: bool = getattr(vars(kind).get("__dataclass_params__"), "frozen", False)
    return frozen and code.co_filename == "<string>" and code.co_qualname.startswith(_GENERATED)
