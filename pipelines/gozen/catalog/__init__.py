"""HATS tables: append a night, look up a star or a cone, read the reference catalogue (CATALOG §1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gozen.archive.store import Store
    from gozen.catalog.lookup import Catalog


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
    from gozen.catalog.lookup import Catalog  # Arrow is a second of start-up that `import gozen.catalog` must not cost

    return Catalog.open(store, name)
