"""A user's function as it runs on a block: a read that failed is no result, whatever the function makes of it.

Covered: failures of storage that a function catches, asks again about, or lets through; columns that are not there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from gozen.errors import GozenError, StorageUnavailable
from gozen.quickdb.columns import Names, TableColumns
from gozen.quickdb.program import Program

from ..quickdb_samples import SCHEMA, Memory, forced_of

NAMES = Names({"forced": TableColumns.of_schema("forced", SCHEMA)}, ("lightcurves",))
RUNS = [[(0, "0/0/0", 0, 12 << 58)]]


class Failing(Memory):
    """A source of which the first reads fail."""

    def __init__(self, failures: int, error: BaseException) -> None:
        super().__init__({"forced": forced_of(10)})
        self.left, self.error = failures, error

    def columns(self, patch: int, table: str, names: Sequence[str]) -> dict[str, Any]:
        self.left -= 1
        if self.left >= 0:
            raise self.error
        return super().columns(patch, table, names)


def block(function: Callable[[Any], Any], source: Memory) -> Mapping[str, Any]:
    return Program(function, names=NAMES).block("map", RUNS, source, False)


def or_none(patch: Any) -> Any:
    try:
        return patch("forced.ra").size
    except Exception:
        return None


def or_again(patch: Any) -> Any:
    found = or_none(patch)
    return or_none(patch) if found is None else found


def unless_missing(patch: Any) -> Any:
    try:
        return patch("forced.u.psfflux_mag").size
    except LookupError:
        return -1
    except GozenError:
        return patch.size


def test_a_read_that_failed_is_no_result_though_the_function_catches_it() -> None:
    with pytest.raises(StorageUnavailable, match="no answer"):
        block(or_none, Failing(1, StorageUnavailable("no answer")))
    assert "MemoryError" in block(or_none, Failing(1, MemoryError()))["failed"]


def test_what_was_answered_when_it_was_asked_again_is_a_result() -> None:
    assert block(or_again, Failing(1, StorageUnavailable("no answer")))["values"] == [(0, 10)]


def test_a_function_may_catch_that_a_column_is_not_there() -> None:
    assert block(unless_missing, Failing(0, MemoryError()))["values"] == [(0, 10)]
