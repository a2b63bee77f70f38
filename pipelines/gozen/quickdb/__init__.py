"""QuickDB: run a user's Python function on every patch of the tables, or query them in SQL.

Notebooks call ``api``. ``jobs`` plans and runs a call, ``engines`` sends its tasks to workers, and ``work`` runs them
there. ``isolation`` runs the user's function in a child process with few rights. ``patches`` reads the data,
``user_code`` inspects the user's function, ``sql`` runs SQL.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gozen.quickdb.api import Api
    from gozen.quickdb.connecting import connect
    from gozen.quickdb.patches.region import Box, Cone, Polygon
    from gozen.quickdb.user_code.judge import why_not_kept

__all__ = ["Api", "Box", "Cone", "Polygon", "connect", "why_not_kept"]


def __getattr__(name: str) -> Any:
    # Importing Arrow and NumPy takes a second; `import gozen.quickdb` must not cost it.
    if name == "connect":
        from gozen.quickdb.connecting import connect

        return connect
    if name == "Api":
        from gozen.quickdb.api import Api

        return Api
    if name in ("Box", "Cone", "Polygon"):
        from gozen.quickdb.patches import region

        return getattr(region, name)
    if name == "why_not_kept":
        from gozen.quickdb.user_code.judge import why_not_kept

        return why_not_kept
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
