"""Test workers with other code than QuickDB's process: which results are cached then, and which messages appear.

The versions themselves are tested in test_version.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from types import SimpleNamespace

import pytest

from gozen.quickdb.jobs.result_cache import Cache
from gozen.quickdb.jobs.run_job import results
from gozen.quickdb.patches.patch_extents import PatchExtent
from gozen.quickdb.user_code.pure import software
from gozen.quickdb.work.kept_form import packed_for_keeping, unpacked
from gozen.quickdb.work.tasks import Block, TaskResult
from gozen.version import code_version, is_this_code, this_code
from gozen.version.version_text import Code


def test_processes_are_compared_by_their_sources() -> None:
    here = this_code()
    assert is_this_code(code_version())
    assert is_this_code(str(Code("9.9", "c3" * 20, here.digest)))
    assert not is_this_code(str(Code(here.number, here.commit, "0" * 64)))
    assert not is_this_code("")


@pytest.mark.parametrize(
    ("worker", "kept"), [(None, True), ("0.1.dev0+g123456789012.s123456789012", False), ("", False)]
)
def test_results_of_a_worker_with_other_sources_are_said_and_not_kept(
    tmp_path: Path, worker: str | None, kept: bool
) -> None:
    block = Block(0, (((0, PatchExtent("5/0/0", 10, 0, 1, picked=False, pieces={})),),))
    version = code_version() if worker is None else worker
    result = TaskResult(
        [(0, unpacked(packed_for_keeping({"values": [], "total": 7, "touched": {}, "first": []}, is_reduced=False)))],
        [],
        version=version,
        software=software(),
    )
    engine = SimpleNamespace(workers=1, least=1, run=lambda *_: [result])
    job = SimpleNamespace(archive="", leaves=0)
    plan = SimpleNamespace(blocks=[block], keys=["key"], job=job, learned={}, why_not_kept="")
    cache = Cache(tmp_path, 1 << 20)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        assert [node[2] for task in results(plan, engine, cache, progress=False) for node in task.nodes] == [7]
    assert (cache.get("key") is not None) == kept
    assert [str(one.message).partition(":")[0] for one in said] == (
        [] if kept else [f"a worker has gozen {worker or 'of an older version'}, this process has {code_version()}"]
    )
