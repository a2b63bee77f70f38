"""Compute and compare checksums in the form of Nextcloud, such as ``SHA256:9f86...``. No I/O."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Iterable
from typing import Protocol

OURS = "SHA256"
"""The algorithm of the checksums that Gozen sends."""


class Digest(Protocol):
    """A checksum that is being computed."""

    def update(self, data: bytes | memoryview, /) -> None:
        """Add bytes."""

    def hexdigest(self) -> str:
        """Return the checksum of all bytes so far."""


class _Adler32:
    def __init__(self) -> None:
        self._value = 1

    def update(self, data: bytes | memoryview, /) -> None:
        self._value = zlib.adler32(data, self._value)

    def hexdigest(self) -> str:
        return f"{self._value:08x}"


def _md5() -> Digest:
    return hashlib.md5(usedforsecurity=False)


def _sha1() -> Digest:
    return hashlib.sha1(usedforsecurity=False)


_KNOWN: dict[str, Callable[[], Digest]] = {
    OURS: hashlib.sha256,
    "SHA3-256": hashlib.sha3_256,
    "SHA1": _sha1,
    "MD5": _md5,
    "ADLER32": _Adler32,
}
"""All algorithms of Nextcloud's clients, the most reliable first; Gozen itself sends only `OURS`."""


def best_of(texts: Iterable[str]) -> str:
    """Return the most reliable of the checksums that a server gives, empty if it gives none that is known.

    Parameters
    ----------
    texts
        Such as ``SHA1:... MD5:...``; a server may give several in one text.
    """
    found = {}
    for one in " ".join(texts).split():
        name, colon, value = one.partition(":")
        if colon and value and name.upper() in _KNOWN:
            found[name.upper()] = value.lower()
    return next((f"{name}:{found[name]}" for name in _KNOWN if name in found), "")


def digest_for(checksum: str) -> Digest:
    """Return a new digest with the algorithm of a checksum that `best_of` has returned, or of `OURS`."""
    return _KNOWN[checksum.partition(":")[0]]()


def written(checksum: str, digest: Digest) -> str:
    """Return a digest in the form of a checksum with the same algorithm."""
    return f"{checksum.partition(':')[0]}:{digest.hexdigest()}"
