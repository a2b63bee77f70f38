"""Compare regions anywhere on the sky with a test of each position.

Covered: ranges cover the complete region (cones, boxes, polygons, also at the poles and at ra 0); ``contains`` is
correct; ranges are not much larger than the region; the surroundings of a patch contain everything within the margin,
and nothing of the patch.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gozen.catalog.format import healpix
from gozen.quickdb.patches.region import Box, Cone, Pixels, Polygon, SkyRegion, around

ANGLES = st.floats(0, 360, exclude_max=True)
LATITUDES = st.one_of(st.floats(-90, 90), st.sampled_from([-90.0, -89.999, 0.0, 41.8103, 89.99, 90.0]))
SIZES = st.sampled_from([1e-5, 1e-3, 0.1, 2.0, 30.0, 89.0])
SEEDS = st.integers(0, 2**32)


def positions(ra: float, dec: float, size: float, seed: int, count: int = 400) -> tuple[np.ndarray, np.ndarray]:
    """Return positions around one, half of them within `size` degrees and the others anywhere."""
    random = np.random.default_rng(seed)
    far = np.array([random.uniform(0, 360, count // 2), np.degrees(np.arcsin(random.uniform(-1, 1, count // 2)))])
    return tuple(
        np.concatenate([near, other])
        for near, other in zip(
            offset(ra, dec, random.uniform(0, 360, count), random.uniform(0, 1.5 * min(size, 100), count)),
            far,
            strict=True,
        )
    )  # type: ignore[return-value]


def offset(ra: float, dec: float, angle: np.ndarray, distance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return positions at a distance and a position angle, degrees."""
    d, a, b = np.radians(distance), np.radians(angle), np.radians(dec)
    sine = np.clip(np.sin(b) * np.cos(d) + np.cos(b) * np.sin(d) * np.cos(a), -1, 1)
    east = np.arctan2(np.sin(a) * np.sin(d) * np.cos(b), np.cos(d) - np.sin(b) * sine)
    return (ra + np.degrees(east)) % 360, np.degrees(np.arcsin(sine))


def assert_covered(region: SkyRegion, ra: np.ndarray, dec: np.ndarray, inside: np.ndarray) -> None:
    pixel = healpix.pixels(ra, dec)
    ranges = region.ranges()
    assert (ranges[:, 0] < ranges[:, 1]).all()
    assert (ranges[1:, 0] > ranges[:-1, 1]).all()
    assert np.array_equal(region.contains(ra, dec, pixel), inside)
    assert Pixels(ranges).contains(ra, dec, pixel)[inside].all()


@given(ra=ANGLES, dec=LATITUDES, size=SIZES, seed=SEEDS)
@settings(max_examples=60)
def test_cones(ra: float, dec: float, size: float, seed: int) -> None:
    there = positions(ra, dec, size, seed)
    one, others = healpix.unit_vectors(ra, dec), healpix.unit_vectors(*there)
    chord = np.linalg.norm(others - one, axis=1)
    distance = np.degrees(2 * np.arcsin(np.clip(chord / 2, 0, 1)))
    clear = np.abs(distance - size) > 1e-9
    assert_covered(Cone(ra, dec, size), there[0][clear], there[1][clear], (distance <= size)[clear])


@given(ra=ANGLES, width=st.floats(1e-4, 360), dec=LATITUDES, height=st.floats(1e-4, 180), seed=SEEDS)
@settings(max_examples=60)
def test_boxes(ra: float, width: float, dec: float, height: float, seed: int) -> None:
    low, high = max(dec - height / 2, -90.0), min(dec + height / 2, 90.0)
    there = positions(ra + width / 2, (low + high) / 2, max(width, height), seed)
    steps = (there[0] - ra) % 360
    clear = np.minimum(np.abs(steps - width), np.minimum(steps, 360 - steps)) > 1e-9
    inside = (steps < width) & (there[1] >= low) & ((there[1] < high) | (high == 90))
    inside = inside | ((width == 360) & (there[1] >= low) & (there[1] < high))
    assert_covered(Box((ra, ra + width), (low, high)), there[0][clear], there[1][clear], inside[clear])


