"""The one place that opens storage: objects under keys, on a directory or on any fsspec URL.

Writes are atomic (a reader sees the old object, the new one or none), creation is exclusive, and a library's error
leaves here under its name in `gozen.errors`, with the object named. What the keys mean stands in `gozen.archive.keys`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gozen.archive.directory import DirectoryStore
from gozen.archive.interface import Store
from gozen.archive.objects import ObjectStore
from gozen.errors import BadRequest

__all__ = ["Store", "open_store"]


def open_store(url: str | Path, options: dict[str, Any] | None = None) -> Store:
    """Open a root for reading and writing; nothing is created before the first write.

    Parameters
    ----------
    url
        A directory, a ``file://`` URL or any other fsspec URL.
    options
        Passed to the fsspec file system (endpoint, credentials).

    Raises
    ------
    BadRequest
        The protocol is unknown, or its package is not installed.
    """
    text = str(url)
    if "://" not in text or text.startswith("file://"):
        return DirectoryStore(Path(text.removeprefix("file://")).expanduser().absolute())
    try:
        return ObjectStore(text, options or {})
    except (ValueError, ImportError) as error:
        raise BadRequest(f"cannot open the archive {text!r}: {error}") from error
