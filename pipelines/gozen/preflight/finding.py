"""The result of a check."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "optional", "missing"]


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Parameters
    ----------
    state
        ``missing`` keeps the main job from running, ``optional`` only takes something away.
    hint
        How to get it; empty where it is there.
    """

    name: str
    state: State
    found: str
    hint: str = ""
