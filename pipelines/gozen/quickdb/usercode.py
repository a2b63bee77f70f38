"""What a user's function consists of: a digest of all that it may depend on, the columns it names, its source lines."""

from __future__ import annotations

import functools
import hashlib
import io
import linecache
import sys
import sysconfig
import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np

from gozen.version import code_version

_INSTALLED = [Path(sysconfig.get_path(kind)).resolve() for kind in ("stdlib", "platstdlib", "purelib", "platlib")]
_CHANCE = frozenset({
    "random", "secrets", "default_rng", "urandom", "uuid1", "uuid4", "time", "time_ns", "perf_counter", "monotonic",
    "now", "utcnow", "today", "open", "environ", "getenv", "getpid",
})  # fmt: skip
"""Names that make a function's result depend on more than what it is called with."""
_CHANCE_MODULES = ("random", "secrets", "time", "uuid", "numpy.random")


@dataclass
class UserCode:
    """All functions of a job, walked through.

    Parameters
    ----------
    strings
        Texts that occur in them, in their order.
    files
        Where those stand that workers cannot import.
    modules
        The user's own modules that they use.
    names
        Names of globals and attributes that they use.
    repeatable
        Whether the same call gives the same result, as far as can be seen.
    """

    strings: dict[str, None] = field(default_factory=dict)
    files: set[str] = field(default_factory=set)
    modules: dict[str, types.ModuleType] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)
    repeatable: bool = True
    _hash: Any = field(default_factory=hashlib.sha256)
    _seen: dict[int, int] = field(default_factory=dict)

    @classmethod
    def of(cls, *values: Any) -> UserCode:
        """Walk through functions and the values that they use."""
        found = cls()
        found._add("python", sys.version_info[:2], "gozen", code_version())
        for value in values:
            found.take(value)
        return found

    @property
    def digest(self) -> str | None:
        """The same for the same code and values; None where a result cannot be kept for another time."""
        return self.identity if self.repeatable else None

    @property
    def identity(self) -> str:
        """The same for the same code and values."""
        return str(self._hash.hexdigest())

    def sources(self) -> dict[str, list[str]]:
        """Return the lines of the files that workers do not have, notebook cells among them."""
        return {name: lines for name in sorted(self.files) if (lines := linecache.getlines(name))}

    def pickled(self, value: Any) -> bytes:
        """Pickle a value, the user's own modules by value, as workers cannot import them."""
        mine = [one for one in self.modules.values() if one.__name__ not in cloudpickle.list_registry_pickle_by_value()]
        for module in mine:
            cloudpickle.register_pickle_by_value(module)
        try:
            written = io.BytesIO()
            pickler = cloudpickle.Pickler(written, protocol=5)
            pickler.dispatch_table = pickler.dispatch_table.new_child({functools._lru_cache_wrapper: _reduced_cache})
            pickler.dump(value)
        finally:
            for module in mine:
                cloudpickle.unregister_pickle_by_value(module)
        return written.getvalue()

    def take(self, value: Any) -> None:
        """Take a value into the digest, and what it refers to."""
        if id(value) in self._seen:
            self._add("again", self._seen[id(value)])
            return
        handler = next((handle for kinds, handle in _HANDLERS if isinstance(value, kinds)), UserCode._other)
        if handler is not UserCode._plain:
            self._seen[id(value)] = len(self._seen)
            self.repeatable &= not _is_chance(value)
        handler(self, value)

    def _add(self, *tokens: Any) -> None:
        self._hash.update(repr(tokens).encode())

    def _plain(self, value: Any) -> None:
        self._add(type(value).__name__, value)
        if isinstance(value, str):
            self.strings[value] = None

    def _array(self, value: np.ndarray[Any, Any]) -> None:
        self._add("array", value.dtype.descr, value.shape)
        if value.dtype.hasobject or type(value) is not np.ndarray:  # one with a mask, or with a unit
            self._other(value)
        else:
            self._hash.update(np.ascontiguousarray(value).tobytes())

    def _sequence(self, value: Any) -> None:
        self._add(type(value).__name__, len(value))
        if type(value) not in _SEQUENCES:
            self.take(type(value))
        for one in sorted(value, key=repr) if isinstance(value, set | frozenset) else value:
            self.take(one)

    def _mapping(self, value: dict[Any, Any]) -> None:
        self._add("dict", len(value))
        if type(value) is not dict:
            self.take(type(value))
        for key, one in value.items():
            self.take(key)
            self.take(one)

    def _function(self, value: types.FunctionType) -> None:
        if not self._is_users(value.__module__):
            self._add("function", value.__module__, value.__qualname__)
            return
        self.files.add(value.__code__.co_filename)
        self.take(value.__code__)
        for one in (value.__defaults__, value.__kwdefaults__):
            self.take(one)
        for cell in value.__closure__ or ():
            self.take(_content(cell))
        for name in sorted(set(_names(value.__code__))):
            if name in value.__globals__:
                self._add("global", name)
                self.take(value.__globals__[name])

    def _code(self, value: types.CodeType) -> None:
        self._add("code", value.co_code, value.co_exceptiontable, value.co_flags, value.co_names)
        self._add(value.co_varnames, value.co_freevars, value.co_cellvars)
        self._add(value.co_argcount, value.co_posonlyargcount, value.co_kwonlyargcount)
        self.names.update(value.co_names)
        self.repeatable &= not _CHANCE & set(value.co_names)
        for one in value.co_consts:
            self.take(one)

    def _method(self, value: types.MethodType) -> None:
        self.take(value.__func__)
        self.take(value.__self__)

    def _partial(self, value: functools.partial[Any]) -> None:
        for one in (value.func, value.args, value.keywords):
            self.take(one)

    def _module(self, value: types.ModuleType) -> None:
        self._add("module", value.__name__, getattr(value, "__version__", ""))
        if self._is_users(value.__name__) and value.__name__ != "__main__":
            self._hash.update(Path(value.__file__).read_bytes() if value.__file__ else b"")
            self._attributes(vars(value))  # what was set in it since, and further modules of the user's

    def _class(self, value: type) -> None:
        self._add("class", value.__module__, value.__qualname__)
        if self._is_users(value.__module__):
            for base in value.__bases__:
                self.take(base)
            self._attributes(vars(value))

    def _attributes(self, values: Mapping[str, Any]) -> None:
        for name, one in sorted(values.items()):
            if name != "_abc_impl" and (not name.startswith("__") or isinstance(one, types.FunctionType)):
                self._add(name)
                self.take(one)

    def _descriptor(self, value: Any) -> None:
        self._add(type(value).__name__)
        for name in ("__func__", "fget", "fset"):
            self.take(getattr(value, name, None))

    def _other(self, value: Any) -> None:
        kind = type(value)
        self.take(kind)
        wrapped = getattr(value, "__wrapped__", getattr(value, "py_func", None))  # lru_cache; Numba
        if isinstance(wrapped, types.FunctionType):
            self.take(wrapped)
        elif self._is_users(kind.__module__) and kind.__reduce_ex__ is _REDUCE_EX and hasattr(value, "__dict__"):
            self.take(vars(value))
        else:
            self._pickle(value)

    def _pickle(self, value: Any) -> None:
        try:
            self._hash.update(cloudpickle.dumps(value, protocol=5))
        except Exception:  # what cannot be pickled is said when the job is sent
            self.repeatable = False

    def _is_users(self, module: str | None) -> bool:
        """Tell whether a module is the user's own, not one that is installed; remember it."""
        found = sys.modules.get(module or "__main__")
        if found is None or module in (None, "__main__") or module == "builtins":
            return module != "builtins"
        file = getattr(found, "__file__", None)
        installed = file is None or any(place in Path(file).resolve().parents for place in _INSTALLED)
        if installed or module.partition(".")[0] == "gozen":
            return False
        self.modules[found.__name__] = found
        return True


