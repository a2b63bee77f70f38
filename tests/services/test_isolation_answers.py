"""Invalid answers and failures of an isolated function, and the messages to its user.

Covered: bytes that the function itself writes to the connection; messages that are too long, incomplete or endless;
objects; exceptions, also those that cannot be shown; invalid programs. The valid messages:
tests/unit/test_quickdb_wire.py.
"""

import contextlib
import os
import socket
import subprocess
import sys

import cloudpickle
import pytest

from gozen.errors import FunctionFailed, LimitExceeded, UnreadableInput
from gozen.quickdb.isolation.child_process import Child
from gozen.quickdb.isolation.child_socket import ChildSocket
from gozen.quickdb.isolation.codec.form import Malformed
from gozen.quickdb.isolation.codec.wire import NotEncodable, encode
from gozen.quickdb.isolation.limits import Limits

from .kept_apart import SMALL, Functions, pickled, refuse_all

HEAD = b"%b\x00\x00\x00\x00\x00\x00\x00%b"


class Liar(Functions):
    """Functions that answer with what is not an answer, or not at all."""

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

    def renames(self, argument, ask):
        """Give the process a name of bytes that are no text, and stay long enough to be looked at."""
        import ctypes
        import time

        assert ctypes.CDLL(None).prctl(15, argument, 0, 0, 0) == 0
        time.sleep(0.3)
        return True

    def talks_much(self, argument, ask):
        raise ValueError("x" * argument)

    def forges(self, argument, ask):
        raise ValueError("no star\n2026-01-01 00:00:00 ERROR root: the archive is lost\r\x1b[2J\u202e")

    def returns_code(self, argument, ask):
        class Bomb:
            def __reduce__(self):
                return os.system, ("true",)

        return [Bomb()]

    def raises(self, argument, ask):
        raise ValueError(f"no such star\x1b[31m: {argument}")

    def fails_to_fail(self, argument, ask):
        class Broken(Exception):
            def __str__(self):
                raise ValueError

        raise Broken

    def leaves(self, argument, ask):
        sys.exit(argument)


PROGRAM = pickled(Liar())


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
    with pytest.raises(FunctionFailed, match=r"an invalid answer: (.|\n)*; correct the function$"):
        small.call(PROGRAM, "says", said, refuse_all)


def test_a_huge_result_is_refused_at_its_first_bytes(small):
    with pytest.raises(LimitExceeded, match="1024 GiB"):
        small.call(PROGRAM, "says", HEAD % (b"O", (1 << 40).to_bytes(8, "little")), refuse_all)


def message(kind, data):
    return HEAD % (kind, len(data).to_bytes(8, "little")) + data


@pytest.mark.parametrize(
    ("said", "name"),
    [
        (message(b"Q", encode("x" * (1 << 20))), "REQUEST"),
        (message(b"X", encode(("ValueError", "x" * (1 << 20), "", False, False))), "FAILURE"),
        (message(b"L", b"1".rjust(21, b"0")), "TOO_LARGE"),
    ],
    ids=["request", "failure", "size"],
)
def test_a_message_that_would_be_right_is_refused_when_it_is_too_long(small, said, name):
    with pytest.raises(FunctionFailed, match=f"an invalid answer: a message {name} has {len(said) - 16} bytes"):
        small.call(PROGRAM, "says", said, refuse_all)


def test_a_result_above_the_limit_is_refused_also_when_the_process_does_not_say_so():
    limits = Limits(memory_bytes=SMALL.memory_bytes, result_bytes=1000)
    with Child(limits) as child:
        result = encode(b"x" * (1000 - len(encode(b""))))
        assert child.call(PROGRAM, "says", message(b"O", result), refuse_all)
    with (
        Child(limits) as child,
        pytest.raises(LimitExceeded, match=r"result has 1001 bytes, more than 1000 bytes: .*quickdb\.result_mb"),
    ):
        child.call(PROGRAM, "says", message(b"O", encode(b"x" * (1001 - len(encode(b""))))), refuse_all)


def test_half_an_answer_is_waited_for_no_longer_than_the_limit(brief):
    with pytest.raises(LimitExceeded, match=r"longer than 1 s"):
        brief.call(PROGRAM, "says", HEAD % (b"O", (100).to_bytes(8, "little")), refuse_all)


