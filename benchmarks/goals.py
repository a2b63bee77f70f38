"""How every benchmark ends: a line for each goal, the figures as JSON where asked, and the exit code."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Goal:
    """A figure and its limit, and whether it has to stay above it."""

    name: str
    measured: float
    limit: float
    at_least: bool = False

    @property
    def kept(self) -> bool:
        """Whether it is."""
        return self.measured >= self.limit if self.at_least else self.measured <= self.limit

    def __str__(self) -> str:
        return f"goal {self.name} {self.measured:.3f} {self.limit:g} {'ok' if self.kept else 'short'}"


def conclude(goals: Sequence[Goal], figures: Mapping[str, Any], path: Path | None) -> int:
    """Print the goals, write figures and goals to a file where one is named, and return the exit code."""
    print(*goals, sep="\n")
    if path:
        written = [{**asdict(goal), "ok": goal.kept} for goal in goals]
        path.write_text(json.dumps({**figures, "goals": written}, indent=1) + "\n")
    return int(not all(goal.kept for goal in goals))
