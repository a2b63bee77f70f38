"""What a user's own code raises, whatever that is: told from Ctrl-C, and put into words."""

from __future__ import annotations

import signal
import threading
import traceback


def is_interrupt(error: BaseException) -> bool:
    """Tell Ctrl-C of the user from what a function raises: workers leave the signal to the process of the user."""
    listens = signal.getsignal(signal.SIGINT) not in (signal.SIG_IGN, signal.SIG_DFL, None)
    return isinstance(error, KeyboardInterrupt) and listens and threading.current_thread() is threading.main_thread()


def said(error: BaseException) -> str:
    """Return the kind and the text of an exception, whatever its own methods raise."""
    try:
        return "".join(traceback.format_exception_only(error)).strip()
    except BaseException:
        return type(error).__name__


def text_of(error: BaseException) -> str:
    """Return the text of an exception as plain text: its own `__str__` may raise, or give a class of the user's."""
    try:
        return "".join((str(error),))
    except BaseException:
        return said(error)


def told(error: BaseException) -> str:
    """Return what a user's exception says, with the user's own part of the traceback."""
    inner = error.__traceback__.tb_next if error.__traceback__ is not None else None
    try:
        lines = traceback.format_exception(type(error), error, inner or error.__traceback__)
    except BaseException:  # as above
        lines = traceback.format_tb(inner or error.__traceback__)
    return f"{said(error)}\n\n{''.join(lines)}".rstrip()  # where the exception has no text either
