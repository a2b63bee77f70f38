"""Test the values that may pass between a worker and a user's function: types and bits are kept, others are refused.

Covered: the round trip of each kind of value, views and orders of arrays, values that cannot be encoded and their
messages, and malicious bytes made by hand. Random and mutated bytes are in tests/property/test_quickdb_wire.py.
"""

import collections
import decimal
import functools
import json
import struct
import tracemalloc
from functools import partial

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from gozen.errors import FunctionFailed, UnreadableInput
from gozen.quickdb.isolation.codec import decode as reading
from gozen.quickdb.isolation.codec import dtypes
from gozen.quickdb.isolation.codec import encode as writing
from gozen.quickdb.isolation.codec.form import HEAD, MAGIC
from gozen.quickdb.isolation.codec.wire import NotEncodable, decode, encode, parts

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
        (frozenset({1}), "frozenset, .*return a list"),
        (bytearray(b"x"), r"bytearray, .*return bytes\(it\)"),
        (np.array([(1, 2.0)], "i4,f8").view(np.recarray), r"recarray, .*return numpy.array\(it, subok=False\)"),
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
    "many empty rows": message(array_of((2**17, 0), '"<f8"')),
    "many empty rows of a dtype": message(array_of((2, 0), '["<f8",[32769]]')),
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
    with pytest.raises(UnreadableInput):
        decode(data)  # what is imported for it is not counted
    tracemalloc.start()
    try:
        with pytest.raises(UnreadableInput, match="an encoded value cannot be decoded"):
            decode(data)
        assert tracemalloc.get_traced_memory()[1] < 8 * len(data) + 300_000
    finally:
        tracemalloc.stop()


def test_an_array_without_elements_has_few_rows():
    assert decode(encode(np.zeros((1000, 0)))).shape == (1000, 0)
    with pytest.raises(
        NotEncodable, match=r"an empty array of shape \(100000, 0\): return an empty array of shape \(0,\)"
    ):
        encode(np.zeros((100_000, 0)))


def test_trees_have_only_so_many_parts(monkeypatch):
    tree = encode([None] * 100)
    monkeypatch.setattr(reading, "VALUES", 100)
    monkeypatch.setattr(writing, "VALUES", 100)
    assert decode(encode([None] * 99)) == [None] * 99
    with pytest.raises(UnreadableInput, match="too many parts"):
        decode(tree)
    with pytest.raises(NotEncodable, match="return NumPy arrays instead"):
        encode([None] * 100)


def field(name: str, kind: str, offset: object) -> str:
    return f'["{name}",{kind},{offset}]'


def fields(size: object, *each: str) -> str:
    return f'{{"size":{size},"fields":[{",".join(each)}]}}'


INNER = f"{2**31 - 8}"


@pytest.mark.parametrize(
    "dtype",
    [
        fields(8, field("a", f'"|V{INNER}"', 16)),  # 16 + 2**31 - 8 is below 0 in 32 bits
        fields(8, field("a", f'"|S{INNER}"', 16)),
        fields(8, field("a", f'["|u1",[{INNER}]]', 16)),
        fields(8, field("a", fields(INNER, field("b", f'"|V{INNER}"', 0)), 16)),
        "[" + fields(8, field("a", fields(INNER, field("b", '"<i8"', 2**30)), 16)) + ",[2]]",
        fields(8, field("a", '"<i8"', 2**32)),
        fields(8, field("a", '"<i8"', 2**64)),
        fields(8, field("a", '"<i8"', 0.5)),
        fields(8, field("a", '"<i8"', "true")),
        fields("8.0", field("a", '"<i8"', 0)),
        fields(2**40, field("a", '"<i8"', 0)),
        fields(8, field("a", '"<i4"', 0), field("a", '"<i4"', 4)),
        fields(8, *(field(f"f{i}", '"<i8"', 0) for i in range(1000))),
        f'"<U{2**29}"',
        '"<M8[0s]"',
        '"|V0"',
        f'["|u1",[0,{2**40}]]',
        f'["|u1",[{2**16},{2**16}]]',
        '["|u1",[-1]]',
        '["|u1",[true]]',
        '["|u1"]',
        "3",
        "null",
        '{"size":8}',
        "[" * 17 + '"|u1"' + ",[1]]" * 17,
        '"' + "x" * 70_000 + '"',
    ],
    ids=lambda one: one[:60],
)
def test_every_number_of_a_dtype_is_checked_before_numpy_hears_of_it(dtype, monkeypatch):
    asked = []
    monkeypatch.setattr(dtypes, "_made", lambda described: asked.append(described))
    for head in (array_of((1,), dtype), b"n" + counted(b"d", dtype.encode())):
        with pytest.raises(UnreadableInput, match="an encoded value cannot be decoded"):
            decode(message(head, b"x" * 64))
    assert asked == []


