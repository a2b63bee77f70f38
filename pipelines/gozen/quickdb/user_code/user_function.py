"""Describe a user's function: a digest of everything it depends on, the columns it names, its source."""

from __future__ import annotations

import collections
import contextlib
import functools
import hashlib
import io
import linecache
import locale
import operator
import sys
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np

from gozen.quickdb.user_code.function_parts import cached_function, content, names_of
from gozen.quickdb.user_code.held_values import Pickler
from gozen.quickdb.user_code.installed_code import (
    is_installed_class,
    is_installed_function,
    is_installed_module,
    is_own_module,
)
from gozen.quickdb.user_code.instructions import is_of_numbers
from gozen.quickdb.user_code.judge import why_not_kept
from gozen.quickdb.user_code.pure import software
from gozen.version import code_version


@dataclass
class UserCode:
    """The functions of a job, with a digest of everything that they refer to.

    Parameters
    ----------
    strings
        Texts that occur in them, in order.
    files
        Names of the files with their source, if workers cannot import them.
    modules
        The user's modules that they use, by name.
    names
        Names of globals and attributes that they use.
    why_not_kept
        Why results cannot be cached; empty if they can.
    """

    strings: dict[str, None] = field(default_factory=dict)
    files: set[str] = field(default_factory=set)
    modules: dict[str, types.ModuleType] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)
    why_not_kept: str = ""
    _hash: Any = field(default_factory=hashlib.sha256)
    _seen: dict[int, tuple[int, Any]] = field(default_factory=dict)  # with objects: ids of deleted ones are reused

    @classmethod
    def of(cls, *functions: Any, shared: Any = None) -> UserCode:
        """Inspect functions: digest, names, files, and whether their results can be cached.

        Parameters
        ----------
        shared
            The second argument of the first function, or None.
        """
        found = cls(why_not_kept=why_not_kept(*functions, shared=shared) if functions else "")
        found._add(code_version(), software(), _settings_of_process())
        for value in (*functions, shared):
            found.take(value)
        return found

    @property
    def digest(self) -> str | None:
        """The same as `identity`, or None if results cannot be cached."""
        return None if self.why_not_kept else self.identity

    @property
    def identity(self) -> str:
        """A digest (hexadecimal SHA-256) that is equal for equal code and values."""
        return str(self._hash.hexdigest())

    def sources(self) -> dict[str, list[str]]:
        """Return the lines of source files that workers do not have, including notebook cells, by file name."""
        return {name: lines for name in sorted(self.files) if (lines := linecache.getlines(name))}

    def pickled(self, value: Any) -> bytes:
        """Pickle a value; the user's modules are pickled by value, because workers cannot import them."""
        mine = [one for one in self.modules.values() if one.__name__ not in cloudpickle.list_registry_pickle_by_value()]
        for module in mine:
            cloudpickle.register_pickle_by_value(module)
        try:
            written = io.BytesIO()
            Pickler(written).dump(value)
        finally:
            for module in mine:
                cloudpickle.unregister_pickle_by_value(module)
        return written.getvalue()

    def take(self, value: Any) -> None:
        """Add a value, and everything that it refers to, to the digest."""
        if type(value) in _PLAIN:
            self._plain(value)
            return
        if id(value) in self._seen:
            self._add("again", self._seen[id(value)][0])
            return
        self._seen[id(value)] = len(self._seen), value
        handler = next((handle for kinds, handle in _HANDLERS if isinstance(value, kinds)), UserCode._other)
        handler(self, value)

    def _add(self, *tokens: Any) -> None:
        self._hash.update(repr(tokens).encode())

    def _plain(self, value: Any) -> None:
        self._add(type(value).__name__, value)
        if isinstance(value, str):
            self.strings[value] = None

    def _scalar(self, value: np.generic) -> None:
        self._add(type(value).__name__, value.dtype.descr, value.tobytes())
        if isinstance(value, str):
            self.strings[value] = None

    def _array(self, value: np.ndarray[Any, Any]) -> None:
        fortran = value.flags.f_contiguous and not value.flags.c_contiguous  # sums along an axis depend on it
        self._add("array", value.dtype.descr, value.shape, fortran)
        if value.dtype.hasobject:
            self.take(value.ravel().tolist())
        if type(value) is not np.ndarray:  # a masked array, or an array with a unit
            self._other(value)
        elif not value.dtype.hasobject:
            self._hash.update(np.ascontiguousarray(value).reshape(-1).view(np.uint8) if value.nbytes else b"")

    def _sequence(self, value: Any) -> None:
        self._add(type(value).__name__, len(value), getattr(value, "maxlen", None))
        if type(value) not in _SEQUENCES:
            self.take(type(value))
            self.take(getattr(value, "__dict__", None))
        by_hash = isinstance(value, set | frozenset) and not is_of_numbers(value)
        for one in sorted(value, key=repr) if by_hash else value:
            self.take(one)

    def _mapping(self, value: dict[Any, Any]) -> None:
        self._add("dict", len(value))
        if type(value) is not dict:
            self.take(type(value))
            self.take(getattr(value, "default_factory", None))
            self.take(getattr(value, "__dict__", None))
        for key, one in value.items():
            self.take(key)
            self.take(one)

    def _function(self, value: types.FunctionType) -> None:
        if is_installed_function(value):
            self._add("function", value.__globals__["__name__"], value.__qualname__, value.__code__.co_code)
            return
        self._note_module(value.__module__)
        self.files.add(value.__code__.co_filename)
        self._add(value.__name__, value.__qualname__)  # its result may contain its name
        self.take(value.__code__)
        for one in (value.__defaults__, value.__kwdefaults__, vars(value)):
            self.take(one)
        for cell in value.__closure__ or ():
            self.take(content(cell))
        for name in sorted(set(names_of(value.__code__))):
            if name in value.__globals__:
                self._add("global", name)
                self.take(value.__globals__[name])

    def _code(self, value: types.CodeType) -> None:
        self._add("code", value.co_name, value.co_code, value.co_exceptiontable, value.co_flags, value.co_names)
        self._add(value.co_varnames, value.co_freevars, value.co_cellvars)
        self._add(value.co_argcount, value.co_posonlyargcount, value.co_kwonlyargcount)
        self.names.update(value.co_names)
        for one in value.co_consts:
            self.take(one)

    def _method(self, value: types.MethodType) -> None:
        self.take(value.__func__)
        self.take(value.__self__)

    def _partial(self, value: functools.partial[Any]) -> None:
        for one in (type(value), value.func, value.args, value.keywords, vars(value)):
            self.take(one)

    def _cached(self, value: Any) -> None:
        for one in (cached_function(value), value.cache_parameters(), vars(value)):
            self.take(one)

    def _module(self, value: types.ModuleType) -> None:
        self._add("module", value.__name__, getattr(value, "__version__", ""))
        if is_own_module(value):
            self._note_module(value.__name__)
            with contextlib.suppress(OSError):  # the module is in a ZIP archive, or its file was deleted
                self._hash.update(Path(value.__file__).read_bytes() if value.__file__ else b"")
            self._attributes(vars(value))  # includes later assignments, and further modules of the user

    def _class(self, value: type) -> None:
        self._add("class", value.__module__, value.__name__, value.__qualname__)
        if not is_installed_class(value):
            self._note_module(value.__module__)
            for base in (type(value), *value.__bases__):
                self.take(base)
            self._attributes(vars(value))

    def _attributes(self, values: Mapping[str, Any]) -> None:
        for name, one in sorted(values.items()):
            if name not in _UNTOLD:
                self._add(name)
                self.take(one)

    def _descriptor(self, value: Any) -> None:
        self._add(type(value).__name__)
        for name in ("__func__", "fget", "fset", "fdel", "func"):
            self.take(getattr(value, name, None))

    def _other(self, value: Any) -> None:
        kind = type(value)
        self.take(kind)
        compiled = getattr(value, "py_func", None)  # the Python function of one that Numba compiled
        if isinstance(compiled, types.FunctionType):
            self.take(compiled)
        elif kind is np.vectorize:
            self.take({name: one for name, one in vars(value).items() if not name.startswith("_")})
        elif not is_installed_class(kind) and kind.__reduce_ex__ is _REDUCE_EX and hasattr(value, "__dict__"):
            self.take(vars(value))
        elif kind.__module__ in _TREES:  # its pickle contains addresses of memory
            for name in ("data", "indices", "size", "leafsize", "boxsize", "__dict__"):
                self.take(getattr(value, name, None))
        elif kind in _BY_ARGUMENTS:
            self.take(value.__reduce__()[1])
        else:
            self._pickle(value)

    def _pickle(self, value: Any) -> None:
        try:
            self._hash.update(cloudpickle.dumps(value, protocol=5))
        except Exception:  # the job reports this when it is sent
            self.why_not_kept = self.why_not_kept or f"it uses a {type(value).__qualname__}, which cannot be pickled"

    def _note_module(self, module: str | None) -> None:
        """Add a module to `modules` if it is the user's."""
        found = sys.modules.get(module or "__main__")
        if found is not None and found.__name__ != "__main__" and not is_installed_module(found.__name__):
            self.modules[found.__name__] = found


