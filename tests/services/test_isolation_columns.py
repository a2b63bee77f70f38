"""Data that an isolated function gets and returns: columns in shared memory, values, errors of the worker.

Covered: columns are not copied and cannot be changed, cached ones stay the same, and results belong to the worker.
"""

import numpy as np
import pyarrow as pa
import pytest

from gozen.errors import ColumnNotFound, StorageUnavailable
from gozen.quickdb.isolation.child_process import Child

from .kept_apart import Functions, pickled, refuse_all


class Reader(Functions):
    """Functions that use columns, and one that would change them."""

    def sums(self, argument, ask):
        return {name: float(column.sum()) for name, column in ask(("columns", 7, argument)).items()}

    def catches(self, argument, ask):
        from gozen.errors import ColumnNotFound

        try:
            return ask("columns")
        except ColumnNotFound as error:
            return str(error)

    def overwrites(self, argument, ask):
        """Change columns where they lie, or get at their memory by the descriptors that are open."""
        import ctypes
        import fcntl
        import mmap
        import os

        column = ask("columns")["x"]
        page = ctypes.c_void_p(column.ctypes.data & -4096)
        got = ["mprotect"] if ctypes.CDLL(None).mprotect(page, ctypes.c_size_t(4096), 3) == 0 else []
        mapped = []
        for number in range(3, 64):
            try:
                if os.fstat(number).st_nlink == 0:
                    mapped.append(number)
            except OSError:
                pass
        tries = {
            "map": lambda number: mmap.mmap(number, 4096, mmap.MAP_SHARED, mmap.PROT_WRITE),
            "write": lambda number: os.write(number, b"x"),
            "shrink": lambda number: os.ftruncate(number, 0),
            "unseal": lambda number: fcntl.fcntl(number, fcntl.F_ADD_SEALS, 0),
            "open again": lambda number: os.write(os.open(f"/proc/self/fd/{number}", os.O_RDWR), b"x"),
        }
        for name, attempt in tries.items():
            try:
                attempt(mapped[0])
                got.append(name)
            except OSError:
                pass
        return got


PROGRAM = pickled(Reader())


def test_columns_are_asked_for_and_used_without_a_copy(lasting):
    asked = []

    def serve(request):
        asked.append(request)
        return {name: np.full(50_000, 2, "f4") for name in request[2]}

    assert lasting.call(PROGRAM, "sums", ["a", "b"], serve) == {"a": 100_000.0, "b": 100_000.0}
    assert asked == [("columns", 7, ["a", "b"])]
    assert lasting.call(PROGRAM, "facts", None, lambda _: {"x": np.ones(50_000)}) == [False, False, 0]


def test_columns_cannot_be_changed(lasting):
    columns = np.ones(50_000)
    assert lasting.call(PROGRAM, "overwrites", None, lambda _: {"x": columns}) == []


def test_more_columns_are_kept_than_there_are_pieces_of_shared_memory():
    with Child() as child:
        for count in range(1, 161):
            kept = child.call(PROGRAM, "keep", None, lambda _, now=count: {"x": np.full(10_000, float(now))})
    assert kept == [float(number) for number in range(1, 161)]


def test_what_a_function_keeps_is_never_overwritten(lasting):
    for count in range(1, 6):
        kept = lasting.call(PROGRAM, "keep", None, lambda _, now=count: {"x": np.full(100_000, float(now))})
        assert kept == [float(k) for k in range(1, count + 1)]


@pytest.mark.parametrize(
    "value",
    [np.arange(2_000_000.0), pa.table({"a": range(100_000)}), "x" * 200_000, (1, [None, {"a": b"\0"}])],
    ids=["array", "table", "text", "tree"],
)
def test_large_and_small_values_go_there_and_back(lasting, value):
    back = lasting.call(PROGRAM, "echo", value, refuse_all)
    assert type(back) is type(value)
    assert np.array_equal(back, value) if isinstance(value, np.ndarray) else back == value


def test_the_result_is_the_worker_s_own(lasting):
    assert lasting.call(PROGRAM, "returns", 5, refuse_all).flags.writeable


def test_a_column_that_is_not_there_is_the_function_s_to_handle(lasting):
    def serve(request):
        raise ColumnNotFound("no column fluxx; did you mean flux?")

    assert lasting.call(PROGRAM, "catches", None, serve) == "no column fluxx; did you mean flux?"
    with pytest.raises(ColumnNotFound, match="did you mean flux") as caught:
        lasting.call(PROGRAM, "asks", None, serve)
    assert any("in asks" in note for note in caught.value.__notes__)


@pytest.mark.parametrize("error", [StorageUnavailable("the bucket does not answer"), KeyboardInterrupt()])
def test_what_the_function_cannot_help_ends_the_call_at_once(lasting, error):
    def serve(request):
        raise error

    with pytest.raises(type(error)) as caught:
        lasting.call(PROGRAM, "catches", None, serve)
    assert caught.value is error
    assert lasting.pid is None
