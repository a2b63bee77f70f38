"""Messages of a hostile function, each between two protected memory pages; a separate program, which may crash.

    python tests/services/fenced.py SEED FIRST LAST

Each message is decoded, checked and used as a worker and its client do, with canaries around it. Refusals must be named
errors; accepted values must lie within the message; time and memory are limited per byte. The number of the current
message is printed on standard output; after an error, the last number is that of the message that caused it.
"""

# ruff: noqa: T201

import contextlib
import ctypes
import decimal
import functools
import mmap
import pickle
import random
import socket
import struct
import subprocess
import sys
import time
import tracemalloc

import numpy as np
import pyarrow as pa

from gozen.errors import BadRequest, UnreadableInput
from gozen.quickdb.isolation.child_process import Child
from gozen.quickdb.isolation.child_socket import ChildSocket
from gozen.quickdb.isolation.codec import arrow
from gozen.quickdb.isolation.codec.form import HEAD, MAGIC
from gozen.quickdb.isolation.codec.message_frames import Head, MessageKind
from gozen.quickdb.isolation.codec.wire import decode, encode
from gozen.quickdb.isolation.limits import Limits
from gozen.quickdb.isolation.protocol import Conversation
from gozen.quickdb.work.validate_child import checked_block, checked_request

PAGE = mmap.PAGESIZE
PAGES = 32
CANARY = 0xC5
SECONDS, SECONDS_PER_BYTE = 1.0, 100e-6
"""Processor time of a message, with PYTHONMALLOC=debug: decoded, shown, pickled and encoded again."""
MEMORY, MEMORY_PER_BYTE = 512 << 10, 100
"""Python's memory while a message is decoded; the smallest values take most: an empty dict of 9 bytes is 72."""
NUMBERS = (-1, 0, 1, 2, 3, 4, 7, 8, 9, 16, 63, 64, 65, 255, 2**15, 2**16, 2**30, 2**31 - 8, 2**31 - 1, 2**31, 2**32 - 8,
           2**32, 2**62, 2**63 - 8, 2**63 - 1, 2**63, 2**64, 2**70)  # fmt: skip
PATCHES = {0: "5/8131/0", 1: "5/8131/1"}
COLUMNS = {"forced": frozenset(["ra", "dec"])}
LIMITS = Limits(memory_bytes=64 << 20, seconds=20.0, result_bytes=1 << 20)


class Fence:
    """Memory between two pages that cannot be touched."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, (PAGES + 2) * PAGE)
        self._view = memoryview(self._memory)
        start = ctypes.addressof(ctypes.c_char.from_buffer(self._memory))
        libc = ctypes.CDLL(None, use_errno=True)
        for page in (0, PAGES + 1):
            if libc.mprotect(ctypes.c_void_p(start + page * PAGE), ctypes.c_size_t(PAGE), 0):
                raise OSError(ctypes.get_errno(), "mprotect")

    @contextlib.contextmanager
    def around(self, data, last):
        """Put data at the first place, or the last that is aligned as in a worker; then look at the canaries."""
        room = self._view[PAGE : PAGE * (PAGES + 1)]
        place = (len(room) - len(data)) & ~15 if last else 0
        before, after = min(place, PAGE), min(len(room) - place - len(data), PAGE)
        room[place - before : place] = bytes([CANARY]) * before
        room[place : place + len(data)] = data
        room[place + len(data) : place + len(data) + after] = bytes([CANARY]) * after
        yield room[place : place + len(data)]
        assert bytes(room[place - before : place]) == bytes([CANARY]) * before, "written before the message"
        behind = bytes(room[place + len(data) : place + len(data) + after])
        assert behind == bytes([CANARY]) * after, "written behind the message"
        assert bytes(room[place : place + len(data)]) == bytes(data), "written into the message"


def message(tree, memory=None):
    """Return a message of a tree and the memory of its arrays."""
    data = HEAD.pack(MAGIC, len(tree)) + tree
    return data + bytes(-len(data) % 64) + memory if memory is not None else data


def counted(tag, content):
    return tag + struct.pack("<Q", len(content)) + content


def a_number(chance, near=8):
    return chance.choice(NUMBERS) if chance.random() < 0.3 else chance.randint(0, max(near, 1))


def a_dtype(chance, level=0):
    """Return the text of a dtype's description and about its size: most are right but for a number or two."""
    kind = chance.random()
    if level > 3 or kind < 0.45:
        size = chance.choice((1, 2, 4, 8))
        if chance.random() < 0.7:
            return f'"{chance.choice("<>")}{chance.choice("iu")}{size}"', size
        word = chance.choice("SUV")
        length = a_number(chance) if chance.random() < 0.3 else chance.randint(1, 8)
        return f'"{chance.choice(("|", "<"))}{word}{length}"', length * (4 if word == "U" else 1)
    if kind < 0.6:
        inner, size = a_dtype(chance, level + 1)
        shape = [
            a_number(chance, 3) if chance.random() < 0.2 else chance.randint(1, 3) for _ in range(chance.randint(1, 3))
        ]
        return f"[{inner},{shape}]", size * functools.reduce(lambda a, b: a * b, shape)
    fields, end = [], 0
    for at in range(chance.randint(1, 4)):
        inner, size = a_dtype(chance, level + 1)
        if chance.random() < 0.05:  # that its end lies before its begin, in 32 bits
            size = 2**31 - chance.randint(1, 32)
            inner = f'"|{chance.choice("SV")}{size}"'
        wrong = chance.random() < 0.15
        fields.append(f'["f{at if chance.random() < 0.98 else 0}",{inner},{a_number(chance, 64) if wrong else end}]')
        end += size if size < 2**30 else 0
    size = a_number(chance, 64) if chance.random() < 0.15 else end + chance.randint(0, 3)
    return f'{{"size":{size},"fields":[{",".join(fields)}]}}', size


