"""A clock two years ahead of the installed tables: barycentric times, twilight and an append work without a network.

A separate process has the clock (libfaketime) and prints what it computed; this is compared with astropy's results from
the same tables. Times of headers: `tests/unit/test_header_times.py`, which `make test-all` repeats with this clock.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import warnings
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from tests.suite.ahead import ahead

from gozen.archive.stores.open_store import open_store
from gozen.catalog.write.append import append_night
from gozen.instrument.earth_rotation import installed_tables
from gozen.instrument.profile import load_profile
from gozen.instrument.read_header import mjd_of_utc, night_of_mjd
from gozen.lightcurves.barycentric_times import bjd_tdb
from gozen.quickdb import connect

from ..catalog_samples import field_of, rows_of

ROOT = Path(__file__).parents[2]
SITE = load_profile("tomoe").site
FIELD = field_of()
STAR = int(FIELD.source_id[0])
YEARS_S = 2 * 365 * 86_400


def altitude_of_the_sun(mjd: float) -> float:
    """Return the altitude of the Sun at the site, degrees, as a user computes twilight."""
    from astropy import units
    from astropy.coordinates import AltAz, EarthLocation, get_sun
    from astropy.time import Time

    with installed_tables():
        when = Time(mjd, format="mjd", scale="utc")
        place = EarthLocation.from_geocentric(*SITE.geocentric_m, unit=units.m)
        return float(get_sun(when).transform_to(AltAz(obstime=when, location=place)).alt.deg)


def curve(patch: Any) -> tuple[list[float], list[float]] | None:
    """Return the times of one star, for `map`."""
    mine = patch("lightcurves.source_id") == STAR
    mjd, bjd = patch("lightcurves.mjd")[mine], patch("lightcurves.bjd_tdb")[mine]
    return (mjd.tolist(), bjd.tolist()) if mine.any() else None


def tell(archive: str) -> None:
    """Print what this process makes of tonight, whenever that is."""
    asked: list[str] = []

    def refused(*words: Any, **_: Any) -> None:
        asked.append(str(words))
        raise OSError("no network")

    socket.getaddrinfo = refused  # type: ignore[assignment]
    now = mjd_of_utc(datetime.now(UTC))
    night = night_of_mjd(now, SITE)
    rows = rows_of(FIELD, int(night), "1")
    rows = rows.set_column(rows.schema.get_field_index("mjd"), "mjd", pa.array(now + np.arange(len(rows)) * 1e-6))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        append_night(open_store(archive), "lightcurves", night, [rows])
        api = connect(archive, workers=0)
        found = api.lightcurve(STAR, columns=["mjd", "bjd_tdb"])
        api.lightcurve(STAR, columns=["bjd_tdb"])
        mapped = list(api.map(curve, cache=False))
        altitude = altitude_of_the_sun(now)
    told = {"now": now, "mjd": found["mjd"].to_pylist(), "bjd": found["bjd_tdb"].to_pylist(), "mapped": mapped}
    told |= {"altitude": altitude, "asked": asked, "said": [f"{one.category.__name__}: {one.message}" for one in said]}
    sys.stdout.write(json.dumps(told))


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    archive = tmp_path_factory.mktemp("archive")
    code = f"from tests.services.test_clock_ahead import tell; tell({str(archive)!r})"
    words = ["faketime", "-f", "+2y", sys.executable, "-c", code]
    done = subprocess.run(words, cwd=ROOT, env=ahead(os.environ), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_the_clock_of_the_process_is_two_years_ahead(told: dict[str, Any]) -> None:
    assert told["now"] - mjd_of_utc(datetime.now(UTC)) == pytest.approx(YEARS_S / 86_400, abs=0.01)


def test_a_light_curve_of_tonight_has_the_times_that_these_tables_give(told: dict[str, Any]) -> None:
    from astropy import units
    from astropy.coordinates import EarthLocation, SkyCoord
    from astropy.time import Time

    mjd, bjd = np.array(told["mjd"]), np.array(told["bjd"])
    assert len(mjd) == 3
    with installed_tables():
        time = Time(
            mjd, format="mjd", scale="utc", location=EarthLocation.from_geocentric(*SITE.geocentric_m, unit="m")
        )
        star = SkyCoord(FIELD.ra[0], FIELD.dec[0], unit=units.deg)
        wanted = time.tdb + time.light_travel_time(star, "barycentric", ephemeris="builtin")
        off = Time(bjd, format="jd", scale="tdb", location=time.location) - wanted
    assert np.abs(off.to_value(units.s)).max() < 50e-6
    assert np.array_equal(bjd, bjd_tdb(mjd, np.full(3, FIELD.ra[0]), np.full(3, FIELD.dec[0]), SITE.geocentric_m))


def test_a_function_on_a_patch_sees_the_same_times(told: dict[str, Any]) -> None:
    ((mjd, bjd),) = told["mapped"]
    assert (sorted(mjd), sorted(bjd)) == (told["mjd"], told["bjd"])


def test_twilight_is_computed_and_is_what_it_is_without_the_clock(told: dict[str, Any]) -> None:
    assert told["altitude"] == pytest.approx(altitude_of_the_sun(told["now"]), abs=1e-6)


def test_the_uncertainty_is_said_once_and_nothing_else_is(told: dict[str, Any]) -> None:
    (said,) = told["said"]
    assert said.startswith("UncertainTime: barycentric times up to ")
    assert "microsecond" in said
    assert "contain leap seconds until" in said


def test_nothing_is_asked_of_the_network(told: dict[str, Any]) -> None:
    assert told["asked"] == []
