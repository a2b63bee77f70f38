"""User Python next to the data: send a function to every patch of the tables (CATALOG §3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gozen.quickdb.api import Api
    from gozen.quickdb.connecting import connect
    from gozen.quickdb.region import Box, Cone, Polygon

__all__ = ["Api", "Box", "Cone", "Polygon", "connect"]


def __getattr__(name: str) -> Any:
    # Arrow and NumPy are a second of start-up that `import gozen.quickdb` must not cost.
    if name == "connect":
        from gozen.quickdb.connecting import connect

        return connect
    if name == "Api":
        from gozen.quickdb.api import Api

        return Api
    if name in ("Box", "Cone", "Polygon"):
        from gozen.quickdb import region

        return getattr(region, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
