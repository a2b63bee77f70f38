"""Test how the engine validates the messages of an isolated function: requests, results, failures, state.

Each message may be anything that the wire format allows. What a hostile process does with the connection itself is in
tests/services/test_isolated_jobs.py.
"""

import time
from types import SimpleNamespace

import numpy as np
import pytest

from gozen.errors import BadRequest, FunctionFailed, LimitExceeded
from gozen.quickdb.isolation.child_usage import ChildUsage, broken, read_seen
from gozen.quickdb.isolation.limits import BARE_BYTES, Limits
from gozen.quickdb.isolation.protocol import Conversation, printable
from gozen.quickdb.jobs.run_job import reduced
from gozen.quickdb.patches.region import around
from gozen.quickdb.work import tree_reduce
from gozen.quickdb.work.job_files import FileSource
from gozen.quickdb.work.tasks import TaskResult
from gozen.quickdb.work.validate_child import checked_block, checked_request, checked_state, checked_total
from gozen.quickdb.work.worker import OpenJob

PATCHES = {0: "5/8131/0", 1: "5/8131/1"}
COLUMNS = {"forced": frozenset(["ra", "dec"])}
LIMITS = Limits(seconds=10.0, memory_bytes=256 << 20)
HUGE = 10**5000
ARRAY = np.arange(3)


@pytest.mark.parametrize(
    "request_", [("rows", 0), ("margin", 1, 2.5), ("columns", 0, "forced", ["ra", "dec"])], ids=repr
)
def test_a_request_is_let_through(request_):
    assert checked_request(request_, PATCHES, COLUMNS) == request_


@pytest.mark.parametrize(
    "request_",
    [
        None, (), ("columns",), "rows", {"rows": 0}, ["rows", 0], (b"rows", 0), ([], 0), ({}, 0), (ARRAY, 0),
        (np.str_("rows"), 0), ("rows", HUGE), ("rows", True), ("rows", np.int64(0)), ("rows", []), ("rows", ARRAY),
        ("rows", 0, 0), ("rows", 2), ("margin", 0, "x"), ("margin", 0, 1), ("margin", 2**70, 1.0), ("margin", 0, ARRAY),
        ("columns", 0, "../../etc", ["ra"]), ("columns", 0, "forced", ["x"]), ("columns", 0, [], {}),
        ("columns", 0, {}, ["ra"]), ("columns", 0, "forced", [[]]), ("columns", 0, "forced", ["ra"] * 2),
        ("columns", 0, "forced", [np.str_("ra")]), ("columns", 0, "forced", ("ra",)), ("\x1b[2J", 0), ("\n", HUGE),
    ],
    ids=range(32),
)  # fmt: skip
def test_what_is_no_request_is_refused_and_not_printed(request_):
    with pytest.raises(BadRequest, match=r"^the function's process sent a \w+ instead of a request .*\)$"):
        checked_request(request_, PATCHES, COLUMNS)


@pytest.mark.parametrize("arcsec", [1e-300, 5e-324, 0.0, -1.0, float("nan"), float("inf"), 3600.1])
def test_a_margin_that_makes_no_sense_is_refused(arcsec):
    with pytest.raises(BadRequest, match=r"0\.001 to 3600 arcsec"):
        checked_request(("margin", 0, arcsec), PATCHES, COLUMNS)


@pytest.mark.parametrize("order", [0, 3, 10, 20, 29])
@pytest.mark.parametrize("arcsec", [1e-300, 0.001, 1.0])
def test_what_is_around_a_range_costs_little_whatever_the_distance(order, arcsec):
    width = 4 ** (29 - order)
    ranges = around(3 * width, 4 * width, arcsec)
    assert 0 < len(ranges) < 100_000
    assert ranges[:, 0].min() >= 0


def block(values=(), touched=None, **more):
    touched = touched if touched is not None else {}
    return {"values": list(values), "total": None, "touched": touched, "first": [], **more}


def test_a_result_is_let_through():
    for given in (block(), block([(0, ARRAY), (1, None)], {"forced": ["ra"]})):
        assert checked_block(given, PATCHES, COLUMNS, LIMITS) is given
    assert checked_total({"total": 3}, LIMITS) == {"total": 3}