@pytest.mark.parametrize(
    ("dtype", "said"),
    [
        (
            np.dtype({"names": ["a"], "formats": [f"V{INNER}"], "offsets": [16], "itemsize": 8}),
            "extends beyond its element",
        ),
        (np.dtype([(("title", "a"), "i4")]), "a field with a title"),
        (np.dtype([("a", "S0"), ("b", "i4")]), "not one of numbers, text, bytes or times"),
    ],
    ids=["outside", "title", "nothing"],
)
def test_what_would_be_refused_is_not_sent(dtype, said):
    with pytest.raises(NotEncodable, match=said):
        encode({"x": np.ndarray((0,), dtype)})


def test_what_is_refused_is_not_quoted():
    for data in (message(b"C" + counted(b"d", b'"secret\x1b[31m"')), message(array_of((1,), '"secret\x1b[31m"'))):
        with pytest.raises(UnreadableInput) as caught:
            decode(data)
        assert "secret" not in str(caught.value)


def test_text_that_cannot_be_shown_is_refused_where_it_will_be():
    inside = np.frombuffer(b"\0" + b"\0\x11\0\0" * 2, [("a", "i1"), ("t", ">U2")])
    for array in (np.array([0x110000], "<u4").view("<U1"), inside):
        decode(encode(array))
        with pytest.raises(UnreadableInput, match="Unicode does not define"):
            decode(encode(array), shown=True)
    assert decode(encode(np.array("天")), shown=True) == "天"


@pytest.mark.parametrize(
    "value", [np.zeros(2), np.float32(1), np.str_("x"), STARS], ids=["array", "scalar", "text", "Arrow"]
)
def test_questions_hold_neither_numpy_nor_arrow(value):
    with pytest.raises(UnreadableInput, match="is not the tag of a value"):
        decode(encode([value]), plain=True)


ARROW = {
    "table": STARS,
    "batch": STARS.to_batches()[0],
    "array": pa.array([1, None, 3]),
    "no columns": STARS.select([]),
    "nothing known": pa.table({"n": pa.nulls(5)}, metadata={"a": "b"}),
    "decimals": pa.array([decimal.Decimal("1.5"), None], pa.decimal128(5, 2)),
    "times": pa.array([{"t": 1, "d": 2}, None], pa.struct({"t": pa.timestamp("ns", "UTC"), "d": pa.time32("s")})),
    "maps": pa.array([[("a", 1)], None, []], pa.map_(pa.string(), pa.int64())),
    "words of pandas": pa.array(pd.Categorical(["g", None, "r"])),
    "pairs": pa.array([[1, 2], None, [3, 4]], pa.list_(pa.int16(), 2)),
    "words": pa.array([["x", "yy"], None], pa.large_list(pa.large_string())),
    "bytes": pa.array([b"abc", None], pa.binary(3)),
    "nested": pa.array([{"a": [{"b": ["x"]}, None]}, None]).slice(1),
    "sliced": pa.array([True, None, False] * 5).slice(3, 9),
    "two dictionaries": pa.chunked_array([pa.array(["a"]).dictionary_encode(), pa.array(["b"]).dictionary_encode()]),
}  # fmt: skip


@pytest.mark.parametrize("value", ARROW.values(), ids=ARROW.keys())
def test_arrow_data_of_every_kind_come_back(value):
    back = decode(encode(value))
    assert type(back) is type(value)
    assert back.equals(value)
    assert len(back) == len(value)
    assert getattr(back, "schema", None) == getattr(value, "schema", None)


@pytest.mark.parametrize("shape", [(1000, 0), (0, 1000), (2**31 - 1, 0), (100, 0, 100)], ids=str)
@pytest.mark.parametrize("what", ["beside", "inside", "structs"])
def test_elements_of_no_bytes_are_not_many_as_all_are_walked_through_when_they_are_shown(shape, what):
    nothing = {"size": 0, "fields": []}
    empty = {
        "beside": ["|i1", list(shape)],
        "inside": {"size": 0, "fields": [["a", ["|i1", list(shape)], 0]]},
        "structs": [nothing, [max(one, 1) for one in shape]],
    }[what]
    described = {"size": 1, "fields": [["e", empty, 0], ["x", "|i1", 0]]}
    with pytest.raises(ValueError, match="too many of its fields overlap"):
        dtypes.read_dtype(json.dumps(described).encode())


def test_a_few_elements_of_no_bytes_come_back():
    array = np.zeros(2, [("a", "f4", (0,)), ("b", "i1", (0, 3)), ("c", [("d", "f4", (0,))], (2,)), ("e", "i4")])
    back = decode(encode(array))
    assert back.dtype == array.dtype
    assert repr(back) == repr(array)


