"""Gozen: from raw frames of a camera that films the sky to searchable light curves.

The modules stand in the order in which data flows (see ``docs/reference``): importing this package imports none of
them, so that ``import gozen`` costs nothing in a notebook. ``gozen.__version__`` is looked up when it is asked for.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    __version__: str
else:

    def __getattr__(name: str) -> str:
        if name == "__version__":
            from gozen.version import code_version

            return code_version()
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
