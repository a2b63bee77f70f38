"""Test a user's function on a block: a failed read is not a result, and a change of captured objects is noticed.

Covered: storage failures that a function catches or retries; missing columns; exceptions without text; changes of
lasting objects that the code does not show by name. Those that it shows: test_quickdb_why_not_kept.py.
"""

from __future__ import annotations

import contextlib
import pickle
import textwrap
from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from gozen.errors import GozenError, StorageUnavailable
from gozen.quickdb.patches.column_definitions import Names, TableColumns
from gozen.quickdb.user_code.user_function import UserCode
from gozen.quickdb.work.program import Program
from gozen.quickdb.work.worker import OpenJob

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


CHANGES = {
    "an argument that is handed on": """
        import functools
        def more(seen, p): seen.append(1); return len(seen)
        map = functools.partial(more, [])
    """,
    "an element": "SEEN = ([],)\ndef map(p): SEEN[0].append(1); return len(SEEN[0])",
    "what a method returns": "SEEN = {1: []}\ndef map(p): SEEN.get(1).append(1); return len(SEEN[1])",
    "what is looped over": "SEEN = [[]]\ndef map(p): [one.append(1) for one in SEEN]; return len(SEEN[0])",
    "a default that is made when it is looked up": """
        from collections import defaultdict
        SEEN = defaultdict(list)
        def map(p): return len(SEEN[0]), len(SEEN)
    """,
    "a view of an array": "import numpy as np\nSEEN = np.zeros(3)\ndef map(p): one = SEEN[:2]; one += 1; return one[0]",
    "a large array": "import numpy as np\nSEEN = np.zeros(10**6)\ndef map(p): np.add(SEEN, 1, SEEN); return SEEN[0]",
    "an attribute of a class": """
        class Count:
            n = 0
            @classmethod
            def more(cls): cls.n += 1; return cls.n
        def map(p): return Count.more()
    """,
    "what an object holds": """
        class Count:
            def __init__(self): self.seen = {}
            def __call__(self, p): seen = self.seen; seen[len(seen)] = 1; return len(seen)
        map = Count()
    """,
    "an attribute of the function": "def map(p): map.seen.append(1); return len(map.seen)\nmap.seen = []",
    "what cannot be written any more": "SEEN = [[]]\ndef map(p): SEEN[0].append(x for x in [1]); return 1",
}
KEEPS = {
    "nothing held": "def map(p): return p.size",
    "a copy changes": "SEEN = [[1]]\ndef map(p): one = list(SEEN[0]); one.append(2); return one",
    "arrays": "import numpy as np\nBINS = np.arange(9.0)\ndef map(p): return np.histogram(p('forced.ra'), BINS)[0]",
    "a cache": "import functools\n@functools.cache\ndef f(x): return x\ndef map(p): return f(p.size)",
    "a property that is kept": """
        import functools
        class Cut:
            @functools.cached_property
            def limit(self): return 3
        CUT = Cut()
        def map(p): return CUT.limit
    """,
}


def changed(text: str, tasks: int, *, kept: bool = True) -> list[bool]:
    """Return what a worker says after each of some tasks of one patch."""
    names: dict[str, Any] = {"__name__": "__main__"}
    exec(textwrap.dedent(text), names)
    program = pickle.loads(UserCode().pickled(Program(names["map"], names=NAMES)))
    open_job: Any = OpenJob(SimpleNamespace(kept=kept), SimpleNamespace(begin=lambda _: None), program, None)
    found = []
    for _ in range(tasks):
        open_job.begin(())
        program.block("map", RUNS, Memory({"forced": forced_of(10)}), False)
        found.append(open_job.ended())
    return found


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_of_what_outlives_a_call_is_seen_after_it(name: str) -> None:
    assert changed(CHANGES[name], 2) == [True, True]
    assert changed(CHANGES[name], 1, kept=False) == [False]


@pytest.mark.parametrize("name", KEEPS)
def test_what_a_function_leaves_as_it_is_has_not_changed(name: str) -> None:
    assert changed(KEEPS[name], 2) == [False, False]


def test_a_task_after_one_that_changed_something_has_met_it() -> None:
    once = "SEEN = [[]]\ndef map(p):\n    for one in SEEN[:1]:\n        if not one: one.append(1)\n    return SEEN"
    assert changed(once, 3) == [True, True, True]


def test_a_task_that_changes_it_back_has_met_it_too() -> None:
    by_turns = "SEEN = [[]]\ndef map(p):\n    for one in SEEN: one.pop() if one else one.append(1)\n    return 1"
    assert changed(by_turns, 3) == [True, True, True]


def test_small_changes_anywhere_in_a_small_array_are_seen() -> None:
    for at in (0, 50_000, 99_999):
        text = f"import numpy as np\nSEEN = (np.zeros(100_000),)\ndef map(p): SEEN[0][{at}] += 1e-9"
        assert changed(text, 1) == [True], at
    assert np.zeros(100_000).nbytes < 1 << 20


ASKED = "    def __getattribute__(self, name): raise RuntimeError(name)\n"
SHY = {
    "of itself": f"class Shy(Exception):\n{ASKED}",
    "of its class": f"class Meta(type):\n{ASKED}class Shy(Exception, metaclass=Meta): pass\n",
}


@pytest.mark.parametrize("who", SHY)
def test_an_exception_that_tells_nothing_has_its_name(who: str) -> None:
    names: dict[str, Any] = {"__name__": "__main__"}
    exec(SHY[who] + "def map(p): raise Shy", names)
    found: Mapping[str, Any] = {}
    with contextlib.suppress(Exception):  # pytest cannot look at it either
        found = block(names["map"], Memory({"forced": forced_of(10)}))
    assert found.get("failed", "").startswith("Shy")
    assert "in map" in found["failed"]