def test_where_nothing_is_known_no_index_lies_outside_of_its_dictionary():
    """Arrow looks them up, too: to bring dictionaries together it would read far from them."""
    far = [np.array([0, 1 << 30, -(1 << 30), 1], "<i4"), np.frombuffer(b"\x09", np.uint8)]
    kind = pa.dictionary(pa.int32(), pa.string())
    hostile = pa.DictionaryArray.from_buffers(
        kind, 4, [pa.py_buffer(far[1]), pa.py_buffer(far[0])], pa.array(["a", "b"])
    )
    back = decode(encode(pa.table({"w": pa.chunked_array([pa.array(["c"]).dictionary_encode(), hostile])})))
    assert back["w"].to_pylist() == ["c", "a", None, None, "b"]
    indices = np.frombuffer(back["w"].chunk(1).indices.buffers()[1], "<i4")
    assert indices.min() >= 0
    assert indices.max() < 2
    assert back.unify_dictionaries()["w"].to_pylist() == ["c", "a", None, None, "b"]


def test_a_value_that_takes_too_long_to_read_is_refused():
    data = encode([None] * 1000)
    assert decode(data, seconds=60.0) == [None] * 1000
    with pytest.raises(UnreadableInput, match="it takes too long to read"):
        decode(data, seconds=-1.0)


def test_a_dictionary_that_chunks_share_is_sent_once():
    words = pa.array([f"star {i}" for i in range(10_000)])
    chunks = [pa.DictionaryArray.from_arrays(pa.array([i], "i4"), words) for i in range(50)]
    data = encode(pa.chunked_array(chunks))
    assert len(data) < 3 * words.nbytes
    assert decode(data).to_pylist() == [f"star {i}" for i in range(50)]


def test_a_slice_of_arrow_data_takes_what_it_needs():
    whole = pa.table({"x": np.arange(100_000.0), "w": ["star"] * 100_000, "l": [[1, 2]] * 100_000})
    assert len(encode(whole.slice(50_000, 10))) < 4000


@pytest.mark.parametrize(
    "value",
    [
        pa.UnionArray.from_dense(pa.array([0], "i1"), pa.array([0], "i4"), [pa.array([1])]),
        pa.UnionArray.from_sparse(pa.array([0], "i1"), [pa.array([1])]),
        pa.array(["x"], pa.string_view()),
        pa.array([[1]], pa.list_view(pa.int8())),
        pa.RunEndEncodedArray.from_arrays([2], [1]),
        UUIDS,
        pa.table({"a": [1]}, schema=pa.schema([pa.field("a", "i8", metadata={"ARROW:extension:name": "x"})])),
    ],
    ids=["dense", "sparse", "view", "list view", "runs", "extension", "extension in metadata"],
)
def test_arrow_types_that_are_not_allowed_are_named(value):
    with pytest.raises(NotEncodable, match=r"Arrow data with .* at \['v'\]: give plain Arrow types"):
        encode({"v": value})


BYTES = np.zeros(64, np.uint8)


def one_column(kind: object, chunk: object, rows: int = 4) -> tuple[object, ...]:
    return ("chunked", ([("", kind, True, None)], None), rows, [[chunk]])


def ints(*values: int) -> np.ndarray:
    return np.array(values, "<i4").view("u1")


