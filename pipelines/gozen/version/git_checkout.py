"""Read commit and tags from the files of a git repository, without running git.

Running git would cost milliseconds in each of many workers; container images do not contain git, and git refuses
folders of other users.
"""

from __future__ import annotations

import contextlib
import re
import zlib
from pathlib import Path

_OBJECT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_TAGS = "refs/tags/"
_MOST_STEPS = 5
"""Longest chain of references to follow, the same as git's."""


class Checkout:
    """The git repository of a working tree.

    Parameters
    ----------
    root
        Top folder of the working tree, with ``.git``, which is a file in linked worktrees and submodules.
    """

    def __init__(self, root: Path) -> None:
        self._git = _git_folder(root)
        common = _read(self._git / "commondir").strip()
        self._common = self._git / common if common else self._git
        self._packed, self._peeled = _packed_refs(_read(self._common / "packed-refs"))

    @property
    def commit(self) -> str:
        """The commit that is checked out; empty before the first commit, or if the references have another format."""
        name = "HEAD"
        for _ in range(_MOST_STEPS):
            found = self._value(name)
            if not found.startswith("ref:"):
                return found if _OBJECT.fullmatch(found) else ""
            name = found.removeprefix("ref:").strip()
        return ""

    def tags(self) -> dict[str, str]:
        """Return the commit of each tag; for a loose annotated tag with its object in a pack, the tag object's name."""
        tops = {name: self._peeled.get(name, one) for name, one in self._packed.items() if name.startswith(_TAGS)}
        loose = self._common / _TAGS
        for path in sorted(loose.rglob("*")) if loose.is_dir() else ():
            if path.is_file():
                tops[_TAGS + path.relative_to(loose).as_posix()] = self._commit_of(_read(path).strip())
        return {name.removeprefix(_TAGS): one for name, one in tops.items()}

    def _value(self, name: str) -> str:
        """Return the content of a reference; a linked worktree has its own HEAD and shares the branches."""
        for folder in (self._git, self._common):
            if found := _read(folder / name).strip():
                return found
        return self._packed.get(name, "")

    def _commit_of(self, name: str) -> str:
        """Return the commit that a tag object names; the same name if the object is a commit."""
        for _ in range(_MOST_STEPS):
            if not _OBJECT.fullmatch(name):
                return ""
            try:
                stored = zlib.decompress((self._common / "objects" / name[:2] / name[2:]).read_bytes())
            except (OSError, zlib.error):
                return name  # in a pack, which is not read here: mostly a commit, not an annotated tag
            kind, _, content = stored.partition(b"\0")
            if not kind.startswith(b"tag "):
                return name
            name = content.split(b"\n", 1)[0].removeprefix(b"object ").decode("ascii", "replace")
        return ""


def _git_folder(root: Path) -> Path:
    path = root / ".git"
    if path.is_dir():
        return path
    return root / _read(path).removeprefix("gitdir:").strip()


def _packed_refs(text: str) -> tuple[dict[str, str], dict[str, str]]:
    """Return the object of each packed reference, and the commit of each that refers to a tag object."""
    found: dict[str, str] = {}
    peeled: dict[str, str] = {}
    last = ""
    for line in text.splitlines():
        if line.startswith("^"):
            peeled[last] = line[1:].strip()
        elif not line.startswith("#"):
            value, _, last = line.strip().partition(" ")
            found[last] = value
    return found, peeled


def _read(path: Path) -> str:
    with contextlib.suppress(OSError, UnicodeDecodeError):
        return path.read_text()
    return ""