@pytest.mark.parametrize(
    "given",
    [
        None, [], {}, ARRAY, HUGE, {"values": 3}, {"total": 1}, {1: 2}, {**block(), 1: 2}, block(more=1),
        block(first=None), block(first=ARRAY), block(first=[None] * 4), block([(0, 1), (1, 2), (0, 3)]),
        block(changed=None), block(changed=ARRAY),
        block([(1 << 40, 1)]), block([(1 << 70, 1)]), block([(HUGE, 1)]), block([(True, 1)]), block([(False, 1)]),
        block([([], 1)]), block([({}, 1)]), block([(ARRAY, 1)]), block([(np.int64(0), 1)]), block([(0, 1), (0, 2)]),
        block([0]), block([(0,)]), block([[0, 1]]), {**block(), "values": ()}, {**block(), "values": ARRAY},
        block([], {"forced": ["nonsense"]}), block([], {"nonsense": ["ra"]}), block([], {"forced": [[]]}),
        block([], {"forced": ["ra"] * 2}), block([], {0: ["ra"]}), block([], {"forced": {"ra": 1}}),
        block([], {"forced": ARRAY}), block([], ["forced"]), block([], 0),
        {"failed": None}, {"failed": "x", "kind": [], "patch": ""}, {"failed": "x", "kind": "y", "patch": HUGE},
        {"failed": "x", "kind": "y", "patch": "", "more": 1},
    ],
    ids=range(44),
)  # fmt: skip
def test_what_is_no_result_is_refused_and_not_printed(given):
    with pytest.raises(
        FunctionFailed,
        match=r"^the function's process sent an invalid result \(type \w+\), where [\w ]+ was expected\. ",
    ):
        checked_block(given, PATCHES, COLUMNS, LIMITS)
    if not (isinstance(given, dict) and given.keys() == {"total"}):
        with pytest.raises(FunctionFailed, match="sent an invalid result"):
            checked_total(given, LIMITS)


@pytest.mark.parametrize("given", [{"total": None}, {"total": "x"}, {"total": ARRAY}, {"total": []}], ids=repr)
def test_what_is_no_state_is_as_none(given):
    assert checked_state(given, LIMITS) is None
    assert checked_state({"total": b"x"}, LIMITS) == b"x"


def test_a_state_that_is_no_result_is_refused():
    for given in (None, b"x", {}, {"state": b"x"}):
        with pytest.raises(FunctionFailed, match="sent an invalid result"):
            checked_state(given, LIMITS)


def test_numbers_that_all_hash_alike_are_refused_at_once():
    """A set of them takes time with the square of their number: 40 s for these."""
    numbers = [at * (2**61 - 1) for at in range(50_000)]
    begun = time.process_time()
    with pytest.raises(FunctionFailed, match="where a list of the values of patches was expected"):
        checked_block(block([(one, None) for one in numbers]), PATCHES, COLUMNS, LIMITS)
    assert time.process_time() - begun < 5


@pytest.mark.parametrize(
    "kind", ["IsolationUnavailable", "LimitExceeded", "GozenError", "annotations", "__doc__", "x" * 999]
)
def test_a_failure_borrows_no_name(kind):
    found = checked_total({"failed": "the archive is lost", "kind": kind, "patch": "9"}, LIMITS)
    assert found == {"failed": f"{kind[:80]}: the archive is lost", "kind": "FunctionFailed", "patch": ""}


@pytest.mark.parametrize("kind", ["BadRequest", "ColumnNotFound", "FunctionFailed"])
def test_a_failure_that_a_patch_raises_keeps_its_name(kind):
    found = checked_block({"failed": "no column", "kind": kind, "patch": PATCHES[1]}, PATCHES, COLUMNS, LIMITS)
    assert found == {"failed": "no column", "kind": kind, "patch": PATCHES[1]}


def test_a_failure_of_any_length_is_short_before_it_is_looked_at():
    found = checked_total({"failed": "\n\x1b" * (4 << 20), "kind": "FunctionFailed", "patch": ""}, LIMITS)
    assert len(found["failed"]) < 200_000


def test_text_moves_no_cursor_and_no_line_looks_like_one_of_the_log():
    said = printable("a star\n2026-01-01 ERROR root: lost\r\x1b[2J\u202e\x85x\n\nend")
    assert said == "a star\n  2026-01-01 ERROR root: lost[2Jx\n\n  end"


STAT = b"7 (\xff) R 1 (\n) S 1 7 7 0 -1 4194560 100 0 0 0 150 50 0 0 20 0 70 0 1 1 1 1\n"


def test_the_standing_of_a_process_is_read_whatever_its_name():
    assert read_seen(STAT, b"9000 2000 500 1 0 800 0") == ChildUsage(70, 2.0, 1500 * 4096)


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        (ChildUsage(64, 50.0, 256 << 20), None),
        (ChildUsage(65, 0.0, 0), "65 threads; 64 are allowed"),
        (ChildUsage(1, 51.1, 0), "longer than 10 s"),
        (ChildUsage(1, 0.0, (256 << 20) + BARE_BYTES + 1), "more than 256 MiB of memory"),
    ],
    ids=["all is well", "threads", "processors", "memory"],
)
def test_more_than_a_function_may_have(seen, said):
    error = broken(seen, 11.0, LIMITS)
    assert error is None if said is None else said in str(error)


