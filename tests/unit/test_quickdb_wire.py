"""What may pass between a worker and a user's function: types and bits are kept, everything else is named.

Covers the round trip of each kind of value, views and orders of arrays, what cannot be encoded and how that is said,
and bytes made by hand to do harm. Random and mutated bytes are in tests/property/test_quickdb_wire.py.
"""

import collections
import struct
import tracemalloc
from functools import partial

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from gozen.errors import FunctionFailed, UnreadableInput
from gozen.quickdb.isolation import reading, writing
from gozen.quickdb.isolation.form import HEAD, MAGIC
from gozen.quickdb.isolation.wire import NotEncodable, decode, encode, parts

STARS = pa.table(
    {
        "flux": pa.array([1.5, None, -0.0], pa.float32()),
        "band": pa.array(["g", "r", None]).dictionary_encode(),
        "place": pa.array([[1, 2], [], None], pa.list_(pa.int64())),
        "flags": pa.array([{"edge": True}, None, {"edge": False}]),
    }
)
UUIDS = pa.ExtensionArray.from_storage(pa.uuid(), pa.array([b"0" * 16], pa.binary(16)))


def nan_with_payload() -> float:
    return struct.unpack("<d", b"\x01\x02\x03\x04\x05\x06\xf8\x7f")[0]


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        False,
        0,
        -1,
        2**63 - 1,
        -(2**63),
        2**63,
        -(2**200) - 1,
        1.5,
        -0.0,
        float("inf"),
        1 - 2j,
        "",
        "Crab 天",
        "\udcff",
        b"",
        b"\x00\xff",
        (),
        [],
        {},
        (1, [2, (3,)], {"a": {7: None}}),
        {"x": 1, 2: "y", np.int64(3): b"z"},
        np.float32(1.5),
        np.bool_(True),
        np.int8(-3),
        np.complex64(1j),
        np.datetime64("2024-01-05T12:00:00", "ns"),
        np.timedelta64(3, "D"),
        np.str_("g"),
        np.bytes_(b"a\x00"),
    ],
    ids=repr,
)
def test_a_value_comes_back_as_it_was(value):
    back = decode(encode(value))
    assert type(back) is type(value)
    assert back == value
    assert repr(back) == repr(value)


def test_the_bits_of_a_nan_are_kept():
    payload = nan_with_payload()
    assert struct.pack("<d", decode(encode(payload))) == struct.pack("<d", payload)
    array = np.array([payload, np.nan])
    assert decode(encode(array)).tobytes() == array.tobytes()


@pytest.mark.parametrize(
    "dtype",
    ["?", "i1", "u2", ">i4", "u8", "f2", "f4", ">f8", "g", "c8", "c16", "S3", "U5", "V4", "M8[ns]", "M8[25us]", "M8",
     "m8[D]", [("a", "f4"), ("b", ">i2", (2, 3)), ("c", [("d", "U2")])],
     {"names": ["x"], "formats": ["i4"], "offsets": [4], "itemsize": 12}],
    ids=str,
)  # fmt: skip
def test_arrays_of_every_plain_dtype(dtype):
    dtype = np.dtype(dtype)
    array = np.frombuffer(bytes(range(dtype.itemsize * 6 % 100)).ljust(dtype.itemsize * 6, b"\0"), dtype).copy()
    if dtype.kind == "U":
        array = np.array(["a", "bc", "", "天", "e", "f"], dtype)
    if dtype.kind == "?":
        array = array.view("u1").astype("?")
    back = decode(encode(array.reshape(2, 3)))
    assert back.dtype == dtype
    assert back.shape == (2, 3)
    assert back.tobytes() == array.tobytes()


@pytest.mark.parametrize(
    "array",
    [
        np.array(3.5),
        np.zeros((0, 3)),
        np.zeros(0, "U4"),
        np.arange(24).reshape(2, 3, 4)[:, ::-1, 1::2],
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.broadcast_to(np.float32(2), (3, 2)),
    ],
    ids=["scalar", "empty", "empty text", "view", "Fortran", "broadcast"],
)
def test_shapes_orders_and_views(array):
    back = decode(encode([array, array]))[1]
    assert back.dtype == array.dtype
    np.testing.assert_array_equal(back, array)
    assert back.flags.f_contiguous == np.ascontiguousarray(array).flags.f_contiguous or array.flags.f_contiguous


def test_arrays_are_views_of_the_bytes_and_aligned():
    data = bytearray(encode({"a": np.arange(3, dtype="i1"), "b": np.arange(5.0)}))
    back = decode(data)
    assert not any(array.flags.owndata for array in back.values())
    origin = np.frombuffer(data, "u1").ctypes.data
    assert all((array.ctypes.data - origin) % 64 == 0 for array in back.values())
    assert back["b"].flags.writeable
    assert not decode(bytes(data))["b"].flags.writeable


