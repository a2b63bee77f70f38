"""Test names of columns as a user writes them.

Covered: columns of objects and of bands; derived magnitudes and their errors; coordinates; a missing band as nulls, as
absent columns of a file, and as absent columns of the table; text; integers with nulls; names that do not exist.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from gozen.errors import ColumnNotFound
from gozen.quickdb.patches.column_definitions import TableColumns
from gozen.quickdb.patches.patch_data import as_array

from ..quickdb_samples import SCHEMA, forced_of, patch_of

TABLE = forced_of(100)


def plain(name: str) -> np.ndarray:
    return TABLE.column(name).to_numpy()


def test_columns_of_objects_and_of_bands_have_dotted_names() -> None:
    patch = patch_of(TABLE)
    assert np.array_equal(patch("forced.ra"), plain("ra"))
    assert np.array_equal(patch("forced.g.psfflux_flux"), plain("g_psfflux_flux"))
    assert patch("forced.g.psfflux_flux").dtype == np.float32
    assert np.array_equal(patch("forced.g_psfflux_flux"), plain("g_psfflux_flux"))
    assert patch("forced.kind").tolist() == TABLE.column("kind").to_pylist()


def test_magnitudes_have_the_zero_points_of_nanojanskys_and_of_the_instrument() -> None:
    patch = patch_of(TABLE)
    flux, error = plain("g_psfflux_flux"), plain("g_psfflux_fluxerr")
    np.testing.assert_allclose(patch("forced.g.psfflux_mag"), 31.4 - 2.5 * np.log10(flux), rtol=1e-6)
    np.testing.assert_allclose(
        patch("forced.g.psfflux_instmag"), 27 - 2.5 * np.log10(plain("g_psfflux_instflux")), rtol=1e-6
    )
    np.testing.assert_allclose(patch("forced.g.psfflux_magerr"), 1.0857362 * error / flux, rtol=1e-6)
    relative = plain("g_psfflux_instfluxerr") / plain("g_psfflux_instflux")
    np.testing.assert_allclose(patch("forced.g.psfflux_instmagerr"), 1.0857362 * relative, rtol=1e-6)


def test_no_magnitude_of_a_flux_that_is_not_positive_and_no_warning() -> None:
    flux = pa.array([-1, 0, 1, None], pa.float32())
    few = TABLE.slice(0, 4).set_column(SCHEMA.get_field_index("g_psfflux_flux"), SCHEMA.field("g_psfflux_flux"), flux)
    with np.errstate(all="raise"):
        found = patch_of(few)("forced.g.psfflux_mag")
    np.testing.assert_allclose(found, [np.nan, np.nan, 31.4, np.nan], rtol=1e-6)


def test_places_are_unit_vectors_and_radians() -> None:
    patch = patch_of(TABLE)
    ra, dec = np.radians(plain("ra")), np.radians(plain("dec"))
    np.testing.assert_allclose(
        patch("forced.coord"), [np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)], atol=1e-15
    )
    assert np.array_equal(patch("forced.coord_ra"), ra)
    assert np.array_equal(patch("forced.coord_dec"), dec)


def test_a_band_without_columns_is_nan_or_false() -> None:
    patch = patch_of(TABLE)
    assert np.isnan(patch("forced.i.psfflux_flux")).all()
    assert np.isnan(patch("forced.i.psfflux_mag")).all()
    assert patch("forced.i.edge").dtype == bool
    assert not patch("forced.i.edge").any()
    assert patch[:7]("forced.i.psfflux_instmag").shape == (7,)


def test_a_band_of_nulls_is_nan_or_false() -> None:
    nulls = [pa.nulls(100, f.type) if f.name.startswith("g_") else TABLE.column(f.name) for f in SCHEMA]
    patch = patch_of(pa.table(nulls, schema=SCHEMA))
    assert np.isnan(patch("forced.g.psfflux_flux")).all()
    assert patch("forced.g.psfflux_flux").dtype == np.float32
    assert np.isnan(patch("forced.g.psfflux_mag")).all()
    assert patch("forced.g.edge").dtype == bool
    assert not patch("forced.g.edge").any()


@pytest.mark.parametrize(
    ("column", "wanted"),
    [
        (pa.chunked_array([pa.array(["a", None]), pa.array(["b"])]), ["a", "", "b"]),
        (pa.chunked_array([pa.array(["a", None, "a"]).dictionary_encode()]), ["a", "", "a"]),
        (pa.chunked_array([pa.array(["a"]).dictionary_encode(), pa.array(["b"]).dictionary_encode()]), ["a", "b"]),
        (pa.chunked_array([], pa.string()), []),
        (pa.chunked_array([], pa.dictionary(pa.int32(), pa.string())), []),
        (pa.chunked_array([pa.array(["x"], pa.large_string())]), ["x"]),
        (pa.chunked_array([pa.array([True, None, False])]), [True, False, False]),
        (pa.chunked_array([pa.array([1, 2], pa.int16())]), [1, 2]),
    ],
)
def test_arrow_columns_as_numpy(column: pa.ChunkedArray, wanted: list[object]) -> None:
    assert as_array(column).tolist() == wanted


def test_integers_with_nulls_become_floats() -> None:
    found = as_array(pa.chunked_array([pa.array([1, None, 3])]))
    np.testing.assert_array_equal(found, [1, np.nan, 3])


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("forced.g.psfflux_fluks", "forced.g.psfflux_flux"),
        ("forced.g.psflux_mag", "forced.g.psfflux_mag"),
        ("forced.coord_rra", "forced.coord_ra"),
        ("forced.x.psfflux_flux", "forced.g.psfflux_flux"),
        ("fored.ra", "no table 'fored'; the tables are forced"),
        ("ra", "no table 'ra'; the tables are forced; the nearest are forced.ra"),
        ("forced.kind_mag", "no column"),
        ("forced.", "no column"),
        ("", "no column"),
        ("lightcurves.flux", "table='lightcurves'"),
    ],
)
def test_a_name_that_does_not_exist_says_the_nearest(name: str, said: str) -> None:
    with pytest.raises(ColumnNotFound) as raised:
        patch_of(TABLE)(name)
    assert said in str(raised.value)


def test_light_curve_magnitudes_of_an_aperture_have_the_calibration_of_mag() -> None:
    numbers = {
        "flux_10": [100, 100, -1, 100],
        "flux": [200, 200, 200, -5],
        "mag": [19.5, 19.6, 19.5, np.nan],
        "zp": [25, 25, 25, 25],
        "colour_term": [0.1, 0.1, 0.1, 0.1],
        "bp_rp": [2, np.nan, 0, 2],
    }
    schema = pa.schema([pa.field(name, pa.float32(), metadata={"unit": "ADU"}) for name in numbers])
    found = TableColumns.of_schema("lightcurves", schema).find("flux_10_mag")
    assert found is not None
    magnitudes = found.make([np.array(numbers[name], np.float32) for name in found.needs], 4)
    half = 2.5 * np.log10(2)
    np.testing.assert_allclose(magnitudes, [19.5 + half, 19.6 + half, np.nan, 20.2], rtol=1e-6)


def test_every_listed_name_is_found() -> None:
    columns = TableColumns.of_schema("forced", SCHEMA)
    assert columns.names()[-1] == "forced.r.psfflux_flux"
    assert all(columns.find(name.removeprefix("forced.")) for name in columns.names())
