"""Test views of a patch: lazy, nested, with exactly the rows that NumPy would select.

Covered: masks, indices (negative, every integer type), slices, nesting, empty views, wrong masks, the last axis of
``coord``, which columns are read and when, columns that cannot be changed by accident, invalid margins.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gozen.errors import BadRequest

from ..quickdb_samples import Memory, forced_of, patch_of

TABLE = forced_of(300)
RA = TABLE.column("ra").to_numpy()
MASK = np.arange(300) % 3 == 0


@pytest.mark.parametrize(
    "selection",
    [
        MASK,
        MASK.tolist(),
        [5, 1, 1, -1],
        np.array([250, 3], np.uint8),
        np.array([-128, 127], np.int8),
        np.array([299, 0], np.uint64),
        slice(10, 20),
        slice(None, None, -7),
        slice(-5, None),
        slice(290, 1000),
        [],
        np.zeros(300, bool),
    ],
    ids=lambda one: type(one).__name__,
)
def test_a_view_has_the_rows_that_numpy_picks(selection: Any) -> None:
    view = patch_of(TABLE)[selection]
    none = isinstance(selection, list) and not selection
    wanted = RA[:0] if none else RA[selection]
    assert np.array_equal(view("forced.ra"), wanted)
    assert view.size == len(view) == len(wanted)
    assert view("forced.coord").shape == (3, len(wanted))


def test_views_nest() -> None:
    view = patch_of(TABLE)[MASK][10:60][[3, -1, 0]]
    assert np.array_equal(view("forced.ra"), RA[MASK][10:60][[3, -1, 0]])
    assert np.array_equal(view("forced.coord"), patch_of(TABLE)("forced.coord")[:, MASK][:, 10:60][:, [3, -1, 0]])


def test_a_view_knows_its_patch() -> None:
    patch = patch_of(TABLE)
    view = patch[:3]
    assert (view.id, view.healpix) == (patch.id, patch.healpix) == ("0/0/0", (0, 12 << 58))
    assert view.region.contains(RA[:1], RA[:1], np.array([0, 5])).all()
    assert repr(view) == "<patch 0/0/0: 3 rows>"


@pytest.mark.parametrize(
    ("selection", "said"),
    [
        (np.ones(299, bool), "the mask has shape"),
        (np.ones((300, 1), bool), "the mask has shape"),
        ([0.5], "float64"),
        (7, "list of integers"),
        ([[1, 2]], "list of integers"),
        ([0, 300], "row 300"),
        ([0, -301], "row -301"),
        (["forced.ra"], "mask, integers or a slice"),
    ],
    ids=lambda one: type(one).__name__,
)
def test_a_selection_that_picks_no_rows_is_an_index_error(selection: object, said: str) -> None:
    with pytest.raises(IndexError, match=said):
        patch_of(TABLE)[selection]


def test_nothing_is_read_before_it_is_asked_for_and_nothing_twice() -> None:
    source = Memory({"forced": TABLE})
    patch = patch_of(TABLE, source)[MASK]
    assert source.asked == []
    patch("forced.ra"), patch[:3]("forced.ra"), patch("forced.coord"), patch("forced.coord_ra")
    assert source.asked == [("forced", ("ra",)), ("forced", ("dec",))]


def test_what_is_expected_comes_with_the_first_column() -> None:
    source = Memory({"forced": TABLE})
    patch = patch_of(TABLE, source, {"forced": ["ra", "dec"]})
    patch("forced.kind"), patch("forced.dec")
    assert source.asked == [("forced", ("ra", "dec", "kind"))]


@pytest.mark.parametrize("name", ["forced.ra", "forced.g.psfflux_mag", "forced.coord", "forced.i.psfflux_mag"])
@pytest.mark.parametrize("view", [slice(None), MASK], ids=["all", "mask"])
def test_a_column_that_is_changed_by_accident_does_not_come_back_changed(name: str, view: object) -> None:
    patch = patch_of(TABLE)[view]
    before = patch(name).copy()
    with pytest.raises(ValueError, match="read-only"):
        patch(name)[...] = 0
    np.testing.assert_array_equal(patch(name), before)


@pytest.mark.parametrize("arcsec", [0, -1, 1e-300, 0.0009, 3601, float("nan")])
def test_a_margin_has_a_sensible_width(arcsec: float) -> None:
    with pytest.raises(BadRequest, match=r"0\.001 to 3600 arcsec"):
        patch_of(TABLE).margin(arcsec)
