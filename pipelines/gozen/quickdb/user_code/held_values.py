"""Pickle the values that a function refers to, in order to send them, and to detect changes by a call.

The bytecode shows changes of a named variable, also in global functions to which it is passed (`lasting_changes`).
Other changes are detected here after the call. Examples are a change of an element that a method returned, and a change
in a method or lambda to which the variable is passed.
"""

from __future__ import annotations

import functools
import hashlib
import io
import pickle
from collections.abc import Callable
from typing import Any

import cloudpickle
import numpy as np

from gozen.quickdb.user_code.function_parts import cached_function

_WHOLE = 1 << 20
"""An array of up to this many bytes is hashed completely; of a larger one about as many bytes, equally spaced."""


class Pickler(cloudpickle.Pickler):  # type: ignore[misc]  # cloudpickle has no type annotations
    """Pickles like cloudpickle; `functools.lru_cache` and `functools.cached_property` functions are pickled by value.

    The standard pickle writes a function with a cache by its name only. It cannot write a cached property, because
    this contains a lock in Python 3.11.
    """

    def __init__(
        self, file: io.BytesIO, buffer_callback: Callable[[pickle.PickleBuffer], object] | None = None
    ) -> None:
        super().__init__(file, protocol=5, buffer_callback=buffer_callback)


def _reduced_cache(cached: Any) -> tuple[Any, ...]:
    """Reduce a function with `functools.lru_cache`: it is rebuilt with an empty cache."""
    return _with_cache, (cached_function(cached), cached.cache_parameters())


def _with_cache(function: Callable[..., Any], parameters: dict[str, Any]) -> Any:
    return functools.lru_cache(**parameters)(function)


def _reduced_property(kept: functools.cached_property[Any]) -> tuple[Any, ...]:
    return _with_name, (kept.func, kept.attrname)


def _with_name(function: Callable[..., Any], name: str | None) -> Any:
    kept = functools.cached_property(function)
    if name is not None:  # `__set_name__` is not called when cloudpickle rebuilds a class
        kept.__set_name__(object, name)
    return kept


# Set on the class, because a table that is set on an object is ignored.
Pickler.dispatch_table = cloudpickle.Pickler.dispatch_table.new_child(
    {
        functools._lru_cache_wrapper: _reduced_cache,
        functools.cached_property: _reduced_property,
    }
)


class _StatePickler(Pickler):
    """Leaves out values that `functools.cached_property` has cached in an object: these do not count as changes."""

    def reducer_override(self, obj: Any) -> Any:
        """Return how an object is rebuilt, or NotImplemented for the default."""
        attributes = getattr(obj, "__dict__", None)
        # Functions and modules have a `__dict__` too; most objects are of these kinds and are skipped first.
        if (
            isinstance(attributes, dict)
            and type(obj).__module__ != "builtins"
            and (lazy := _kept_properties(type(obj)))
        ):
            return object.__new__, (type(obj),), {name: one for name, one in attributes.items() if name not in lazy}
        return super().reducer_override(obj)


def _kept_properties(kind: type) -> set[str]:
    members = (pair for one in kind.__mro__ for pair in vars(one).items())
    return {name for name, one in members if isinstance(one, functools.cached_property)}


def state(*values: Any) -> bytes | None:
    """Return a digest that changes if these values change, or values that functions among them refer to.

    Digests are comparable only within this process. None means that the values cannot be pickled.
    """
    digest = hashlib.sha256()
    written = io.BytesIO()
    try:
        _StatePickler(written, lambda buffer: digest.update(_bytes(buffer))).dump(values)
    except Exception:  # whatever the user's objects raise
        return None
    digest.update(written.getbuffer())
    return digest.digest()


def _bytes(buffer: pickle.PickleBuffer) -> Any:
    array = np.frombuffer(buffer.raw(), np.uint8)
    # An odd stride: a multiple of the item size would read the same byte of each number.
    return array if len(array) <= _WHOLE else np.ascontiguousarray(array[:: len(array) // _WHOLE | 1])
