"""Times at the barycentre of the solar system, for many rows at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gozen.catalog.healpix import unit_vectors

FloatArray = NDArray[np.float64]
Place = tuple[float, float, float]

_MJD_ZERO = 2_400_000.5
_PER_DAY = 1440
_LIGHT_M_PER_DAY = 299_792_458.0 * 86_400


def bjd_tdb(mjd: FloatArray, ra: FloatArray, dec: FloatArray, place_m: Place) -> FloatArray:
    """Return when light that was seen at a site passed the barycentre.

    Corrections are those of Eastman, Siverd & Gaudi 2010 (PASP 122, 935), Roemer's and Einstein's, for a source at
    infinity; Shapiro's, up to 20 microseconds, is left out. They are computed each minute and interpolated, which is
    right to 0.1 microseconds.

    Parameters
    ----------
    mjd
        UTC, shape (N,).
    ra, dec
        ICRS degrees, shape (N,).
    place_m
        Where the camera stands, geocentric, as `gozen.instrument.profile.Site.geocentric_m` says.

    Returns
    -------
    FloatArray
        Barycentric Julian dates (TDB), shape (N,), resolved to 40 microseconds; NaN where `mjd` is.
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
    """Return TDB less UTC in days, shape (N,), and the site's place from the barycentre in metres, shape (N, 3)."""
    from astropy import units
    from astropy.coordinates import EarthLocation, get_body_barycentric
    from astropy.time import Time
    from astropy.utils import iers

    location = EarthLocation.from_geocentric(*place_m, unit=units.m)
    # Without tables from the network the Earth's rotation is known to a second, the place so to half a kilometre.
    with iers.conf.set_temp("auto_download", False), iers.conf.set_temp("iers_degraded_accuracy", "ignore"):
        time = Time(mjd, format="mjd", scale="utc", location=location)
        late = ((time.tdb.jd1 - time.jd1) + (time.tdb.jd2 - time.jd2)).astype(np.float64)
        earth = get_body_barycentric("earth", time, ephemeris="builtin").xyz
        place = (earth + location.get_gcrs(time).cartesian.xyz).to_value(units.m)
    return late, np.ascontiguousarray(place.T)
