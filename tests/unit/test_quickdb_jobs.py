"""Test how patches are grouped into runs, blocks and tasks.

Covered: every patch once and in order; blocks that do not depend on the number of workers; blocks of one partition; the
largest number of values that are sent; few tasks for any number and size of patches; the rest of a job that is half in
the cache.
"""

from __future__ import annotations

import pytest

from gozen.quickdb.patches.patch_extents import RUN, PatchExtent, runs_of
from gozen.quickdb.work.tasks import LARGEST_BLOCK, MOST_BLOCKS, TASKS_PER_WORKER, Block, blocks_of, tasks_of
from gozen.quickdb.work.tree_reduce import Tree


def patches_in(*counts: int, rows: int = 1000) -> list[PatchExtent]:
    """Make as many patches as said in each of some partitions."""
    return [
        PatchExtent(
            f"5/{partition}/{n}", rows, partition * 10_000 + n, partition * 10_000 + n + 1, picked=False, pieces={}
        )
        for partition, count in enumerate(counts)
        for n in range(count)
    ]


def test_runs_have_sixteen_patches_of_one_partition() -> None:
    assert runs_of(patches_in(20, 1, 16, 33)) == [(0, 16), (16, 20), (20, 21), (21, 37), (37, 53), (53, 69), (69, 70)]
    assert runs_of([]) == []


@pytest.mark.parametrize("counts", [(1,), (16,), (17, 3, 40), (1,) * 700, (500,) * 40, (20_000,)])
def test_every_patch_is_in_one_block_in_order(counts: tuple[int, ...]) -> None:
    patches = patches_in(*counts)
    blocks = blocks_of(patches)
    assert [number for block in blocks for number, _ in block.patches] == list(range(len(patches)))
    assert all(patches[number] is patch for block in blocks for number, patch in block.patches)
    assert [block.number for block in blocks] == list(range(len(blocks)))
    for block in blocks:
        assert len({patch.id.rpartition("/")[0] for _, patch in block.patches}) == 1
        assert all(len(run) <= RUN for run in block.runs)
        assert len(block.runs) <= LARGEST_BLOCK


def test_blocks_of_a_large_table_are_few() -> None:
    assert len(blocks_of(patches_in(*[160] * 600))) <= max(MOST_BLOCKS, 600)
    assert len(blocks_of(patches_in(MOST_BLOCKS * RUN))) == MOST_BLOCKS
    assert len(blocks_of(patches_in(MOST_BLOCKS * RUN + 1))) == MOST_BLOCKS // 2 + 1


def test_an_append_elsewhere_leaves_blocks_as_they_are() -> None:
    def contents(blocks: list[Block]) -> set[tuple[str, ...]]:
        return {tuple(patch.id for _, patch in block.patches) for block in blocks}

    before, after = (contents(blocks_of(patches_in(*counts))) for counts in ((30, 5, 40), (30, 9, 40, 3)))
    assert before - after == {tuple(f"5/1/{n}" for n in range(5))}


@pytest.mark.parametrize("workers", [1, 2, 7, 100])
@pytest.mark.parametrize("counts", [(3,), (2,) * 1000, (1000,) * 12, (1, 500, 1)])
def test_tasks_are_few_and_have_every_block_once(counts: tuple[int, ...], workers: int) -> None:
    blocks = blocks_of(patches_in(*counts, rows=10))
    tasks = tasks_of(blocks, workers)
    assert [block.number for task in tasks for block in task] == list(range(len(blocks)))
    assert len(tasks) <= workers * TASKS_PER_WORKER
    assert len(tasks) >= min(len(blocks), workers)
    assert all(tasks)


@pytest.mark.parametrize("workers", [1, 2, 7])
@pytest.mark.parametrize("counts", [(3,), (16,) * 11, (40,) * 9, (7,) * 1000, (1000,) * 12])
def test_tasks_that_begin_slowly_are_fewer_and_about_alike(counts: tuple[int, ...], workers: int) -> None:
    blocks = blocks_of(patches_in(*counts, rows=10))
    tasks = tasks_of(blocks, workers, 32)
    sizes = [sum(len(block.patches) for block in task) for task in tasks]
    assert [block.number for task in tasks for block in task] == list(range(len(blocks)))
    assert min(len(blocks), workers) <= len(tasks) <= max(workers, sum(counts) // 32)
    assert len(tasks) <= workers * TASKS_PER_WORKER
    largest = max(len(block.patches) for block in blocks)
    assert max(sizes) <= sum(counts) / len(tasks) * 1.3 + 2 * largest


def test_a_task_is_few_nodes_of_the_tree() -> None:
    blocks = blocks_of(patches_in(*[16] * 500))
    for task in tasks_of(blocks, 2):
        tree = Tree(lambda a, b: a + b, len(blocks))
        for block in task:
            tree.add(block.number, 1)
        assert sum(value for *_, value in tree.nodes()) == len(task)
        assert len(tree.nodes()) <= 5


def test_what_is_left_of_a_job_is_spread_over_the_workers() -> None:
    left = blocks_of(patches_in(*[16] * 400))[:300]
    assert 4 <= len(tasks_of(left, 2)) <= 2 * TASKS_PER_WORKER
    assert tasks_of([], 2) == []
