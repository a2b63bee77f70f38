"""Define the result of a check."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "optional", "missing"]


@dataclass(frozen=True)
class Finding:
    """The result of one check.

    Parameters
    ----------
    state
        ``missing`` if a reduction cannot run without it, ``optional`` if only a feature is missing.
    hint
        How to get what is missing; empty if nothing is.
    """

    name: str
    state: State
    found: str
    hint: str = ""
