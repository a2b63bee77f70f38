"""Complete jobs with isolated functions (``isolate=True``): the same results, and a named error for every failure.

The child process is tested in the modules test_isolation*.py.
"""

# Functions as users write them, and some as attackers do:
# ruff: noqa: ARG005, PTH123, SIM115

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import cloudpickle
import numpy as np
import pytest
from tests.catalog_samples import object_schema, objects_of

from gozen import quickdb
from gozen.archive.stores.open_store import open_store
from gozen.catalog.write.table_options import TableOptions
from gozen.catalog.write.write_table import write_table
from gozen.errors import BadRequest, ColumnNotFound, FunctionFailed, LimitExceeded
from gozen.quickdb.api import Api
from gozen.settings import load_settings

cloudpickle.register_pickle_by_value(sys.modules[__name__])
SECRET = "s3cr3t-of-the-site"


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("archive")
    write_table(open_store(folder), "forced", object_schema(), [objects_of(20_000)], TableOptions(partition_rows=5_000))
    return folder


@pytest.fixture(scope="module")
def apart(archive: Path) -> Iterator[Api]:
    settings = load_settings(archive=str(archive))
    limits = {"memory_mb": 256, "seconds": 5.0, "result_mb": 8, "cache_mb": 0}
    settings = settings.model_copy(update={"quickdb": settings.quickdb.model_copy(update=limits)})
    with quickdb.connect(workers=1, isolate=True, settings=settings) as api:
        yield api


def brightness(patch):
    flux = patch("forced.ra")
    return np.histogram(flux, bins=10, range=(140, 160))


def together(a, b):
    return a[0] + b[0], a[1]


def test_the_same_answer_to_the_bit(archive, apart):
    with quickdb.connect(archive, workers=0) as here:
        open_answer = here.mapreduce(brightness, together)
    found = apart.mapreduce(brightness, together)
    assert [one.tobytes() for one in found] == [one.tobytes() for one in open_answer]
    assert found[0].sum() == 20_000
    assert apart.mapreduce(brightness, together, finalize=lambda total: int(total[0].sum())) == 20_000
    assert sum(apart.map(lambda patch: patch.size)) == 20_000
    assert (
        apart.mapreduce(lambda patch, shared: shared["x"] * patch.size, lambda a, b: a + b, shared={"x": 2}) == 40_000
    )


def test_neither_map_nor_reduce_nor_finalize_see_the_worker(apart, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)

    def look():
        seen = [repr(dict(os.environ))]
        for path in ("/proc/self/environ", f"/proc/{os.getppid()}/environ", "/etc/passwd"):
            try:
                seen.append(Path(path).read_text())
            except PermissionError:
                seen.append("refused")
        return seen

    found = apart.mapreduce(
        lambda patch: look(), lambda a, b: a if a[1:] != ["refused"] * 3 else look(), finalize=lambda a: [a, look()]
    )
    for seen in found:
        assert seen[1:] == ["refused"] * 3
        assert SECRET not in seen[0]


def grow(patch):
    return [bytes(10_000_000) for _ in range(100)]


def loop(patch):
    while True:
        pass


@pytest.mark.parametrize(
    ("function", "error", "said"),
    [
        (lambda patch: patch("forced.rra"), ColumnNotFound, "ra"),
        (lambda patch: 1 / 0, FunctionFailed, "ZeroDivisionError"),
        (lambda patch: open("/etc/passwd").read(), FunctionFailed, "PermissionError"),
        (lambda patch: Path("/tmp/x").write_text("x"), FunctionFailed, "PermissionError"),
        (lambda patch: os._exit(3), FunctionFailed, "exit code 3"),
        (lambda patch: {1, 2}, FunctionFailed, "set"),
        (lambda patch: np.zeros(9 << 20, "u1"), LimitExceeded, "raise the setting quickdb.result_mb"),
        (grow, LimitExceeded, "raise the setting quickdb.memory_mb"),
        (loop, LimitExceeded, "longer than 5 s"),
    ],
    ids=["column", "raises", "reads", "writes", "exits", "object", "large", "memory", "loop"],
)
def test_each_failure_has_its_name_and_the_next_job_works(apart, function, error, said):
    with pytest.raises(error, match=said):
        list(apart.map(function))
    assert sum(apart.map(lambda patch: patch.size)) == 20_000


class Forged:
    """A result that the function's process makes up, in the place of the one that the engine expects."""

    def __init__(self, value):
        self.value = value

    def __call__(self, patch):
        import gc

        from gozen.quickdb.work.program import Program

        Program.isolated_block = lambda *_: self.value
        for one in gc.get_objects():
            if isinstance(one, Program):
                one.isolated_block = lambda *_: self.value
        return patch.size


