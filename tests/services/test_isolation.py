"""A user's function kept apart: what it tries, and what comes of it.

Covers attacks on network, credentials, files, processes and its own fetters, under several rights of the worker (as
the tests run, as nobody, as nobody in a pod that forbids new privileges), each beside the same attack unprotected;
limits of memory, time, threads and results; crashes; what a child may say that is no answer; that nothing is left
behind; that the usual packages work. What passes on the wire is in tests/unit/test_quickdb_wire.py.
"""

import ast
import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import cloudpickle
import numpy as np
import pyarrow as pa
import pytest

from gozen.errors import (
    BadRequest,
    ColumnNotFound,
    FunctionFailed,
    IsolationUnavailable,
    LimitExceeded,
    StorageUnavailable,
)
from gozen.quickdb.isolation import available, child, landlock, seccomp
from gozen.quickdb.isolation.child import Child
from gozen.quickdb.isolation.connection import Connection
from gozen.quickdb.isolation.limits import Limits
from gozen.quickdb.isolation.wire import NotEncodable, encode

from . import attacks

cloudpickle.register_pickle_by_value(sys.modules[__name__])
REPOSITORY = Path(__file__).parents[2]
SMALL = Limits(memory_bytes=256 << 20, seconds=60.0, result_bytes=1 << 20)
BRIEF = Limits(seconds=1.0)


def refuse_all(request):
    raise AssertionError(f"nobody asked for {request}")


