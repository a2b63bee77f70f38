"""Test the versions in constraints.txt: every Python version that the README names can install them."""

from __future__ import annotations

import tomllib
from importlib import metadata
from pathlib import Path

from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).parents[2]
OLDEST = "3.11.0"


def test_the_oldest_python_is_that_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert SpecifierSet(project["requires-python"]).contains(OLDEST)


def test_every_version_is_for_the_oldest_python_too() -> None:
    # Some libraries leave out the first releases of a Python, which Debian and Ubuntu still have.
    others = {one.name: one.metadata.get("Requires-Python") or "" for one in metadata.distributions()}
    refused = {name: needs for name, needs in others.items() if not SpecifierSet(needs).contains(OLDEST)}
    assert refused == {}
