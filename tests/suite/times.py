"""``make times``: print what the last run of the suite cost: sums by module, builds, and the most expensive tests.

The budgets are in tests/effort.py. At the end of each run, modules that took more than twice their budget are named.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

COSTS = Path(__file__).parents[2] / "build" / "times"
SLOWEST = 25
TABLES = {
    "stages": "stage",
    "builds (also in stages, or in what waited for them)": "build",
    "fixtures of the session": "fixture",
    "modules": "test",
}
OVER = 2.0
LEAST_S = 5.0
"""Budgets below this are taken as this: starting and collecting cost as much."""


@dataclass
class Cost:
    """Seconds and processor seconds, and of how many things."""

    seconds: float = 0.0
    processor_s: float = 0.0
    count: int = 0

    def add(self, line: Mapping[str, float]) -> None:
        """Count one more."""
        self.seconds += line["seconds"]
        self.processor_s += line["processor_s"]
        self.count += 1

    def __str__(self) -> str:
        return f"{self.processor_s:8.1f} {self.seconds:8.1f} {self.count:6d}"


def lines_of(folder: Path) -> list[dict[str, object]]:
    """Read what a run has written."""
    return [json.loads(line) for path in sorted(folder.glob("*.jsonl")) for line in path.read_text().splitlines()]


def module_of(name: str) -> str:
    """Return the module of a test, as its budget names it: ``services/test_watch``."""
    return name.partition("::")[0].removeprefix("tests/").removesuffix(".py")


def sums(lines: Iterable[Mapping[str, object]], kind: str) -> dict[str, Cost]:
    """Return the cost of each module's tests, or of each build or stage."""
    found: dict[str, Cost] = defaultdict(Cost)
    for line in lines:
        if line["kind"] == kind:
            name = str(line["name"])
            found[module_of(name) if kind == "test" else name].add(line)  # type: ignore[arg-type]
    return dict(sorted(found.items(), key=lambda item: -item[1].processor_s))


def over_budget(modules: Mapping[str, Cost], budgets: Mapping[str, float]) -> list[str]:
    """Return a sentence for each module that costs more than twice its budget, or has none and is not small."""
    said = []
    for name, cost in modules.items():
        if cost.processor_s > OVER * max(budgets.get(name, 0.0), LEAST_S):
            known = f"{budgets[name]:.0f}" if name in budgets else "none"
            said.append(f"{name}: {cost.processor_s:.0f} processor seconds, budget {known} (tests/effort.py)")
    return said


def report(folder: Path = COSTS) -> str:
    """Return the tables of a run."""
    lines = lines_of(folder)
    parts = [_table(title, sums(lines, kind)) for title, kind in TABLES.items()]
    tests = [line for line in lines if line["kind"] == "test"]
    slowest = sorted(tests, key=lambda line: -float(str(line["processor_s"])))[:SLOWEST]
    parts.append(f"the {SLOWEST} most expensive tests\n processor  seconds")
    parts += [f"{line['processor_s']:8.1f} {line['seconds']:8.1f}  {line['name']}" for line in slowest]
    return "\n".join(parts)


def _table(title: str, found: Mapping[str, Cost]) -> str:
    whole = Cost(sum(c.seconds for c in found.values()), sum(c.processor_s for c in found.values()), len(found))
    rows = [f"{cost}  {name}" for name, cost in found.items()]
    return "\n".join([f"{title}\n processor  seconds  count", *rows, f"{whole}  together", ""])


if __name__ == "__main__":
    measured = Path(sys.argv[1]) if len(sys.argv) > 1 else COSTS
    if not measured.is_dir():
        sys.exit(f"no run has been measured in {measured} yet: make test does it")
    sys.stdout.write(report(measured) + "\n")
