"""Tests with observed data: without the data they fail in CI, and are skipped and listed on other machines."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ..observed_data import DATA

PROFILES = Path(__file__).parent / "profiles"
_missing: set[str] = set()


def _without(what: str) -> None:
    message = (
        f"no observed data {DATA / what}: run `make test-data`, or set GOZEN_TEST_DATA to the folder that holds {what}"
    )
    if os.environ.get("CI"):
        pytest.fail(message, pytrace=False)
    _missing.add(what)
    pytest.skip(message)


@pytest.fixture(scope="session")
def observed():
    """Return a function from the name of a file or folder of the observed data to its path."""

    def path(name: str) -> Path:
        if not (DATA / name).exists():
            _without(name)
        return DATA / name

    return path


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter):
    if _missing:
        terminalreporter.write_sep("!", "NOT TESTED ON OBSERVED DATA", red=True, bold=True)
        terminalreporter.write_line(f"{DATA} has no {', '.join(sorted(_missing))}; set GOZEN_TEST_DATA")
