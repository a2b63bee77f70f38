"""Test the simulated survey: positions, ids, counts, colours, pairs, fluxes and flags of its objects.

Covered: the same objects for any split of the work, the stellar locus, errors that grow with magnitude, flags common to
several bands, missing bands, and a brute-force search that finds the true pairs in the rows. Writing the tables:
`tests/services/test_simulate_objects.py`.
"""

import numpy as np
import pyarrow as pa
import pytest
from scipy.spatial import cKDTree

from gozen.catalog.format import healpix, source_ids
from gozen.simulator.objects.colours import BANDS, galaxy_magnitudes, magnitudes, star_colours
from gozen.simulator.objects.survey_objects import (
    COMPANION_ARCSEC,
    FIELDS,
    OBJECTS_PER_TILE,
    missing_bands,
    tile,
    tiles,
)
from gozen.simulator.objects.survey_photometry import DEPTH, NJY_PER_COUNT, PIXEL_FLAGS, forced
from gozen.simulator.objects.survey_tables import WORDS, chunks, object_schema, pairs_of, rows_of
from gozen.simulator.sky.random_streams import stream

SEED = 4
TILES = list(tiles(SEED, 120_000))
SEEN = [(pixel, tile(SEED, pixel).first(count)) for pixel, count in TILES]
ROWS = pa.concat_tables([rows_of(SEED, pixel, seen, "forced") for pixel, seen in SEEN])
STAR = np.concatenate([seen.is_star for _, seen in SEEN])
TRUE = np.concatenate([seen.magnitudes for _, seen in SEEN], axis=1)


def column(name: str) -> np.ndarray:
    """Return a column, NaN where it is null."""
    return ROWS.column(name).cast(pa.float64()).to_numpy()


def magnitude(band: str) -> np.ndarray:
    """Return instrumental magnitudes, NaN where the flux is not positive."""
    flux = column(f"{band}_psfflux_instflux")
    return 27 - 2.5 * np.log10(np.where(flux > 0, flux, np.nan))


def test_so_many_objects_as_asked_for_in_fields_that_grow_in_turns():
    assert sum(count for _, count in TILES) == 120_000 == len(ROWS)
    assert [count > 0.9 * OBJECTS_PER_TILE for _, count in TILES[:-1]] == [True] * (len(TILES) - 1)
    for ra, dec in FIELDS.values():
        near = healpix.separation(ra, dec, column("ra"), column("dec")) < 0.6
        assert 0.15 < near.mean() < 0.35


def test_more_objects_keep_those_that_were_there():
    assert list(tiles(SEED, 300_000))[: len(TILES) - 1] == TILES[:-1]
    assert next(tiles(SEED, 5)) == (TILES[0][0], 5)


def test_the_cut_of_the_work_does_not_matter():
    again = {pixel: rows_of(SEED, pixel, tile(SEED, pixel).first(count), "meas") for pixel, count in TILES[1::-1]}
    first, second = next(made := chunks(SEED, 120_000, "meas")), next(made)
    assert first.equals(again[TILES[0][0]])
    assert second.equals(again[TILES[1][0]])
    assert not second.equals(rows_of(SEED + 1, TILES[1][0], tile(SEED + 1, TILES[1][0]), "meas"))


def test_ids_are_ours_hold_the_pixel_and_are_never_given_twice():
    source_id = ROWS.column("source_id").to_numpy()
    assert len(np.unique(source_id)) == len(ROWS)
    assert source_ids.is_own(source_id).all()
    np.testing.assert_array_equal(source_ids.pixel_of(source_id), healpix.pixels(column("ra"), column("dec"), 12))


def test_the_two_tables_hold_the_same_objects():
    pixel, seen = SEEN[3]
    one, other = (rows_of(SEED, pixel, seen, word) for word in WORDS)
    for name in ("_healpix_29", "source_id", "ra", "dec"):
        assert one.column(name).equals(other.column(name))
    assert object_schema("forced").metadata[b"gozen_bands"] == b"g r i z y"
    assert "i_sdssshape_shape11" in other.column_names


def test_counts_rise_with_the_magnitude_until_detection_ends():
    i = galaxy_magnitudes(stream(1, "test"), 200_000)
    counts = np.histogram(i, np.arange(20, 26))[0]
    np.testing.assert_allclose(np.log10(counts[1:] / counts[:-1])[:-1], 0.33, atol=0.06)
    assert (i > 26.5).mean() < 0.06
    assert 0.06 < STAR.mean() < 0.10


def test_stars_lie_on_one_locus_in_both_planes_of_colour():
    i = np.full(20_000, 20.0)
    g, r, i, z, _ = magnitudes(i, star_colours(stream(1, "test"), i))
    blue, red = (g - r) < 1.1, (r - i) > 0.8
    assert np.std((r - i)[blue] - np.polyval(np.polyfit((g - r)[blue], (r - i)[blue], 2), (g - r)[blue])) < 0.05
    assert np.std((g - r)[red]) < 0.08, "M dwarfs stand at one g-r"
    assert np.corrcoef(r - i, i - z)[0, 1] > 0.98
    assert blue.sum() > 3000 < red.sum()