@pytest.mark.parametrize(
    "value",
    [
        None,
        {"values": 3},
        {"values": [(1 << 40, 1)], "total": 1, "touched": {}, "first": []},
        {"failed": None},
        {"total": 1},
        {
            "values": [],
            "total": None,
            "touched": {"forced": ["nonsense"], "nonsense": ["ra"]},
            "first": [],
        },
    ],
    ids=repr,
)
def test_what_the_engine_does_not_expect_is_named(apart, value):
    with pytest.raises(BadRequest, match="sent an invalid result"):
        list(apart.map(Forged(value)))
    assert sum(apart.map(lambda patch: len(patch("forced.ra")))) == 20_000


def outside(patch):
    """Send an array whose one field lies 2 GiB before it."""
    from gozen.quickdb.isolation.codec import encode

    described = '{"size":8,"fields":[["a","|V2147483640",16]]}'
    encode._described = lambda *_: described.encode()
    return np.zeros(3)


def returns_outside(patch):
    return np.zeros(3).view(np.dtype({"names": ["a"], "formats": ["V2147483640"], "offsets": [16], "itemsize": 8}))


def asks_with_outside(patch):
    from gozen.quickdb.isolation.codec import encode

    ask, array = patch._reads._source._ask, np.zeros(3)
    encode._described = lambda *_: b'{"size":8,"fields":[["a","|V2147483640",16]]}'
    try:
        ask(("columns", 0, array))
    except BadRequest as error:
        return str(error)


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (
            outside,
            "an invalid answer: an encoded value cannot be decoded: a dtype with a field that extends beyond its "
            "element",
        ),
        (returns_outside, "a dtype with a field that extends beyond its element"),
        (asks_with_outside, "an invalid answer: an encoded value cannot be decoded: 67 is not the tag of a value"),
    ],
)
def test_memory_that_a_function_does_not_own_is_not_looked_at(apart, function, said):
    with pytest.raises(FunctionFailed, match=said):
        list(apart.map(function, cache=False))
    assert sum(apart.map(lambda patch: patch.size)) == 20_000


def test_a_margin_of_next_to_nothing_costs_nothing(apart):
    begun = time.monotonic()
    with pytest.raises(BadRequest, match=r"is not possible: give 0.001 to 3600 arcsec"):
        list(apart.map(lambda patch: patch._reads._source._ask(("margin", patch._number, 1e-300))))
    assert time.monotonic() - begun < 20


def test_margins_are_kept_in_small_numbers(archive):
    with quickdb.connect(archive, workers=0) as here:
        patch = here.patch(next(iter(here.map(lambda patch: patch.id))))
    assert len({patch.margin(2.0)._number for _ in range(40)}) == 1
    with pytest.raises(BadRequest, match="more than 16 margins of one patch"):
        sum(patch.margin(2.0 + k).size for k in range(20))
    with pytest.raises(
        BadRequest, match=r"margin\(5\) was called on rows that are themselves a margin: call it on the"
    ):
        patch.margin(2.0).margin(5.0)


@pytest.mark.parametrize("name", ["IsolationUnavailable", "LimitExceeded"])
def test_a_function_cannot_fail_in_the_name_of_gozen(apart, name):
    def fails(patch):
        from gozen import errors

        raise getattr(errors, name)("the archive is\nlost")

    with pytest.raises(FunctionFailed, match=f"{name}: the archive is") as caught:
        list(apart.map(fails, cache=False))
    assert type(caught.value) is FunctionFailed


def test_a_sample_of_what_cannot_be_scaled_is_named(archive):
    first = []
    with (
        quickdb.connect(archive, workers=0) as here,
        pytest.raises(FunctionFailed, match=r"cannot be scaled to all patches \(TypeError\)"),
    ):
        here.mapreduce(lambda patch: None if first else first.append(1) or (1, 2), lambda a, b: 3, sample=1.0)


@pytest.mark.parametrize(
    "request_", [None, (), ("columns",), ("columns", 10**6, "forced", ["ra"]), ("columns", 0, "../../etc", ["ra"]),
                 ("columns", 0, "forced", ["x"]), ("columns", 0, [], {}), ("margin", 0, "x"), ("rows", []),
                 ("rows", 0, 0), ("margin", 0, float("nan"))], ids=repr,
)  # fmt: skip
def test_requests_that_make_no_sense_are_refused(apart, request_):
    def ask(patch):
        return patch._reads._source._ask(request_)

    with pytest.raises(BadRequest, match=r"instead of a request|0.001 to 3600 arcsec"):
        list(apart.map(ask))
