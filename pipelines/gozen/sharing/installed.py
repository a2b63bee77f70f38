"""Whether the libraries of the extra ``sharing`` are installed."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec

from gozen.errors import BadRequest

TRANSFERS = ("httpx", "defusedxml")
PERSONAL = ("keyring", "segno")
"""Libraries that only people need and programs do not: a keyring for the app password, and QR codes."""


def check_installed(what: str, libraries: Sequence[str] = (*TRANSFERS, *PERSONAL)) -> None:
    """Check that the libraries are there.

    Parameters
    ----------
    what
        The part of Gozen that needs them, for the message.

    Raises
    ------
    BadRequest
        Some are missing; the message says how they are installed.
    """
    missing = [name for name in libraries if find_spec(name) is None]
    if missing:
        raise BadRequest(f"{what} needs {' and '.join(missing)}: run pip install 'gozen[sharing]'")
