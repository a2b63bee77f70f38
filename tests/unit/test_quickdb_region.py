"""Test regions of sky that a user gives: which are refused, with which messages. Rows inside: tests/property.

Covered: invalid cones, boxes, polygons and MOCs; a MOC as text and from mocpy; an empty region; the edges of boxes, and
boxes that reach or surround a pole.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from mocpy import MOC

from gozen.catalog.format import healpix
from gozen.errors import BadRequest
from gozen.quickdb import Box, Cone, Polygon
from gozen.quickdb.patches.region import Pixels, as_region

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
        (Cone, (400, 10, 1)),
        (Cone, (360, 10, 1)),
        (Cone, (-10, 10, 1)),
        (Box, ((1, 1), (0, 1))),
        (Box, ((1, 2), (1, 0))),
        (Box, ((1, 2), (0, 91))),
        (Box, ((1, 2), (NAN, 1))),
        (Box, ((1, NAN), (0, 1))),
        (Box, ((400, 410), (0, 1))),
        (Box, ((-20, -10), (0, 1))),
        (Box, ((10, -10), (0, 1))),
        (Box, ((5, 400), (0, 1))),
        (Polygon, ([(0, 0), (1, 0)],)),
        (Polygon, ([(0, 0), (1, 0), (0, 0)],)),
        (Polygon, ([(0, 0), (1, 0), (1, 95)],)),
        (Polygon, ([(0, 0), (1, 0), (1, NAN)],)),
        (Polygon, ([(0, 0), (361, 0), (1, 1)],)),
        (Polygon, ([(0, 0), (-1, 0), (1, 1)],)),
        (Polygon, ([(0, 0), (120, 0), (240, 0)],)),
        (Polygon, ([(0, -89), (120, 10), (240, 89)],)),
    ],
)
def test_what_is_no_piece_of_sky_is_refused(make: Any, values: Any) -> None:
    with pytest.raises(BadRequest, match=r"is not a (circle|box|polygon)"):
        make(*values)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("5/12-15 x", "is not a MOC"),
        ("hello", "is not a MOC"),
        ("5/", "is empty"),
        ("", "is not a MOC"),
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


def test_a_box_around_ra_0_may_be_written_in_three_ways() -> None:
    ra, dec = np.array([349.0, 351.0, 0.0, 9.0, 11.0]), np.zeros(5)
    for ends in ((350, 10), (-10, 10), (350, 370)):
        found = Box(ends, (-1, 1)).contains(ra, dec, healpix.pixels(ra, dec))
        assert found.tolist() == [False, True, True, True, False], ends


@pytest.mark.parametrize("ends", [(0, 360), (360, 720), (-360, 0), (10, 370)])
def test_a_full_circle_goes_eastwards(ends: tuple[float, float]) -> None:
    ra = np.arange(0.0, 360.0, 15.0)
    assert Box(ends, (-1, 1)).contains(ra, np.zeros(24), healpix.pixels(ra, np.zeros(24))).all()


@pytest.mark.parametrize("ends", [(360, 0), (0, 0), (360, 360), (5, 5), (370, 10), (-10, 360)])
def test_ends_of_a_box_that_are_the_same_or_too_far_apart_are_no_full_circle(ends: tuple[float, float]) -> None:
    with pytest.raises(BadRequest, match=r"is not a box.*ra=\(0, 360\) is the full circle"):
        Box(ends, (-1, 1))


@pytest.mark.parametrize(
    ("dec", "star", "is_inside"),
    [
        ((-5, 5), (0, 0), True),
        ((-5, 5), (10, 0), False),
        ((-5, 5), (5, -5), True),
        ((-5, 5), (5, 5), False),
        ((80, 89.5), (5, 89.5), False),
        ((80, 89.5), (5, 89.7), False),
        ((80, 90), (5, 90), True),
        ((-90, -80), (5, -90), True),
    ],
)
def test_the_second_edges_of_a_box_are_left_out_and_a_pole_is_none(
    dec: tuple[float, float], star: tuple[float, float], is_inside: bool
) -> None:
    box, (x, y) = Box((0, 10), dec), (np.array([one], float) for one in star)
    pixel = healpix.pixels(x, y)
    assert box.contains(x, y, pixel).tolist() == [is_inside]
    assert Pixels(box.ranges()).contains(x, y, pixel)[0] or not is_inside


@pytest.mark.parametrize("pole", [90, -90])
@pytest.mark.parametrize("west", [0, 43, 89.9, 180, 359])
@pytest.mark.parametrize("width", [0.5, 4, 100, 350, 360])
@pytest.mark.parametrize("height", [1e-3, 1, 40])
def test_a_box_at_a_pole_is_covered_up_to_it(pole: int, west: float, width: float, height: float) -> None:
    box = Box((west, west + width), (pole - height, pole) if pole > 0 else (pole, pole + height))
    ra, away = np.meshgrid(west + width * np.linspace(0.01, 0.99, 30), np.geomspace(1e-9, 0.999 * height, 60))
    there = ra.ravel() % 360, np.sign(pole) * (90 - away.ravel())
    pixel = healpix.pixels(*there)
    assert box.contains(*there, pixel).all()
    assert Pixels(box.ranges()).contains(*there, pixel).all()


def test_regions_that_are_given_come_back() -> None:
    cone = Cone(1, 2, 3)
    assert as_region(cone) is cone
    assert repr(Pixels(np.array([[1, 2], [3, 4]]))) == "Pixels([(1, 2), (3, 4)])"
