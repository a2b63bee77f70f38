"""Compare barycentric times with astropy's light travel time, over nights and over the sky; unknown times, uncertainty.

A clock ahead of the installed tables: `tests/services/test_clock_ahead.py`.
"""

from __future__ import annotations

import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from astropy import units
from astropy.coordinates import EarthLocation, SkyCoord
from astropy.time import Time
from astropy.utils import iers

from gozen.instrument.earth_rotation import TableReach, day_length_s, installed_tables, reach, rotation_uncertainty_s
from gozen.instrument.profile import load_profile
from gozen.lightcurves import barycentric_times
from gozen.lightcurves.barycentric_times import bjd_tdb, light_time_uncertainty_s, say_uncertainty, uncertainty

TABLES = TableReach(measured=61_000, predicted=61_365, leap_seconds=61_180, last_ut1_utc_s=-0.2)
PLACE = load_profile("tomoe").site.geocentric_m


def test_it_is_what_astropy_says() -> None:
    rng = np.random.default_rng(5)
    mjd = np.concatenate([61_000 + rng.uniform(0, 0.4, 6), 59_123.9 + rng.uniform(0, 0.4, 6), [58_484.0 + 1e-9]])
    ra, dec = rng.uniform(0, 360, len(mjd)), rng.uniform(-80, 80, len(mjd))
    with installed_tables():
        time = Time(mjd, format="mjd", scale="utc", location=EarthLocation.from_geocentric(*PLACE, unit="m"))
        late = time.light_travel_time(SkyCoord(ra, dec, unit=units.deg), "barycentric", ephemeris="builtin")
        wanted = time.tdb + late
        off = Time(bjd_tdb(mjd, ra, dec, PLACE), format="jd", scale="tdb", location=time.location) - wanted
    assert np.abs(off.to_value(units.s)).max() < 50e-6


def test_what_is_unknown_stays_so() -> None:
    found = bjd_tdb(np.array([np.nan, 61_000.1]), np.zeros(2), np.zeros(2), PLACE)
    assert np.isnan(found).tolist() == [True, False]
    assert len(bjd_tdb(np.empty(0), np.empty(0), np.empty(0), PLACE)) == 0


def test_the_users_own_settings_of_astropy_are_left_as_they_were() -> None:
    def limits() -> list[object]:
        return [iers.conf.auto_download, iers.conf.auto_max_age, iers.conf.iers_degraded_accuracy]

    before = limits()
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda mjd: bjd_tdb(np.full(3, mjd), np.zeros(3), np.zeros(3), PLACE), range(61_000, 61_040)))
    assert limits() == before
    with pytest.raises(KeyError), installed_tables():
        raise KeyError
    assert limits() == before


def test_the_installed_tables_say_how_far_they_reach() -> None:
    tables = reach()
    assert 60_000 < tables.measured < tables.predicted < tables.measured + 500
    with installed_tables():
        _, kind = iers.IERS_Auto.open().ut1_utc(
            2_400_000.5, tables.measured + np.array([-0.5, 1.5]), return_status=True
        )
    assert kind[0] != iers.FROM_IERS_A_PREDICTION
    assert kind[1] == iers.FROM_IERS_A_PREDICTION
    assert tables.leap_seconds > tables.measured
    assert (day_length_s(57_753), day_length_s(57_754)) == (86_401, 86_400)


@pytest.mark.parametrize(
    ("mjd", "seconds"),
    [
        (60_999, 0.0),
        (61_010, 0.0014),  # Bulletin A says 1.4 ms for ten days
        (61_365, 0.0209),
        (61_415, 0.0231 + 0.2),
        (62_500, 1.1),  # leap seconds keep UT1-UTC within 0.9 s, the table goes on with -0.2 s
    ],
)
def test_the_rotation_is_as_uncertain_as_the_tables_are_old(mjd: float, seconds: float) -> None:
    assert rotation_uncertainty_s(mjd, TABLES) == pytest.approx(seconds, rel=0.02)


def test_the_light_time_is_as_uncertain_as_the_place_on_its_circle_of_latitude() -> None:
    # At Kiso's latitude the ground moves by 378 m/s; a wrong rotation of 1.1 s costs 1.4 microseconds.
    assert light_time_uncertainty_s(62_500, PLACE, TABLES) == pytest.approx(1.39e-6, rel=0.01)


def test_what_is_said_of_times_that_are_later_than_the_tables() -> None:
    assert uncertainty(60_999.5, PLACE, TABLES) == ""
    soon = uncertainty(61_040, PLACE, TABLES)
    assert "barycentric times up to 2025-12-31 are uncertain by less than a microsecond" in soon
    assert "measured rotation of the Earth until 2025-11-21" in soon
    assert "leap seconds" not in soon
    late = uncertainty(62_500, PLACE, TABLES)
    assert "uncertain by 1.4 microseconds" in late
    assert "they contain leap seconds until 2026-05-20" in late
    assert "pip install --upgrade astropy-iers-data" in late


def test_a_missing_leap_second_is_reported_though_a_smaller_error_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(barycentric_times, "_warned", set())
    monkeypatch.setattr(barycentric_times, "reach", lambda: TABLES)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for mjd in (60_999, 61_040, 61_041, 62_500, 62_501, 61_042):
            say_uncertainty(mjd, PLACE)
    assert ["leap second" in str(one.message) for one in caught] == [False, True]
