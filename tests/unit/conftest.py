"""Fixture of all unit tests: files are not forced to the disk, which would take most of the time of such tests."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True, scope="session")
def without_fsync() -> Iterator[None]:
    """Do without fsync: no test cuts the power, and those of durability are in tests/services."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        yield
