"""Observed Tomo-e Gozen fluxes and Gaia G magnitudes in two fields: the zero points, with mismatches clipped."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from gozen.lightcurves.zero_point import StarFluxes, fit_zero_point
from gozen.settings import CalibrationSettings


@pytest.fixture(scope="module")
def fields(observed):
    lines = observed("tomoe/tomoe_pm_gaia_excerpt.csv").read_text().splitlines()
    rows = list(csv.DictReader(line for line in lines if not line.startswith("#")))
    return {
        name: tuple(np.array([float(row[c]) for row in rows if row["subframe"] == name]) for c in ("flux", "g_mag"))
        for name in sorted({row["subframe"] for row in rows})
    }


@pytest.mark.parametrize(("name", "expected"), [("sub571226_095", 24.14), ("sub574511_069", 24.69)])
def test_the_zero_point_of_a_field(fields, name, expected):
    flux, g = fields[name]
    # 5 per cent: what the flat field of that camera and unknown colours leave.
    stars = StarFluxes(flux, 0.05 * np.abs(flux), g, np.full(len(g), np.nan))
    zero = fit_zero_point(stars, CalibrationSettings(), name)
    assert zero.zp == pytest.approx(expected, abs=0.04)
    assert zero.colour_term == 0.0
    assert zero.zp_err < 0.05


def test_obvious_mismatches_are_clipped(fields):
    flux, g = fields["sub574511_069"]
    stars = StarFluxes(flux, 0.05 * np.abs(flux), g, np.full(len(g), np.nan))
    zero = fit_zero_point(stars, CalibrationSettings(), "x")
    away = g + 2.5 * np.log10(np.maximum(flux, 1.0)) - zero.zp
    assert not zero.kept[flux < 0].any()
    assert not zero.kept[np.abs(away) > 0.5].any()
    assert (np.abs(away) > 0.5).sum() >= 2
    assert zero.kept.sum() >= 10
