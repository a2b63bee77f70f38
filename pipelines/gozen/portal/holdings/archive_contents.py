"""Tables, releases, nights and the reference catalogue of an archive, with rows and sizes from the manifests."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import PurePath
from typing import get_args

from gozen.archive.log.search_log import nights
from gozen.archive.stores.open_store import Store, open_archive
from gozen.catalog.format import manifest
from gozen.catalog.format.manifest import Kind, Manifest, tables
from gozen.catalog.maintain.release import read_release, releases
from gozen.errors import StorageUnavailable, UnreadableInput, as_gozen_error
from gozen.reduction.shared_inputs import ReferenceChoice, choose_reference
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
class Contents:
    """The contents of an archive at one time.

    Parameters
    ----------
    url
        The archive.
    tables
        The live tables by name; the reference catalogue comes last.
    nights
        Nights of the observation log, ``YYYYMMDD``, the last one first.
    read_at
        When it was read (UTC).
    """

    url: str
    tables: tuple[TableHolding, ...]
    releases: tuple[ReleaseHolding, ...]
    nights: tuple[str, ...]
    reference: ReferenceChoice
    read_at: datetime

    @property
    def empty(self) -> bool:
        """Whether the archive has nothing to show."""
        return not (self.tables or self.releases or self.nights)

    @property
    def rows(self) -> int:
        """Rows of all live tables; those of the reference catalogue are not of this camera."""
        return sum(one.rows for one in self.tables if one.kind != "reference")

    @property
    def size(self) -> int:
        """Bytes of all live tables, without the reference catalogue."""
        return sum(one.size for one in self.tables if one.kind != "reference")

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
        chosen = choose_reference(self._settings.reference, names.__contains__, store.exists)
        reference = replace(chosen, name=PurePath(chosen.name).name)  # a path says more than all users need to know
        live = (_live(store, name) for name in names)
        marked = (replace(one, kind="reference") if one.kind and _is_table(chosen, one.name) else one for one in live)
        return Contents(
            store.url,
            tuple(sorted(marked, key=lambda one: (one.kind == "reference", one.name))),
            tuple(self._release(store, name) for name in releases(store)),
            tuple(reversed(nights(store))),
            reference,
            datetime.now(UTC),
        )

    def _release(self, store: Store, name: str) -> ReleaseHolding:
        if name not in self._releases:
            try:
                found = read_release(store, name).tables
                held = tuple(holding(word, found[word]) for word in sorted(found))
            except StorageUnavailable:
                raise
            except Exception as error:  # whatever is wrong with one release, the others are shown
                return ReleaseHolding(name, problem=str(as_gozen_error(error)))
            self._releases[name] = ReleaseHolding(name, held)
        return self._releases[name]


def holding(name: str, version: Manifest) -> TableHolding:
    """Return what a version of a table contains.

    Raises
    ------
    UnreadableInput
        The manifest has a kind that is not known.
    """
    if version.kind not in get_args(Kind):
        raise UnreadableInput(
            f"the manifest of the table {name!r} has the kind {version.kind!r}, but it must be one of "
            f"{', '.join(get_args(Kind))}; run `gozen catalog verify`, which gives advice"
        )
    size = sum(file.bytes for file in version.files)
    return TableHolding(name, version.kind, version.rows, size, tuple(sorted(map(str, version.nights))))


def _live(store: Store, name: str) -> TableHolding:
    try:
        return holding(name, manifest.current_or_raise(store, name))
    except StorageUnavailable:
        raise
    except Exception as error:  # whatever is wrong with one table, the others are shown
        return TableHolding(name, problem=str(as_gozen_error(error)))


def _is_table(chosen: ReferenceChoice, name: str) -> bool:
    return chosen.where == "table" and chosen.name == name
