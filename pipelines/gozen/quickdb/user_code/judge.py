"""Decide whether a function's results may be cached: check all code that it can reach against an allow-list.

A function may use data, the user's code and the objects that `pure_names` lists. Each attribute name in its code must
be safe for every type of object that may have it, so no attribute leads to other code. Results of a function that reads
files with a compiled library are not cached either, because the list contains no name of such a library.
"""

from __future__ import annotations

import builtins
import collections
import dataclasses
import functools
import importlib
import types
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

import numpy as np

from gozen.quickdb.user_code import pure, value_kinds
from gozen.quickdb.user_code.function_parts import cached_function, content, is_generated, surroundings
from gozen.quickdb.user_code.installed_code import is_installed_class, is_installed_function, is_own_module
from gozen.quickdb.user_code.instructions import Uses, is_of_numbers, read
from gozen.quickdb.user_code.pure_names import ATTRIBUTES


def why_not_kept(map: Any, *others: Any, shared: Any = None) -> str:  # noqa: A002 its name in the API
    """Return the reason why results of functions may differ in the next run; empty text if they cannot differ.

    Parameters
    ----------
    map, others
        The function for the patches, and the other functions of the job.
    shared
        The second argument of `map`, or None.
    """
    judge = _Judge()
    try:
        if isinstance(map, types.FunctionType) and shared is not None:
            judge.function(map, map.__code__.co_varnames[1:2])
        for value in (map, *others, shared):
            judge.take(value)
        judge.settle()
    except Exception as error:  # the user's objects may raise anything when inspected, which must not end a job
        return f"its code cannot be analysed ({type(error).__name__}: {error})"
    return judge.reasons[0] if judge.reasons else ""


