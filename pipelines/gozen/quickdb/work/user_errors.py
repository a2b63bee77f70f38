"""Errors raised by a user's code: tell them from Ctrl-C, and format them."""

from __future__ import annotations

import functools
import signal
import threading
import traceback
import types
from typing import Any

_NAME: Any = vars(type)["__name__"]
_TRACEBACK: Any = vars(BaseException)["__traceback__"]
"""What an exception is and where it was raised, without asking its class, which may say anything."""


def is_interrupt(error: BaseException) -> bool:
    """Tell Ctrl-C of the user from what a function raises: workers leave the signal to the process of the user."""
    listens = signal.getsignal(signal.SIGINT) not in (signal.SIG_IGN, signal.SIG_DFL, None)
    is_one = issubclass(type(error), KeyboardInterrupt)  # isinstance would ask the exception for its class
    return is_one and listens and threading.current_thread() is threading.main_thread()


def kind_and_text(error: BaseException) -> str:
    """Return the kind and the text of an exception, whatever its own methods raise."""
    try:
        return "".join(traceback.format_exception_only(error)).strip()
    except BaseException:
        return str(_NAME.__get__(type(error)))


def text_of(error: BaseException) -> str:
    """Return the text of an exception as plain text: its own `__str__` may raise, or give a class of the user's."""
    try:
        return "".join((str(error),))
    except BaseException:
        return kind_and_text(error)


def name_of(function: Any) -> str:
    """Return the name of a function for a message; of any other object that can be called, that of its class."""
    inner = function.func if type(function) is functools.partial else function
    kinds = types.FunctionType | types.MethodType
    return str(inner.__qualname__ if isinstance(inner, kinds) else type(inner).__qualname__).replace("<locals>.", "")


def text_with_traceback(error: BaseException) -> str:
    """Return what a user's exception says, with the user's own part of the traceback."""
    whole: types.TracebackType | None = _TRACEBACK.__get__(error)
    inner = whole.tb_next if whole is not None else None
    try:
        lines = traceback.format_exception(type(error), error, inner or whole)
    except BaseException:  # as above
        lines = traceback.format_tb(inner or whole)
    return f"{kind_and_text(error)}\n\n{''.join(lines)}".rstrip()  # where the exception has no text either