def an_array(chance):
    """Return a message that holds an array, or a scalar, of some dtype."""
    text, size = a_dtype(chance)
    shape = [chance.randint(0, 4) for _ in range(chance.randint(0, 3))]
    room = min(max(size, 0) * functools.reduce(lambda a, b: a * b, shape, 1), 8192)
    room = max(0, room + chance.choice((0, 0, 0, 0, -1, 1, 64)))
    described = counted(b"d", text.encode())
    if chance.random() < 0.2:
        return message(b"n" + described + chance.randbytes(min(max(size, 0), 4096)))
    if chance.random() < 0.1:
        shape.append(a_number(chance) % 2**64)
    head = chance.choice((b"C", b"R")) + struct.pack(f"<Q{len(shape)}Q", len(shape), *shape)
    memory = bytes(room) if chance.random() < 0.5 else chance.randbytes(room)
    return message(head + described, memory)


def arrow_values():
    """Return Arrow data of every allowed type, with and without nulls."""
    one = [
        *(pa.array([1, None, 3], getattr(pa, name)()) for name in ("int8", "uint16", "int32", "uint64", "float64")),
        pa.array([1.5, None], pa.float16()), pa.array([True, None, False] * 5), pa.nulls(3),
        pa.array([1, None], pa.date32()), pa.array([86_400_000], pa.date64()), pa.array([1, 2], pa.time32("ms")),
        pa.array([1, 2], pa.time64("ns")), pa.array([1, None], pa.timestamp("us", "UTC")),
        pa.array([1], pa.duration("s")),
        pa.array([(1, 2, 3)], pa.month_day_nano_interval()),
        *(pa.array([decimal.Decimal("1.5"), None], getattr(pa, f"decimal{bits}")(5, 2)) for bits in (32, 64, 128, 256)),
        pa.array(["star", None, "天"]), pa.array(["star", None], pa.large_string()), pa.array([b"\xff"], pa.binary()),
        pa.array([b"\xff"], pa.large_binary()), pa.array([b"abc", None], pa.binary(3)),
        pa.array([[1, 2], None, [3]]), pa.array([[["x"]], []], pa.large_list(pa.list_(pa.string()))),
        pa.array([[1, 2], None], pa.list_(pa.int16(), 2)), pa.array([{"a": 1, "b": "x"}, None]),
        pa.array([[("a", [1])], None], pa.map_(pa.string(), pa.list_(pa.int8()))),
        pa.array(["x", None, "y"]).dictionary_encode(),
    ]  # fmt: skip
    table = pa.table(
        {"n": [1.5, None], "w": ["a", None], "l": [[1], None], "d": pa.array(["x", "y"]).dictionary_encode()}
    )
    return [arrow.describe("array", each) for each in one] + [
        arrow.describe("table", table),
        arrow.describe("batch", table.to_batches()[0]),
        arrow.describe("chunked", table["l"]),
    ]  # fmt: skip