def test_bright_measured_points_are_stars_and_faint_ones_less_so():
    extended = column("i_extendedness_value")
    for bright, faint, at_most, at_least in ((18, 22, 0.001, 0), (25, 26, 0.6, 0.1)):
        chosen = STAR & (TRUE[2] > bright) & (TRUE[2] < faint)
        assert at_least <= np.nanmean(extended[chosen]) <= at_most
    assert np.nanmean(extended[~STAR & (TRUE[2] < 24)]) > 0.99
    np.testing.assert_array_equal(
        np.isnan(extended), (magnitude("i") != magnitude("i")) | (column("i_cmodel_instflux") <= 0)
    )


@pytest.mark.parametrize("band", BANDS)
def test_errors_follow_the_depth_and_scatter_as_they_say(band):
    number = BANDS.index(band)
    flux, error = column(f"{band}_psfflux_instflux"), column(f"{band}_psfflux_instfluxerr")
    true = 10 ** ((27 - TRUE[number]) / 2.5)
    pull = ((flux - true) / error)[STAR & np.isfinite(flux)]
    assert abs(pull.mean()) < 0.05
    assert 0.95 < pull.std() < 1.05
    faintest = np.nanpercentile(error, 5)
    assert 27 - 2.5 * np.log10(5 * faintest) == pytest.approx(DEPTH[band], abs=0.25)
    np.testing.assert_allclose(column(f"{band}_psfflux_flux"), flux * NJY_PER_COUNT, rtol=1e-6)


def test_noise_makes_some_faint_fluxes_negative():
    negative = {band: float(np.nanmean(column(f"{band}_psfflux_instflux") < 0)) for band in BANDS}
    assert 0.01 < negative["y"] < 0.1
    assert 0 < negative["i"] < negative["y"]


def test_flags_are_rare_and_shared_by_the_bands():
    pixel, seen = SEEN[0]
    bands = forced(SEED, pixel, seen)
    for name in PIXEL_FLAGS:
        rates = [bands[band][f"pixelflags_{name}"].mean() for band in BANDS]
        assert all(0.0005 < rate < 0.06 for rate in rates), name
    g, i = bands["g"]["pixelflags_interpolatedcenter"], bands["i"]["pixelflags_interpolatedcenter"]
    assert (g & i).mean() > 5 * g.mean() * i.mean()
    bright = seen.magnitudes[2] < 17
    assert bands["i"]["pixelflags_saturatedcenter"][bright].all()
    assert 0.88 < column("isprimary").mean() < 0.93


def test_a_band_is_missing_in_whole_pieces_of_the_sky_but_never_i():
    missing = {pixel: missing_bands(SEED, pixel) for pixel in range(16 * 400)}
    share = np.mean([bool(names) for names in missing.values()])
    assert 0.15 < share < 0.35
    assert not any("i" in names for names in missing.values())
    assert any(len(names) == 2 for names in missing.values())
    assert all(missing[pixel] == missing[pixel // 16 * 16] for pixel in missing)
    pixel = next(pixel for pixel, names in missing.items() if "r" in names)
    rows = rows_of(SEED, pixel, tile(SEED, pixel).first(50), "forced")
    assert [rows.column(f"{band}_cmodel_flag").null_count for band in "ri"] == [50, 0]


def test_the_rows_hold_the_true_pairs():
    truth = pairs_of(SEED, 120_000)
    assert 0.003 < len(truth) / len(ROWS) < 0.005
    assert COMPANION_ARCSEC[0] < truth["separation_arcsec"].to_numpy().min()
    assert truth["separation_arcsec"].to_numpy().max() < COMPANION_ARCSEC[1] + 0.01
    i, g_r, r_i = magnitude("i"), magnitude("g") - magnitude("r"), magnitude("r") - magnitude("i")
    rows = np.flatnonzero((i < 22.5) & np.isfinite(g_r) & np.isfinite(r_i))
    tree = cKDTree(healpix.unit_vectors(column("ra")[rows], column("dec")[rows]))
    a, b = rows[tree.query_pairs(np.radians(2 / 3600), output_type="ndarray").T]
    alike = (np.abs(g_r[a] - g_r[b]) < 0.25) & (np.abs(r_i[a] - r_i[b]) < 0.25)
    source_id = ROWS.column("source_id").to_numpy()
    found = {frozenset(pair) for pair in zip(source_id[a[alike]], source_id[b[alike]], strict=True)}
    bright = set(source_id[rows])
    true = {frozenset((x.as_py(), y.as_py())) for x, y in zip(truth["source_id_a"], truth["source_id_b"], strict=True)}
    expected = {pair for pair in true if pair <= bright}
    assert len(expected) > 80
    assert len(found & expected) > 0.97 * len(expected)
    assert len(found) < 2 * len(expected), "chance makes some more"


@pytest.mark.parametrize("word", WORDS)
def test_every_column_says_what_it_is(word):
    for field in object_schema(word):
        assert field.metadata[b"description"], field.name
        assert field.metadata[b"encoding"] in (b"delta", b"split", b"plain", b"dictionary")
