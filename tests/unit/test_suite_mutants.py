"""Test the bugs of ``make mutants``: the text to change exists exactly once, and so do the named tests."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.effort import REPEATS
from tests.suite.mutants import MUTANTS, Mutant, put_into

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda one: one.does)
def test_a_bug_can_be_seeded(mutant: Mutant) -> None:
    assert (ROOT / mutant.path).read_text().count(mutant.right) == 1
    assert mutant.kind is None or mutant.kind in REPEATS
    for name in mutant.tests.split():
        path, _, test = name.partition("::")
        assert f"def {test or 'test_'}" in (ROOT / path).read_text()


def test_a_bug_is_taken_out_again_and_one_without_its_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("one two")
    with put_into(tmp_path, Mutant("x", "a.py", "two", "three", "")):
        assert (tmp_path / "a.py").read_text() == "one three"
    assert (tmp_path / "a.py").read_text() == "one two"
    with pytest.raises(ValueError, match="0 times"), put_into(tmp_path, Mutant("x", "a.py", "four", "", "")):
        raise AssertionError
