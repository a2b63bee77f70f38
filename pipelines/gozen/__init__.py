"""Gozen: from raw frames of a camera that films the sky to searchable light curves.

Importing this package imports none of its modules, so ``import gozen`` is fast in a notebook; see ``docs/reference``
for the modules. ``gozen.__version__`` is computed at its first use.
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
