"""HATS tables: light curves, objects, reference catalogues, and tables that users import.

``format`` says what a table consists of; ``read`` looks up, ``write`` appends a night or writes a table, ``maintain``
compacts, releases and verifies; ``match`` matches positions, ``reference`` and ``imports`` read other catalogues.
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
        A reader that keeps seeing this version until it is refreshed.

    Raises
    ------
    MissingObject
        The archive has no such table.
    """
    from gozen.catalog.read.lookup import (
        Catalog,
    )  # Arrow is a second of start-up that `import gozen.catalog` must not cost

    return Catalog.open(store, name)
