"""The installed tables of leap seconds and Earth rotation, used offline, and how far they reach.

Here is the one place that sets astropy's limits on their age aside: what is computed needs no network, and no newer
tables than those that are there.
"""

from __future__ import annotations

import re
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cache
from itertools import pairwise
from pathlib import Path

_MJD_ZERO = date(1858, 11, 17).toordinal()
_DAY_S = 86400
_EXPIRES = re.compile(r"File expires on\s+(\d+ \w+ \d{4})")
_LARGEST_UT1_UTC_S = 0.9
"""Leap seconds keep UT1-UTC below it (ITU-R TF.460-6)."""
_SLOWEST_S_PER_DAY = 0.004
"""By which UT1-UTC has changed at most in a day since 1962 (IERS EOP 20 C04)."""
_ASTROPY = threading.RLock()


@contextmanager
def installed_tables() -> Iterator[None]:
    """Let astropy compute times and places with the tables that are installed, whatever their age.

    Nothing is fetched, refused or warned of meanwhile; `reach` and `rotation_uncertainty_s` say what the age costs. One
    thread at a time: astropy keeps its limits for the whole process.
    """
    from astropy.utils import iers
    from astropy.utils.exceptions import AstropyWarning
    from erfa import ErfaWarning

    with (
        _ASTROPY,
        iers.conf.set_temp("auto_download", False),
        # Astropy refuses predictions older than 30 days, which is what a machine without network has.
        iers.conf.set_temp("auto_max_age", None),
        iers.conf.set_temp("iers_degraded_accuracy", "ignore"),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore", AstropyWarning)
        warnings.simplefilter("ignore", ErfaWarning)
        yield


@dataclass(frozen=True)
class TableReach:
    """How far the installed tables reach.

    Parameters
    ----------
    measured, predicted
        MJD up to which the Earth's rotation is measured, and predicted.
    leap_seconds
        MJD up to which it is known whether there are leap seconds.
    last_ut1_utc_s
        The last prediction, which stands for all later days, seconds.
    """

    measured: float
    predicted: float
    leap_seconds: float
    last_ut1_utc_s: float


@cache
def reach() -> TableReach:
    """Return how far the installed tables reach."""
    from astropy.utils import iers

    with installed_tables():
        table = iers.IERS_Auto.open()
    found = _EXPIRES.search(_leap_seconds())
    # A file that names no end counts as expired long ago: warned of in vain, never missed.
    expires = datetime.strptime(found[1], "%d %B %Y").replace(tzinfo=UTC).toordinal() if found else 0
    return TableReach(
        measured=float(table.meta["predictive_mjd"]) - 1,  # that is the first day of predictions
        predicted=float(table["MJD"][-1].value),
        leap_seconds=float(expires - _MJD_ZERO),
        last_ut1_utc_s=float(table["UT1_UTC"][-1].value),
    )


def rotation_uncertainty_s(mjd: float, tables: TableReach) -> float:
    """Return how far UT1-UTC of the installed tables may be from the truth, seconds.

    Predictions are as good as IERS Bulletin A says, 0.00025 s times the days since to the power of 0.75; after the last
    one it may change by 4 ms a day, up to what leap seconds allow.
    """
    ahead, beyond = max(mjd - tables.measured, 0.0), max(mjd - tables.predicted, 0.0)
    largest = _LARGEST_UT1_UTC_S + abs(tables.last_ut1_utc_s)
    return float(min(0.00025 * ahead**0.75 + _SLOWEST_S_PER_DAY * beyond, largest))


def day_length_s(mjd: int) -> int:
    """Return the seconds of a UTC day: 86,400, or 86,401 where a leap second ends it."""
    return _DAY_S + _leap_days().get(mjd, 0)


@cache
def _leap_days() -> dict[int, int]:
    # Each line gives TAI-UTC from a day on: the day before was the longer one.
    rows = [line.split() for line in _leap_seconds().splitlines() if line.strip() and not line.startswith("#")]
    steps = [(int(float(row[0])), int(row[4])) for row in rows]
    return {day - 1: now - before for (_, before), (day, now) in pairwise(steps)}


@cache
def _leap_seconds() -> str:
    from astropy_iers_data import IERS_LEAP_SECOND_FILE

    return Path(IERS_LEAP_SECOND_FILE).read_text(encoding="utf-8")
