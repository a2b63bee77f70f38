"""Isolation of a user's function: a separate process with limits, without network, credentials or the user's files.

`lockdown` drops the rights of the process; workers use the process through `child_process`.
"""

from __future__ import annotations

from gozen.quickdb.isolation.lockdown import ADVICE, available

__all__ = ["ADVICE", "available"]
