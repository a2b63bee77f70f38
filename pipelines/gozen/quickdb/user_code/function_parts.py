"""Analyse the parts of function objects, including functions that the standard library generates."""

from __future__ import annotations

import collections
import dataclasses
import gc
import types
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

import numpy as np

from gozen.quickdb.user_code.installed_code import is_installed_function
from gozen.quickdb.user_code.instructions import is_of_numbers


def content(cell: types.CellType) -> Any:
    """Return the value of a variable of an enclosing function; None if it is unbound."""
    try:
        return cell.cell_contents
    except ValueError:  # a function that refers to itself before it is bound
        return None


def names_of(code: types.CodeType) -> Iterator[str]:
    """Yield the names of globals and attributes in a function and in its inner functions."""
    yield from code.co_names
    for one in code.co_consts:
        if isinstance(one, types.CodeType):
            yield from names_of(one)


def cached_function(cached: Any) -> Callable[..., Any]:
    """Return the function that a `functools.lru_cache` calls; its ``__wrapped__`` can be set to another function."""
    found = [one for one in gc.get_referents(cached) if callable(one) and not isinstance(one, type)]
    function: Callable[..., Any] = found[0] if found else cached.__wrapped__
    return function


@dataclasses.dataclass(frozen=True)
class Surroundings:
    """The values that a function can reach when it is called.

    Parameters
    ----------
    held
        Values of the variables of enclosing functions and of defaults, by name.
    lasting
        Names of variables that outlive a call and whose values can be changed, and whether `is_data` is true for each.
    sets
        Names of variables with sets that contain other values than numbers.
    """

    held: Mapping[str, Any]
    lasting: dict[str, bool]
    sets: Collection[str]


def surroundings(function: types.FunctionType) -> Surroundings:
    """Return the values that a function can reach when it is called."""
    code = function.__code__
    enclosed = dict(zip(code.co_freevars, map(content, function.__closure__ or ()), strict=True))
    names = code.co_varnames[: code.co_argcount]
    defaults = dict(zip(reversed(names), reversed(function.__defaults__ or ()), strict=False))
    defaults |= function.__kwdefaults__ or {}
    values = function.__globals__
    outside = {name: values[name] for name in names_of(code) if name in values and name not in code.co_varnames}
    reached = outside | enclosed
    lasting = {name: is_data(one) for name, one in (reached | defaults).items() if not is_fixed(one)}
    sets = {name for name, one in reached.items() if isinstance(one, set | frozenset) and not is_of_numbers(one)}
    return Surroundings(enclosed | defaults, lasting, sets)


def is_generated(function: types.FunctionType) -> bool:
    """Return whether the standard library generated a function, for a dataclass or a named tuple."""
    if function.__code__.co_names == ("_tuple_new",):
        return function.__globals__.get("_tuple_new") is tuple.__new__
    return function.__code__ in _GENERATED


def is_fixed(value: Any) -> bool:
    """Return whether a value is immutable."""
    return isinstance(value, bool | int | float | complex | str | bytes | tuple | frozenset | np.generic | None)


def is_data(value: Any) -> bool:
    """Return whether a value is data: its ``append`` only changes it; the ``append`` of a module may do anything."""
    return not isinstance(value, types.ModuleType | types.FunctionType | types.BuiltinFunctionType | type)


@dataclasses.dataclass(order=True)
class _Record:
    one: int = 0


_Pair = collections.namedtuple("_Pair", "one")
FIELD = type(vars(_Pair)["one"])
"""The type of a named tuple's fields."""

_GENERATED = frozenset(
    function.__code__
    for one in (*vars(_Record).values(), *vars(_Pair).values())
    if (function := getattr(one, "__func__", one)) and isinstance(function, types.FunctionType)
    if is_installed_function(function)
)
"""The code of methods that the standard library adds to each dataclass and named tuple."""
