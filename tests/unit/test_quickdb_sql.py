"""Test the analysis of a query: tables, aliases, circles, statements other than SELECT. Answers: tests/services."""

from __future__ import annotations

import pytest

from gozen.errors import BadRequest
from gozen.quickdb.sql.parse_query import Query


@pytest.mark.parametrize(
    ("query", "tables"),
    [
        ("SELECT * FROM forced", {"forced"}),
        ("SELECT * FROM Forced AS f JOIN meas m USING (source_id)", {"Forced", "forced", "meas"}),
        ("WITH bright AS (SELECT * FROM forced) SELECT * FROM bright", {"forced"}),
        ("WITH forced AS (SELECT * FROM forced) SELECT * FROM forced", {"forced"}),
        ("WITH a AS (SELECT 1), b AS (SELECT * FROM a) SELECT * FROM b", set()),
        ("SELECT * FROM (SELECT ra FROM forced) UNION ALL SELECT ra FROM meas", {"forced", "meas"}),
        ("SELECT 'FROM meas', within FROM forced -- FROM other", {"forced"}),
        ("SELECT * FROM read_csv('mine.csv')", set()),
    ],
)
def test_its_tables(query: str, tables: set[str]) -> None:
    assert set(Query(query).tables) == tables


@pytest.mark.parametrize(
    "query", ["DROP TABLE forced", "SELECT 1; SELECT 2", "selec", "", "COPY forced TO 'x'", "SELECT ..."]
)
def test_what_is_no_select_is_refused(query: str) -> None:
    with pytest.raises(BadRequest, match=r"SELECT|SQL") as said:
        Query(query)
    assert str(said.value).replace("\n", " ").isprintable()
