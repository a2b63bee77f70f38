"""The digest of a table's rows is the same for any division into parts, and different for other values."""

from __future__ import annotations

import itertools

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gozen.catalog.format.content_digest import digest

KINDS = [pa.string(), pa.binary(), pa.dictionary(pa.int32(), pa.string()), pa.list_(pa.int8())]


@pytest.mark.parametrize("kind", KINDS, ids=str)
@given(texts=st.lists(st.none() | st.text(max_size=4), max_size=12), cuts=st.lists(st.integers(0, 12), max_size=3))
def test_it_does_not_depend_on_the_division_into_parts(
    kind: pa.DataType, texts: list[str | None], cuts: list[int]
) -> None:
    values = [[len(text)] if text is not None and pa.types.is_list(kind) else text for text in texts]
    lengths = [None if text is None else len(text) for text in texts]
    table = pa.table({"a": pa.array(values, kind), "b": pa.array(lengths, pa.int32())})
    places = [0, *sorted(min(cut, len(table)) for cut in cuts), len(table)]
    parts = [table.slice(begin, end - begin) for begin, end in itertools.pairwise(places)]
    assert digest(table.schema, parts) == digest(table.schema, [table])


@pytest.mark.parametrize("others", [["ab", "c", None], ["a", "bc", ""], ["a", "bc"], [None, "a", "bc"]])
def test_other_texts_have_another(others: list[str | None]) -> None:
    schema = pa.schema([("a", pa.string())])
    first, other = (pa.table([pa.array(one, pa.string())], schema) for one in (["a", "bc", None], others))
    assert digest(schema, [first]) != digest(schema, [other])