def _settings_of_process() -> str:
    """Return the settings of this process that affect numbers and texts: NumPy's printing and errors, the locale."""
    return f"{np.get_printoptions()} {np.geterr()} {locale.setlocale(locale.LC_ALL)}"


_REDUCE_EX: Any = object.__reduce_ex__
_SEQUENCES = (tuple, list, set, frozenset, collections.deque)
_PLAIN = frozenset({bool, int, float, complex, str, bytes, type(None), type(...)})
_TREES = ("scipy.spatial._kdtree", "scipy.spatial._ckdtree")
_BY_ARGUMENTS = (slice, range, operator.itemgetter)
_UNTOLD = frozenset({
    "_abc_impl", "__dict__", "__weakref__", "__doc__", "__annotations__", "__module__", "__qualname__", "__file__",
    "__firstlineno__", "__static_attributes__", "__builtins__", "__cached__", "__loader__", "__spec__", "__path__",
    "__dataclass_fields__", "__annotate__", "__annotate_func__", "__annotations_cache__",
})  # fmt: skip
"""Attributes of modules and classes left out of the digest: they describe origin or documentation, not behaviour."""

_HANDLERS: list[tuple[Any, Callable[[UserCode, Any], None]]] = [
    (np.generic, UserCode._scalar),
    (types.FunctionType, UserCode._function),
    (types.CodeType, UserCode._code),
    (types.MethodType, UserCode._method),
    (functools.partial, UserCode._partial),
    (functools._lru_cache_wrapper, UserCode._cached),
    (types.ModuleType, UserCode._module),
    (np.ndarray, UserCode._array),
    (_SEQUENCES, UserCode._sequence),
    (dict, UserCode._mapping),
    (type, UserCode._class),
    ((staticmethod, classmethod, property, functools.cached_property), UserCode._descriptor),
]
