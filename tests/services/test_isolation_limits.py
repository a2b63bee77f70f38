"""Isolated functions that exceed limits or crash: the result of each, and that the next call works.

Covered: limits of memory, time, threads, requests and results, of the worker's own time and bytes; crashes; memory that
no limit counts; a process is stopped while it has no call; what does not count as exceeding a limit.
"""

import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from gozen.errors import BadRequest, FunctionFailed, LimitExceeded
from gozen.quickdb.isolation import limits
from gozen.quickdb.isolation.child_process import Child
from gozen.quickdb.isolation.limits import Limits

from .kept_apart import BRIEF, Functions, pickled, refuse_all


class Greedy(Functions):
    """Functions that want too much, and some that crash."""

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
        started = [threading.Thread(target=time.sleep, args=(100,), daemon=True) for _ in range(argument)]
        for thread in started:
            thread.start()
        time.sleep(0.2)
        return sum(thread.is_alive() for thread in started)

    def leaves_threads(self, argument, ask):
        """Leave threads that work on, and memory that grows, when the call is over."""
        import threading

        threading.stack_size(32768)
        started = [threading.Thread(target=self.loops, args=(None, None), daemon=True) for _ in range(argument)]
        for thread in started:
            thread.start()
        return sum(thread.is_alive() for thread in started)

    def starts_threads_at_once(self, argument, ask):
        """Be done before anybody has looked."""
        import threading

        threading.stack_size(32768)
        gate = threading.Event()
        for _ in range(argument):
            threading.Thread(target=gate.wait, daemon=True).start()
        return threading.active_count()

    def fills_and_protects(self, argument, ask):
        """Fill pages and make them read-only, so that the kernel counts them as nobody's data."""
        import ctypes
        import mmap

        libc = ctypes.CDLL(None, use_errno=True)
        kept = []
        for _ in range(argument):
            piece = mmap.mmap(-1, 8 << 20, 0x22)
            piece.write(b"x" * (8 << 20))
            address = ctypes.addressof(ctypes.c_char.from_buffer(piece))
            if libc.mprotect(ctypes.c_void_p(address), ctypes.c_size_t(8 << 20), 1):
                raise OSError(ctypes.get_errno())
            kept.append(piece)
        return len(kept)

    def asks_for_ever(self, argument, ask):
        while True:
            ask(0)

    def loops(self, argument, ask):
        while True:
            pass

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

    def stops(self, argument, ask):
        import os
        import signal

        os.kill(os.getpid(), signal.SIGSTOP)

    def crashes(self, argument, ask):
        import ctypes

        ctypes.string_at(0)

    def recurses(self, argument, ask):
        import sys

        sys.setrecursionlimit(10**9)
        return max(map(lambda _: self.recurses(argument, ask), [0]))  # noqa: C417  # through C, whose stack ends

    def kills_itself(self, argument, ask):
        import os

        os.kill(os.getpid(), argument)

    def ends(self, argument, ask):
        import os

        os._exit(argument)

    def hangs_up(self, argument, ask):
        import os
        import time

        os.closerange(0, 1024)
        time.sleep(100)


PROGRAM = pickled(Greedy())


@pytest.mark.parametrize(
    ("name", "argument", "said"),
    [
        ("allocates", 1 << 30, "more than 256 MiB of memory: .*raise the setting quickdb.memory_mb"),
        ("grows", None, "more than 256 MiB of memory"),
        ("starts_threads", 2000, "threads; 64 are allowed"),
        ("returns", 2 << 20, "result has 2 MiB, more than 1 MiB: .*raise the setting quickdb.result_mb"),
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
    with pytest.raises(LimitExceeded, match=r"longer than 1 s .*raise the setting quickdb\.seconds"):
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
        ("kills_itself", 40, "signal 40"),
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


def processor_seconds(pid):
    fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def stands_still(pid):
    """Tell whether a process stops; its threads do when the kernel gets to them."""
    ends = time.monotonic() + 10
    while Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[0] != "T":
        if time.monotonic() > ends:
            return False
    return True


def test_a_process_without_a_call_stands_still(small):
    assert small.call(PROGRAM, "leaves_threads", 4, refuse_all) == 4
    assert stands_still(small.pid)
    before = processor_seconds(small.pid)
    ends = time.monotonic() + 0.3
    while time.monotonic() < ends:
        pass
    assert processor_seconds(small.pid) == before
    assert small.call(PROGRAM, "pid", None, refuse_all) == small.pid


def test_a_process_stands_still_while_the_worker_reads_for_it(small):
    seen = []
    small.call(PROGRAM, "asks", None, lambda _: seen.append(stands_still(small.pid)))
    assert seen == [True]


def test_threads_that_are_many_for_a_moment_are_counted_when_the_call_is_over(small):
    with pytest.raises(LimitExceeded, match="threads; 64 are allowed"):
        small.call(PROGRAM, "starts_threads_at_once", 200, refuse_all)


def test_pages_that_were_filled_and_made_read_only_are_counted(small):
    assert small.call(PROGRAM, "fills_and_protects", 4, refuse_all) == 4
    small.close()
    with pytest.raises(LimitExceeded, match="more than 256 MiB of memory"):
        small.call(PROGRAM, "fills_and_protects", 200, refuse_all)


def test_the_kernel_ends_the_function_before_its_worker(small):
    pid = small.call(PROGRAM, "pid", None, refuse_all)
    assert Path(f"/proc/{pid}/oom_score_adj").read_text().strip() == "1000"


def test_the_worker_s_own_time_has_an_end():
    def serve(_):
        ends = time.thread_time() + 0.5
        while time.thread_time() < ends:
            pass

    with Child(Limits(seconds=0.5)) as child:
        child.call(PROGRAM, "asks", None, serve)
        with pytest.raises(LimitExceeded, match=r"took the worker more than 3 times 0.5 s .*request each column once"):
            child.call(PROGRAM, "asks_for_ever", None, serve)


def test_the_time_in_which_a_result_is_read_has_an_end(monkeypatch):
    with Child(BRIEF) as child:
        assert child.call(PROGRAM, "echo", [None] * 1000, refuse_all) == [None] * 1000
        monkeypatch.setattr(limits, "SERVING", -1)
        with pytest.raises(FunctionFailed, match="it takes too long to read"):
            child.call(PROGRAM, "echo", [None] * 1000, refuse_all)


def test_the_bytes_that_are_read_for_a_call_have_an_end():
    column = np.zeros(1 << 20)
    with (
        Child(Limits(memory_bytes=64 << 20)) as child,
        pytest.raises(LimitExceeded, match="their bytes were more than 16 times 64 MiB"),
    ):
        child.call(PROGRAM, "asks_for_ever", None, lambda _: {"x": column})


def test_a_few_threads_are_allowed(small):
    assert small.call(PROGRAM, "starts_threads", 20, refuse_all) == 20


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
