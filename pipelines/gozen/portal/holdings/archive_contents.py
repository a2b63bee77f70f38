"""Tables, releases, nights and the reference catalogue of an archive, with rows and sizes from the manifests."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import PurePath
from typing import Literal

from gozen.archive.log.search_log import nights
from gozen.archive.stores.open_store import Store, open_archive
from gozen.catalog.format import manifest
from gozen.catalog.format.manifest import Manifest, tables
from gozen.catalog.maintain.release import read_release, releases
from gozen.errors import GozenError, StorageUnavailable
from gozen.reduction.shared_inputs import DEFAULT_COLLECTION, SIMULATED_SKY
from gozen.settings import Settings

LIGHT_CURVES = "lightcurves"
"""The live table that the first notebook reads."""


@dataclass(frozen=True)
class TableHolding:
    """One table, live or in a release.

    Parameters
    ----------
    kind
        ``source`` (light curves), ``object`` or ``reference``; empty for a table that cannot be read.
    size
        Total size of its data files, bytes.
    nights
        ``YYYYMMDD``, in order; empty for tables that do not grow by nights.
    problem
        Why the table cannot be read.
    """

    name: str
    kind: str = ""
    rows: int = 0
    size: int = 0
    nights: tuple[str, ...] = ()
    problem: str = ""


@dataclass(frozen=True)
class ReleaseHolding:
    """One release; `problem` says why it cannot be read."""

    name: str
    tables: tuple[TableHolding, ...] = ()
    problem: str = ""


@dataclass(frozen=True)
class ReferenceHolding:
    """The catalogue with which new exposures are matched: where it is, and its name."""

    where: Literal["table", "file", "simulated", "none"]
    name: str = ""


@dataclass(frozen=True)
class Contents:
    """The contents of an archive at one time.

    Parameters
    ----------
    url
        The archive.
    nights
        Nights of the observation log, ``YYYYMMDD``, the last one first.
    read_at
        When it was read (UTC).
    """

    url: str
    tables: tuple[TableHolding, ...]
    releases: tuple[ReleaseHolding, ...]
    nights: tuple[str, ...]
    reference: ReferenceHolding
    read_at: datetime

    @property
    def empty(self) -> bool:
        """Whether the archive has nothing to show."""
        return not (self.tables or self.releases or self.nights)

    @property
    def rows(self) -> int:
        """Rows of all live tables."""
        return sum(one.rows for one in self.tables)

    @property
    def size(self) -> int:
        """Bytes of all live tables."""
        return sum(one.size for one in self.tables)

    @property
    def has_light_curves(self) -> bool:
        """Whether the archive has the table that the first notebook reads."""
        return any(one.name == LIGHT_CURVES and not one.problem for one in self.tables)


class ArchiveContents:
    """Reads what an archive contains. Releases never change, so each is read once."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._releases: dict[str, ReleaseHolding] = {}

    def read(self) -> Contents:
        """Return what the archive contains now; a table or release that is damaged is only marked.

        Raises
        ------
        BadRequest
            The archive's address is not valid.
        StorageUnavailable
            The archive cannot be read.
        """
        store = open_archive(self._settings)
        names = tables(store)
        reference = self._reference(store, names)
        live = [_live(store, name) for name in names]
        return Contents(
            store.url,
            tuple(replace(one, kind="reference") if one.name == reference.name and one.kind else one for one in live),
            tuple(self._release(store, name) for name in releases(store)),
            tuple(reversed(nights(store))),
            reference,
            datetime.now(UTC),
        )

    def _reference(self, store: Store, names: list[str]) -> ReferenceHolding:
        said = self._settings.reference
        if said is not None and ("/" in said or "." in said):
            return ReferenceHolding("file", PurePath(said).name)
        name = said or DEFAULT_COLLECTION
        if name in names:
            return ReferenceHolding("table", name)
        return ReferenceHolding("simulated" if said is None and store.exists(SIMULATED_SKY) else "none")

    def _release(self, store: Store, name: str) -> ReleaseHolding:
        if name not in self._releases:
            try:
                found = read_release(store, name).tables
            except StorageUnavailable:
                raise
            except GozenError as error:
                return ReleaseHolding(name, problem=str(error))
            held = tuple(holding(word, found[word]) for word in sorted(found))
            self._releases[name] = ReleaseHolding(name, held)
        return self._releases[name]


def holding(name: str, version: Manifest) -> TableHolding:
    """Return what a version of a table contains."""
    size = sum(file.bytes for file in version.files)
    return TableHolding(name, version.kind, version.rows, size, tuple(sorted(version.nights)))


def _live(store: Store, name: str) -> TableHolding:
    try:
        return holding(name, manifest.current_or_raise(store, name))
    except StorageUnavailable:
        raise
    except GozenError as error:
        return TableHolding(name, problem=str(error))