class Program:
    """The user's functions."""

    def __init__(self):
        self.kept = []

    def echo(self, argument, ask):
        return argument

    def sums(self, argument, ask):
        return {name: float(column.sum()) for name, column in ask(("columns", 7, argument)).items()}

    def keep(self, argument, ask):
        self.kept.append(ask("columns"))
        return [float(columns["x"][0]) for columns in self.kept]

    def facts(self, argument, ask):
        column = ask("columns")["x"]
        return [column.flags.writeable, column.flags.owndata, column.ctypes.data % 64]

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

    def count(self, argument, ask):
        self.kept.append(1)
        return len(self.kept)

    def raises(self, argument, ask):
        raise ValueError(f"no such star\x1b[31m: {argument}")

    def catches(self, argument, ask):
        from gozen.errors import ColumnNotFound

        try:
            return ask("columns")
        except ColumnNotFound as error:
            return str(error)

    def asks(self, argument, ask):
        return ask("columns")

    def asks_for_ever(self, argument, ask):
        while True:
            ask(0)

    def leaves(self, argument, ask):
        sys.exit(argument)

    def ends(self, argument, ask):
        import os

        os._exit(argument)

    def crashes(self, argument, ask):
        import ctypes

        ctypes.string_at(0)

    def kills_itself(self, argument, ask):
        import os

        os.kill(os.getpid(), argument)

    def recurses(self, argument, ask):
        import sys

        sys.setrecursionlimit(10**9)
        return max(map(lambda _: self.recurses(argument, ask), [0]))  # noqa: C417  # through C, whose stack ends

    def machine_code(self, argument, ask):
        """Fork by the 32-bit interface: mov eax, 2; int 0x80; ret."""
        import ctypes
        import mmap

        page = mmap.mmap(-1, 4096, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, 7)
        page.write(b"\xb8\x02\x00\x00\x00\xcd\x80\xc3")
        start = ctypes.addressof(ctypes.c_char.from_buffer(page))
        return ctypes.CFUNCTYPE(ctypes.c_int)(start)()

    def loops(self, argument, ask):
        while True:
            pass

    def asks_and_loops(self, argument, ask):
        ask("looping")
        self.loops(argument, ask)

    def loops_deaf(self, argument, ask):
        import signal

        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        while True:
            pass

    def loops_in_c(self, argument, ask):
        import re

        re.match(r"(a|aa|a?)+$", "a" * 4000 + "b")

    def sleeps(self, argument, ask):
        import time

        time.sleep(1000)

    def allocates(self, argument, ask):
        return int(np.ones(argument // 8).sum())

    def grows(self, argument, ask):
        kept = []
        while True:
            kept.append(bytes(100_000))

    def allocates_by_ctypes(self, argument, ask):
        import ctypes

        libc = ctypes.CDLL(None)
        libc.malloc.restype = ctypes.c_void_p
        while True:
            ctypes.memset(libc.malloc(ctypes.c_size_t(10 << 20)), 1, 10 << 20)

    def maps(self, argument, ask):
        """Map memory in the ways that are not counted as data."""
        import mmap

        kept = mmap.mmap(-1, 1 << 20, argument)
        kept[:1] = b"x"
        return len(kept)

    def starts_threads(self, argument, ask):
        import threading
        import time

        threading.stack_size(32768)
        for _ in range(argument):
            threading.Thread(target=time.sleep, args=(100,), daemon=True).start()
        time.sleep(0.2)
        return threading.active_count()

    def returns(self, argument, ask):
        return np.zeros(argument, "u1")

    def returns_code(self, argument, ask):
        class Bomb:
            def __reduce__(self):
                return os.system, ("true",)

        return [Bomb()]

    def fails_to_fail(self, argument, ask):
        class Broken(Exception):
            def __str__(self):
                raise ValueError

        raise Broken

    def says(self, argument, ask):
        """Write bytes of its own on the connection, wherever it is, and wait."""
        import os
        import stat
        import time

        for number in range(3, 1024):
            try:
                if stat.S_ISSOCK(os.fstat(number).st_mode):
                    os.write(number, argument)
            except OSError:
                pass
        time.sleep(100)

    def floods(self, argument, ask):
        """Send the same again and again."""
        import os
        import stat

        number = 3
        while True:
            try:
                if stat.S_ISSOCK(os.fstat(number).st_mode):
                    os.write(number, argument)
                    continue
            except OSError:
                pass
            number += 1

    def stops(self, argument, ask):
        import os
        import signal

        os.kill(os.getpid(), signal.SIGSTOP)

    def hangs_up(self, argument, ask):
        import os
        import time

        os.closerange(0, 1024)
        time.sleep(100)

    def pid(self, argument, ask):
        import os

        return os.getpid()

    def works(self, argument, ask):
        """Use what astronomers use."""
        import concurrent.futures
        import ctypes

        import astropy.coordinates
        import astropy.units
        import pandas
        import pyarrow.compute
        import scipy.spatial

        with concurrent.futures.ThreadPoolExecutor(3) as pool:
            threads = sum(pool.map(lambda k: int(np.ones(1000).sum()) + k, range(3)))
        tree = scipy.spatial.cKDTree(np.arange(30.0).reshape(10, 3))
        place = astropy.coordinates.SkyCoord(83.633, 22.0145, unit="deg").galactic
        callback = ctypes.CFUNCTYPE(ctypes.c_int)(lambda: 3)
        return {
            "threads": threads,
            "tree": tree.query([0.0, 1.0, 2.0])[1],
            "galactic": float(place.b.deg),
            "pandas": int(pandas.Series([1, 2]).sum()),
            "arrow": pyarrow.compute.sum(pa.array([1, 2])).as_py(),
            "svd": float(np.linalg.svd(np.eye(50))[1].sum()),
            "callback": callback(),
            "random": len({float(np.random.default_rng().random()) for _ in range(3)}),
        }


PROGRAM = cloudpickle.dumps(Program())


@pytest.fixture(scope="module")
def lasting() -> Iterator[Child]:
    with Child() as one:
        yield one


@pytest.fixture(scope="module")
def small() -> Iterator[Child]:
    with Child(SMALL) as one:
        yield one


@pytest.fixture(scope="module")
def brief() -> Iterator[Child]:
    with Child(BRIEF) as one:
        yield one


def nobody(*options: str) -> list[str]:
    """Return a command's beginning that gives up root, also where only root can reach the interpreter."""
    if os.geteuid() != 0:
        return []
    rights = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all", *options]
    script = ["set -e"]
    for top, places in closed_folders().items():
        script += ["mount -t tmpfs -o mode=755 open /mnt"]
        script += [f"mkdir -p '/mnt/{place}'; mount --bind '{top}/{place}' '/mnt/{place}'" for place in places]
        script += [f"mount --move /mnt '{top}'"]
    return ["unshare", "--mount", "sh", "-c", "\n".join([*script, 'exec "$@"']), "sh", *rights]


def closed_folders() -> dict[str, list[str]]:
    """Return the folders that nobody may enter, with what is needed below them."""
    closed: dict[str, list[str]] = {}
    for needed in (Path(sys.base_prefix), Path(sys.prefix), REPOSITORY):
        top = next((one for one in reversed(needed.resolve().parents) if not one.stat().st_mode & 1), None)
        if top is not None:
            closed.setdefault(str(top), []).append(str(needed.resolve().relative_to(top)))
    return closed


def attacked(mode: str, names: tuple[str, ...], rights: list[str]) -> dict[str, dict[str, str]]:
    secret = {**os.environ, "AWS_SECRET_ACCESS_KEY": attacks.SECRET}
    command = [*rights, sys.executable, str(REPOSITORY / "tests/services/attacks.py"), mode, *names]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd="/", env=secret)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found.pop("user") == (65534 if rights else os.geteuid())
    return found


RIGHTS = {
    "as the tests run": [],
    "as nobody": nobody(),
    "without new privileges": nobody("--bounding-set=-all", "--no-new-privs"),
}


@pytest.mark.parametrize("rights", RIGHTS.values(), ids=RIGHTS.keys())
def test_what_a_function_tries_is_refused(rights):
    found = attacked("isolated", ("descriptors", "unnamed", *attacks.OVERVIEW), rights)
    assert sorted(kind for _, kind in found.pop("descriptors")) == ["device", "device", "device", "socket"]
    assert found.pop("unnamed") == []
    assert found.pop("owner") == 0  # of the process's files: no other process of the same user may trace it
    environment = found["secrets"].pop("environment")
    assert set(ast.literal_eval(environment)) <= {
        "HOME", "PATH", "TZ", "LC_ALL", "MPLCONFIGDIR",
        "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS",
        "LD_LIBRARY_PATH",
    }  # fmt: skip
    got = {f"{name}: {what}": said for name, tried in found.items() for what, said in tried.items()}
    assert attacks.SECRET not in json.dumps(got) + environment
    assert {what: said[:60] for what, said in got.items() if not said.startswith(attacks.REFUSED)} == {}


def test_the_same_attempts_succeed_where_nothing_is_kept_apart():
    found = attacked("open", attacks.OVERVIEW, [])
    got = {f"{name}: {what}" for name, tried in found.items() for what, said in tried.items() if "refused" not in said}
    assert attacks.SECRET in found["secrets"]["worker's environ"]
    assert found["secrets"]["worker's memory"] == attacks.SECRET[:8]
    assert got >= {
        *(f"network: {what}" for what in ("inet", "unix", "abstract", "netlink", "pair")),
        *(f"secrets: {what}" for what in ("credentials", "passwd", "up and over", "home", "own folder's link")),
        *(f"writing: {what}" for what in ("create in /tmp", "append", "truncate", "chmod", "symlink", "memfd")),
        *(f"processes: {what}" for what in ("fork", "subprocess", "shell", "spawn", "multiprocessing", "clone")),
        *(f"others: {what}" for what in ("kill", "memory", "thread's signal", "limits", "owner of a descriptor")),
        *(f"loosening: {what}" for what in ("outlive the worker", "be dumpable", "folder")),
    }


def test_the_kernel_says_that_the_child_is_locked(lasting):
    lasting.start()
    status = dict(line.split(":", 1) for line in Path(f"/proc/{lasting.pid}/status").read_text().splitlines())
    assert (status["Seccomp"].strip(), status["NoNewPrivs"].strip()) == ("2", "1")
    assert int(status["CapEff"], 16) == 0
    assert int(status["CapPrm"], 16) == 0


def test_calls_of_32_bit_programs_end_the_process(lasting):
    if os.uname().machine == "x86_64":
        with pytest.raises(FunctionFailed, match="SIGSYS"):
            lasting.call(PROGRAM, "machine_code", None, refuse_all)


@pytest.mark.parametrize(
    ("name", "argument", "said"),
    [
        ("allocates", 1 << 30, "more than 256 MiB of memory .*ask for more memory_bytes"),
        ("grows", None, "more than 256 MiB of memory"),
        ("starts_threads", 2000, "threads; 64 are allowed"),
        ("returns", 2 << 20, "result has 2 MiB, more than 1 MiB .*ask for more result_bytes"),
        ("asks_for_ever", None, "more than 10000 times"),
        ("kills_itself", int(signal.SIGKILL), "SIGKILL.*out of memory"),
    ],
)
def test_a_broken_limit_is_named_and_the_next_call_has_a_new_process(small, name, argument, said):
    before = small.call(PROGRAM, "pid", None, refuse_all)
    with pytest.raises(LimitExceeded, match=said):
        small.call(PROGRAM, name, argument, lambda _: None)
    assert small.pid is None
    with pytest.raises(ProcessLookupError):
        os.kill(before, 0)
    assert small.call(PROGRAM, "echo", "again", refuse_all) == "again"


@pytest.mark.parametrize("name", ["loops", "loops_deaf", "loops_in_c", "sleeps", "stops"])
def test_what_does_not_end_is_ended(brief, name):
    begun = time.monotonic()
    with pytest.raises(LimitExceeded, match=r"longer than 1 s .*ask for more seconds"):
        brief.call(PROGRAM, name, None, refuse_all)
    assert time.monotonic() - begun > BRIEF.seconds
    assert brief.call(PROGRAM, "echo", "again", refuse_all) == "again"


@pytest.mark.parametrize(
    ("name", "argument", "said"),
    [
        ("crashes", None, "SIGSEGV"),
        ("recurses", None, "SIGSEGV"),
        ("allocates_by_ctypes", None, "SIGSEGV.*256 MiB of memory"),
        ("kills_itself", int(signal.SIGTERM), "SIGTERM"),
        ("ends", 3, "exit code 3"),
        ("hangs_up", None, "closed its connection"),
    ],
)
def test_a_crash_is_named(small, name, argument, said):
    with pytest.raises(FunctionFailed, match=said):
        small.call(PROGRAM, name, argument, refuse_all)
    assert small.call(PROGRAM, "echo", 1, refuse_all) == 1


@pytest.mark.parametrize("flags", [0x21, 0x122], ids=["shared", "growing"])
def test_memory_that_no_limit_counts_cannot_be_had(small, flags):
    with pytest.raises(FunctionFailed, match="PermissionError"):
        small.call(PROGRAM, "maps", flags, refuse_all)
    assert small.call(PROGRAM, "maps", 0x22, refuse_all) == 1 << 20


def test_a_few_threads_are_allowed(small):
    assert small.call(PROGRAM, "starts_threads", 20, refuse_all) == 21


def test_columns_that_are_kept_count_as_memory(small):
    def keep_on():
        while True:
            small.call(PROGRAM, "keep", None, lambda _: {"x": np.ones(4 << 20)})

    with pytest.raises(LimitExceeded, match="256 MiB of memory"):
        keep_on()


def test_columns_that_are_let_go_do_not_count(small):
    for _ in range(24):
        small.call(PROGRAM, "facts", None, lambda _: {"x": np.ones(2 << 20)})


def test_the_time_in_which_columns_are_read_is_not_the_function_s(brief):
    def serve(_):
        ends = time.monotonic() + 2 * BRIEF.seconds
        while time.monotonic() < ends:
            pass
        return "read"

    assert brief.call(PROGRAM, "asks", None, serve) == "read"


@pytest.mark.parametrize("bad", [{"seconds": 0}, {"memory_bytes": -1}, {"result_bytes": 0}])
def test_limits_that_make_no_sense(bad):
    with pytest.raises(BadRequest, match="give a number above 0"):
        Limits(**bad)


HEAD = b"%b\x00\x00\x00\x00\x00\x00\x00%b"


@pytest.mark.parametrize(
    "said",
    [
        b"\x80\x04cos\nsystem\n" * 4,
        HEAD % (b"O", (40).to_bytes(8, "little")) + b"\x80\x04cos\nsystem\n(S'id'\ntR.".ljust(40),
        HEAD % (b"O", (0).to_bytes(8, "little")),
        HEAD % (b"Q", (1 << 40).to_bytes(8, "little")),
        HEAD % (b"P", (1).to_bytes(8, "little")) + b"x",
        HEAD % (b"L", (5).to_bytes(8, "little")) + b"hello",
        b"O\x00\x00\x00\x07\x00\x00\x00" + (0).to_bytes(8, "little"),
    ],
    ids=["noise", "a pickle", "an empty result", "a huge request", "a message of the worker's", "no size", "memory"],
)
def test_what_is_no_answer_is_refused(small, said):
    with pytest.raises(FunctionFailed, match="what is no answer"):
        small.call(PROGRAM, "says", said, refuse_all)


def test_a_huge_result_is_refused_at_its_first_bytes(small):
    with pytest.raises(LimitExceeded, match="1024 GiB"):
        small.call(PROGRAM, "says", HEAD % (b"O", (1 << 40).to_bytes(8, "little")), refuse_all)


def test_half_an_answer_is_waited_for_no_longer_than_the_limit(brief):
    with pytest.raises(LimitExceeded, match=r"longer than 1 s"):
        brief.call(PROGRAM, "says", HEAD % (b"O", (100).to_bytes(8, "little")), refuse_all)


def test_answers_without_end_are_read_no_longer_than_the_limit(brief):
    nothing_free = encode([])
    frame = HEAD % (b"F", len(nothing_free).to_bytes(8, "little")) + nothing_free
    with pytest.raises(LimitExceeded, match=r"longer than 1 s"):
        brief.call(PROGRAM, "floods", frame * 100, refuse_all)


def test_time_is_up_also_when_something_has_come():
    ours, theirs = socket.socketpair()
    connection = Connection(ours, os.getpid(), SMALL)
    with theirs, contextlib.closing(connection):
        theirs.sendall(HEAD % (b"R", bytes(8)) * 2)
        connection.give(60)
        assert connection.head().length == 0
        connection.give(0)
        with pytest.raises(LimitExceeded, match="longer than"):
            connection.head()


def test_objects_do_not_come_back(lasting):
    with pytest.raises(FunctionFailed, match=r"NotEncodable: the value holds a .*Bomb at \[0\], .*Arrow data$"):
        lasting.call(PROGRAM, "returns_code", None, refuse_all)


def test_an_argument_that_is_no_plain_data(lasting):
    with pytest.raises(NotEncodable, match="builtin_function"):
        lasting.call(PROGRAM, "echo", len, refuse_all)


def test_the_traceback_is_the_user_s_alone_and_moves_no_cursor(lasting):
    with pytest.raises(FunctionFailed) as caught:
        lasting.call(PROGRAM, "raises", 7, refuse_all)
    said = str(caught.value)
    assert said.startswith("ValueError: no such star")
    assert "in raises" in said
    assert "serving.py" not in said
    assert "\x1b" not in said


def test_an_exception_that_cannot_be_shown(lasting):
    with pytest.raises(FunctionFailed, match=r"Broken: .its message cannot be shown"):
        lasting.call(PROGRAM, "fails_to_fail", None, refuse_all)


def test_sys_exit_ends_only_the_call(lasting):
    before = lasting.call(PROGRAM, "pid", None, refuse_all)
    with pytest.raises(FunctionFailed, match="SystemExit: 4"):
        lasting.call(PROGRAM, "leaves", 4, refuse_all)
    assert lasting.call(PROGRAM, "pid", None, refuse_all) == before


@pytest.mark.parametrize("program", [b"", b"no pickle", cloudpickle.dumps(3)], ids=["empty", "noise", "no function"])
def test_a_program_that_is_none(program):
    with Child() as one, pytest.raises(FunctionFailed, match="Error: "):
        one.call(program, "echo", None, refuse_all)


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


def test_a_program_stays_and_another_one_starts_afresh(lasting):
    lasting.close()
    assert [lasting.call(PROGRAM, "count", None, refuse_all) for _ in range(3)] == [1, 2, 3]
    other = cloudpickle.dumps([Program()][0]) + b" "
    assert lasting.call(other, "count", None, refuse_all) == 1
    assert lasting.call(PROGRAM, "count", None, refuse_all) == 1


def test_the_packages_of_astronomers_work():
    with Child(Limits(memory_bytes=1 << 30)) as one:
        found = one.call(PROGRAM, "works", None, refuse_all)
    assert found.pop("galactic") == pytest.approx(-5.78, abs=0.01)
    assert found == {
        "threads": 3003, "tree": 0, "pandas": 3, "arrow": 3, "svd": pytest.approx(50), "callback": 3, "random": 3,
    }  # fmt: skip


def test_a_machine_that_cannot_keep_it_apart_runs_nothing(monkeypatch):
    assert available() is None
    monkeypatch.setattr(landlock, "abi", lambda: 0)
    with Child() as one, pytest.raises(IsolationUnavailable, match=r"no Landlock .*run without isolation only what"):
        one.call(PROGRAM, "echo", 1, refuse_all)
    monkeypatch.undo()
    monkeypatch.setattr(seccomp, "supported", lambda: False)
    with Child() as one, pytest.raises(IsolationUnavailable, match="no seccomp"):
        one.start()


def test_an_interpreter_that_does_not_start(monkeypatch):
    monkeypatch.setattr(child, "_START", "import sys; sys.exit(3)")
    with Child() as one, pytest.raises(IsolationUnavailable, match="does not start"):
        one.start()
    monkeypatch.undo()
    with Child(preload=("no_such_module",)) as one, pytest.raises(IsolationUnavailable, match="no_such_module"):
        one.start()


def test_a_child_that_was_started_early_is_the_one_that_is_called():
    with Child() as one:
        one.start()
        assert one.pid == one.call(PROGRAM, "pid", None, refuse_all)


def test_a_child_that_was_lost_between_two_calls_is_replaced(lasting):
    before = lasting.call(PROGRAM, "pid", None, refuse_all)
    os.kill(before, signal.SIGKILL)
    os.waitid(os.P_PID, before, os.WEXITED | os.WNOWAIT)
    assert lasting.call(PROGRAM, "pid", None, refuse_all) not in (before, None)


def test_close_leaves_no_process():
    with Child() as one:
        pid = one.call(PROGRAM, "pid", None, refuse_all)
        descriptors = len(list(Path("/proc/self/fd").iterdir()))
    assert not Path(f"/proc/{pid}").exists()
    assert len(list(Path("/proc/self/fd").iterdir())) < descriptors


KILLED = """
import sys
from gozen.quickdb.isolation.child import Child
child = Child()
child.start()
print(child.pid, flush=True)
child.call(bytes.fromhex(sys.stdin.readline()), "asks_and_loops", None, lambda said: print(said, flush=True))
"""


def test_a_worker_that_is_killed_leaves_no_process():
    with subprocess.Popen([sys.executable, "-c", KILLED], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as worker:
        pid = int(worker.stdout.readline())
        worker.stdin.write(PROGRAM.hex().encode() + b"\n")
        worker.stdin.flush()
        assert worker.stdout.readline() == b"looping\n"
        watched = os.pidfd_open(pid)
        worker.kill()
        ended, _, _ = select.select([watched], [], [], 20)
        os.close(watched)
        assert ended
