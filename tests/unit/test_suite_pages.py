"""Test the contributors' page against the suite: repetitions, and tests that are left out."""

from __future__ import annotations

import re
from pathlib import Path

from tests.effort import REPEATS
from tests.suite.__main__ import stages

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "contribute" / "tests.md").read_text(encoding="utf-8")
LEFT = re.compile(r'pytest\.mark\.test_all\(\s*"([^"]+)"\s*\)')


def left_out() -> dict[str, str]:
    """Return the reason of each module that only make test-all runs; those of the suite have marks in examples only."""
    found = {}
    for path in sorted(set((ROOT / "tests").rglob("test_*.py")) - set((ROOT / "tests").rglob("test_suite_*.py"))):
        for reason in LEFT.findall(path.read_text(encoding="utf-8")):
            found[path.relative_to(ROOT / "tests").as_posix()] = reason
    return found


def test_it_has_every_repetition() -> None:
    for kind, one in REPEATS.items():
        assert f"| {kind} | {one.small:,} | {one.large:,} | {one.finds} |" in PAGE, kind


def test_it_names_each_module_that_is_left_out_with_its_reason() -> None:
    found = left_out()
    assert found
    for module, reason in found.items():
        assert f"| `{module}` | {reason} |" in PAGE, module


def test_it_names_every_stage() -> None:
    for stage in stages(1, everything=True):
        assert f"| {stage.name} | " in PAGE, stage.name
