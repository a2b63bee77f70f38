"""Where masters are kept, and which one an exposure gets: the last one before it, with its age."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from astropy.io import fits

from gozen.archive import keys
from gozen.archive.commit import Product, put_product
from gozen.archive.keys import Calibration
from gozen.archive.provenance import CalibrationUsed, sha256
from gozen.archive.store import Store
from gozen.calibration.calibrate import Image
from gozen.errors import UnreadableInput
from gozen.frames.products import plain, read_plain
from gozen.frames.units import Card
from gozen.instrument.header import utc_of_mjd
from gozen.instrument.profile import Profile

LOOK_BACK_DAYS = 60


@dataclass(frozen=True)
class Master:
    """One calibration master of one sensor.

    Parameters
    ----------
    mjd
        Start of the exposure that it was made from, MJD (UTC).
    age_days
        From there to the exposure that uses it.
    """

    kind: Calibration
    image: Image
    mjd: float
    age_days: float
    used: CalibrationUsed


def put_master(
    store: Store,
    kind: Calibration,
    processing: keys.Processing,
    sensor: str,
    image: Image,
    mjd: float,
    cards: list[Card],
) -> Product:
    """Store a master and return what its commit says of it.

    Parameters
    ----------
    processing
        Night and exposure that the master is named after.
    mjd
        Start of that exposure.
    cards
        Further header cards: provenance.
    """
    key = keys.master(kind, processing.night, processing.exposure, sensor)
    when = utc_of_mjd(mjd).strftime("%Y-%m-%dT%H:%M:%S")
    own: list[Card] = [
        ("OBJECT", kind.upper(), "calibration master"),
        ("DATE-OBS", when, "UTC, start of the exposure"),
        ("MJD-OBS", mjd, "[d] UTC, start of the exposure"),
        ("BUNIT", "" if kind == "flat" else "ADU", "unit of the pixels"),
        ("DET_ID", sensor, "sensor"),
        ("NBAD", int(np.isnan(image).sum()), "dead pixels"),
    ]
    return put_product(store, key, plain(image, own + cards, when))


def find_masters(store: Store, profile: Profile, sensor: str, night: str, mjd: float) -> Mapping[Calibration, Master]:
    """Return the last master of each kind that the profile asks for, taken before an exposure.

    Parameters
    ----------
    night, mjd
        Of the exposure.

    Raises
    ------
    UnreadableInput
        A kind has none within `LOOK_BACK_DAYS`, or the one that there is cannot be read.
    """
    return {kind: find_master(store, kind, profile, sensor, night, mjd) for kind in profile.masters}


def find_master(store: Store, kind: Calibration, profile: Profile, sensor: str, night: str, mjd: float) -> Master:
    """Return the last master of one kind; parameters and errors are those of `find_masters`."""
    for folder in _folders(kind, night):
        ends = f"/{sensor}.fits"
        found = [_load(store, kind, key, profile, mjd) for key in store.list(folder) if key.endswith(ends)]
        before = [master for master in found if master.age_days >= 0]
        if before:
            return max(before, key=lambda master: master.mjd)
    raise UnreadableInput(
        f"sensor {sensor} has no {kind} master from the {LOOK_BACK_DAYS} days before the exposure of {night}; "
        f"take {kind} exposures and run `gozen masters`"
    )


def _folders(kind: Calibration, night: str) -> Iterable[str]:
    """Return the prefix of each night from this one back: a look that costs the same however old the archive is."""
    last = datetime.strptime(night, "%Y%m%d")
    for days in range(LOOK_BACK_DAYS + 1):
        yield f"calib/{kind}/{last - timedelta(days=days):%Y%m%d}"


@functools.lru_cache(maxsize=16)
def _read(store: Store, key: str, shape: tuple[int, int]) -> tuple[Image, fits.Header, str]:
    """Read a master once for a worker's exposures: a committed one never changes."""
    data = store.read(key)
    return *read_plain(data, store.url_of(key), shape), sha256(data)


def _load(store: Store, kind: Calibration, key: str, profile: Profile, mjd: float) -> Master:
    image, header, digest = _read(store, key, profile.active_shape)
    try:
        taken = float(header["MJD-OBS"])
    except (KeyError, TypeError, ValueError) as error:
        raise UnreadableInput(
            f"{store.url_of(key)} has no MJD-OBS, so it is no master of ours; take it away"
        ) from error
    age = mjd - taken
    return Master(kind, image, taken, age, CalibrationUsed(key=key, sha256=digest, age_days=round(age, 6)))
