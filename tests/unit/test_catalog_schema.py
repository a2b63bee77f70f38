"""Test the light-curve columns, the flag bits and Gozen's own ids.

Covered: order, types and units of the columns; further apertures; flag bits in the metadata; rows from arrays (NaN,
masked values, texts); Gozen's ids compared with Gaia's; the same columns in the documentation.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from gozen.catalog.format import healpix, source_ids
from gozen.catalog.format.schema import FLAG_MEANING, Flag, lightcurve_columns, lightcurve_schema, lightcurve_table
from gozen.errors import BadRequest

# Ids that Gaia DR3 gave to real stars: Proxima, Sirius B, Barnard's star, the first of the release, and others.
GAIA = [
    5853498713190525696,
    2947050466531873024,
    4472832130942575872,
    4295806720,
    2769203198763489152,
    6485012608637498112,
]
COLUMNS = (
    "_healpix_29 source_id ra dec ra_meas dec_meas mjd flux flux_err flux_auto mag mag_err limit zp zp_err colour_term "
    "x y flags origin night exposure run sensor frame filter aperture_diameter phot_g_mean_mag bp_rp parallax "
    "pmra pmdec ruwe"
)


def test_the_columns_are_those_of_the_specification() -> None:
    schema = lightcurve_schema()
    assert " ".join(schema.names) == COLUMNS
    assert schema.field("mjd").type == pa.float64()
    assert schema.field("flags").type == pa.uint16()
    assert schema.field("flux").metadata[b"unit"] == b"ADU"


def test_further_apertures_stand_behind_the_calibrated_one() -> None:
    names = lightcurve_schema([30, 10, 30]).names
    assert names[7:14] == ["flux", "flux_err", "flux_10", "flux_err_10", "flux_30", "flux_err_30", "flux_auto"]


def test_the_flag_bits_are_named_in_the_file() -> None:
    bits = lightcurve_schema().field("flags").metadata[b"bits"].decode()
    assert dict(part.split("=") for part in bits.split())["NOT_DETECTED"] == str(Flag.NOT_DETECTED.value)
    assert set(FLAG_MEANING) == set(Flag)
    assert max(Flag) < 2**16


def test_rows_from_arrays_turn_nan_and_masked_values_into_nulls() -> None:
    table = lightcurve_table(
        {
            "mag": np.array([np.nan, 12.5]),
            "source_id": np.ma.masked_array([1, 2**62], [True, False]),
            "origin": ["stack", "frame"],
        }
    )
    assert table.column("mag").to_pylist() == [None, 12.5]
    assert table.column("source_id").to_pylist() == [None, 2**62]
    assert table.column("origin").to_pylist() == ["stack", "frame"]
    assert table.column("zp").null_count == 2


def test_an_unknown_column_is_named() -> None:
    with pytest.raises(BadRequest, match="fluxx"):
        lightcurve_table({"fluxx": np.zeros(2)})


def test_gaia_ids_are_not_ours_and_ours_keep_the_pixel() -> None:
    assert not source_ids.is_own(GAIA).any()
    pixel = np.arange(0, 12 * 4**12, 9_999_991)
    own = source_ids.own_source_id(pixel, np.arange(len(pixel)))
    assert source_ids.is_own(own).all()
    assert (own > 0).all()
    np.testing.assert_array_equal(source_ids.pixel_of(own), pixel)
    np.testing.assert_array_equal(source_ids.number_of(own), np.arange(len(pixel)))


def test_an_id_by_position_never_meets_a_counted_one() -> None:
    ra, dec = np.array([10.0, 10.0000006, 200.0]), np.array([-30.0, -30.0, 89.9999])
    by_position = source_ids.own_id_of_position(ra, dec)
    assert len(set(by_position.tolist())) == 3
    np.testing.assert_array_equal(source_ids.pixel_of(by_position), healpix.pixels(ra, dec, 12))
    assert (source_ids.number_of(by_position) > source_ids.MOST_NUMBERS).all()


def test_the_documentation_lists_every_column_and_flag() -> None:
    text = (Path(__file__).parents[2] / "docs/reference/tables.md").read_text()
    for column in lightcurve_columns([10]):
        assert f"| `{column.name}` | {column.unit or '–'} | {column.type} | {column.meaning} |" in text
    for flag, meaning in FLAG_MEANING.items():
        assert f"| {flag.value} | `{flag.name}` | {meaning} |" in text
