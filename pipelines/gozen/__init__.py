"""Gozen: from raw frames of a camera that films the sky to searchable light curves.

The modules are ordered along the flow of the data (see ``docs/reference``). Importing this package imports none of
them, so ``import gozen`` is fast in a notebook. ``gozen.__version__`` is determined at its first use.
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