TEXT, LIST, INT = ("string",), ("list_", ("x", ("int64",), True, None)), ("int64",)
WORDS = (2, None, [ints(0, 1, 2), BYTES], [], None)
HOSTILE_ARROW = {
    "buffer too short": one_column(INT, (4, None, [BYTES[:31]], [], None)),
    "bitmap too short": one_column(INT, (4, BYTES[:0], [BYTES], [], None)),
    "no buffer": one_column(INT, (4, None, [], [], None)),
    "buffer of numbers": one_column(INT, (4, None, [np.zeros(4)], [], None)),
    "length below 0": one_column(INT, (-4, None, [BYTES], [], None), -4),
    "length of 64 bits": one_column(("bool_",), (2**63 - 1, None, [BYTES], [], None), 2**63 - 1),
    "other length": one_column(INT, (4, None, [BYTES], [], None), 5),
    "offsets outside": one_column(TEXT, (4, None, [ints(0, 1, 2, 3, 2**30), BYTES], [], None)),
    "offsets that fall": one_column(TEXT, (4, None, [ints(0, 60, 2, 3, 4), BYTES], [], None)),
    "offsets below 0": one_column(TEXT, (4, None, [ints(-9, 0, 0, 0, 0), BYTES], [], None)),
    "no offsets": one_column(TEXT, (4, None, [ints(0), BYTES], [], None)),
    "not UTF-8": one_column(TEXT, (4, None, [ints(0, 1, 2, 3, 4), BYTES + 255], [], None)),
    "list outside": one_column(LIST, (4, None, [ints(0, 1, 2, 3, 4)], [(3, None, [BYTES], [], None)], None)),
    "list without child": one_column(LIST, (4, None, [ints(0, 1, 2, 3, 4)], [], None)),
    "fixed list outside": one_column(
        ("fixed_size_list", ("x", INT, True, None), 2**31 - 1), (4, None, [], [(4, None, [BYTES], [], None)], None)
    ),
    "struct of two lengths": one_column(
        ("struct", [("a", INT, True, None)]), (4, None, [], [(3, None, [BYTES], [], None)], None)
    ),
    "word outside": one_column(("dictionary", ("int32",), TEXT, False), (4, None, [ints(0, 1, 2, 0)], [], WORDS)),
    "word below 0": one_column(("dictionary", ("int32",), TEXT, False), (4, None, [ints(0, 1, -1, 0)], [], WORDS)),
    "dictionary of floats": one_column(("dictionary", ("float64",), TEXT, False), (4, None, [BYTES], [], WORDS)),
    "dictionary of dictionaries": one_column(
        ("dictionary", ("int32",), ("dictionary", ("int32",), TEXT, False), False),
        (4, None, [ints(0, 0, 0, 0)], [], (1, None, [ints(0)], [], WORDS)),
    ),
    "dictionary of nulls": one_column(
        ("dictionary", ("int32",), ("null",), False), (4, None, [ints(0, 0, 0, 0)], [], (1, None, [], [], None))
    ),
    "map of keys that are null": one_column(
        ("map_", ("k", TEXT, True, None), ("v", INT, True, None), False),
        (1, None, [ints(0, 2)], [(2, BYTES, [ints(0, 1, 2), BYTES], [], None), (2, None, [BYTES], [], None)], None),
        1,
    ),
    "map without keys": one_column(
        ("map_", ("k", ("null",), True, None), ("v", INT, True, None), False),
        (1, None, [ints(0, 2)], [(2, None, [], [], None), (2, None, [BYTES], [], None)], None),
        1,
    ),
    "no dictionary": one_column(("dictionary", ("int32",), TEXT, False), (4, None, [BYTES], [], None)),
    "elements of nothing": one_column(("null",), (2**39, None, [], [], None), 2**39),
    "structs of nothing": one_column(("struct", []), (2**39, None, [], [], None), 2**39),
    "bytes of nothing": one_column(("fixed_size_binary", 0), (2**39, None, [BYTES], [], None), 2**39),
    "lists of nothing": one_column(
        ("fixed_size_list", ("x", INT, True, None), 0), (2**39, None, [], [(0, None, [BYTES], [], None)], None), 2**39
    ),
    "rows of nothing": ("table", ([], None), 2**39, []),
    "union": one_column(("dense_union", []), (4, None, [BYTES], [], None)),
    "view": one_column(("string_view",), (4, None, [BYTES], [], None)),
    "extension": ("chunked", ([("", INT, True, [(b"ARROW:extension:name", b"x")])], None), 4,
                  [[(4, None, [BYTES], [], None)]]),
    "decimal of a vast scale": one_column(("decimal128", 5, 2**31 - 1), (4, None, [BYTES], [], None)),
    "decimal of too many digits": one_column(("decimal128", 1, 0), (4, None, [BYTES + 9], [], None)),
    "zone of escapes": one_column(("timestamp", "s", "\x1b[31m"), (4, None, [BYTES], [], None)),
    "type of 64 bits": one_column(("fixed_size_binary", 2**63), (4, None, [BYTES], [], None)),
    "deep type": one_column(functools.reduce(lambda inner, _: ("list_", ("x", inner, True, None)), range(26), INT), ()),
    "batch in pieces": ("batch", ([("", INT, True, None)], None), 8, [[(4, None, [BYTES], [], None)] * 2]),
    "not a kind": ("pickle", ([], None), 0, []),
    "not parts": 7,
}  # fmt: skip


@pytest.mark.parametrize("described", HOSTILE_ARROW.values(), ids=HOSTILE_ARROW.keys())
def test_arrow_hears_of_nothing_that_the_bytes_do_not_hold(described):
    tree = encode(described)
    (length,) = struct.unpack_from("<Q", tree, 8)
    data = HEAD.pack(MAGIC, length + 1) + b"A" + tree[HEAD.size : HEAD.size + length]
    start = HEAD.size + length + -(HEAD.size + length) % 64
    data += bytes(-len(data) % 64) + tree[start:] if tree[start:] else b""
    with pytest.raises(UnreadableInput, match="an encoded value cannot be decoded"):
        decode(data)
