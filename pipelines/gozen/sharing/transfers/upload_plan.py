"""Divide a file into the chunks of an upload. No I/O.

Nextcloud's chunked upload (version 2) has chunks with names from 1 to 10000, of 5 MB to 5 GB each; only the last one
may be smaller. The names have five digits, so that their order as texts is the order of the numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gozen.errors import CloudRefused


@dataclass(frozen=True)
class ChunkRules:
    """The limits of the server.

    Parameters
    ----------
    smallest, largest
        Bytes of a chunk; also within the limits of a server that counts a megabyte as a million bytes.
    most
        Number of chunks.
    """

    smallest: int = 5 * 2**20
    largest: int = 5 * 10**9
    most: int = 10_000


@dataclass(frozen=True)
class Chunk:
    """A part of a file: the bytes from start to stop (exclusive)."""

    number: int
    start: int
    stop: int

    @property
    def name(self) -> str:
        """Its name in the upload folder."""
        return f"{self.number:05d}"

    @property
    def size(self) -> int:
        """Number of bytes."""
        return self.stop - self.start


@dataclass(frozen=True)
class UploadPlan:
    """The chunks of a file; a file without chunks is sent in one request."""

    size: int
    chunk_size: int
    count: int

    @property
    def is_single(self) -> bool:
        """Whether the file is sent in one request."""
        return self.count == 0

    def chunk(self, number: int) -> Chunk:
        """Return a chunk by its number, from 1."""
        return Chunk(number, (number - 1) * self.chunk_size, min(number * self.chunk_size, self.size))

    def missing(self, present: Mapping[str, int]) -> list[int]:
        """Return the numbers of the chunks to send.

        Parameters
        ----------
        present
            Size of each file in the upload folder, by its name. A chunk with another size is sent again.
        """
        sizes = {int(name): size for name, size in present.items() if name.isascii() and name.isdecimal()}
        return [number for number in range(1, self.count + 1) if sizes.get(number) != self.chunk(number).size]


def plan_upload(size: int, wanted: int, rules: ChunkRules = ChunkRules()) -> UploadPlan:
    """Return the chunks of a file.

    Parameters
    ----------
    size
        Bytes of the file.
    wanted
        Bytes of a chunk, if the limits permit it.

    Raises
    ------
    CloudRefused
        The file is larger than the largest chunks together.
    """
    if size > rules.largest * rules.most:
        raise CloudRefused(
            f"a file of {size} bytes is too large (limit: {rules.largest * rules.most}); divide it first"
        )
    chunk_size = min(max(wanted, rules.smallest, -(-size // rules.most)), rules.largest)
    return UploadPlan(size, chunk_size, -(-size // chunk_size) if size > chunk_size else 0)
