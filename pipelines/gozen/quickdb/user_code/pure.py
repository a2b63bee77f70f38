"""Recognise, by identity (`is`), the library objects in `pure_names`: their results depend only on their arguments."""

from __future__ import annotations

import builtins
import functools
import importlib
import sys
import types
from collections.abc import Mapping
from importlib import metadata
from typing import Any

from gozen.quickdb.user_code.installed_code import is_installed_function
from gozen.quickdb.user_code.pure_names import ATTRIBUTES, BUILTINS, KINDS, MODULES

_PATCH_INSIDE = ("_reads", "_number", "_rows", "_made")


_COMPUTING = ("numpy", "scipy", "astropy", "astropy-iers-data", "pyerfa", "pyarrow", "fast-histogram", "bottleneck")
"""Packages whose versions may affect results; bottleneck is used by another one if it is installed."""


def software() -> str:
    """Return the versions of Python and of the libraries that affect results; Gozen's version is in `code_version`."""
    return f"python {sys.version} {_libraries()}"


@functools.cache
def _libraries() -> str:
    return " ".join(f"{name} {_version(name)}" for name in _COMPUTING)


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "none"


@functools.cache
def hidden() -> frozenset[str]:
    """Return attributes of common types that are not allowed, such as ``tofile``, ``format`` and ``gi_frame``."""
    import collections
    import re

    import numpy as np

    places = (builtins, np, np.ma, types, functools, collections, re)
    kinds = [next(getattr(place, name) for place in places if hasattr(place, name)) for name in KINDS]
    return frozenset(name for kind in kinds for name in dir(kind)) - ATTRIBUTES | {*_PATCH_INSIDE}


def is_known_module(name: str) -> bool:
    """Return whether any name of a module is listed."""
    return name in MODULES


def known_in(module: types.ModuleType, name: str) -> list[Any]:
    """Return a list with the object that a module has under a listed name; an empty list if the name is not listed."""
    found = getattr(module, name, None) if name in MODULES[module.__name__].split() else None
    if isinstance(found, types.ModuleType):
        return [found] if found is sys.modules.get(f"{module.__name__}.{name}") else []
    known = _table(module.__name__)
    return [found] if name in known and found is known[name] else []


def is_known(value: object) -> bool:
    """Return whether a function or class is listed, by its identity, because any object may have a listed name."""
    return id(value) in _of_builtins() or any(id(value) in _of_module(name) for name in MODULES if name in sys.modules)


@functools.cache
def _table(module: str) -> Mapping[str, Any]:
    """Return the listed functions and classes of a module that were not replaced."""
    found = importlib.import_module(module)
    # Submodules are left out: packages such as SciPy import them on first access, which takes seconds.
    names = [name for name in MODULES[module].split() if f"{module}.{name}" not in MODULES and hasattr(found, name)]
    objects = {name: getattr(found, name) for name in names}
    replaced = {
        n for n, one in objects.items() if isinstance(one, types.FunctionType) and not is_installed_function(one)
    }
    return {name: one for name, one in objects.items() if name not in replaced}


@functools.cache
def _of_module(name: str) -> frozenset[int]:
    return frozenset(map(id, _table(name).values()))


@functools.cache
def _of_builtins() -> frozenset[int]:
    objects = (vars(builtins)[name] for name in BUILTINS if name in vars(builtins))
    return frozenset(id(one) for one in objects if not isinstance(one, types.FunctionType))


def is_known_builtin(name: str) -> bool:
    """Return whether a name is a listed built-in, or ``set`` or ``frozenset``, whose uses `instructions` checks."""
    is_listed = name in BUILTINS and id(vars(builtins).get(name)) in _of_builtins()
    return is_listed or name in ("set", "frozenset")
