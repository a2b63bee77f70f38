"""Which values a function may hold, by their types, and what of classes says nothing about results."""

from __future__ import annotations

import dataclasses
import fractions
import operator
import re
import types

import numpy as np

from gozen.quickdb.functions import FIELD
from gozen.quickdb.installed import is_installed_class
from gozen.quickdb.region import Box, Cone, Polygon

OF_EVERY_CLASS = frozenset({
    "__module__", "__qualname__", "__doc__", "__dict__", "__weakref__", "__annotations__", "__match_args__",
    "__dataclass_fields__", "__dataclass_params__", "__firstlineno__", "__static_attributes__", "__slots__",
    "__annotate__", "__annotate_func__", "__annotations_cache__", "__orig_bases__", "__parameters__",
})  # fmt: skip
TIMES = re.compile(r"(^|[<>=|,\s])M8(\[|,|$)|datetime64")
"""Types of NumPy's times, as they are written."""

FROZEN = ("__init__", "__setattr__", "__delattr__", "__hash__")
"""What a frozen dataclass has of the standard library, which refuses any other."""

PICKLING = ("__reduce__", "__reduce_ex__", "__getstate__", "__setstate__", "__slots__")
SCALARS = (str, bytes, int, float, complex, np.ndarray, np.generic)
DATA = (
    bool, int, float, complex, str, bytes, type(None), type(...), type(NotImplemented), slice, range, re.Pattern,
    fractions.Fraction, operator.itemgetter, np.poly1d, FIELD,
    types.MemberDescriptorType, types.GetSetDescriptorType, Cone, Box, Polygon, type(dataclasses.MISSING),
    type(getattr(dataclasses, "_HAS_DEFAULT_FACTORY", None)),
)  # fmt: skip


def own_kinds(kind: type) -> list[type]:
    """Return those of the classes of an object that are the user's."""
    return [one for one in kind.__mro__ if not is_installed_class(one)]


def is_private(name: str) -> bool:
    """Tell whether an attribute is one that Python itself uses."""
    return name.startswith("__") and name.endswith("__")
