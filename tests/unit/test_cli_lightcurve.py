"""Test ``gozen lightcurve``: output, files, and messages for empty results and wrong requests."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gozen.archive.stores.open_store import open_store
from gozen.catalog.format import healpix
from gozen.catalog.format.schema import Flag, lightcurve_table
from gozen.catalog.write.append import append_night
from gozen.cli.call import run

from ..catalog_samples import field_of, rows_of

NIGHT = "20260115"
RA, DEC = 20.61717, 29.97575
FAR = 20.0 / 3600
POINTS = 50
FIELD = field_of(count=3, lone=0)


def identity(ra, dec, number):
    return int(healpix.pixels(np.array([ra]), np.array([dec]), 12)[0]) << 35 | number << 7


STAR, NEIGHBOUR = identity(RA, DEC, 1), identity(RA, DEC + FAR, 2)


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """Return an archive with two stars 20 arcsec apart, 50 points each; one point is saturated, one not detected."""
    folder = tmp_path_factory.mktemp("archive")
    parts = []
    for source, dec in ((STAR, DEC), (NEIGHBOUR, DEC + FAR)):
        flags = np.zeros(POINTS, np.uint16)
        flags[3], flags[4] = Flag.SATURATED, Flag.NOT_DETECTED
        parts.append(
            lightcurve_table(
                {
                    "source_id": np.full(POINTS, source),
                    "ra": np.full(POINTS, RA),
                    "dec": np.full(POINTS, dec),
                    "ra_meas": np.full(POINTS, RA),
                    "dec_meas": np.full(POINTS, dec),
                    "mjd": 61055.5 + np.arange(POINTS) * 0.5 / 86400,
                    "flux": np.full(POINTS, 1000.0),
                    "flux_err": np.full(POINTS, 10.0),
                    "mag": np.full(POINTS, 14.0),
                    "mag_err": np.full(POINTS, 0.01),
                    "flags": flags,
                    "origin": pa.repeat("stack", POINTS),
                    "night": pa.repeat(int(NIGHT), POINTS),
                    "exposure": pa.repeat("00000003", POINTS),
                    "run": pa.repeat("r1", POINTS),
                    "sensor": pa.repeat(111, POINTS),
                    "frame": np.arange(POINTS),
                }
            )
        )
    append_night(open_store(folder), "lightcurves", NIGHT, parts)
    return folder


@pytest.fixture
def look(archive, capsys):
    """Call the verb and return exit code, standard output and standard error."""

    def call(*words, archive=archive):
        code = run(["lightcurve", "--archive", str(archive), *map(str, words)])
        said = capsys.readouterr()
        return code, said.out, " ".join(said.err.split())

    return call


@pytest.fixture(scope="module")
def two_filters(tmp_path_factory):
    """Return an archive with a field in R and V in turn, and an exposure whose header has no filter."""
    folder = tmp_path_factory.mktemp("two-filters")
    store = open_store(folder)
    for number, band in enumerate(("R", "V", "R", None)):
        append_night(store, "lightcurves", 20240101 + number, [rows_of(FIELD, 20240101 + number, "1", filter=band)])
    return folder


def test_each_filter_is_summed_up_and_listed_by_itself(look, two_filters):
    code, out, _ = look("--id", FIELD.source_id[0], archive=two_filters)
    assert code == 0
    lines = [line for line in out.splitlines() if "points in" in line]
    assert ["filter R: 6 points in" in lines[0], "filter V: 3 points in" in lines[1]] == [True, True]
    assert "filter" not in lines[2], lines[2]
    listed = [
        line.split("│")[2].strip() for line in out.splitlines() if line.startswith("│") and "source_id" not in line
    ]
    assert listed == ["R"] * 6 + ["V"] * 3 + [""] * 3


def test_one_filter_can_be_asked_for(look, two_filters):
    star = FIELD.source_id[0]
    _, out, _ = look("--id", star, "--filter", "V", "--csv", archive=two_filters)
    assert {row["filter"] for row in csv.DictReader(io.StringIO(out))} == {"V"}
    _, out, _ = look("--id", star, "--filter", "", "--csv", archive=two_filters)
    assert len(out.splitlines()) == 4
    code, out, err = look("--id", star, "--filter", "r", archive=two_filters)
    assert (code, out) == (0, "")
    assert "none of the 12 points found is in the filter 'r'; there are points in" in err
    assert "'R', 'V'" in err


def test_by_id_with_a_line_that_sums_it_up(look):
    code, out, _ = look("--id", STAR)
    assert code == 0
    assert f"{STAR} at 20.61717 +29.97575: 50 points in 1 exposure, 49 detected, mag 14.000" in out
    assert "flags: saturated, not detected" in out
    assert "61055.500005787" in out
    assert "10 more rows" in out


@pytest.mark.parametrize(
    ("ra", "dec"), [("20.61717", "29.97575"), ("01:22:28.121", "+29:58:32.70"), ("20.61717", "29 58 32.7")]
)
def test_by_place_in_degrees_or_sexagesimal(look, ra, dec):
    code, out, _ = look("--ra", ra, "--dec", dec)
    assert code == 0
    assert f"{STAR} at" in out
    assert str(NEIGHBOUR) not in out


def test_a_wider_circle_has_the_nearest_first(look):
    _, out, _ = look("--ra", RA, "--dec", DEC + 0.9 * FAR, "--radius", 30)
    assert out.index(f"{NEIGHBOUR} at") < out.index(f"{STAR} at")
    assert "(2.00 arcsec away)" in out


def test_nothing_found_is_no_error_and_says_what_is_nearest(look):
    code, out, err = look("--ra", RA, "--dec", DEC + 2 * FAR, "--radius", 5)
    assert (code, out) == (0, "")
    assert f"the nearest is {NEIGHBOUR}, 20.0 arcsec away" in err


def test_a_field_that_is_not_in_the_table_is_said(look):
    code, _, err = look("--ra", 200, "--dec=-45.5")
    assert code == 0
    assert "nor within 10 arcmin: the table lightcurves has 100 rows of 1 night" in err


def test_an_unknown_id_is_said(look):
    code, _, err = look("--id", 5)
    assert code == 0
    assert "no source 5" in err


def test_csv_is_complete_and_alone_on_standard_output(look):
    _, out, _ = look("--id", STAR, "--csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert len(rows) == 50
    assert {"mjd", "flux", "bp_rp", "_healpix_29"} <= set(rows[0])


def test_chosen_columns_of_good_points_as_json(look):
    _, out, _ = look("--id", STAR, "--columns", "frame, flux", "--good", "--json")
    rows = json.loads(out)
    assert [row["frame"] for row in rows] == [frame for frame in range(50) if frame != 3]
    assert set(rows[0]) == {"frame", "flux"}


def test_an_empty_result_is_a_header(look):
    _, out, _ = look("--id", 5, "--csv", "--columns", "mjd,flux")
    assert out.split() == ['"mjd","flux"']


def test_parquet_and_a_plot_in_one_call(look, tmp_path):
    code, _, _ = look("--id", STAR, "--parquet", tmp_path / "star.parquet", "--plot", tmp_path / "star.svg")
    assert code == 0
    assert len(pq.read_table(tmp_path / "star.parquet")) == 50
    assert b"<svg" in (tmp_path / "star.svg").read_bytes()


def test_a_plot_says_where_it_is(look, tmp_path):
    _, out, _ = look("--ra", RA, "--dec", DEC, "--radius", 30, "--plot", tmp_path / "cone.png")
    assert out == f"{tmp_path / 'cone.png'}: 100 points\n"
    assert (tmp_path / "cone.png").read_bytes().startswith(b"\x89PNG")


def test_all_rows_on_request(look):
    _, out, _ = look("--id", STAR, "--rows", 0)
    assert "more rows" not in out
    assert out.count("00000003") == 50


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "either --id, or --ra and --dec"),
        (("--id", 5, "--ra", 1, "--dec", 2), "either --id, or --ra and --dec"),
        (("--ra", 1), "both --ra and --dec"),
        (("--ra", "north", "--dec", 2), "'north' is not a coordinate"),
        (("--ra", 1, "--dec", 95), "dec is 95; it must be from -90 to 90"),
        (("--ra", "nan", "--dec", 5), "ra is nan"),
        (("--id", 5, "--plot", "a.pdf"), "ends in .png or .svg"),
        (("--id", 5, "--columns", "colour"), "no column 'colour'"),
        (("--id", 5, "--csv", "--json"), "one of --csv, --json and --parquet"),
        (("--id", 5, "--radius", -1), "radius"),
    ],
)
def test_wrong_requests_are_refused_by_name(look, words, message):
    code, out, err = look(*words)
    assert (code, out) == (64, "")
    assert err.startswith("gozen: BadRequest:")
    assert message in err


def test_a_missing_table_says_what_to_do(capsys, tmp_path):
    assert run(["lightcurve", "--archive", str(tmp_path), "--id", "5"]) == 65
    assert "`gozen night append` makes it" in capsys.readouterr().err
