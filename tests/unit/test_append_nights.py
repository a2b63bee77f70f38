"""Test the append of several nights as one step: which nights and commits, the result of each, and the log of each.

What an append does to a table is tested in services/test_catalog_append.
"""

from __future__ import annotations

import io
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from tests.catalog_samples import field_of, rows_of

from gozen.archive import keys
from gozen.archive.commit import put_product, write_commit
from gozen.archive.log.update_log import update_log
from gozen.archive.stores.open_store import Store, open_store
from gozen.errors import BadRequest
from gozen.resources.sky_circle import SkyCircle
from gozen.workflow.append_nights import AppendedNight, AppendRequest, append_nights

from .archive_samples import commit, processing_of, refused

FIELD = field_of()
NIGHTS = ("20240101", "20240102")
ROWS = 3 * len(FIELD.ra)


def staged(store: Store, night: str, exposure: str, run: str = "r1") -> None:
    """Leave the commit of a reduction, and the rows that it staged."""
    one = commit(exposure, night=night, run=run)
    sink = io.BytesIO()
    pq.write_table(rows_of(FIELD, int(night), exposure, run), sink)
    rows = put_product(store, keys.staging(processing_of(one), one.sensor), sink.getvalue())
    one = commit(exposure, night=night, run=run, products={"staging": rows})
    write_commit(store, processing_of(one), one)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Return an archive of two nights with two reduced exposures each, and one that a gate refused."""
    store = open_store(tmp_path)
    for night in NIGHTS:
        for exposure in ("1", "2"):
            staged(store, night, exposure)
    dark = refused(exposure="3", night=NIGHTS[0])
    write_commit(store, processing_of(dark), dark)
    return store


def counts(done: list[AppendedNight]) -> list[tuple[str, tuple[str, ...], int]]:
    return [(one.night, one.exposures, one.report.rows_added) for one in done]


def logged(store: Store) -> list[str]:
    return [night for night in NIGHTS if store.exists(keys.log_table("exposures", night))]


def test_each_night_that_is_named_is_appended_and_logged(store: Store) -> None:
    seen: list[str] = []
    done = append_nights(store, AppendRequest(NIGHTS), finished=lambda one: seen.append(one.night))
    assert counts(done) == [(NIGHTS[0], ("1", "2"), 2 * ROWS), (NIGHTS[1], ("1", "2"), 2 * ROWS)]
    assert done[0].report.version < done[1].report.version
    assert seen == logged(store) == list(NIGHTS)
    again = append_nights(store, AppendRequest(NIGHTS))
    assert [one.report.rows_added for one in again] == [0, 0]


def test_exposures_find_their_nights(store: Store) -> None:
    staged(store, NIGHTS[1], "7")
    done = append_nights(store, AppendRequest(exposures=("7",)))
    assert counts(done) == [(NIGHTS[1], ("7",), ROWS)]
    assert logged(store) == [NIGHTS[1]]


def test_a_circle_and_a_run_choose_among_the_commits(store: Store) -> None:
    staged(store, NIGHTS[0], "2", "r2")
    near, far = SkyCircle(19.7, 29.7, 0.1), SkyCircle(200.0, 29.7, 0.1)
    assert counts(append_nights(store, AppendRequest(NIGHTS[:1], run="r2", region=near))) == [(NIGHTS[0], ("2",), ROWS)]
    with pytest.raises(BadRequest, match="no exposure of the night 20240101 that is selected is reduced"):
        append_nights(store, AppendRequest(NIGHTS[:1], region=far))
    with pytest.raises(BadRequest, match="no selected exposure is reduced"):
        append_nights(store, AppendRequest(region=far))
    # A field of the size of the distance touches it.
    assert append_nights(store, AppendRequest(NIGHTS[1:], region=far, reach_deg=180.0))


def test_a_night_without_rows_is_refused_and_makes_no_table(store: Store) -> None:
    with pytest.raises(BadRequest, match="no exposure of the night 20240103 is reduced in"):
        append_nights(store, AppendRequest(("20240103",)))
    assert store.list("catalogs") == []
    assert logged(store) == []


def test_the_log_of_each_night_is_rebuilt_once_and_never_by_a_part(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    rebuilt: list[str] = []
    monkeypatch.setattr("gozen.archive.log.update_log.rebuild_night", lambda _, night: rebuilt.append(night))
    update_log(store, ["20240102", "20240101", "20240102"])
    assert rebuilt == ["20240101", "20240102"]
    update_log(store, ["20240103"], divided=True)
    assert rebuilt == ["20240101", "20240102"]
