"""Pieces of sky as a user gives them: what is refused, and in which words. What lies inside: tests/property.

Covered: cones, boxes, polygons and MOCs that make no sense, a MOC as text and of mocpy, a region that is empty.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from mocpy import MOC

from gozen.errors import BadRequest
from gozen.quickdb import Box, Cone, Polygon
from gozen.quickdb.region import Pixels, as_region

NAN = float("nan")


@pytest.mark.parametrize(
    ("make", "values"),
    [
        (Cone, (10, 91, 1)),
        (Cone, (10, NAN, 1)),
        (Cone, (NAN, 10, 1)),
        (Cone, (10, 10, 0)),
        (Cone, (10, 10, -1)),
        (Cone, (10, 10, NAN)),
        (Cone, (10, 10, 181)),
        (Box, ((1, 1), (0, 1))),
        (Box, ((1, 2), (1, 0))),
        (Box, ((1, 2), (0, 91))),
        (Box, ((1, 2), (NAN, 1))),
        (Box, ((1, NAN), (0, 1))),
        (Polygon, ([(0, 0), (1, 0)],)),
        (Polygon, ([(0, 0), (1, 0), (0, 0)],)),
        (Polygon, ([(0, 0), (1, 0), (1, 95)],)),
        (Polygon, ([(0, 0), (1, 0), (1, NAN)],)),
        (Polygon, ([(0, 0), (120, 0), (240, 0)],)),
        (Polygon, ([(0, -89), (120, 10), (240, 89)],)),
    ],
)
def test_what_is_no_piece_of_sky_is_refused(make: Any, values: Any) -> None:
    with pytest.raises(BadRequest, match=r"is no (circle|box|polygon)"):
        make(*values)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("5/12-15 x", "is no MOC"),
        ("hello", "is no MOC"),
        ("5/", "is empty"),
        ("", "is no MOC"),
        ((10, 10, 1), "give a Cone, Box or Polygon"),
        (5, "give a Cone, Box or Polygon"),
        (Cone, "give a Cone, Box or Polygon"),
    ],
)
def test_what_is_no_region_says_what_would_be(given: Any, said: str) -> None:
    with pytest.raises(BadRequest, match=said):
        as_region(given)


def test_a_moc_is_its_pixels() -> None:
    wide = 4**24
    for given in ("5/12-15 5/20", MOC.from_string("5/12-15 5/20")):
        assert as_region(given).ranges().tolist() == [[12 * wide, 16 * wide], [20 * wide, 21 * wide]]


def test_regions_that_are_given_come_back() -> None:
    cone = Cone(1, 2, 3)
    assert as_region(cone) is cone
    assert repr(Pixels(np.array([[1, 2], [3, 4]]))) == "Pixels([(1, 2), (3, 4)])"
