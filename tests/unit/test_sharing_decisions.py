"""Test the decisions of a transfer: the chunks of a file, which files are transferred, and the summary."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gozen.errors import CloudConflict, CloudFull, CloudRefused, LogInRefused
from gozen.sharing.transfers.compare import (
    Decision,
    LastTransfer,
    LocalState,
    There,
    after_comparison,
    decide_get,
    decide_put,
)
from gozen.sharing.transfers.outcomes import FileOutcome, FileState, Transfers
from gozen.sharing.transfers.upload_plan import ChunkRules, UploadPlan, plan_upload

RULES = ChunkRules()
MB = 10**6


@given(st.integers(0, RULES.largest * RULES.most), st.integers(1, 10**10))
def test_chunks_keep_the_limits_of_the_server(size: int, wanted: int) -> None:
    plan = plan_upload(size, wanted)
    if plan.is_single:
        assert size <= max(wanted, RULES.smallest)
        return
    assert 2 <= plan.count <= 10_000
    first, last = plan.chunk(1), plan.chunk(plan.count)
    assert 5 * MB <= first.size <= 5000 * MB
    assert 0 < last.size <= first.size
    assert (first.start, last.stop) == (0, size)
    assert plan.chunk(2).start == first.stop


def test_names_of_chunks() -> None:
    plan = plan_upload(100 * MB, 6 * MB)
    assert [plan.chunk(number).name for number in (1, 2, 17)] == ["00001", "00002", "00017"]
    large = plan_upload(10_000 * 16 * MB, 16 * MB)
    assert (large.count, large.chunk(10_000).name) == (10_000, "10000")
    assert sorted([large.chunk(9_999).name, large.chunk(10_000).name]) == ["09999", "10000"]


def test_larger_files_get_larger_chunks() -> None:
    assert plan_upload(10**12, 16 * MB).chunk_size == 10**8
    with pytest.raises(CloudRefused, match="too large"):
        plan_upload(RULES.largest * RULES.most + 1, 16 * MB)


def test_only_missing_and_incomplete_chunks_are_sent_again() -> None:
    plan = UploadPlan(size=25, chunk_size=10, count=3)
    assert plan.missing({}) == [1, 2, 3]
    assert plan.missing({"00001": 10, "00002": 9, "00003": 5, ".file": 25, "x": 1}) == [2]


NEW, OLD = LocalState(10, 200), LocalState(10, 100)
SYNCED = LastTransfer(10, 100, '"a"')


@pytest.mark.parametrize(
    ("here", "there", "last", "decision"),
    [
        (OLD, None, None, Decision.TRANSFER),
        (OLD, None, SYNCED, Decision.TRANSFER),
        (OLD, There(10, '"a"'), SYNCED, Decision.EQUAL),
        (NEW, There(10, '"a"'), SYNCED, Decision.TRANSFER),
        (OLD, There(10, '"b"'), SYNCED, Decision.CHANGED_THERE),
        (NEW, There(10, '"b"'), SYNCED, Decision.CHANGED_BOTH),
        (NEW, There(10, '"b"', "SHA256:x"), SYNCED, Decision.COMPARE),
        (NEW, There(11, '"b"', "SHA256:x"), SYNCED, Decision.CHANGED_BOTH),
        (OLD, There(10, '"a"'), None, Decision.UNKNOWN),
        (OLD, There(10, '"a"', "SHA256:x"), None, Decision.COMPARE),
    ],
)
def test_what_is_sent(here: LocalState, there: There | None, last: LastTransfer | None, decision: Decision) -> None:
    assert decide_put(here, there, last) is decision


@pytest.mark.parametrize(
    ("here", "there", "last", "decision"),
    [
        (None, There(10, '"a"'), None, Decision.TRANSFER),
        (None, There(10, '"a"'), SYNCED, Decision.TRANSFER),
        (OLD, There(10, '"a"'), SYNCED, Decision.EQUAL),
        (OLD, There(10, '"b"'), SYNCED, Decision.TRANSFER),
        (NEW, There(10, '"a"'), SYNCED, Decision.CHANGED_HERE),
        (NEW, There(10, '"b"'), SYNCED, Decision.CHANGED_BOTH),
        (NEW, There(10, '"b"', "SHA256:x"), SYNCED, Decision.COMPARE),
        (OLD, There(10, '"a"'), None, Decision.UNKNOWN),
    ],
)
def test_what_is_fetched(here: LocalState | None, there: There, last: LastTransfer | None, decision: Decision) -> None:
    assert decide_get(here, there, last) is decision


def test_the_comparison_decides_and_the_user_may_overwrite() -> None:
    there = There(10, '"b"', "SHA256:x")
    assert after_comparison(NEW, there, SYNCED, equal=True, overwrite=True) is Decision.EQUAL
    assert after_comparison(NEW, there, SYNCED, equal=False) is Decision.CHANGED_BOTH
    assert after_comparison(NEW, there, None, equal=False, overwrite=True) is Decision.TRANSFER
    assert decide_put(NEW, There(9, '"b"'), SYNCED, overwrite=True) is Decision.TRANSFER
    assert decide_get(NEW, There(9, '"b"'), None, overwrite=True) is Decision.TRANSFER
    assert decide_put(NEW, there, None, overwrite=True) is Decision.COMPARE  # an equal file need not be sent


def failed(path: str, error: Exception) -> FileOutcome:
    return FileOutcome(path, FileState.FAILED, error=error)  # type: ignore[arg-type]


def test_the_most_important_error_is_raised_with_the_numbers() -> None:
    done = Transfers([
        FileOutcome("a", FileState.SENT, 2_100_000),
        failed("b", CloudFull("b: full")),
        failed("c", CloudConflict("c: changed")),
    ])  # fmt: skip
    with pytest.raises(CloudConflict, match=r"^c: changed \(1 sent \(2.1 MB\), 2 failed\)$"):
        done.check()
    done = Transfers([FileOutcome("a", FileState.EQUAL)])
    assert done.check() is done


def test_an_error_that_ended_everything_comes_first() -> None:
    done = Transfers([failed("b", CloudFull("full"))], fatal=LogInRefused("revoked"))
    with pytest.raises(LogInRefused, match=r"^revoked$"):
        done.check()


def test_the_table_of_a_notebook_shows_problems_first_and_escapes_names() -> None:
    many = [FileOutcome(f"a{number:03}", FileState.EQUAL) for number in range(150)]
    done = Transfers([*many, failed("<b>", CloudFull("no space"))])
    page = done._repr_html_()
    assert page.index("&lt;b&gt;") < page.index("a000")
    assert "no space" in page
    assert "and 51 more" in page
    assert repr(done).splitlines()[:2] == ["150 equal, 1 failed", "<b>: failed, no space"]