@pytest.mark.parametrize("number", range(1, 65))
def test_a_death_by_any_signal_has_a_name(number):
    ended = Conversation.__new__(Conversation)
    ended._code, ended._limits = -number, LIMITS
    assert "SIG" in str(ended.end()) or f"signal {number}" in str(ended.end())


class Elsewhere:
    """A process of a function, and an engine, that answer what they are told to and note what they are asked."""

    limits = LIMITS

    def __init__(self, answer):
        self.answer = answer
        self.asked = []

    def call(self, program, name, *arguments):
        self.asked.append((name, arguments[0]))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def comparing(*_):
    raise AssertionError("compared in a process that has credentials")


@pytest.mark.parametrize(
    ("answer", "over"),
    [
        ({"total": True}, True),
        ({"total": False}, False),
        ({"total": ARRAY}, False),
        (LimitExceeded("too long"), True),
        (FunctionFailed("crashed"), True),
    ],
    ids=["says something", "says nothing", "no answer", "too long", "crash"],
)
def test_what_a_function_that_runs_apart_gives_is_compared_where_it_runs(monkeypatch, answer, over):
    monkeypatch.setattr(tree_reduce, "alike", comparing)
    child = Elsewhere(answer)
    source = SimpleNamespace(answer=comparing)
    open_job = OpenJob(SimpleNamespace(program=b"", limits=LIMITS), source, None, child)
    open_job.trial.add([1.0, 2.0, 4.0])
    assert child.asked == [("isolated_trial", [1.0, 2.0, 4.0])]
    assert open_job.trial.is_over is over


def test_a_reduce_that_is_not_associative_is_found_where_it_runs():
    failed = {"failed": "reduce is not associative", "kind": "FunctionFailed", "patch": ""}
    open_job = OpenJob(
        SimpleNamespace(program=b"", limits=LIMITS), SimpleNamespace(answer=comparing), None, Elsewhere(failed)
    )
    with pytest.raises(FunctionFailed, match="not associative"):
        open_job.trial.add([1.0, 2.0, 4.0])


@pytest.mark.parametrize(
    "answer", [{"total": None}, {"total": 7}, LimitExceeded("too long"), FunctionFailed("crashed")], ids=repr
)
def test_a_function_that_runs_apart_and_does_not_say_what_it_holds_may_have_changed_it(answer):
    job = SimpleNamespace(program=b"", limits=LIMITS, kept=True)
    child = Elsewhere({"total": b"x"})
    open_job = OpenJob(job, SimpleNamespace(begin=lambda _: None, answer=comparing), None, child)
    open_job.begin(())
    assert not open_job.ended()
    child.answer = answer
    assert open_job.ended()
    assert child.asked == [("isolated_state", None)] * 3


def test_the_client_compares_nothing_of_a_function_that_runs_apart(monkeypatch):
    monkeypatch.setattr(tree_reduce, "alike", comparing)
    engine = Elsewhere({"total": True})
    program = SimpleNamespace(finalize=None, combine=comparing, tried=comparing)
    job = SimpleNamespace(limits=LIMITS, mode="reduce")
    plan = SimpleNamespace(job=job, program=program, blocks=[None])
    result = TaskResult([(0, {**block(), "total": 7.0, "first": [1.0, 2.0, 4.0]})], [(0, 0, 7.0)])
    assert reduced(plan, iter([result]), engine) == 7.0
    assert engine.asked == [("tried", [1.0, 2.0, 4.0])]


def test_a_function_that_asks_for_other_columns_all_the_time_has_few_fetched_ahead(monkeypatch):
    started = []
    reader = SimpleNamespace(begin=lambda *_: None, expect=started.append)
    monkeypatch.setattr("gozen.quickdb.work.job_files._reader", lambda *_: reader)
    monkeypatch.setattr(FileSource, "_of", lambda *_: SimpleNamespace(columns=lambda *_: {}))
    table = SimpleNamespace(folder="", schema=SimpleNamespace(names=["ra", "dec", "flux", "band"]))
    source = FileSource(None, {"forced": table})
    for _ in range(2):
        started.clear()
        source.begin([(number, SimpleNamespace(pieces={"forced": []}, picked=False)) for number in range(2)])
        for number in range(100):
            source.columns(1, "forced", ["ra", "dec"] if number % 2 else ["flux", "band"])
        assert started[:2] == [("flux", "band"), ("ra", "dec")]
        assert len(started) == 16
