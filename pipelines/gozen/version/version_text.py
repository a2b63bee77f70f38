"""Parse and format versions: PEP 440 numbers, tags, commits, digests. No I/O."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

SHOWN = 12
"""Number of hexadecimal digits that a version shows of a commit, and of a digest."""

UNRELEASED = "0.1.dev0"
"""Number of the code before the first release tag."""

_NUMBER = re.compile(r"v?(\d+(?:\.\d+)*(?:(?:a|b|rc)\d+)?)")
_LOCAL = re.compile(r"(?:g([0-9a-f]{7,}))?(?:unknown)?(?:\.?s([0-9a-f]+))?")


@dataclass(frozen=True)
class Code:
    """The version of one state of the sources.

    Parameters
    ----------
    number
        Number of the release, or of the next release with ``.dev0``.
    commit
        Git commit; empty if it is not known.
    digest
        SHA-256 of the sources, which changes with any edit; empty if they cannot be read.
    """

    number: str
    commit: str = ""
    digest: str = ""

    def __str__(self) -> str:
        return f"{self.number}+{self.local}"

    @property
    def local(self) -> str:
        """The part after the ``+``."""
        commit = f"g{self.commit[:SHOWN]}" if self.commit else "unknown"
        return commit + (f".s{self.digest[:SHOWN]}" if self.digest else "")

    @property
    def tag(self) -> str:
        """The version as an image tag or a label, which must not contain a ``+``."""
        return str(self).replace("+", "_")

    @property
    def chart(self) -> str:
        """The version of a Helm chart, as semantic versioning: three numbers, and ``-dev.0`` in place of ``.dev0``."""
        release, kind, count = _parts(self.number)
        three = ".".join(map(str, [*release, 0, 0][:3]))
        return three + (f"-{kind}.{count}" if kind else "") + f"+{self.local}"

    def same_commit(self, commit: str) -> bool:
        """Tell whether the code is of this commit."""
        return bool(commit) and self.commit[:SHOWN] == commit[:SHOWN]

    def same_digest(self, digest: str) -> bool:
        """Tell whether the sources have this digest."""
        return bool(digest) and self.digest[:SHOWN] == digest[:SHOWN]


def parsed(text: str) -> Code:
    """Parse a version from ``str(Code)``; of other versions only the number is used."""
    number, _, local = text.strip().partition("+")
    found = _LOCAL.fullmatch(local)
    return Code(number, *(part or "" for part in found.groups())) if found else Code(number)


def number_of(tag: str) -> str:
    """Return the number of a release tag, such as ``v0.2.0``; empty for other tags."""
    found = _NUMBER.fullmatch(tag)
    return found.group(1) if found else ""


def next_after(tags: Iterable[str]) -> str:
    """Return the number of the release after the highest release tag, with ``.dev0``; other tags are ignored."""
    numbers = [number for tag in tags if (number := number_of(tag))]
    if not numbers:
        return UNRELEASED
    before, last = re.fullmatch(r"(.*?)(\d+)", max(numbers, key=order_of)).groups()  # type: ignore[union-attr]
    return f"{before}{int(last) + 1}.dev0"


def order_of(number: str) -> tuple[tuple[int, ...], str, int]:
    """Return a sort key for numbers of releases: 0.10 comes after 0.9, and 1.0 after 1.0rc1."""
    release, kind, count = _parts(number)
    return release, kind or "release", count


def _parts(number: str) -> tuple[tuple[int, ...], str, int]:
    """Return the parts of a release number, and kind and count of a pre-release: ``1.0rc2`` is (1, 0), rc, 2."""
    found = re.fullmatch(r"([\d.]+?)(?:\.?(a|b|rc|dev)(\d+))?(?:\.dev\d+)?", number)
    if found is None:
        return (0,), "", 0
    release, kind, count = found.groups()
    return tuple(map(int, release.split("."))), kind or "", int(count or 0)
