"""What users of an access level see of an archive: tables, releases, nights; rows and sizes are from the manifests."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import PurePath
from typing import Literal, get_args

from gozen.archive.access_levels import Level, may_read
from gozen.archive.log.search_log import nights
from gozen.archive.stores.open_store import Store, open_archive
from gozen.catalog.format import layout, manifest
from gozen.catalog.format.manifest import Kind, Manifest, tables
from gozen.catalog.maintain.release import read_release, releases
from gozen.errors import StorageUnavailable, UnreadableInput, as_gozen_error
from gozen.portal.holdings.sections import sections
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
    folder
        Folder of its data files in the archive.
    """

    name: str
    kind: str = ""
    rows: int = 0
    size: int = 0
    nights: tuple[str, ...] = ()
    problem: str = ""
    folder: str = ""


@dataclass(frozen=True)
class ReleaseHolding:
    """One release; `problem` says why it cannot be read."""

    name: str
    tables: tuple[TableHolding, ...] = ()
    problem: str = ""


@dataclass(frozen=True)
class Contents:
    """The contents of an archive at one time, as far as users of one access level may read them.

    Parameters
    ----------
    url
        The archive.
    tables
        The live tables by name; the reference catalogue comes last.
    nights
        Nights of the observation log, ``YYYYMMDD``, the last one first.
    reference
        The reference catalogue; None if it is withheld.
    read_at
        Time at which the contents were read (UTC).
    """

    url: str
    tables: tuple[TableHolding, ...]
    releases: tuple[ReleaseHolding, ...]
    nights: tuple[str, ...]
    reference: ReferenceChoice | None
    read_at: datetime

    @property
    def empty(self) -> bool:
        """Whether there is nothing to show."""
        return not (self.tables or self.releases or self.nights)

    @property
    def rows(self) -> int:
        """Number of rows of all live tables, without the reference catalogue, which is not from this camera."""
        return sum(one.rows for one in self.tables if one.kind != "reference")

    @property
    def size(self) -> int:
        """Size of all live tables, without the reference catalogue, bytes."""
        return sum(one.size for one in self.tables if one.kind != "reference")

    @property
    def light_curves(self) -> Literal["ready", "damaged", "missing"]:
        """The state of the table that the first notebook reads."""
        found = next((one for one in self.tables if one.name == LIGHT_CURVES), None)
        if found is None:
            return "missing"
        return "damaged" if found.problem else "ready"


class ArchiveContents:
    """Reads what an archive contains. Releases never change, so each is read once."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._releases: dict[str, ReleaseHolding] = {}

    def read(self, level: Level) -> Contents:
        """Return what users of an access level see now; a table or release that is damaged is only marked.

        Objects that these users may not read are not opened for them.

        Raises
        ------
        BadRequest
            The archive's address is not valid.
        StorageUnavailable
            The archive cannot be read.
        """
        store, shown = open_archive(self._settings), sections(level)
        live, reference = self._tables(store) if shown.tables else ((), None)
        found = (self._release(store, name) for name in releases(store))
        return Contents(
            store.url,
            live,
            tuple(seen for one in found if (seen := _readable(one, level)).tables or not one.tables),
            tuple(reversed(nights(store))) if shown.nights else (),
            reference,
            datetime.now(UTC),
        )

    def _tables(self, store: Store) -> tuple[tuple[TableHolding, ...], ReferenceChoice]:
        """Return the live tables, and the reference catalogue."""
        names = tables(store)
        chosen = choose_reference(self._settings.reference, names.__contains__, store.exists)
        reference = replace(chosen, name=PurePath(chosen.name).name)  # a path says more than all users need to know
        live = (_live(store, name) for name in names)
        marked = (replace(one, kind="reference") if one.kind and _is_table(chosen, one.name) else one for one in live)
        return tuple(sorted(marked, key=lambda one: (one.kind == "reference", one.name))), reference

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
    """Return the facts about a version of a table that the page shows.

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
    span = tuple(sorted(map(str, version.nights)))
    folder = layout.generation(version.name, version.generation)
    return TableHolding(name, version.kind, version.rows, size, span, folder=folder)


def _readable(release: ReleaseHolding, level: Level) -> ReleaseHolding:
    """Return a release with only those tables that users of an access level may read, by the folder of each table."""
    return replace(release, tables=tuple(one for one in release.tables if may_read(level, f"{one.folder}/")))


def _live(store: Store, name: str) -> TableHolding:
    try:
        return holding(name, manifest.current_or_raise(store, name))
    except StorageUnavailable:
        raise
    except Exception as error:  # whatever is wrong with one table, the others are shown
        return TableHolding(name, problem=str(as_gozen_error(error)))


def _is_table(chosen: ReferenceChoice, name: str) -> bool:
    return chosen.where == "table" and chosen.name == name
