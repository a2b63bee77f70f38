"""Whether the libraries of the extra ``sharing`` are installed."""

from __future__ import annotations

from importlib.util import find_spec

from gozen.errors import BadRequest

_LIBRARIES = ("httpx", "defusedxml", "keyring", "segno")


def check_installed(what: str) -> None:
    """Check that all libraries are there.

    Parameters
    ----------
    what
        The part of Gozen that needs them, for the message.

    Raises
    ------
    BadRequest
        Some are missing; the message says how they are installed.
    """
    missing = [name for name in _LIBRARIES if find_spec(name) is None]
    if missing:
        raise BadRequest(f"{what} needs {' and '.join(missing)}: run pip install 'gozen[sharing]'")
