"""Test the results of a task on their way from a worker: unchanged values and errors, and those that cannot be sent.

How the engines treat them: services/test_quickdb_bad_input.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

from gozen.errors import Bug, CorruptFile, FunctionFailed, StorageUnavailable
from gozen.quickdb.patches.patch_extents import PatchExtent
from gozen.quickdb.work.result_bytes import Sent, packed, received, sent
from gozen.quickdb.work.tasks import Block, TaskResult

BLOCK = Block(4, ((
    (7, PatchExtent("5/1/0", 1, 0, 1, True, {})),
    (8, PatchExtent("5/1/1", 1, 1, 2, True, {})),
),))  # fmt: skip


def result_of(*values: Any, total: Any = None, first: Any = ()) -> dict[str, Any]:
    return {"values": list(enumerate(values, 7)), "total": total, "touched": {"t": ["ra"]}, "first": list(first)}


def test_a_result_comes_out_as_it_went_in() -> None:
    array = np.arange(3.0)
    given = TaskResult([(4, result_of(array, "text"))], [(0, 4, {"a": array})])
    found = received(packed(given, [BLOCK]))
    assert str(found) == str(given)
    found.nodes[0][2]["a"] += 1  # a reduce may work in place
    assert array[0] == 0


def test_the_patch_whose_value_cannot_be_sent_is_named() -> None:
    found = received(packed(TaskResult([(3, result_of(1)), (4, result_of(1, threading.Lock()))], []), [BLOCK]))
    assert found.blocks[0][1]["values"] == [(7, 1)]
    failed = found.blocks[1][1]
    assert (failed["kind"], failed["patch"]) == ("FunctionFailed", "5/1/1")
    assert "cannot be sent back: TypeError" in failed["failed"]


def test_a_reduced_value_that_cannot_be_sent_is_said() -> None:
    found = received(packed(TaskResult([(4, result_of())], [(0, 4, threading.Lock())]), [BLOCK]))
    assert "cannot be sent back: TypeError" in found.blocks[0][1]["failed"]


def test_values_on_which_reduce_is_tried_need_not_travel() -> None:
    found = received(packed(TaskResult([(4, result_of(total=3, first=[threading.Lock()]))], []), [BLOCK]))
    assert found.blocks[0][1]["total"] == 3


def test_bytes_that_cannot_be_read_are_said() -> None:
    given = packed(TaskResult([(4, result_of(1))], []), [BLOCK])
    failed = received(Sent([(4, b"\x80\x05cgozen_is_not_called_so\nnothing\n.")], given.nodes)).blocks[0][1]
    assert "cannot be read here: ModuleNotFoundError" in failed["failed"]
    assert "cannot be read here" in received(Sent(given.blocks, b"nonsense")).blocks[0][1]["failed"]


class OfTheUser(StorageUnavailable):
    def __init__(self, lock: Any, said: str) -> None:
        super().__init__(said)
        self.lock = lock


@pytest.mark.parametrize(
    ("raised", "kind", "said"),
    [
        (FunctionFailed("it failed"), FunctionFailed, "^it failed$"),
        (OfTheUser(threading.Lock(), "it is away"), StorageUnavailable, "^it is away$"),
        (CorruptFile("half", value=1.0), CorruptFile, "^half$"),
        (ZeroDivisionError("ours"), Bug, r"(?s)ZeroDivisionError: ours.*Traceback.*in fails"),
        (SystemExit(3), Bug, "SystemExit: 3"),
    ],
    ids=lambda one: type(one).__name__,
)
def test_what_a_worker_raises_comes_by_its_name(raised: BaseException, kind: type[Exception], said: str) -> None:
    def fails() -> TaskResult:
        raise raised

    with pytest.raises(kind, match=said) as found:
        received(sent(fails))
    assert type(found.value) is kind
