"""A user's function in a separate process without network, files and credentials, and with limits.

What keeps it apart is in `lockdown`; `child_process` is what the engine uses.
"""

from __future__ import annotations

from gozen.quickdb.isolation.lockdown import available

__all__ = ["available"]
