"""The digest of package sources: the same for a checkout, a wheel and an image of one commit."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

SUFFIXES = (".py", ".typed", ".yaml", ".html", ".css", ".js", ".json", ".svg")
"""Suffixes of the files that are installed; files that an editor or the interpreter creates are not counted."""


def digest_of(packages: Sequence[Path]) -> str:
    """Return the SHA-256 of all source files of some packages; empty if there are none, as in a zip file.

    Files that git does not track count too, because they can be imported.
    """
    whole, some = hashlib.sha256(), False
    for package in packages:
        for path in _files(package):
            try:
                content = path.read_bytes()
            except OSError:  # deleted meanwhile, or not readable for this process
                continue
            some = True
            name = path.relative_to(package.parent).as_posix()
            whole.update(f"{name}\0{hashlib.sha256(content).hexdigest()}\n".encode())
    return whole.hexdigest() if some else ""


def _files(package: Path) -> Iterator[Path]:
    for folder, inner, names in os.walk(package):
        inner[:] = sorted(one for one in inner if one != "__pycache__" and not one.startswith("."))
        yield from (Path(folder, one) for one in sorted(names) if one.endswith(SUFFIXES) and not one.startswith("."))