def changed(chance, value, left):
    """Return plain values of which some are others: a number, a buffer, the length of a list."""
    if isinstance(value, tuple | list):
        parts = [changed(chance, one, left) for one in value]
        if left[0] > 0 and parts and chance.random() < 0.02:
            left[0] -= 1
            chance.choice((lambda: parts.pop(), lambda: parts.append(parts[0]), lambda: parts.reverse()))()
        return type(value)(parts)
    if left[0] <= 0 or chance.random() > 0.15:
        return value
    left[0] -= 1
    if type(value) is int:
        return a_number(chance, value + 2) if chance.random() < 0.8 else chance.choice((None, "x", 1.5, [], True))
    if isinstance(value, np.ndarray):
        if chance.random() < 0.4:
            return value[: chance.randint(0, len(value))]
        other = value.copy()
        for _ in range(chance.randint(1, 3)):
            if len(other):
                other[chance.randrange(len(other))] = chance.choice((0, 1, 2, 3, 127, 128, 255))
        return other
    if type(value) is str:
        names = ("int8", "int64", "string", "null", "list_", "dense_union", "string_view", "large_list", "struct", "x")
        return chance.choice(names)
    others = (None, 0, 2**40, "x", b"", [], (), True, np.zeros(64, np.uint8), np.full(64, 255, np.uint8))
    return chance.choice(others)


def an_arrow(chance, described):
    """Return a message that holds Arrow data, of which up to three parts are others."""
    tree = encode(changed(chance, described, [chance.randint(0, 3)]) if chance else described)
    (length,) = struct.unpack_from("<Q", tree, 8)
    start = HEAD.size + length + -(HEAD.size + length) % 64
    return message(b"A" + tree[HEAD.size : HEAD.size + length], tree[start:] or None)


def bytes_changed(chance, corpus):
    data = bytearray(chance.choice(corpus))
    for _ in range(chance.randint(0, 4)):
        data[chance.randrange(len(data))] = chance.choice((0, 1, 2, 4, 8, 0x7F, 0x80, 0xFF, chance.randrange(256)))
    if chance.random() < 0.1:
        del data[chance.randrange(len(data)) :]
    return bytes(data)


def used(value):
    """Do with a value what a worker and its client do: show, send, keep and read it to its end."""
    repr(value)
    pickle.loads(pickle.dumps(value))
    again = encode(value)
    assert encode(decode(again)) == again, "another value after a second turn"
    if isinstance(value, np.ndarray):
        value.tobytes()
        for name in value.dtype.names or ():
            value[name].tobytes()
            value[name].tolist()
    elif isinstance(value, pa.Table | pa.RecordBatch | pa.Array | pa.ChunkedArray):
        value.validate(full=True)
        if len(value) < 100:
            with contextlib.suppress(ValueError, ArithmeticError, pa.ArrowException):  # a time that no calendar has
                value.to_pylist()


def try_message(fence, data, last, measured):
    begun = time.process_time()
    said = ""
    with fence.around(data, last) as view:
        if measured:
            tracemalloc.start()
        try:
            value = decode(view.toreadonly(), shown=True)
        except UnreadableInput as error:
            value, said = None, str(error)
        finally:
            if measured:
                peak = tracemalloc.get_traced_memory()[1]
                tracemalloc.stop()
                assert peak < MEMORY + MEMORY_PER_BYTE * len(data), f"{peak} bytes of memory for {len(data)}"
        assert said.isprintable(), "a message that is not plain text"
        if value is not None:
            used(value)
        del value
    spent = time.process_time() - begun
    assert spent < SECONDS + SECONDS_PER_BYTE * len(data), f"{spent:.1f} s for {len(data)} bytes"


class Stopped:
    """A process that is there, and does nothing."""

    def __init__(self, pid):
        self.pid = pid

    def poll(self):
        return None

    def wait(self, timeout=None):
        return 0

    def kill(self):
        pass


def a_request(chance):
    patch = chance.choice((0, 1, 2, -1, 2**70, True, None, [], "0"))
    names = chance.choice((["ra"], ["ra", "dec"], ["ra", "ra"], [], ["x"], [[]], 3, {"ra": 1}))
    return chance.choice(
        (
            ("rows", patch),
            ("margin", patch, chance.choice((1e-300, 0.0, float("nan"), 1.0, 4000.0, 1, None))),
            ("columns", patch, chance.choice(("forced", "x", [], {}, b"forced")), names),
            ("columns", 0, "forced", ["ra"]),
            chance.choice((None, (), [], {}, {"rows": 0}, "rows", 10**5000, np.arange(3))),
        )
    )


