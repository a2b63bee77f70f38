"""Barycentric times: against astropy's own light travel time, over nights, over the sky, unknown times."""

from __future__ import annotations

import numpy as np
from astropy import units
from astropy.coordinates import EarthLocation, SkyCoord
from astropy.time import Time
from astropy.utils import iers

from gozen.instrument.profile import load_profile
from gozen.lightcurves.barycentre import bjd_tdb

PLACE = load_profile("tomoe").site.geocentric_m


def test_it_is_what_astropy_says() -> None:
    rng = np.random.default_rng(5)
    mjd = np.concatenate([61_000 + rng.uniform(0, 0.4, 6), 59_123.9 + rng.uniform(0, 0.4, 6), [58_484.0 + 1e-9]])
    ra, dec = rng.uniform(0, 360, len(mjd)), rng.uniform(-80, 80, len(mjd))
    with iers.conf.set_temp("auto_download", False), iers.conf.set_temp("iers_degraded_accuracy", "ignore"):
        time = Time(mjd, format="mjd", scale="utc", location=EarthLocation.from_geocentric(*PLACE, unit="m"))
        late = time.light_travel_time(SkyCoord(ra, dec, unit=units.deg), "barycentric", ephemeris="builtin")
        wanted = time.tdb + late
        off = Time(bjd_tdb(mjd, ra, dec, PLACE), format="jd", scale="tdb", location=time.location) - wanted
    assert np.abs(off.to_value(units.s)).max() < 50e-6


def test_what_is_unknown_stays_so() -> None:
    found = bjd_tdb(np.array([np.nan, 61_000.1]), np.zeros(2), np.zeros(2), PLACE)
    assert np.isnan(found).tolist() == [True, False]
    assert len(bjd_tdb(np.empty(0), np.empty(0), np.empty(0), PLACE)) == 0