@given(ra=ANGLES, dec=LATITUDES, size=st.sampled_from([1e-3, 0.1, 2.0, 30.0]), seed=SEEDS, corners=st.integers(3, 9))
@settings(max_examples=60)
def test_polygons_also_concave_ones(ra: float, dec: float, size: float, seed: int, corners: int) -> None:
    random = np.random.default_rng(seed)
    angle = np.arange(corners) * 360 / corners + random.uniform(0, 170 / corners, corners)  # less than 180 apart
    reach = size * random.uniform(0.15, 1, corners)
    edge = offset(ra, dec, angle, reach)
    there = positions(ra, dec, size, seed)
    # Seen from the star's centre each wedge between two corners is a triangle: a position is inside where it is on the
    # centre's side of the great circle through both.
    centre, at, of = healpix.unit_vectors(ra, dec), healpix.unit_vectors(*there), healpix.unit_vectors(*edge)
    inside, clear = np.zeros(len(at), bool), np.ones(len(at), bool)
    for one in range(corners):
        a, b = of[one - 1], of[one]
        sides = [at @ np.cross(centre, a), at @ np.cross(b, centre), at @ np.cross(a, b)]
        sign = np.sign(centre @ np.cross(a, b))
        inside |= np.all([side * sign > 0 for side in sides], axis=0)
        clear &= np.min(np.abs(sides), axis=0) > 1e-12
    inside &= at @ centre > 0
    assert_covered(Polygon(list(zip(*edge, strict=True))), there[0][clear], there[1][clear], inside[clear])


@pytest.mark.parametrize(
    "region",
    [
        Cone(10, 20, 1),
        Cone(0, 90, 0.01),
        Box((359, 1), (-1, 1)),
        Box((0, 360), (89, 90)),
        Box((10, 10.1), (-1, 1)),
        Box((10, 190), (89.9, 90)),
        Box((10, 12), (-90, -50)),
        Polygon([(0, 0), (2, 0), (0, 2)]),
    ],
    ids=str,
)
def test_ranges_are_not_much_more_than_the_region(region: Any) -> None:
    width = np.diff(region.ranges()).sum() / (12 * 4**29) * 41_253
    inside = {Cone: 3.14159 * getattr(region, "radius", 0) ** 2, Polygon: 2.0}.get(type(region), 0)
    if isinstance(region, Box):
        north, south = np.sin(np.radians(region.dec[1])), np.sin(np.radians(region.dec[0]))
        inside = ((region.ra[1] - region.ra[0] - 1e-9) % 360) * np.degrees(north - south)
    assert inside * 0.9 < width < inside * 2


@given(
    order=st.integers(3, 12),
    ra=ANGLES,
    dec=LATITUDES,
    part=st.floats(0, 1),
    arcsec=st.sampled_from([1.0, 5, 60, 900]),
    seed=SEEDS,
)
@settings(max_examples=80)
def test_what_is_around_a_patch(order: int, ra: float, dec: float, part: float, arcsec: float, seed: int) -> None:
    width = 4 ** (29 - order)
    pixel = int(healpix.pixels(ra % 360, dec, order)[0])
    start, stop = pixel * width, pixel * width + max(int(width * part), 1)
    ranges = around(start, stop, arcsec)
    assert (ranges[1:, 0] >= ranges[:-1, 1]).all()
    assert not ((ranges[:, 0] < stop) & (ranges[:, 1] > start)).any()
    random = np.random.default_rng(seed)
    within = random.integers(start, stop, 200)
    from cdshealpix.nested import healpix_to_lonlat

    longitude, latitude = (angle.deg for angle in healpix_to_lonlat(within, 29))
    there = [
        offset(x, y, random.uniform(0, 360, 1), np.array([arcsec / 3600 * 0.999]))
        for x, y in zip(longitude, latitude, strict=True)
    ]
    near = healpix.pixels(*np.concatenate(there, axis=1))
    outside = near[(near < start) | (near >= stop)]
    assert Pixels(ranges).contains(outside, outside, outside).all()
