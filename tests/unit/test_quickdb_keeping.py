"""Test which results of a job are cached: none if a function, in any task, changes objects that outlive a call.

How a worker notices such changes: test_quickdb_program. Which results can be cached at all: test_quickdb_why_not_kept,
test_quickdb_cache.
"""

from __future__ import annotations

import functools
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gozen.errors import UnreadableInput
from gozen.quickdb.jobs.result_cache import Cache
from gozen.quickdb.jobs.run_job import results
from gozen.quickdb.patches.patch_extents import PatchExtent
from gozen.quickdb.user_code.pure import software
from gozen.quickdb.work.kept_form import kept_value, packed_for_keeping, unpacked
from gozen.quickdb.work.program import Program
from gozen.quickdb.work.tasks import Block, TaskResult
from gozen.version import code_version


def mine(patch: Any) -> int:
    return 1


class Sum:
    def __call__(self, a: int, b: int) -> int:
        return a + b


def task(number: int, *, changed: bool) -> TaskResult:
    one = {"values": [], "total": number, "touched": {}, "first": []}
    found = [(number, unpacked(packed_for_keeping(one, is_reduced=False)))]
    return TaskResult(found, [], version=code_version(), software=software(), changed=changed)


def kept_of(tasks: list[TaskResult], folder: Path, program: Program | None = None) -> tuple[list[int], list[int]]:
    """Run a job; return what its blocks gave, and which of them are kept."""
    patches = [PatchExtent(f"5/0/{n}", 10, n, n + 1, picked=False, pieces={}) for n in range(len(tasks))]
    blocks = [Block(n, (((n, patch),),)) for n, patch in enumerate(patches)]
    plan: Any = SimpleNamespace(
        blocks=blocks, keys=[f"key{n}" for n in range(len(tasks))], job=SimpleNamespace(archive="", leaves=0),
        learned={}, why_not_kept="", program=program or Program(mine),
    )  # fmt: skip
    cache = Cache(folder, 1 << 20)
    engine: Any = SimpleNamespace(workers=1, least=1, run=lambda *_: iter(tasks))
    totals = [node[2] for one in results(plan, engine, cache, progress=False) for node in one.nodes]
    return totals, [number for number, key in enumerate(plan.keys) if cache.get(key) is not None]


def test_of_a_job_that_changes_nothing_every_block_is_kept(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert kept_of([task(n, changed=False) for n in range(3)], tmp_path) == ([0, 1, 2], [0, 1, 2])
    assert not caplog.records


@pytest.mark.parametrize("cut", [3, 12, -1])
def test_a_damaged_result_says_what_to_do(cut: int) -> None:
    kept = packed_for_keeping({"values": [], "total": "x" * 999, "touched": {}, "first": []}, is_reduced=False)["kept"]
    with pytest.raises(UnreadableInput, match=r"the encoded result of .* is damaged \(.*\): run the job again"):
        kept_value(kept[:cut])


@pytest.mark.parametrize("at", range(3))
def test_one_task_that_changes_something_takes_all_from_the_cache(
    at: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert kept_of([task(n, changed=n == at) for n in range(3)], tmp_path) == ([0, 1, 2], [])
    assert len(caplog.records) == 1


@pytest.mark.parametrize(
    ("program", "named"),
    [
        (Program(mine), "mine: "),
        (Program(functools.partial(mine), Sum()), "mine and Sum: "),
        (Program(lambda _: 1, mine), "<lambda> and mine: "),
    ],
    ids=["map", "partial and an object", "lambda"],
)
def test_the_functions_are_named(
    program: Program, named: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kept_of([task(0, changed=True), task(1, changed=True)], tmp_path, program)
    (record,) = caplog.records
    assert record.getMessage().startswith(named)
