"""Use the installed tables of leap seconds and Earth rotation offline, and report the dates that they cover.

Only this module disables astropy's limits on the age of these tables: no computation needs a network or newer tables.
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
"""Limit of UT1-UTC, which leap seconds keep (ITU-R TF.460-6)."""
_SLOWEST_S_PER_DAY = 0.004
"""Largest change of UT1-UTC in a day since 1962 (IERS EOP 20 C04)."""
_ASTROPY = threading.RLock()


@contextmanager
def installed_tables() -> Iterator[None]:
    """Let astropy compute times and positions with the installed tables, whatever their age.

    Inside the context nothing is downloaded, and old tables cause no errors and no warnings. `reach` and
    `rotation_uncertainty_s` give the resulting uncertainty. Only one thread at a time can enter, because astropy's
    limits are global to the process.
    """
    from astropy.utils import iers
    from astropy.utils.exceptions import AstropyWarning
    from erfa import ErfaWarning

    with (
        _ASTROPY,
        iers.conf.set_temp("auto_download", False),
        # Astropy refuses predictions if the last measurement is older than 30 days, but a machine without network
        # has no others.
        iers.conf.set_temp("auto_max_age", None),
        iers.conf.set_temp("iers_degraded_accuracy", "ignore"),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore", AstropyWarning)
        warnings.simplefilter("ignore", ErfaWarning)
        yield


@dataclass(frozen=True)
class TableReach:
    """The dates that the installed tables cover.

    Parameters
    ----------
    measured, predicted
        MJD up to which the Earth's rotation is measured, and predicted.
    leap_seconds
        MJD up to which leap seconds are known.
    last_ut1_utc_s
        The last predicted UT1-UTC, seconds; it is used for all later days.
    """

    measured: float
    predicted: float
    leap_seconds: float
    last_ut1_utc_s: float


@cache
def reach() -> TableReach:
    """Return the dates that the installed tables cover."""
    from astropy.utils import iers

    with installed_tables():
        table = iers.IERS_Auto.open()
    found = _EXPIRES.search(_leap_seconds())
    # A file without an expiry date counts as expired: a needless warning is better than a missed one.
    expires = datetime.strptime(found[1], "%d %B %Y").replace(tzinfo=UTC).toordinal() if found else 0
    return TableReach(
        measured=float(table.meta["predictive_mjd"]) - 1,  # `predictive_mjd` is the first day of predictions
        predicted=float(table["MJD"][-1].value),
        leap_seconds=float(expires - _MJD_ZERO),
        last_ut1_utc_s=float(table["UT1_UTC"][-1].value),
    )


def rotation_uncertainty_s(mjd: float, tables: TableReach) -> float:
    """Return the largest error of UT1-UTC from the installed tables, seconds.

    The error of a prediction is 0.00025 s times the 0.75th power of the days since the last measurement (IERS Bulletin
    A). After the last prediction the error grows by 4 ms a day, up to the limit that leap seconds set.
    """
    ahead, beyond = max(mjd - tables.measured, 0.0), max(mjd - tables.predicted, 0.0)
    largest = _LARGEST_UT1_UTC_S + abs(tables.last_ut1_utc_s)
    return float(min(0.00025 * ahead**0.75 + _SLOWEST_S_PER_DAY * beyond, largest))


def day_length_s(mjd: int) -> int:
    """Return the length of a UTC day, seconds: 86,400, or 86,401 if it ends with a leap second."""
    return _DAY_S + _leap_days().get(mjd, 0)


@cache
def _leap_days() -> dict[int, int]:
    # Each line gives TAI-UTC from a day on; the leap second is at the end of the day before.
    rows = [line.split() for line in _leap_seconds().splitlines() if line.strip() and not line.startswith("#")]
    steps = [(int(float(row[0])), int(row[4])) for row in rows]
    return {day - 1: now - before for (_, before), (day, now) in pairwise(steps)}


@cache
def _leap_seconds() -> str:
    from astropy_iers_data import IERS_LEAP_SECOND_FILE

    return Path(IERS_LEAP_SECOND_FILE).read_text(encoding="utf-8")
