"""Open the tables of a rerun for jobs: group tables that have the same patches, and find the files of each table."""

from __future__ import annotations

import difflib
import functools
from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa

from gozen.archive.stores.open_store import Store
from gozen.catalog.format import partition_parquet
from gozen.catalog.format.manifest import Manifest
from gozen.catalog.format.next_version import readable_schema
from gozen.catalog.read.lookup import Catalog
from gozen.errors import TableNotFound
from gozen.lightcurves.barycentric_times import Place
from gozen.quickdb.patches.column_definitions import Names, TableColumns
from gozen.quickdb.patches.patch_extents import PatchExtent, patches_of, same_cuts
from gozen.quickdb.work.tasks import TableFiles


@dataclass(frozen=True)
class Family:
    """Tables with the same patches, in which row N of each table belongs to the same object.

    Parameters
    ----------
    names
        The columns of the tables, by name.
    files
        The files of each table.
    patches
        The patches, sorted by partition and ``_healpix_29``.
    """

    names: Names
    files: Mapping[str, TableFiles]
    patches: tuple[PatchExtent, ...]


class Tables:
    """The tables of a rerun, or the live tables.

    Parameters
    ----------
    store
        The archive.
    versions
        The manifest of each table, by the table's name.
    place_m
        The position of the camera, geocentric, in metres.
    """

    def __init__(self, store: Store, versions: Mapping[str, Manifest], place_m: Place | None = None) -> None:
        self.versions = versions
        self.place_m = place_m
        self._store = store
        self._families: dict[str, Family] = {}
        self._catalogs: dict[str, Catalog] = {}

    @functools.cached_property
    def schemas(self) -> dict[str, pa.Schema]:
        """The columns of each table."""
        return {
            word: readable_schema(
                version.kind, partition_parquet.schema(self._store.read(version.key_of(version.schema)))
            )
            for word, version in self.versions.items()
        }

    def family(self, word: str) -> Family:
        """Return the family of a table: the table and all others that have the same patches.

        Raises
        ------
        TableNotFound
            There is no such table.
        """
        self.require(word)
        if word not in self._families:
            self._families[word] = self._opened(word)
        return self._families[word]

    def require(self, word: str) -> None:
        """Raise `TableNotFound` if there is no such table."""
        if word not in self.versions:
            there_are = difflib.get_close_matches(word, self.versions, 1) or sorted(self.versions)
            raise TableNotFound(f"there is no table {word!r}; the tables are {', '.join(there_are)}")

    def catalog(self, word: str) -> Catalog:
        """Return the reader of a table for look-ups; raise `TableNotFound` if there is no such table."""
        if word not in self._catalogs:
            self.require(word)
            self._catalogs[word] = Catalog(self._store, self.versions[word])
        return self._catalogs[word]

    def _opened(self, word: str) -> Family:
        mine = self._index(word)
        indexes = {word: mine}
        kind = self.versions[word].kind
        for other, version in self.versions.items():
            if other != word and version.kind == kind == "object" and version.rows == self.versions[word].rows:
                theirs = self._index(other)
                indexes |= {other: theirs} if same_cuts(mine, theirs) else {}
        columns = {name: TableColumns.of_schema(name, self.schemas[name], self.place_m) for name in indexes}
        elsewhere = tuple(name for name in self.versions if name not in indexes)
        files = {name: self._files(name) for name in indexes}
        return Family(Names(columns, elsewhere), files, tuple(patches_of(indexes, kind)))

    def _index(self, word: str) -> pa.Table:
        version = self.versions[word]
        return partition_parquet.decoded(self._store.read(version.key_of(version.index)))

    def _files(self, word: str) -> TableFiles:
        version = self.versions[word]
        folder = version.key_of_file("").rstrip("/")
        return TableFiles(folder, version.key_of(version.index), self.schemas[word])