def test_encoding_copies_no_array():
    column = np.arange(1000.0)
    assert any(np.shares_memory(np.frombuffer(part, "u1"), column) for part in parts([column]) if len(part) > 1000)


@pytest.mark.parametrize(
    "value",
    [
        STARS,
        STARS.slice(1, 1),
        STARS.slice(0, 0),
        STARS.to_batches()[0],
        STARS["place"],
        pa.array([1, None, 3]),
        pa.array(["x"] * 3).dictionary_encode(),
        pa.chunked_array([], pa.int8()),
        pa.concat_tables([STARS] * 40),
        pa.table({}),
    ],
    ids=["table", "slice", "no rows", "batch", "chunked", "array", "dictionary", "no chunks", "many chunks", "nothing"],
)
def test_arrow_data_come_back_as_they_were(value):
    back = decode(encode({"v": value}))["v"]
    assert type(back) is type(value)
    assert back.equals(value)


class Point(collections.namedtuple("Point", "x y")):
    pass


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ([1, 2, {"x": len}], r"a builtin_function_or_method at \[2\]\['x'\]"),
        ([lambda: 0], r"a function at \[0\], .* return what it computes"),
        ({"a": object()}, r"a object at \['a'\]"),
        (np.array([None]), "an array of dtype object"),
        ([np.array([(1, None)], [("a", "i4"), ("b", "O")])], r"an array of dtype .* at \[0\]"),
        (np.ma.masked_array([1], [True]), r"MaskedArray, .*\(it.data, it.mask\)"),
        (pd.DataFrame({"a": [1]}), "DataFrame, .*pyarrow.Table.from_pandas"),
        (Point(1, 2), r"Point, .*return tuple\(it\)"),
        (collections.Counter("a"), r"Counter, .*return dict\(it\)"),
        ({1, 2}, "set, .*return a list"),
        ({(1, 2): 3}, "a key of type tuple: keys are text or 64-bit integers"),
        ({2**64: 3}, "a key of type int"),
        (pa.scalar(3), "Int64Scalar"),
        (pa.table({"u": UUIDS}), "extension type"),
        (partial(int), "partial"),
    ],
    ids=lambda one: "" if not isinstance(one, str) else one[:20],
)  # fmt: skip
def test_what_is_not_plain_is_named_with_its_place(value, said):
    with pytest.raises(NotEncodable, match=said) as caught:
        encode(value)
    assert isinstance(caught.value, FunctionFailed)


def test_what_contains_itself_is_too_deep():
    value: list[object] = []
    value.append(value)
    with pytest.raises(NotEncodable, match=r"deeper than 64 levels \(at \[0\]\[0\]\[0\]"):
        encode(value)


def message(tree: bytes, memory: bytes = b"") -> bytes:
    return HEAD.pack(MAGIC, len(tree)) + tree + (bytes(-(HEAD.size + len(tree)) % 64) + memory if memory else b"")


def counted(tag: bytes, content: bytes) -> bytes:
    return tag + struct.pack("<Q", len(content)) + content


def array_of(shape: tuple[int, ...], dtype: str) -> bytes:
    return b"C" + struct.pack(f"<Q{len(shape)}Q", len(shape), *shape) + counted(b"d", dtype.encode())