def a_result(chance):
    values = chance.choice(([], [(0, 1)], [(0, 1), (0, 2)], [(9, 1)], [0], [([], 1)], 3, [(0, np.arange(3))]))
    touched = chance.choice(({}, {"forced": ["ra"]}, {"forced": ["x"]}, {"x": []}, {1: []}, [], None))
    failure = {
        "failed": chance.choice(("x\x1b[2J\n2026 ERROR", 3)),
        "kind": chance.choice(("LimitExceeded", [])),
        "patch": "",
    }
    return chance.choice(
        (
            {"values": values, "total": None, "touched": touched, "first": [], "changed": False},
            failure,
            {"total": 1},
            None,
            [],
        )
    )


def frames(chance):
    """Return what a hostile process sends in a call: messages of any kind, in any order."""
    said = b""
    for _ in range(chance.randint(1, 6)):
        kind = chance.choice(
            (MessageKind.REQUEST,) * 4 + (MessageKind.FREE, MessageKind.RESULT, MessageKind.FAILURE, *MessageKind)
        )
        body = {
            MessageKind.REQUEST: lambda: encode(a_request(chance)),
            MessageKind.RESULT: lambda: encode(a_result(chance)),
            MessageKind.FREE: lambda: encode(chance.choice(([], [1], [2**70, -1], "x", [None]))),
            MessageKind.FAILURE: lambda: encode(
                chance.choice((("E\n", "m", "t", False, False), ("E", "m", "t", 1, 0), 3))
            ),
            MessageKind.TOO_LARGE: lambda: chance.choice((b"12", b"-1", b"1_0", b"x", b"", "٣".encode())),
        }.get(kind, lambda: b"")()
        head = Head(kind, chance.choice((0,) * 9 + (7,)), len(body)).packed()
        if chance.random() < 0.1:
            head = head[:8] + struct.pack("<Q", a_number(chance, len(body)) % 2**64)
        if chance.random() < 0.1:
            head = bytes([chance.randrange(256)]) + head[1:]
        said += head + body
    return said[: chance.randint(0, len(said))] if chance.random() < 0.1 else said


def serve(request):
    kind, *_ = checked_request(request, PATCHES, COLUMNS)
    return {"ra": np.arange(3.0)} if kind == "columns" else (3 if kind == "rows" else (-1, 3))


def try_frames(said, pid):
    """Hear what a process says, as a worker does; a `GozenError` is what its user is told."""
    said_of_it = ""
    ours, theirs = socket.socketpair()
    with theirs:
        theirs.sendall(said)
        theirs.shutdown(socket.SHUT_WR)
        child = Child(LIMITS)
        child._running = Conversation(Stopped(pid), ChildSocket(ours, pid, LIMITS), LIMITS)
        child._program = b"program"
        try:
            checked_block(child.call(b"program", "map", None, serve), PATCHES, COLUMNS, LIMITS)
        except BadRequest as error:
            said_of_it = str(error)
        finally:
            child.close()
    first, *others = said_of_it.split("\n")
    assert all(not line or line.startswith("  ") for line in others), "a line that looks like one of the log"
    assert all(line.replace("\t", "").isprintable() for line in (first, *others)), "text that moves the cursor"


def end_with_parent():
    """Have the kernel end this process when its parent crashes."""
    ctypes.CDLL(None).prctl(1, 9, 0, 0, 0)


def main() -> None:
    """Try the messages that the command line names, each from its own seed."""
    seed, first, last = map(int, sys.argv[1:4])
    fence, arrays = Fence(), arrow_values()
    whole = [encode({"a": np.arange(6.0).reshape(2, 3), "s": np.array([("x", 2)], [("n", "U2"), ("v", ">i2", 3)])})]
    whole += [an_arrow(None, one) for one in arrays]
    whole.append(encode({"k": [1], 7: (None, 2.5, 2**70, np.int8(1), "天")}))
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    idle = subprocess.Popen(["sleep", "infinity"], preexec_fn=end_with_parent, **quiet)  # one thread
    try:
        for number in range(first, last):
            sys.stdout.write(f"{number}\n")
            sys.stdout.flush()
            chance = random.Random(f"{seed} {number}")
            kind = chance.random()
            if kind < 0.15:
                try_frames(frames(chance), idle.pid)
                continue
            data = (
                an_array(chance)
                if kind < 0.55
                else an_arrow(chance, chance.choice(arrays))
                if kind < 0.85
                else bytes_changed(chance, whole)
            )
            try_message(fence, data, chance.random() < 0.8, number % 16 == 0)
    finally:
        idle.kill()
        idle.wait()
    print("done")


if __name__ == "__main__":
    main()
