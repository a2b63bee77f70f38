"""Parse and format versions: PEP 440 numbers, tags, commits, digests. No I/O."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

SHOWN = 12
"""Hexadecimal digits of a commit, and of a digest."""

UNRELEASED = "0.1.dev0"
"""Before the first release tag."""

_NUMBER = re.compile(r"v?(\d+(?:\.\d+)*(?:(?:a|b|rc)\d+)?)")
_LOCAL = re.compile(r"(?:g([0-9a-f]{7,}))?(?:unknown)?(?:\.?s([0-9a-f]+))?")


@dataclass(frozen=True)
class Code:
    """One state of the sources.

    Parameters
    ----------
    number
        Of the release, or of the next one with ``.dev0``.
    commit
        Where they come from; empty where nothing says it.
    digest
        What they are: another one after any edit; empty where they cannot be read.
    """

    number: str
    commit: str = ""
    digest: str = ""

    def __str__(self) -> str:
        return f"{self.number}+{self.local}"

    @property
    def local(self) -> str:
        """What stands after the ``+``."""
        commit = f"g{self.commit[:SHOWN]}" if self.commit else "unknown"
        return commit + (f".s{self.digest[:SHOWN]}" if self.digest else "")

    @property
    def tag(self) -> str:
        """The version in the form of an image's tag and of a label, neither of which may have a ``+``."""
        return str(self).replace("+", "_")

    @property
    def chart(self) -> str:
        """The version of a Helm chart: in semantic versioning a number has three parts and ``-dev.0``."""
        release, kind, count = _parts(self.number)
        three = ".".join(map(str, [*release, 0, 0][:3]))
        return three + (f"-{kind}.{count}" if kind else "") + f"+{self.local}"

    def same_commit(self, commit: str) -> bool:
        """Tell whether it comes from a commit."""
        return bool(commit) and self.commit[:SHOWN] == commit[:SHOWN]

    def same_digest(self, digest: str) -> bool:
        """Tell whether the sources have a digest."""
        return bool(digest) and self.digest[:SHOWN] == digest[:SHOWN]


def parsed(text: str) -> Code:
    """Read what ``str`` wrote; of another version its number is kept."""
    number, _, local = text.strip().partition("+")
    found = _LOCAL.fullmatch(local)
    return Code(number, *(part or "" for part in found.groups())) if found else Code(number)


def number_of(tag: str) -> str:
    """Return the number of a release's tag, such as ``v0.2.0``; empty for another tag."""
    found = _NUMBER.fullmatch(tag)
    return found.group(1) if found else ""


def next_after(tags: Iterable[str]) -> str:
    """Return the number of what follows the highest of some tags; other tags than those of releases do not count."""
    numbers = [number for tag in tags if (number := number_of(tag))]
    if not numbers:
        return UNRELEASED
    before, last = re.fullmatch(r"(.*?)(\d+)", max(numbers, key=order_of)).groups()  # type: ignore[union-attr]
    return f"{before}{int(last) + 1}.dev0"


def order_of(number: str) -> tuple[tuple[int, ...], str, int]:
    """Return what sorts numbers of releases: 0.10 after 0.9, and 1.0 after 1.0rc1."""
    release, kind, count = _parts(number)
    return release, kind or "release", count


def _parts(number: str) -> tuple[tuple[int, ...], str, int]:
    """Return the numbers of a release, and the kind and count of what is before it."""
    found = re.fullmatch(r"([\d.]+?)(?:\.?(a|b|rc|dev)(\d+))?(?:\.dev\d+)?", number)
    if found is None:
        return (0,), "", 0
    release, kind, count = found.groups()
    return tuple(map(int, release.split("."))), kind or "", int(count or 0)
