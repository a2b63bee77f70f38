"""Numbered manifests: each lists the files of one version of a table; a new manifest commits the next version.

A manifest is created only if its number is free, and the highest number is the current version. If two writers race,
the second one rereads and tries again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from gozen.archive import keys
from gozen.archive.stores.open_store import Store
from gozen.catalog.format import layout
from gozen.errors import MissingObject, StorageUnavailable, UnreadableInput

FORMAT = 1
Kind = Literal["source", "object"]
_NUMBERED = re.compile(r".*/([0-9]{9})\.json")


@dataclass(frozen=True, order=True)
class DataFile:
    """One Parquet file of a version.

    Parameters
    ----------
    path
        Path below the generation's ``dataset/``.
    rows, bytes
        Number of rows, and size of the file.
    """

    path: str
    rows: int
    bytes: int


@dataclass(frozen=True)
class Manifest:
    """One version of a table.

    Parameters
    ----------
    name, version
        The table, and the number of this version.
    kind
        The HATS type: ``source`` (many rows per star) or ``object`` (one row per star).
    generation
        The number of the folder that contains the files.
    order
        HEALPix order of new partitions.
    schema, index, coverage
        Paths below the collection: an empty Parquet file with the table's columns, the row-group index, and the FITS
        map of rows for each pixel of order 8.
    files
        Data files of the version, sorted by path.
    nights
        For each night the path of the list of its exposures, with their runs and sensors.
    journal
        Number of journal entries that are in the table ``objects`` (`gozen.catalog.write.source_registry`).
    margin
        The name of the margin; empty without one.
    content
        Digest of the rows (`gozen.catalog.format.content_digest`) if the table was written in one step; else empty.
    """

    name: str
    version: int
    kind: Kind
    generation: int
    order: int
    schema: str
    index: str
    coverage: str
    files: tuple[DataFile, ...] = ()
    nights: Mapping[str, str] = field(default_factory=dict)
    journal: int = 0
    margin: str = ""
    content: str = ""

    @property
    def rows(self) -> int:
        """The number of rows."""
        return sum(file.rows for file in self.files)

    @property
    def partitions(self) -> list[layout.Partition]:
        """The partitions with rows, sorted by sky position."""
        return sorted({layout.partition_of(file.path) for file in self.files}, key=lambda p: p.start)

    def key_of(self, part: str) -> str:
        """Return the key of a part from its path below the collection, as this manifest names it."""
        return f"{keys.catalog(self.name)}/{part}"

    def key_of_file(self, path: str) -> str:
        """Return the key of a data file from its path below ``dataset/``."""
        return layout.data_key(self.name, self.generation, path)

    def to_json(self) -> bytes:
        """Return the manifest as JSON; equal manifests give equal bytes."""
        return json.dumps({"format": FORMAT, **asdict(self)}, indent=1, sort_keys=True).encode()


def read(store: Store, name: str, version: int) -> Manifest:
    """Read the manifest of a version.

    Raises
    ------
    MissingObject
        There is no such version.
    UnreadableInput
        The manifest was written by a newer Gozen, or is damaged.
    """
    return read_key(store, layout.manifest(name, version))


def read_key(store: Store, key: str) -> Manifest:
    """Read the manifest under a key; raises the errors of `read`."""
    try:
        content: dict[str, Any] = json.loads(store.read(key))
        written = content.pop("format")
        if written != FORMAT:
            raise UnreadableInput(
                f"{store.url_of(key)} has format {written}, but this version of Gozen reads format {FORMAT}: update "
                "Gozen"
            )
        files = tuple(DataFile(**file) for file in content.pop("files"))
        return Manifest(**content, files=files)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UnreadableInput(
            f"{store.url_of(key)} is not a valid manifest of a table ({error}); run `gozen catalog verify`, which "
            "gives advice"
        ) from error


def current(store: Store, name: str) -> Manifest | None:
    """Return the manifest of the highest version, or None if there is no such table."""
    # Another writer may commit after this listing. Then the next number is taken, and `commit` returns False.
    # Other objects, such as those that a copying program has not completed yet, are not manifests.
    versions = [int(found[1]) for key in store.list(layout.manifests(name)) if (found := _NUMBERED.fullmatch(key))]
    return read(store, name, max(versions)) if versions else None


def current_or_raise(store: Store, name: str) -> Manifest:
    """Return the manifest of the highest version; raise `MissingObject` if there is no such table."""
    manifest = current(store, name)
    if manifest is None:
        names = tables(store)
        remedy = f"its tables are {', '.join(names)}" if names else "`gozen night append` makes it from reduced nights"
        raise MissingObject(f"the archive {store.url} has no table {name!r}; {remedy}")
    return manifest


def tables(store: Store) -> list[str]:
    """Return the names of all tables of an archive, sorted; their data files are not listed."""
    return [name for name in store.folders("catalogs") if store.list(f"catalogs/{name}/manifest")]


def commit(store: Store, manifest: Manifest) -> bool:
    """Make a version the current one; return False if its number is taken. Raises the errors of `check_not_removed`."""
    check_not_removed(store, manifest)
    return store.create(layout.manifest(manifest.name, manifest.version), manifest.to_json())


def check_not_removed(store: Store, manifest: Manifest) -> None:
    """Raise an error if the generation of a new version was deleted as the leftover of a killed writer.

    Raises
    ------
    StorageUnavailable
        The generation was deleted, or is being deleted.
    """
    if store.exists(layout.removed(manifest.name, manifest.generation)):
        raise StorageUnavailable(
            f"generation {manifest.generation} of the table {manifest.name} was deleted while it was written: another "
            "process ran `gozen catalog compact --remove-older-than` with fewer days than this writing took; the table "
            "is unchanged, so run this command again, and give more days to the other one"
        )


def claim_generation(store: Store, name: str, after: int) -> int:
    """Reserve the lowest generation number above ``after`` that no writer, not even a killed one, has reserved."""
    number = after + 1
    while not store.create(layout.claim(name, number), b""):
        number += 1
    return number


def first_generation(store: Store, name: str) -> int:
    """Return the generation number for a table that has no version yet: the lowest one that has no files.

    A reserved number without files is used too. The process that reserved it was killed before its first version, or is
    about to write the same empty version.
    """
    number = 1
    while not store.create(layout.claim(name, number), b"") and store.list(layout.generation(name, number)):
        number += 1
    return number
