"""Keys of the parts of a table below ``catalogs/{name}/`` (docs/explanation/tables.md). No I/O."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gozen.archive import keys
from gozen.catalog.format.healpix import ORDER

SEVERAL_NIGHTS = 0
"""The number in place of the night in the name of a file that compaction merged from several nights."""

FIRST_RELEASED = 900_000_001
"""The lowest number of a generation that belongs to a release: its folder shows that, so rights can name it."""

DEEPEST = 11
"""HEALPix order of the smallest partitions, which are 1.7 arcmin wide."""

_PARTITION = re.compile(r"Norder=(\d+)/Dir=\d+/Npix=(\d+)")


@dataclass(frozen=True, order=True)
class Partition:
    """A nested HEALPix pixel whose rows share a folder.

    Parameters
    ----------
    order, pixel
        HEALPix order, and number of the pixel at this order.
    """

    order: int
    pixel: int

    @property
    def folder(self) -> str:
        """The folder below ``dataset/``, named as HATS requires."""
        return f"Norder={self.order}/Dir={self.pixel // 10_000 * 10_000}/Npix={self.pixel}"

    @property
    def quarters(self) -> list[Partition]:
        """The four pixels of the next order inside this one."""
        return [Partition(self.order + 1, 4 * self.pixel + quarter) for quarter in range(4)]

    @property
    def start(self) -> int:
        """The first ``_healpix_29`` of the pixel."""
        return self.pixel << 2 * (ORDER - self.order)

    @property
    def stop(self) -> int:
        """One more than the last ``_healpix_29`` of the pixel."""
        return (self.pixel + 1) << 2 * (ORDER - self.order)


def partition_of(path: str) -> Partition:
    """Return the partition in the path of a data file."""
    found = _PARTITION.search(path)
    assert found, f"{path} is not the path of a partition"
    return Partition(int(found[1]), int(found[2]))


def night_of_path(path: str) -> int:
    """Return the number, usually the night, with which the name of a data file begins."""
    return int(path.rsplit("/", 1)[1].split("-", 1)[0])


def generation(name: str, number: int) -> str:
    """Return the folder of a generation; its data files never change, and are deleted only with it."""
    return f"{keys.catalog(name)}/{name}.g{number}"


def data_key(name: str, number: int, path: str) -> str:
    """Return the key of a data file from its path below ``dataset/``."""
    return f"{generation(name, number)}/dataset/{path}"


def margin(name: str, number: int, arcsec: float) -> str:
    """Return the name of the margin of a generation; ``arcsec`` is its width."""
    base = f"{name}_{arcsec:g}arcs"
    return base if number == 1 else f"{base}.g{number}"


def manifest(name: str, version: int) -> str:
    """Return the key of the manifest of a version."""
    return f"{manifests(name)}/{version:09d}.json"


def release(rerun: str) -> str:
    """Return the path, below the collection, of the manifest of a table in a release."""
    return f"release/{rerun}.json"


def retired(name: str, number: int) -> str:
    """Return the key of the note that records since when an older generation is unused."""
    return f"{keys.catalog(name)}/retired/{number:09d}.json"


def unfinished(name: str, number: int) -> str:
    """Return the key of the note that records since when a generation above the current one is in no release."""
    return f"{keys.catalog(name)}/unfinished/{number:09d}.json"


def removed(name: str, number: int) -> str:
    """Return the key of the note that a generation is being or was deleted: no new version may name this generation."""
    return f"{keys.catalog(name)}/removed/{number:09d}.json"


def generation_of(name: str, key: str) -> int | None:
    """Return the generation of a file, given its key; None if the key is not in the folder of a generation.

    The folders of margins belong to generations too.
    """
    folder = key.removeprefix(f"{keys.catalog(name)}/").split("/", 1)[0]
    found = re.fullmatch(rf"{re.escape(name)}(_[0-9.]+arcs)?(\.g(\d+))?", folder)
    if not found or not (found[1] or found[2]):
        return None
    return int(found[3]) if found[3] else 1


def manifests(name: str) -> str:
    """Return the prefix of the keys of all manifests."""
    return f"{keys.catalog(name)}/manifest"


def claim(name: str, number: int) -> str:
    """Return the key that reserves a generation number for the process that creates it."""
    return f"{keys.catalog(name)}/generation/{number:09d}"


def journal(name: str, number: int) -> str:
    """Return the key of an entry in the journal of registered objects."""
    return f"{keys.catalog(name)}/journal/{number:09d}.parquet"


def partitions_for(healpix29: NDArray[np.int64], existing: Iterable[Partition], order: int) -> list[Partition]:
    """Return the partitions of sorted positions: existing ones, and new ones of ``order`` where none exists.

    Parameters
    ----------
    healpix29
        Sorted ``_healpix_29`` of the rows.
    existing
        The table's partitions, of any order, none inside another.
    order
        HEALPix order of new partitions. If such a pixel already contains smaller partitions, a new one between them
        gets the deepest of their orders, because no partition may be inside another.

    Returns
    -------
    list[Partition]
        Sorted by sky position, each with at least one row.
    """
    known = sorted(existing, key=lambda p: p.start)
    starts = np.array([p.start for p in known], np.int64)
    stops = np.array([p.stop for p in known], np.int64)
    found: list[Partition] = []
    at = 0
    while at < len(healpix29):
        here = int(healpix29[at])
        nearest = int(np.searchsorted(starts, here, side="right")) - 1
        inside = nearest >= 0 and here < stops[nearest]
        partition = known[nearest] if inside else _opened(here, known, starts, order)
        found.append(partition)
        at = int(np.searchsorted(healpix29, partition.stop))
    return found


def _opened(here: int, known: list[Partition], starts: NDArray[np.int64], order: int) -> Partition:
    pixel = Partition(order, here >> 2 * (ORDER - order))
    inner = known[int(np.searchsorted(starts, pixel.start)) : int(np.searchsorted(starts, pixel.stop))]
    deepest = max([order, *(p.order for p in inner)])
    return Partition(deepest, here >> 2 * (ORDER - deepest))
