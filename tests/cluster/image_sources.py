"""What an image is built from, as a digest. To find that nothing has changed, buildah itself reads gigabytes."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from string import Template

PRIVATE_TO_PYTHON = "__pycache__"


def digest_of(dockerfile: Path, context: Path, values: Mapping[str, str], others: Sequence[str]) -> str:
    """Return a digest that differs where the image may.

    Parameters
    ----------
    dockerfile
        What is built.
    context
        The folder that `COPY` and `ADD` read.
    values
        Values of the `ARG` lines.
    others
        What else decides on the content: flags of the build, ids of images below.
    """
    text = dockerfile.read_text()
    found = hashlib.sha256(json.dumps([text, sorted(values.items()), list(others)]).encode())
    for source in copied(text, values):
        for path in sorted(one for place in context.glob(source) for one in _files(place)):
            mode = path.lstat().st_mode
            content = str(path.readlink()).encode() if path.is_symlink() else path.read_bytes()
            found.update(f"\n{path.relative_to(context)} {mode:o} {len(content)}\n".encode() + content)
    return found.hexdigest()


def copied(text: str, values: Mapping[str, str]) -> list[str]:
    """Return what a Dockerfile copies from its context, as it is written there with values put in."""
    lines = text.replace("\\\n", " ").splitlines()
    defaults = {found[1]: found[2] for line in lines if (found := re.match(r'ARG (\w+)="?(.*?)"?$', line))}
    sources = []
    for line in lines:
        word, *rest = Template(line).safe_substitute({**defaults, **values}).split() or [""]
        if word in ("COPY", "ADD") and not any(one.startswith("--from=") for one in rest):
            sources += [one for one in rest if not one.startswith("--")][:-1]
    return sources


def _files(place: Path) -> Iterator[Path]:
    """Yield a file, or all files below a folder, but not what Python compiles there; links are files."""
    if place.is_symlink() or not place.is_dir():
        yield place
    elif place.name != PRIVATE_TO_PYTHON:
        for path in place.iterdir():
            yield from _files(path)
