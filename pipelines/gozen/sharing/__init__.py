"""Exchange files with Nextcloud, and share them there.

Notebooks call ``connect`` (`cloud`). ``account`` and ``connection`` reach the server; ``answers`` and ``retrying``
decide what an answer means. ``put_tree`` and ``get_tree`` transfer folders, ``upload`` and ``download`` single files;
``compare`` decides what is transferred.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gozen.sharing.account import Account
    from gozen.sharing.cloud import Cloud, connect

__all__ = ["Account", "Cloud", "connect"]


def __getattr__(name: str) -> Any:
    # The HTTP client takes a quarter of a second to import; `import gozen.sharing` must not cost it.
    if name == "Account":
        from gozen.sharing.account import Account

        return Account
    if name in ("Cloud", "connect"):
        from gozen.sharing import cloud

        return getattr(cloud, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
