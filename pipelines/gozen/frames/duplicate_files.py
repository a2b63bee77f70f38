"""Detect raw files of the same frame: equal bytes, compressed or not, or equal pixels."""

from __future__ import annotations

import hashlib
from pathlib import Path

from gozen.archive.stores.open_store import Store
from gozen.archive.stores.store import named_errors
from gozen.errors import CorruptFile
from gozen.frames.fits_images import unpacked
from gozen.frames.raw import parse_file

_COMPRESSED = (b"ZIMAGE  =", b"ZCMPTYPE=")
Place = Path | str
"""The location of a raw file: a path outside the archive, or a key in it."""


class Doubles:
    """Compares raw files that start at the same moment, by cached digests."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._digests: dict[Place, str] = {}
        self._pixels: dict[Place, str] = {}
        self._compressed: set[Place] = set()

    def same(self, one: Place, other: Place) -> bool:
        """Return whether two files of one sensor and moment are the same frame; False if one is not readable as FITS.

        Raises
        ------
        StorageUnavailable, MissingObject
            A file cannot be reached, or does not exist.
        """
        try:
            if self._digest(one) == self._digest(other):
                return True
            return bool({one, other} & self._compressed) and self._pixel_digest(one) == self._pixel_digest(other)
        except CorruptFile:
            return False

    def _digest(self, place: Place) -> str:
        if place not in self._digests:
            data = self._read(place)
            self._digests[place] = hashlib.sha256(data).hexdigest()
            if all(word in data for word in _COMPRESSED):
                self._compressed.add(place)
        return self._digests[place]

    def _pixel_digest(self, place: Place) -> str:
        if place not in self._pixels:
            file = parse_file(self._read(place), str(place))
            values = b"".join(file.frame(index).astype("<f8").tobytes() for index in range(len(file.frames)))
            self._pixels[place] = hashlib.sha256(str(file.frames.shape).encode() + values).hexdigest()
        return self._pixels[place]

    def _read(self, place: Place) -> bytes:
        if isinstance(place, str):
            return self._store.read(place)
        with named_errors(str(place), "read"):
            return bytes(unpacked(place.read_bytes(), place.name))
