"""The values that a function holds, as bytes: to send them, and to detect changes by a call.

Instructions show a change by name. One of an element that a method returns, or of an argument that has come through
three functions, is seen here, after it has happened.
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
"""Bytes of an array up to which each counts; of a larger one as many, at equal distances."""


class Pickler(cloudpickle.Pickler):  # type: ignore[misc]  # cloudpickle says nothing of its types
    """Writes functions and classes by value.

    So it does with `functools.lru_cache`, which pickle knows by name alone, and `functools.cached_property`, in which
    Python 3.11 has a lock.
    """

    def __init__(
        self, file: io.BytesIO, buffer_callback: Callable[[pickle.PickleBuffer], object] | None = None
    ) -> None:
        super().__init__(file, protocol=5, buffer_callback=buffer_callback)


def _reduced_cache(cached: Any) -> tuple[Any, ...]:
    """Say how a function with `functools.lru_cache` is made again, empty."""
    return _with_cache, (cached_function(cached), cached.cache_parameters())


def _with_cache(function: Callable[..., Any], parameters: dict[str, Any]) -> Any:
    return functools.lru_cache(**parameters)(function)


def _reduced_property(kept: functools.cached_property[Any]) -> tuple[Any, ...]:
    return _with_name, (kept.func, kept.attrname)


def _with_name(function: Callable[..., Any], name: str | None) -> Any:
    kept = functools.cached_property(function)
    if name is not None:  # a class that is made again by cloudpickle does not say it
        kept.__set_name__(object, name)
    return kept


# Of the class: a table that is set on an object is not looked at.
Pickler.dispatch_table = cloudpickle.Pickler.dispatch_table.new_child(
    {
        functools._lru_cache_wrapper: _reduced_cache,
        functools.cached_property: _reduced_property,
    }
)


class _StatePickler(Pickler):
    """Leaves out what `functools.cached_property` has kept in an object, which is no change."""

    def reducer_override(self, obj: Any) -> Any:
        """Return what stands for an object, or NotImplemented where it is written as ever."""
        attributes = getattr(obj, "__dict__", None)
        # Functions and modules have one too, and are most of what is written.
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
    """Return the same as long as nothing has changed in values and in what functions among them hold.

    It is of this process alone. None is the state of what cannot be written.
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
    # An odd distance: one of whole numbers would meet the same byte of each.
    return array if len(array) <= _WHOLE else np.ascontiguousarray(array[:: len(array) // _WHOLE | 1])
