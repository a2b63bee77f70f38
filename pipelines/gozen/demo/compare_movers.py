"""Compare tracklets with the simulated movers, each difference with its tolerance. No I/O."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gozen.archive.commit import SensorCommit
from gozen.archive.tracklet_record import TrackletPoint, TrackletRecord
from gozen.catalog.format.partition_parquet import numbers
from gozen.demo.pair_with_truth import SensorTruth
from gozen.report.report_model import Check
from gozen.simulator.sky.events import Mover

Floats = NDArray[np.float64]
REACH_ARCSEC = 5.0
FALSE_TRACKLETS = 1
POSITION_ARCSEC = 0.25
TIME_MS = 1.0
RATE_ARCSEC_MIN = 3.0
DIRECTION_DEG = 2.0
MAGNITUDE = 0.15
_LEAST_FRAMES = 6
_LEAST_MOTION_FWHM = 2.0
_DAY_S = 86400.0


@dataclass(frozen=True)
class MoverPair:
    """A mover that crossed a sensor in one exposure, and the tracklet that goes where it went.

    Parameters
    ----------
    frames
        On which its middle stands on the sensor.
    findable
        Whether it stands there long enough and leaves its own image on the stack.
    found
        None where no tracklet goes there.
    d_ra, d_dec
        Found minus injected place at the found time, arcsec on the sky; shape (points,).
    time_s
        Found minus injected mid-exposure of the points; empty for streaks, which are measured at their ends.
    """

    exposure: str
    sensor_id: str
    mover: Mover
    frames: int
    findable: bool
    found: TrackletRecord | None
    d_ra: Floats
    d_dec: Floats
    time_s: Floats

    @property
    def rate(self) -> float:
        """Injected rate, arcsec/min."""
        return float(60 * np.hypot(self.mover.rate_ra, self.mover.rate_dec))

    @property
    def direction(self) -> float:
        """Injected direction, degrees from north through east."""
        return float(np.degrees(np.arctan2(self.mover.rate_ra, self.mover.rate_dec)) % 360)

    @property
    def rms(self) -> float:
        """Root mean square of the differences of places in the worse axis, arcsec; NaN without points."""
        return max(_rms(self.d_ra), _rms(self.d_dec))


@dataclass(frozen=True)
class Spurious:
    """A tracklet where nothing was injected, or a second one of the same mover."""

    exposure: str
    sensor_id: str
    found: TrackletRecord


@dataclass(frozen=True)
class Pairing:
    """Movers with their tracklets, and the tracklets that are left over.

    Parameters
    ----------
    cubes
        Number of cubes in which movers were looked for.
    """

    pairs: tuple[MoverPair, ...]
    spurious: tuple[Spurious, ...]
    cubes: int


def pair_movers(truths: Sequence[SensorTruth], events: pa.Table, commits: Sequence[SensorCommit]) -> Pairing:
    """Pair each mover with the nearest tracklet that is where it was at the tracklet's middle time.

    Parameters
    ----------
    truths
        About each sensor and exposure of the sky.
    events
        The truth's table of events.
    commits
        Of the same sensors and exposures. What they call a cosmic hit is no tracklet.
    """
    movers = {
        row["name"]: Mover(**json.loads(row["parameters"])) for row in events.to_pylist() if row["kind"] == "mover"
    }
    pairs: list[MoverPair] = []
    spurious: list[Spurious] = []
    by_cube = {(one.exposure, one.sensor): one for one in commits}
    for seen in truths:
        commit = by_cube.get((seen.exposure, seen.sensor_id))
        left = [one for one in commit.tracklets if one.kind != "cosmic"] if commit is not None else []
        for name in dict.fromkeys(seen.movers["event"].to_pylist()):
            found = _nearest(left, movers[name])
            left = [one for one in left if one is not found]
            pairs.append(_pair(seen, movers[name], found))
        spurious += [Spurious(seen.exposure, seen.sensor_id, one) for one in left]
    return Pairing(tuple(pairs), tuple(spurious), len(truths))


def compare_movers(paired: Pairing) -> list[Check]:
    """Compare what moves: how many were found, how many falsely, and their places, times, rates and magnitudes."""
    wanted = [one for one in paired.pairs if one.findable]
    basis = f"in {paired.cubes} cubes; a second tracklet of a mover counts as false"
    false = Check("movers, false tracklets", len(paired.spurious), FALSE_TRACKLETS, basis=basis)
    if not wanted:
        return [false]
    found = [(one, one.found) for one in wanted if one.found is not None]
    points = sum(len(one.d_ra) for one, _ in found)
    each = f"the worst of {len(found)} tracklets"
    rates = [record.rate_arcsec_min - one.rate for one, record in found if record.rate_arcsec_min is not None]
    turns = [
        _turn(record.position_angle_deg, one.direction)
        for one, record in found
        if record.position_angle_deg is not None
    ]
    mags = [record.mag_mean - one.mover.g for one, record in found if record.mag_mean is not None]
    late = np.concatenate([one.time_s for one, _ in found]) if found else np.empty(0)
    return [
        Check("movers, found of those injected", len(found), len(wanted), "", "at least", _findable_in_words()),
        false,
        Check(
            "movers, rms of a tracklet's positions",
            _largest(np.array([one.rms for one, _ in found])),
            POSITION_ARCSEC,
            "arcsec",
            basis=f"{each}, worse axis, {points} points",
        ),
        Check("movers, largest error of the times", _largest(late) * 1000, TIME_MS, "ms", basis=f"{len(late)} points"),
        Check("movers, error of the rate", _largest(np.array(rates)), RATE_ARCSEC_MIN, "arcsec/min", basis=each),
        Check("movers, error of the direction", _largest(np.array(turns)), DIRECTION_DEG, "°", basis=each),
        Check("movers, error of the magnitude", _largest(np.array(mags)), MAGNITUDE, "mag", basis=each),
    ]


def _findable_in_words() -> str:
    return f"on at least {_LEAST_FRAMES} frames, moving by at least {_LEAST_MOTION_FWHM:g} widths of a star"


def _nearest(tracklets: Sequence[TrackletRecord], mover: Mover) -> TrackletRecord | None:
    """Return the tracklet that is nearest to a mover, if one is within reach."""

    def away(record: TrackletRecord) -> float:
        middle = np.array([record.ra_mid]), np.array([record.dec_mid])
        return float(np.hypot(*_offset(*middle, np.array([record.mjd_mid]), mover))[0])

    best = min(tracklets, key=away, default=None)
    return best if best is not None and away(best) <= REACH_ARCSEC else None


def _pair(seen: SensorTruth, mover: Mover, found: TrackletRecord | None) -> MoverPair:
    own = seen.movers.filter(pc.equal(seen.movers["event"], mover.name))
    widths = numbers(seen.frames, "fwhm_px") * seen.constant("scale_arcsec")
    moved = np.hypot(mover.rate_ra, mover.rate_dec) * (len(own) - 1) * seen.constant("frame_s")
    findable = len(own) >= _LEAST_FRAMES and moved >= _LEAST_MOTION_FWHM * float(np.median(widths))
    points = [] if found is None else [point for point in found.points if point.end != "either"]
    ra, dec, mjd = (np.array([getattr(point, name) for point in points]) for name in ("ra", "dec", "mjd"))
    late = _late(points, own)
    return MoverPair(
        seen.exposure, seen.sensor_id, mover, len(own), findable, found, *_offset(ra, dec, mjd, mover), late
    )


def _late(points: Sequence[TrackletPoint], own: pa.Table) -> Floats:
    true = dict(zip(own["frame"].to_pylist(), own["mjd"].to_pylist(), strict=True))
    late = [(point.mjd - true[point.frame]) * _DAY_S for point in points if point.end is None and point.frame in true]
    return np.array(late, np.float64)


def _offset(ra: Floats, dec: Floats, mjd: Floats, mover: Mover) -> tuple[Floats, Floats]:
    """Return place minus a mover's at a time, arcsec on the sky, east and north."""
    true_ra, true_dec = mover.position(mjd)
    east = (np.mod(ra - true_ra + 180, 360) - 180) * np.cos(np.radians(true_dec))
    return np.asarray(east * 3600), np.asarray((dec - true_dec) * 3600)


def _turn(angle: float, other: float) -> float:
    return (angle - other + 180) % 360 - 180


def _rms(values: Floats) -> float:
    return float(np.sqrt(np.mean(values**2))) if len(values) else np.nan


def _largest(values: Floats) -> float:
    known = np.abs(values[np.isfinite(values)])
    return float(known.max()) if len(known) else np.nan
