"""Decide whether a module, function or class is installed code or the user's; names alone do not decide."""

from __future__ import annotations

import sys
import sysconfig
import types
from pathlib import Path
from typing import Any

_PLACES = [Path(sysconfig.get_path(kind)).resolve() for kind in ("stdlib", "platstdlib", "purelib", "platlib")]


def is_installed_module(name: str | None) -> bool:
    """Return whether a module is imported and belongs to Python, to an installed package or to Gozen."""
    if name == "builtins":
        return True
    name = name or "__main__"
    found = sys.modules.get(name)
    if found is None or found is sys.modules.get("__main__"):
        return False
    file = getattr(found, "__file__", None)
    if file is None or any(place in Path(file).resolve().parents for place in _PLACES):
        return True
    return name.partition(".")[0] == "gozen"


def is_own_module(module: types.ModuleType) -> bool:
    """Return whether a module is the user's, and is not the script or notebook itself."""
    return module.__name__ != "__main__" and not is_installed_module(module.__name__)


def is_installed_function(function: types.FunctionType) -> bool:
    """Return whether a function is installed, by its globals: `functools.wraps` copies names, but not globals."""
    name = function.__globals__.get("__name__")
    module = sys.modules.get(name) if isinstance(name, str) else None
    return getattr(module, "__dict__", None) is function.__globals__ and is_installed_module(name)


def is_installed_class(kind: type) -> bool:
    """Return whether a class belongs to an installed module, so its code need not be sent.

    The module must contain the class under its name, or the class must have no Python functions.
    """
    if not is_installed_module(kind.__module__):
        return False
    found: Any = sys.modules.get(kind.__module__)
    for name in kind.__qualname__.split("."):
        found = getattr(found, name, None)
    return found is kind or not any(isinstance(one, types.FunctionType) for one in vars(kind).values())
