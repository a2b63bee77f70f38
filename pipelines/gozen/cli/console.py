"""Set up the terminal: one console for results, one for messages, and logging."""

from __future__ import annotations

import logging

from rich.console import Console
from rich.logging import RichHandler

_PLAIN_WIDTH = 200


def results() -> Console:
    """Return the console for results, on standard output; if this is a file or a pipe, lines are wide."""
    console = Console(highlight=False, markup=False)
    return console if console.is_terminal else Console(highlight=False, markup=False, width=_PLAIN_WIDTH)


def say(sentence: str) -> None:
    """Print one line of a result, without line breaks even on a narrow terminal."""
    results().print(sentence, soft_wrap=True)


def messages() -> Console:
    """Return the console for messages and progress, on standard error."""
    return Console(stderr=True, highlight=False, markup=False, soft_wrap=True)


def set_up_log(*, debug: bool) -> None:
    """Send the log to standard error: Gozen's messages from INFO (DEBUG with ``--debug``), others from WARNING."""
    console = messages()
    if console.is_terminal:
        handler: logging.Handler = RichHandler(console=console, show_path=debug, log_time_format="%H:%M:%S")
        handler.setFormatter(logging.Formatter("%(message)s"))
    else:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.getLogger("gozen").setLevel(logging.DEBUG if debug else logging.INFO)
