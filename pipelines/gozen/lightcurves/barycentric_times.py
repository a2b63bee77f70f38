"""Barycentric times of many rows, and their uncertainty."""

from __future__ import annotations

import math
import warnings

import numpy as np
from numpy.typing import NDArray

from gozen.catalog.format.healpix import unit_vectors
from gozen.instrument.earth_rotation import TableReach, installed_tables, reach, rotation_uncertainty_s
from gozen.instrument.read_header import utc_of_mjd

FloatArray = NDArray[np.float64]
Place = tuple[float, float, float]

_MJD_ZERO = 2_400_000.5
_PER_DAY = 1440
_LIGHT_M_PER_S = 299_792_458.0
_LIGHT_M_PER_DAY = _LIGHT_M_PER_S * 86_400
_ROTATION_RAD_PER_S = 7.292115e-5
_warned: set[bool] = set()


class UncertainTime(UserWarning):
    """Warning: some times are later than the last measured rotation of the Earth in the installed tables."""


def bjd_tdb(mjd: FloatArray, ra: FloatArray, dec: FloatArray, place_m: Place) -> FloatArray:
    """Convert times of observation at a site to barycentric Julian dates (BJD, TDB).

    The Roemer and Einstein corrections of Eastman, Siverd & Gaudi 2010 (PASP 122, 935) are applied, for a source at
    infinity. The Shapiro correction, up to 20 microseconds, is not. The corrections are computed for each minute and
    interpolated, with an error below 0.1 microseconds.

    Parameters
    ----------
    mjd
        MJD (UTC), shape (N,).
    ra, dec
        ICRS degrees, shape (N,).
    place_m
        Geocentric x, y and z of the site in metres, from `gozen.instrument.profile.Site.geocentric_m`.

    Returns
    -------
    FloatArray
        Barycentric Julian dates (TDB), shape (N,), with a resolution of 40 microseconds (float64); NaN if `mjd` is NaN.
    """
    known = np.isfinite(mjd)
    found = np.full(len(mjd), np.nan)
    if not known.any():
        return found
    minute = mjd[known] * _PER_DAY
    before = np.floor(minute)
    nodes = np.unique(np.concatenate([before, before + 1]))
    late, place = _at(nodes / _PER_DAY, place_m)
    at = np.searchsorted(nodes, before)
    part = (minute - before)[:, None]
    between = place[at] * (1 - part) + place[at + 1] * part
    roemer = (between * unit_vectors(ra[known], dec[known])).sum(axis=1) / _LIGHT_M_PER_DAY
    einstein = late[at] * (1 - part[:, 0]) + late[at + 1] * part[:, 0]
    found[known] = _MJD_ZERO + (mjd[known] + (roemer + einstein))
    return found


def _at(mjd: FloatArray, place_m: Place) -> tuple[FloatArray, FloatArray]:
    """Return TDB - UTC in days, shape (N,), and the site's barycentric position in metres, shape (N, 3)."""
    from astropy import units
    from astropy.coordinates import EarthLocation, get_body_barycentric
    from astropy.time import Time

    location = EarthLocation.from_geocentric(*place_m, unit=units.m)
    with installed_tables():
        time = Time(mjd, format="mjd", scale="utc", location=location)
        # The two parts of the Julian dates are subtracted separately: one float64 has steps of 40 microseconds.
        late = ((time.tdb.jd1 - time.jd1) + (time.tdb.jd2 - time.jd2)).astype(np.float64)
        # This ephemeris is part of astropy; any other is downloaded.
        earth = get_body_barycentric("earth", time, ephemeris="builtin").xyz
        place = (earth + location.get_gcrs(time).cartesian.xyz).to_value(units.m)
    return late, np.ascontiguousarray(place.T)


def light_time_uncertainty_s(mjd: float, place_m: Place, tables: TableReach) -> float:
    """Return the uncertainty of the light travel time at an MJD (UTC) due to the Earth's rotation, seconds.

    If the rotation is wrong by one second, the position of a site on the equator is wrong by 465 m, which is 1.6
    microseconds of light travel time.
    """
    from_axis_m = math.hypot(place_m[0], place_m[1])
    return _ROTATION_RAD_PER_S * from_axis_m * rotation_uncertainty_s(mjd, tables) / _LIGHT_M_PER_S


def uncertainty(mjd: float, place_m: Place, tables: TableReach) -> str:
    """Return a sentence on the uncertainty of times up to an MJD (UTC); empty if the measurements cover them."""
    if mjd <= tables.measured:
        return ""
    light_us = light_time_uncertainty_s(mjd, place_m, tables) * 1e6
    size = f"{light_us:.1f} microseconds" if light_us >= 1 else "less than a microsecond"
    said = (
        f"barycentric times up to {_date(mjd)} are uncertain by {size}: the installed tables contain the measured "
        f"rotation of the Earth until {_date(tables.measured)}"
    )
    if mjd > tables.leap_seconds:
        said += (
            f"; they contain leap seconds until {_date(tables.leap_seconds)}, and a later leap second would make the "
            "times wrong by one second; install newer tables: pip install --upgrade astropy-iers-data"
        )
    return said


def say_uncertainty(mjd: float, place_m: Place) -> None:
    """Warn, once in each process, if times up to an MJD (UTC) are later than the measurements in the tables.

    A separate warning is for times that may lack a leap second, which is a much larger error.
    """
    tables = reach()
    said = uncertainty(mjd, place_m, tables)
    may_lack_leap_second = mjd > tables.leap_seconds
    if said and may_lack_leap_second not in _warned:
        _warned.update({False, may_lack_leap_second})
        warnings.warn(said, UncertainTime, stacklevel=2)


def _date(mjd: float) -> str:
    return f"{utc_of_mjd(mjd):%Y-%m-%d}"