class _Judge:
    """Checks everything that functions can reach; `reasons` lists why results must not be cached."""

    def __init__(self) -> None:
        self.reasons: list[str] = []
        self._seen: dict[int, Any] = {}  # keeps the objects: Python reuses the ids of deleted ones
        self._holders: list[Any] = []
        self._lasting: set[int] = set()  # ids of classes with objects that outlive a call
        self._asked: dict[str, str] = {}
        self._own: set[str] = set()
        self._library: dict[type, None] = {}  # library classes, which may share attribute names with the user's
        self._settled: set[tuple[int, str, bool]] = set()
        self._read: set[tuple[int, tuple[str, ...]]] = set()
        self._at = ""

    def take(self, value: Any) -> None:
        """Check a value that the functions can reach."""
        if type(value) in (str, bytes) and value_kinds.may_be_the_time(value):
            self._because(f"has the text {value[:40]!r}, and NumPy reads 'now' as the present time")
        if type(value) in value_kinds.DATA or id(value) in self._seen:
            return
        if pure.is_known(value):
            if isinstance(value, type):
                self._library[value] = None
            return
        self._seen[id(value)] = value
        handle = next((handle for one, handle in _HANDLERS if isinstance(value, one)), _Judge._other)
        handle(self, value)

    def function(self, value: types.FunctionType, outer: tuple[str, ...] = ()) -> None:
        """Check a function; `outer` has the names of its arguments that outlive a call."""
        self._seen[id(value)] = value
        if is_generated(value) or (id(value), outer) in self._read:
            return
        self._read.add((id(value), outer))
        before, self._at = self._at, value.__qualname__.replace("<locals>.", "")
        if is_installed_function(value):
            self._refuse(f"{value.__module__}.{value.__qualname__}")
        elif getattr(value, "__builtins__", None) is not vars(builtins):
            self._because("replaces built-in functions")
        else:
            self._users_function(value, outer)
        self._at = before

    def settle(self) -> None:
        """Look up each attribute name of the user's code on every object that may have it.

        The results are not cached if a name is neither in the allow-list nor one that only the user's objects have.
        """
        while not self.reasons:
            pairs = [(one, name) for one in self._holders for name in sorted(self._asked)]
            new = [(*pair, key) for pair in pairs if (key := self._key(*pair)) not in self._settled]
            for holder, name, key in new:
                self._settled.add(key)
                self._at = self._asked[name]
                self._look_up(holder, name)
            if not new:
                break
        for name, at in sorted(self._asked.items()):
            self._at = at
            if name not in ATTRIBUTES and (
                value_kinds.is_private(name) or self._is_hidden(name) or name not in self._own
            ):
                self._refuse(f".{name}")

    def _is_hidden(self, name: str) -> bool:
        """Return whether an object of a library may have an attribute of this name too."""
        return name in pure.hidden() or any(hasattr(kind, name) for kind in self._library)

    def _key(self, holder: Any, name: str) -> tuple[int, str, bool]:
        return id(holder), name, id(holder) in self._lasting

    def _refuse(self, name: str) -> None:
        self._because(f"uses {name}")

    def _because(self, what: str) -> None:
        self.reasons.append(f"{self._at or 'it'} {what}")

    def _users_function(self, value: types.FunctionType, outer: tuple[str, ...]) -> None:
        self._holders.append(value)
        around = surroundings(value)
        uses = read(value.__code__, around.lasting | dict.fromkeys(outer, True), around.sets, value.__globals__)
        for what in uses.refused:
            self._because(what)
        for name, one in around.held.items():
            if name not in around.sets:
                self.take(one)
        self._take_globals(value.__globals__, uses, around.sets)
        for name, argument in uses.handed:
            callee = value.__globals__.get(name)
            if isinstance(callee, types.FunctionType) and not is_installed_function(callee):
                self.function(callee, callee.__code__.co_varnames[argument : argument + 1])
        self._take_texts(value.__code__, uses)
        self._ask(uses.attributes)
        self._own |= uses.stored

    def _take_globals(self, values: dict[str, Any], uses: Uses, sets: Collection[str]) -> None:
        for name, *attributes in sorted({(name,) for name in uses.globals} | uses.chains):
            if isinstance(values.get(name), types.ModuleType):
                self._follow(values[name], attributes)
                continue
            self._ask(attributes)
            if name in values:
                if name not in sets:
                    self.take(values[name])
            elif not pure.is_known_builtin(name) and (name in vars(builtins) or name not in uses.stored):
                self._refuse(name)
        for name in sorted(uses.imports):
            if pure.is_known_module(name):
                self._module(importlib.import_module(name.partition(".")[0]))
                self._module(importlib.import_module(name))
            else:
                self._refuse(f"the module {name}")

    def _follow(self, value: Any, attributes: Sequence[str]) -> None:
        """Check the value of an expression such as ``numpy.linalg.norm``, but nothing else in its modules."""
        for at, name in enumerate(attributes):
            if not isinstance(value, types.ModuleType):
                self._ask(attributes[at:])
                break
            known = pure.known_in(value, name) if pure.is_known_module(value.__name__) else []
            found = known or ([vars(value)[name]] if is_own_module(value) and name in vars(value) else [])
            if not found:
                self._refuse(f"{value.__name__}.{name}")
                return
            value = found[0]
        self.take(value)

    def _ask(self, names: Iterable[str]) -> None:
        for name in sorted(names):
            self._asked.setdefault(name, self._at)

    def _take_texts(self, code: types.CodeType, uses: Uses) -> None:
        for one in code.co_consts:
            if isinstance(one, types.CodeType):
                self._take_texts(one, uses)
            elif isinstance(one, str | bytes | tuple):
                self.take(one)
                if "catch_warnings" in uses.attributes | uses.globals and isinstance(one, tuple) and "record" in one:
                    self._because("records warnings, which Python issues only once")

    def _container(self, value: Any) -> None:
        if isinstance(value, set | frozenset) and not is_of_numbers(value):
            self._because("has a set inside other data; its order depends on hashes")
        if type(value) not in value_kinds.CONTAINERS:
            self._instance(value)
        self._items(value_kinds.items_of(value))

    def _items(self, values: Iterable[Any]) -> None:
        for one in values:
            if type(one) not in (float, int):  # skipped, because there may be millions
                self.take(one)

    def _method(self, value: types.MethodType) -> None:
        self.take(value.__self__)
        function = value.__func__
        if isinstance(function, types.FunctionType):
            self.function(function, function.__code__.co_varnames[:1])
        else:
            self.take(function)

    def _partial(self, value: functools.partial[Any]) -> None:
        if type(value) is not functools.partial:
            self._instance(value)
        for one in (value.func, value.args, value.keywords, vars(value)):
            self.take(one)

    def _cached(self, value: Any) -> None:
        self.take(cached_function(value))
        self._holders.append(value)

    def _module(self, value: types.ModuleType) -> None:
        if not is_own_module(value) and not pure.is_known_module(value.__name__):
            self._refuse(f"the module {value.__name__}")
        elif all(one is not value for one in self._holders):
            self._holders.append(value)

    def _class(self, value: type) -> None:
        if value is object:
            return
        if is_installed_class(value) or type(value) is not type:
            self._refuse(f"{value.__module__}.{value.__qualname__}")
            return
        self._holders.append(value)
        for base in value.__bases__:
            self.take(base)
        self._dunders(value)

    def _dunders(self, kind: type) -> None:
        """Check special methods, which operators and statements call without a name."""
        for name, one in vars(kind).items():
            if value_kinds.is_private(name) and name not in value_kinds.OF_EVERY_CLASS:
                self._own.add(name)
                self._member(kind, name, one)

    def _member(self, kind: type, name: str, value: Any) -> None:
        if not isinstance(value, types.FunctionType):
            self.take(value)
        elif name in value_kinds.FROZEN and value_kinds.is_of_frozen_dataclass(kind, value):
            for one in (*map(content, value.__closure__ or ()), *(value.__defaults__ or ())):
                if one is not dataclasses.FrozenInstanceError:
                    self.take(one)
        elif id(kind) in self._lasting and name not in ("__init__", "__post_init__", "__new__"):
            self.function(value, value.__code__.co_varnames[:1])
        else:
            self.take(value)

    def _descriptor(self, value: Any) -> None:
        if type(value) not in _DESCRIPTORS:
            self._instance(value)
        for name in ("__func__", "fget", "fset", "fdel", "func"):
            self.take(getattr(value, name, None))

    def _other(self, value: Any) -> None:
        if value_kinds.is_computed(value):
            self._library[type(value)] = None
            self._items(value_kinds.held_by(value))
        elif not value_kinds.is_scalar_or_type(value):
            self._instance(value)

    def _instance(self, value: Any) -> None:
        kind = type(value)
        if kind is np.vectorize:
            self._items(vars(value).values())
            return
        if is_installed_class(kind):
            self._refuse(value_kinds.name_of(value))
            return
        self.take(kind)
        if not value_kinds.is_told_by_attributes(value):
            self._because(f"has a {kind.__qualname__}, whose attributes do not describe it completely")
            return
        attributes = getattr(value, "__dict__", {})
        self._own |= attributes.keys()
        self._items(attributes.values())
        for one in value_kinds.own_kinds(kind):
            if id(one) not in self._lasting:
                self._lasting.add(id(one))
                self._dunders(one)

    def _look_up(self, holder: Any, name: str) -> None:
        values = vars(holder)
        if isinstance(holder, types.ModuleType) and pure.is_known_module(holder.__name__):
            if known := pure.known_in(holder, name):
                self._own.add(name)
                self.take(known[0])
            elif name in values or name in dir(holder):
                self._refuse(f"{holder.__name__}.{name}")
        elif name in values:
            self._own.add(name)
            if isinstance(holder, type):
                self._member(holder, name, values[name])
            else:
                self.take(values[name])


_DESCRIPTORS = (staticmethod, classmethod, property, functools.cached_property)
_HANDLERS: list[tuple[Any, Callable[[_Judge, Any], None]]] = [
    (types.FunctionType, _Judge.function),
    (types.MethodType, _Judge._method),
    (functools.partial, _Judge._partial),
    (functools._lru_cache_wrapper, _Judge._cached),
    (types.ModuleType, _Judge._module),
    ((np.ndarray, tuple, list, set, frozenset, collections.deque, dict), _Judge._container),
    (type, _Judge._class),
    (_DESCRIPTORS, _Judge._descriptor),
]
