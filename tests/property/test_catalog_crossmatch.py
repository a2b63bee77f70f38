"""Compare cross-matches with a comparison of all pairs.

Covered: any position on the sky, including the poles and right ascension zero; radii over four decades; crowded and
sparse lists; equal and invalid positions; the nearest match; threads; a table of the archive with small partitions.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from astropy import units
from hypothesis import given, settings
from hypothesis import strategies as st

from gozen.archive.stores.open_store import open_store
from gozen.catalog.match.crossmatch import Matches, crossmatch, crossmatch_table
from gozen.catalog.write.table_options import TableOptions
from gozen.catalog.write.write_table import write_table
from gozen.errors import BadRequest

from ..catalog_samples import object_schema, objects_of

PLACES = [(0.0, 0.0), (359.9999, -30.0), (180.0, 89.9999), (10.0, -90.0), (77.0, 41.81), (300.0, 66.4)]


@pytest.fixture(autouse=True)
def _fast_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do without fsync, which is most of the time here: no test cuts the power."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


def vectors(ra: np.ndarray, dec: np.ndarray) -> np.ndarray:
    alpha, delta = np.radians(ra), np.radians(dec)
    return np.stack([np.cos(delta) * np.cos(alpha), np.cos(delta) * np.sin(alpha), np.sin(delta)], axis=-1)


def all_with_all(ra: np.ndarray, dec: np.ndarray, other_ra: np.ndarray, other_dec: np.ndarray) -> np.ndarray:
    """Return the angle of each pair in arcsec, shape (N, M)."""
    apart = np.linalg.norm(vectors(ra, dec)[:, None] - vectors(other_ra, other_dec)[None], axis=-1)
    return np.degrees(2 * np.arcsin(np.minimum(apart / 2, 1))) * 3600


def around(random: np.random.Generator, place: tuple[float, float], radius: float, count: int) -> tuple:
    """Return positions within some radii (arcsec) of a place, anywhere on the sky."""
    far, angle = radius * random.uniform(0, 6, count) / 3600, random.uniform(0, 2 * np.pi, count)
    alpha, delta = np.radians(place)
    east = np.array([-np.sin(alpha), np.cos(alpha), 0.0])
    north = np.array([-np.sin(delta) * np.cos(alpha), -np.sin(delta) * np.sin(alpha), np.cos(delta)])
    centre = vectors(*map(np.float64, place))
    side = np.cos(angle)[:, None] * east + np.sin(angle)[:, None] * north
    x, y, z = (np.cos(np.radians(far))[:, None] * centre + np.sin(np.radians(far))[:, None] * side).T
    return np.degrees(np.arctan2(y, x)), np.degrees(np.arcsin(np.clip(z, -1, 1)))


@settings(max_examples=30, deadline=None)
@given(
    place=st.one_of(st.sampled_from(PLACES), st.tuples(st.floats(0, 359.99), st.floats(-90, 90))),
    radius=st.sampled_from([0.3, 2.0, 60.0, 3600.0]),
    counts=st.tuples(st.integers(0, 60), st.integers(0, 60)),
    seed=st.integers(0, 1000),
)
def test_every_pair_is_found_and_no_other(
    place: tuple[float, float], radius: float, counts: tuple[int, int], seed: int
) -> None:
    random = np.random.default_rng(seed)
    one, other = around(random, place, radius, counts[0]), around(random, place, radius, counts[1])
    apart = all_with_all(*one, *other)
    if (np.abs(apart - radius) < 1e-7).any():
        return
    found = crossmatch(*one, *other, radius)
    wanted = apart <= radius
    assert set(zip(found.row.tolist(), found.other.tolist(), strict=True)) == set(zip(*np.nonzero(wanted), strict=True))
    assert len(found) == wanted.sum()
    np.testing.assert_allclose(found.separation_arcsec, apart[found.row, found.other], rtol=1e-6, atol=1e-7)
    assert (np.lexsort([found.separation_arcsec, found.row]) == np.arange(len(found))).all()
    first = crossmatch(*one, *other, radius, nearest=True, threads=3)
    assert first.row.tolist() == np.flatnonzero(wanted.any(axis=1)).tolist()
    np.testing.assert_array_equal(first.other, apart.argmin(axis=1)[first.row] if counts[1] else [])


def test_many_fields_over_the_sky_and_threads_give_the_same() -> None:
    random = np.random.default_rng(2)
    fields = [around(random, place, 300.0, 30_000) for place in PLACES]
    ra, dec = (np.concatenate([field[i] for field in fields]) for i in range(2))
    picked = random.permutation(len(ra))[:100_000]
    one, three = (crossmatch(ra[picked], dec[picked], ra, dec, 1.5, threads=n) for n in (1, 3))
    assert len(one) > 100_000
    for name in ("row", "other", "separation_arcsec"):
        np.testing.assert_array_equal(getattr(one, name), getattr(three, name))
    itself = one.separation_arcsec == 0
    assert set(one.row[itself]) == set(range(len(picked)))


def test_what_is_no_position_matches_nothing() -> None:
    ra, dec = np.array([10.0, np.nan, 10.0, -350.0]), np.array([5.0, 5.0, np.inf, 5.0])
    found = crossmatch(ra, dec, ra, dec, 1.0)
    pairs = sorted(zip(found.row.tolist(), found.other.tolist(), strict=True))
    assert pairs == [(0, 0), (0, 3), (3, 0), (3, 3)]
    assert isinstance(found, Matches)
    masked = np.ma.array([10.0, 20.0], mask=[False, True])
    assert crossmatch(np.radians([10.0, 20.0]) * units.rad, [1.0, 2.0] * units.deg, masked, [1.0, 2.0], 1.0).row == [0]


@pytest.mark.parametrize("radius", [0.0, -1.0, 3601.0, np.nan])
def test_a_radius_that_makes_no_sense_is_refused(radius: float) -> None:
    with pytest.raises(BadRequest, match=r"the radius .* is not allowed"):
        crossmatch([1.0], [1.0], [1.0], [1.0], radius)
    with pytest.raises(BadRequest, match="give the same number of both"):
        crossmatch([1.0, 2.0], [1.0], [1.0], [1.0], 1.0)


@pytest.mark.parametrize("place", [(150.0, 2.0), (0.0, 41.81), (45.0, 89.0)])
@pytest.mark.parametrize("radius", [3.0, 900.0])
def test_a_table_gives_the_same_pairs_as_its_rows_in_memory(
    tmp_path: Path, place: tuple[float, float], radius: float
) -> None:
    store, rows = open_store(tmp_path), objects_of(600, ra=place[0], dec=place[1])
    version = write_table(store, "stars", object_schema(), [rows], TableOptions(partition_rows=20))
    assert len(version.partitions) > 30
    random = np.random.default_rng(1)
    ra = np.concatenate([rows["ra"].to_numpy() + random.normal(0, 1 / 3600, 600), [200.0]])
    dec = np.concatenate([rows["dec"].to_numpy() + random.normal(0, 1 / 3600, 600), [-50.0]]).clip(-90, 90)
    found = crossmatch_table(store, "stars", ra, dec, radius, columns=["source_id"])
    wanted = crossmatch(ra, dec, rows["ra"], rows["dec"], radius)
    assert found["row"].to_pylist() == wanted.row.tolist()
    assert sorted(zip(found["row"].to_pylist(), found["source_id"].to_pylist(), strict=True)) == sorted(
        zip(wanted.row.tolist(), rows["source_id"].take(pa.array(wanted.other)).to_pylist(), strict=True)
    )
    first = crossmatch_table(store, "stars", ra, dec, radius, columns=["source_id"], nearest=True)
    assert first["row"].to_pylist() == np.unique(wanted.row).tolist()
    nothing = crossmatch_table(store, "stars", [200.0], [-50.0], radius)
    assert (len(nothing), nothing.column_names[:2]) == (0, ["row", "separation_arcsec"])


def test_a_table_is_matched_by_positions_on_the_sky_only(tmp_path: Path) -> None:
    store, rows = open_store(tmp_path), objects_of(10, ra=150.0, dec=2.0)
    write_table(store, "stars", object_schema(), [rows], TableOptions())
    ra, dec = rows["ra"].to_numpy()[:3], rows["dec"].to_numpy()[:3].copy()
    dec[1] = 92.0
    assert crossmatch_table(store, "stars", ra, dec, 0.001)["row"].to_pylist() == [0, 2]
    with pytest.raises(BadRequest, match="there are 3 right ascensions and 2 declinations"):
        crossmatch_table(store, "stars", ra, dec[:2], 1.0)
