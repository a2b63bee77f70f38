"""Choose the tables that a job reads: the tables of a release, or the current live tables."""

from __future__ import annotations

from collections.abc import Sequence

from gozen.archive.stores.open_store import Store
from gozen.catalog.format import manifest
from gozen.catalog.maintain.release import read_release, releases
from gozen.errors import MissingObject
from gozen.lightcurves.barycentric_times import Place
from gozen.quickdb.jobs.rerun_tables import Family, Tables
from gozen.quickdb.user_code.user_function import UserCode


class Reruns:
    """The releases of an archive, and its live tables.

    Parameters
    ----------
    store
        The archive.
    usual
        The release that is read by default; None for the live tables.
    place_m
        The position of the camera, geocentric, in metres.
    """

    def __init__(self, store: Store, usual: str | None, place_m: Place | None) -> None:
        self.usual = usual
        self._store = store
        self._place_m = place_m
        self._released: dict[str, Tables] = {}
        self._live = Tables(store, {}, place_m)

    def names(self) -> list[str]:
        """Return the names of all releases."""
        return releases(self._store)

    def tables(self, rerun: str | None, words: Sequence[str] = ()) -> Tables:
        """Return the tables of a release, or live tables if no release is named.

        If no release is named, the result contains the live tables that `words` names, or all if no such table exists.

        Raises
        ------
        RerunNotFound
            There is no release of this name.
        MissingObject
            No release is named, and there are no live tables.
        """
        name = rerun or self.usual
        if name is not None:
            if name not in self._released:
                self._released[name] = Tables(self._store, read_release(self._store, name).tables, self._place_m)
            return self._released[name]
        found = self._current(words)
        if not found.versions and words:
            found = self._current(())
        if not found.versions:
            names = self.names()
            hint = f"choose one of the releases {', '.join(names)}" if names else "append a night, or import one"
            raise MissingObject(f"the archive {self._store.url} has no table outside a release; {hint}")
        self._live = found
        return found

    def family(self, rerun: str | None, table: str | None, code: UserCode) -> Family:
        """Return the family of `table`; default: of the first table that the functions name, else the first by name."""
        words = _named(code)
        tables = self.tables(rerun, (table,) if table is not None else words)
        known = [word for word in words if word in tables.versions] or sorted(tables.versions)
        return tables.family(known[0] if table is None else table)

    def _current(self, words: Sequence[str]) -> Tables:
        """Return the live tables (all if `words` is empty); if none has changed, return the open ones."""
        found = {word: manifest.current(self._store, word) for word in words or manifest.tables(self._store)}
        versions = {word: version for word, version in found.items() if version is not None}
        return self._live if versions == self._live.versions else Tables(self._store, versions, self._place_m)


def _named(code: UserCode) -> list[str]:
    """Return possible names of tables in the texts of functions: the part before the first dot, as in ``forced.ra``."""
    words = dict.fromkeys(text.partition(".")[0] for text in code.strings if "." in text)
    return [word for word in words if word.isidentifier()]
