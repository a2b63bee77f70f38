"""Errors raised by a user's code: distinguish them from Ctrl-C, and format them."""

from __future__ import annotations

import functools
import signal
import threading
import traceback
import types
from typing import Any

_NAME: Any = vars(type)["__name__"]
_TRACEBACK: Any = vars(BaseException)["__traceback__"]
"""Read the name and the traceback of an exception without the user's class, which may redefine both."""


def is_interrupt(error: BaseException) -> bool:
    """Tell whether an error is the user's Ctrl-C, not an error of a function; False in workers that ignore SIGINT."""
    listens = signal.getsignal(signal.SIGINT) not in (signal.SIG_IGN, signal.SIG_DFL, None)
    is_one = issubclass(type(error), KeyboardInterrupt)  # isinstance would use `__class__`, which the user may redefine
    return is_one and listens and threading.current_thread() is threading.main_thread()


def kind_and_text(error: BaseException) -> str:
    """Return the kind and the text of an exception, even if its own methods raise."""
    try:
        return "".join(traceback.format_exception_only(error)).strip()
    except BaseException:
        return str(_NAME.__get__(type(error)))


def text_of(error: BaseException) -> str:
    """Return the text of an exception as a plain str: its `__str__` may raise, or return a subclass of str."""
    try:
        return "".join((str(error),))
    except BaseException:
        return kind_and_text(error)


def name_of(function: Any) -> str:
    """Return the name of a function for a message; for another callable object, the name of its class."""
    inner = function.func if type(function) is functools.partial else function
    kinds = types.FunctionType | types.MethodType
    return str(inner.__qualname__ if isinstance(inner, kinds) else type(inner).__qualname__).replace("<locals>.", "")


def text_with_traceback(error: BaseException) -> str:
    """Return the text of a user's exception, and the traceback from the user's code on."""
    whole: types.TracebackType | None = _TRACEBACK.__get__(error)
    inner = whole.tb_next if whole is not None else None
    try:
        lines = traceback.format_exception(type(error), error, inner or whole)
    except BaseException:  # its own methods may raise
        lines = traceback.format_tb(inner or whole)
    return f"{kind_and_text(error)}\n\n{''.join(lines)}".rstrip()  # no empty lines at the end
