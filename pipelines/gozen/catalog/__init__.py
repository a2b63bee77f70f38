"""HATS tables: light curves, objects, reference catalogues, and tables that users import.

``format`` defines the files of a table. ``read`` looks up rows. ``write`` appends a night or writes a complete table.
``maintain`` compacts, releases and verifies tables. ``match`` cross-matches positions. ``reference`` writes and reads
the reference catalogue. ``imports`` imports the tables of users.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gozen.archive.stores.open_store import Store
    from gozen.catalog.read.lookup import Catalog


def open_catalog(store: Store, name: str) -> Catalog:
    """Open a table at its current version.

    Parameters
    ----------
    store
        The archive.
    name
        The table, e.g. ``lightcurves``.

    Returns
    -------
    Catalog
        A reader of this version; `Catalog.refresh` returns a reader of the current one.

    Raises
    ------
    MissingObject
        The archive has no such table.
    """
    from gozen.catalog.read.lookup import (
        Catalog,
    )  # imported here: Arrow takes a second to load, and `import gozen.catalog` must stay fast

    return Catalog.open(store, name)