HOSTILE = {
    "nothing": b"",
    "no magic": encode(1).replace(b"GZ", b"XX"),
    "a pickle": b"\x80\x04cos\nsystem\n(S'id'\ntR.",
    "a tree longer than all": HEAD.pack(MAGIC, 2**63) + b"N",
    "a list longer than all": message(b"[" + struct.pack("<Q", 2**62)),
    "a dict longer than all": message(b"{" + struct.pack("<Q", 2**40)),
    "text longer than all": message(b"s" + struct.pack("<Q", 2**62) + b"x"),
    "bytes longer than all": message(b"b" + struct.pack("<Q", 2**64 - 1)),
    "text that is none": message(counted(b"s", b"\xff")),
    "a tag of nobody's": message(b"?"),
    "something after the end": encode(1) + b"N",
    "deeper than is written": message((b"[" + struct.pack("<Q", 1)) * 65 + b"N"),
    "deep": message((b"[" + struct.pack("<Q", 1)) * 100_000 + b"N"),
    "an array longer than all": message(array_of((2**40,), '"<f8"'), b"x"),
    "an array whose size overflows": message(array_of((2**33, 2**33), '"<f8"'), b"x"),
    "an empty array of a vast shape": message(array_of((0, 2**62), '"<f8"')),
    "too many dimensions": message(array_of((1,) * 70, '"<f8"'), b"x" * 8),
    "objects": message(array_of((1,), '"|O8"'), b"x" * 8),
    "objects in a field": message(array_of((1,), '{"size":8,"fields":[["a","|O8",0]]}'), b"x" * 8),
    "objects in commas": message(array_of((1,), '"<f8,O"'), b"x" * 16),
    "a field outside": message(array_of((1,), '{"size":4,"fields":[["a","<f8",0]]}'), b"x" * 8),
    "a field before": message(array_of((1,), '{"size":16,"fields":[["a","<f8",-8]]}'), b"x" * 16),
    "elements of nothing": message(array_of((2**60,), '"|V0"')),
    "vast elements": message(array_of((0,), '["<f8",[999999999,999999999]]')),
    "deep dtype": message(array_of((1,), "[" * 5000 + "]" * 5000)),
    "a list as a key": message(b"{" + struct.pack("<Q", 1) + encode([])[16:] + b"N"),
    "a key that is too long": message(b"{" + struct.pack("<Q", 1) + counted(b"I", b"\1" * 9) + b"N"),
    "a scalar of objects": message(b"n" + counted(b"d", b'"|O8"') + b"x" * 8),
    "Arrow that ends early": message(counted(b"A", b"table") + struct.pack("<Q", 100)),
    "Arrow of no kind": message(counted(b"A", b"pickle") + struct.pack("<Q", 8), bytes(8)),
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_bytes_are_refused_and_cost_nothing(data):
    tracemalloc.start()
    try:
        with pytest.raises(UnreadableInput, match="these bytes are no value"):
            decode(data)
        assert tracemalloc.get_traced_memory()[1] < 8 * len(data) + 300_000
    finally:
        tracemalloc.stop()


def test_trees_have_only_so_many_parts(monkeypatch):
    tree = encode([None] * 100)
    monkeypatch.setattr(reading, "VALUES", 100)
    monkeypatch.setattr(writing, "VALUES", 100)
    assert decode(encode([None] * 99)) == [None] * 99
    with pytest.raises(UnreadableInput, match="too many parts"):
        decode(tree)
    with pytest.raises(NotEncodable, match="give NumPy arrays instead"):
        encode([None] * 100)


def arrow_message(table: pa.Table, **options: object) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as stream:
        for batch in table.to_batches():
            stream.write_batch(batch)
    data = sink.getvalue().to_pybytes()
    return message(counted(b"A", b"table") + struct.pack("<Q", len(data)), data)


def test_compressed_arrow_could_be_a_bomb():
    with pytest.raises(UnreadableInput, match="compressed"):
        decode(arrow_message(pa.table({"zeros": np.zeros(1 << 20)}), compression="zstd"))


def test_a_dictionary_in_pieces_could_grow_with_each_batch():
    grown = [pa.table({"a": pa.DictionaryArray.from_arrays([0], words)}) for words in (["x"], ["x", "y"])]
    with pytest.raises(UnreadableInput, match="dictionary in pieces"):
        decode(arrow_message(pa.concat_tables(grown), emit_dictionary_deltas=True))


def test_extension_types_would_run_what_is_registered_for_their_name():
    with pytest.raises(UnreadableInput, match="extension type"):
        decode(arrow_message(pa.table({"u": UUIDS})))


def test_arrow_columns_that_all_claim_the_same_memory():
    rows, columns = 20_000, 20
    body = rows * 8
    data = bytearray(arrow_message(pa.table({f"c{i}": np.full(rows, i, "f8") for i in range(columns)})))
    for start in range(0, body * columns, body):
        place = data.find(struct.pack("<4q", start, 0, start, body))  # where validity and values of a column stand
        data[place : place + 32] = struct.pack("<4q", 0, 0, 0, body)
    assert decode(data)["c7"].to_pylist() == decode(data)["c0"].to_pylist()
    # The same in as little room as it needs: 20 columns to look through for each one that is sent, or 20 million.
    ends = len(data) - 8 - body * (columns - 1)
    shorter = data[:ends] + data[-8:]
    whole = data.find(struct.pack("<q", body * columns))
    shorter[whole : whole + 8] = struct.pack("<q", body)
    tree = shorter.find(b"table") + 5
    shorter[tree : tree + 8] = struct.pack("<Q", struct.unpack_from("<Q", data, tree)[0] - body * (columns - 1))
    with pytest.raises(UnreadableInput, match="claim the same memory"):
        decode(shorter)


def test_arrow_offsets_that_point_outside():
    text = pa.table({"t": pa.array(["star"] * 4)})
    data = bytearray(arrow_message(text))
    place = data.find(struct.pack("<5i", 0, 4, 8, 12, 16))
    assert place > 0
    data[place + 4 : place + 8] = struct.pack("<i", 2**30)
    with pytest.raises(UnreadableInput):
        decode(data)
