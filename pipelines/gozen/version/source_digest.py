"""Digest of package sources: the same for a checkout, a wheel and an image of a commit."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

SUFFIXES = (".py", ".typed", ".yaml", ".html", ".css", ".js")
"""Of the files that are installed; what an editor or an interpreter leaves beside them does not count."""


def digest_of(packages: Sequence[Path]) -> str:
    """Return the digest of all source files of some packages; empty where there are none, as in a zip file.

    A new file counts, which git would call untracked: it can be imported.
    """
    whole, some = hashlib.sha256(), False
    for package in packages:
        for path in _files(package):
            try:
                content = path.read_bytes()
            except OSError:  # removed meanwhile, or kept from this process
                continue
            some = True
            name = path.relative_to(package.parent).as_posix()
            whole.update(f"{name}\0{hashlib.sha256(content).hexdigest()}\n".encode())
    return whole.hexdigest() if some else ""


def _files(package: Path) -> Iterator[Path]:
    for folder, inner, names in os.walk(package):
        inner[:] = sorted(one for one in inner if one != "__pycache__" and not one.startswith("."))
        yield from (Path(folder, one) for one in sorted(names) if one.endswith(SUFFIXES) and not one.startswith("."))
