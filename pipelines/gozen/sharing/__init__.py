"""Exchange files with Nextcloud, and share them there.

Notebooks call ``connect`` (`cloud`) after ``log_in`` (`login`); ``Cloud.shares`` shares with people (`people`).
``account`` and ``connection`` reach the server; ``answers`` and ``retrying`` decide what an answer means. ``put_tree``
and ``get_tree`` transfer folders, ``upload`` and ``download`` single files; ``compare`` decides what is transferred.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gozen.sharing.account import Account
    from gozen.sharing.cloud import Cloud, connect
    from gozen.sharing.login.log_in import log_in, log_out

__all__ = ["Account", "Cloud", "connect", "log_in", "log_out"]


def __getattr__(name: str) -> Any:
    # The HTTP client takes a quarter of a second to import; `import gozen.sharing` must not cost it.
    if name == "Account":
        from gozen.sharing.account import Account

        return Account
    if name in ("Cloud", "connect"):
        from gozen.sharing import cloud

        return getattr(cloud, name)
    if name in ("log_in", "log_out"):
        from gozen.sharing.login import log_in

        return getattr(log_in, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
