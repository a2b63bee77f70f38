"""The messages between a worker and a user's function: every plain value is preserved, and no bytes do harm.

Covered: random trees with arrays of random dtypes and shapes; random bytes; and encoded values that were cut, changed
and mixed, which must be refused with a named error or give a plain value. The numbers are in tests/effort.py.
"""

import contextlib
import random

import numpy as np
import pyarrow as pa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from tests.effort import REPEATS, SEED, rounds

from gozen.errors import UnreadableInput
from gozen.quickdb.isolation.codec.wire import decode, encode

KIND = "messages of a hostile function"
RUNS = REPEATS[KIND].now
EXAMPLES = settings(max_examples=RUNS, deadline=None, suppress_health_check=list(HealthCheck))

plain_dtypes = (
    hnp.boolean_dtypes()
    | hnp.integer_dtypes(endianness="?")
    | hnp.floating_dtypes(endianness="?")
    | hnp.complex_number_dtypes(endianness="?")
    | hnp.byte_string_dtypes(min_len=1)
    | hnp.unicode_string_dtypes(min_len=1)
    | hnp.datetime64_dtypes(endianness="?")
    | hnp.timedelta64_dtypes(endianness="?")
)
structures = hnp.array_dtypes(plain_dtypes, allow_subarrays=True)
dtypes = plain_dtypes | structures.filter(lambda one: all(len(field) == 2 for field in one.fields.values()))
arrays = hnp.arrays(dtypes, hnp.array_shapes(min_dims=0, min_side=0, max_side=4))
arrow = st.builds(
    lambda numbers, words: pa.table({"n": numbers, "w": words[: len(numbers)] + [None] * (len(numbers) - len(words))}),
    st.lists(st.none() | st.floats(), max_size=5),
    st.lists(st.none() | st.text(), max_size=5),
)
scalars = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.complex_numbers() | st.text() | st.binary()
)  # fmt: skip
values = st.recursive(
    scalars | arrays | arrow,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(st.text(max_size=3) | st.integers(-(2**63), 2**63 - 1), inner, max_size=4)
    ),
    max_leaves=12,
)


def same(a: object, b: object) -> bool:
    if type(a) is not type(b):
        return False
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, pa.Table):
        return a.schema == b.schema and repr(a.to_pylist()) == repr(b.to_pylist())
    return repr(a) == repr(b)


@EXAMPLES
@given(values)
def test_every_plain_value_comes_back(value):
    assert same(decode(encode(value)), value)


@EXAMPLES
@given(values)
def test_the_same_value_has_the_same_bytes(value):
    assert encode(decode(encode(value))) == encode(value)


@EXAMPLES
@given(st.binary(max_size=400))
def test_random_bytes_are_refused(data):
    try:
        decode(data)
    except UnreadableInput:
        return
    raise AssertionError("random bytes were read")


@EXAMPLES
@given(values, st.data())
def test_changed_bytes_are_refused_or_are_another_value(value, data):
    changed = bytearray(encode([value, np.arange(3)]))
    for _ in range(data.draw(st.integers(1, 6))):
        place = data.draw(st.integers(0, len(changed) - 1))
        match data.draw(st.sampled_from(["set", "cut", "drop", "repeat"])):
            case "set":
                changed[place] = data.draw(st.sampled_from([0, 1, 0x7F, 0x80, 0xFF]) | st.integers(0, 255))
            case "cut" if place:
                del changed[place:]
            case "drop" if len(changed) > 8:
                del changed[place : place + 8]
            case "repeat":
                changed[place:place] = changed[place : place + 64]
    with contextlib.suppress(UnreadableInput):
        encode(decode(bytes(changed)))


CORPUS = [
    encode(
        pa.table({"n": [1.5, None], "w": ["a", None], "l": [[1], None], "d": pa.array(["x", "y"]).dictionary_encode()})
    ),
    encode(
        {
            "a": np.arange(6.0).reshape(2, 3),
            "s": np.array([("x", 2)], [("n", "U2"), ("v", ">i2", 3)]),
            3: [np.int8(1), 2**70],
        }
    ),
    encode({"k": [1], 7: (None, 2.5)}),
]
TAGS = b"NTFiIfcsbzyn[({CRA"
LENGTHS = [0, 1, 2, 4, 8, 0x7F, 0x80, 0xFE, 0xFF]


def test_many_small_changes():
    chance = random.Random(SEED)
    for _ in rounds(KIND):
        for _ in range(50):
            changed = bytearray(chance.choice(CORPUS))
            for _ in range(chance.randint(0, 3)):
                changed[chance.randrange(len(changed))] = chance.choice(LENGTHS)
            tagged = [place for place, byte in enumerate(changed) if byte in TAGS]
            changed[chance.choice(tagged)] = chance.choice(TAGS)
            with contextlib.suppress(UnreadableInput):
                encode(decode(bytes(changed)))