def test_answers_without_end_are_read_no_longer_than_the_limit(brief):
    nothing_free = encode([])
    frame = HEAD % (b"F", len(nothing_free).to_bytes(8, "little")) + nothing_free
    with pytest.raises(LimitExceeded, match=r"longer than 1 s"):
        brief.call(PROGRAM, "floods", frame * 100, refuse_all)


def test_an_answer_to_nothing_is_not_taken_for_that_of_the_next_call(small):
    result = message(b"O", encode("first"))
    with pytest.raises(FunctionFailed, match="an invalid answer: there are bytes after its end"):
        small.call(PROGRAM, "says", result + message(b"O", encode("second")), refuse_all)
    assert small.call(PROGRAM, "echo", "again", refuse_all) == "again"


def test_what_a_process_says_between_two_calls_is_an_answer_to_nothing():
    ours, theirs = socket.socketpair()
    with theirs, contextlib.closing(ChildSocket(ours, os.getpid(), SMALL)) as connection:
        connection.must_be_silent()
        theirs.sendall(b"O")
        with pytest.raises(Malformed, match="there are bytes after its end"):
            connection.must_be_silent()


def test_memory_is_shared_also_by_a_worker_whose_standard_input_is_closed():
    ours, theirs = socket.socketpair()
    with theirs, contextlib.closing(ChildSocket(ours, os.getpid(), SMALL)) as connection:
        connection.send([memoryview(b"head")], descriptor=0)
        data, descriptors, _, _ = socket.recv_fds(theirs, 10, 1)
        os.close(descriptors[0])
    assert data == b"head"


def test_time_is_up_also_when_something_has_come():
    ours, theirs = socket.socketpair()
    child = subprocess.Popen(["sleep", "60"])  # the threads of this process, of which other tests left some, count not
    connection = ChildSocket(ours, child.pid, SMALL)
    with theirs, contextlib.closing(connection), contextlib.ExitStack() as ended:
        ended.callback(child.wait)
        ended.callback(child.kill)
        theirs.sendall(HEAD % (b"R", bytes(8)) * 2)
        connection.give(60)
        assert connection.head().length == 0
        connection.give(0)
        with pytest.raises(LimitExceeded, match="longer than"):
            connection.head()


def test_a_file_that_the_worker_cannot_read_is_not_the_function_s_fault(small):
    def serve(_):
        raise UnreadableInput("the file a.parquet is damaged")

    with pytest.raises(UnreadableInput, match=r"a\.parquet is damaged"):
        small.call(PROGRAM, "asks", None, serve)


def test_objects_do_not_come_back(lasting):
    with pytest.raises(FunctionFailed, match=r"NotEncodable: the value contains a .*Bomb at \[0\], .*Arrow data$"):
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


@pytest.mark.parametrize("name", [b"\xff\xfe) R 1 1", b") \n\x1b[31m", "天".encode()])
def test_a_process_may_have_any_name(lasting, name):
    assert lasting.call(PROGRAM, "renames", name, refuse_all) is True


def test_a_long_message_is_cut(lasting):
    with pytest.raises(FunctionFailed) as caught:
        lasting.call(PROGRAM, "talks_much", 16 << 20, refuse_all)
    assert str(caught.value).startswith("ValueError: xxx")
    assert len(str(caught.value)) < 200_000


def test_no_line_of_a_function_s_text_can_be_taken_for_one_of_the_log(lasting):
    with pytest.raises(FunctionFailed) as caught:
        lasting.call(PROGRAM, "forges", None, refuse_all)
    first, *others = str(caught.value).splitlines()
    assert first == "ValueError: no star"
    assert all(not line or line.startswith("  ") for line in others)
    assert all(one.isprintable() for line in others for one in line)


def test_sys_exit_ends_only_the_call(lasting):
    before = lasting.call(PROGRAM, "pid", None, refuse_all)
    with pytest.raises(FunctionFailed, match="SystemExit: 4"):
        lasting.call(PROGRAM, "leaves", 4, refuse_all)
    assert lasting.call(PROGRAM, "pid", None, refuse_all) == before


@pytest.mark.parametrize("program", [b"", b"no pickle", cloudpickle.dumps(3)], ids=["empty", "noise", "no function"])
def test_a_program_that_is_none(program):
    with Child() as one, pytest.raises(FunctionFailed, match="Error: "):
        one.call(program, "echo", None, refuse_all)