def _content(cell: types.CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # a function that refers to itself before it is bound
        return None


def _is_chance(value: Any) -> bool:
    """Tell whether a value is, or belongs to, a source of chance or a clock."""
    of = (value, type(value), type(getattr(value, "__self__", None)))
    found = [value.__name__] if isinstance(value, types.ModuleType) else [getattr(one, "__module__", "") for one in of]
    return any(str(name).startswith("numpy.random") or name in _CHANCE_MODULES for name in found)


def _reduced_cache(cached: Any) -> tuple[Any, ...]:
    """Say how a function with `functools.lru_cache` is made again, empty: pickle knows it by its name alone."""
    return _with_cache, (cached.__wrapped__, cached.cache_parameters())


def _with_cache(function: Callable[..., Any], parameters: dict[str, Any]) -> Any:
    return functools.lru_cache(**parameters)(function)


def _names(code: types.CodeType) -> Iterator[str]:
    yield from code.co_names
    for one in code.co_consts:
        if isinstance(one, types.CodeType):
            yield from _names(one)


_REDUCE_EX: Any = object.__reduce_ex__
_SEQUENCES = (tuple, list, set, frozenset)
_HANDLERS: list[tuple[Any, Callable[[UserCode, Any], None]]] = [
    ((bool, int, float, complex, str, bytes, type(None), type(...), np.generic), UserCode._plain),
    (types.FunctionType, UserCode._function),
    (types.CodeType, UserCode._code),
    (types.MethodType, UserCode._method),
    (functools.partial, UserCode._partial),
    (types.ModuleType, UserCode._module),
    (np.ndarray, UserCode._array),
    (_SEQUENCES, UserCode._sequence),
    (dict, UserCode._mapping),
    (type, UserCode._class),
    ((staticmethod, classmethod, property), UserCode._descriptor),
]
