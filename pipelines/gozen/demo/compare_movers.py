"""Compare tracklets with the simulated moving objects, and each difference with its tolerance. No I/O."""

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
    """A simulated moving object on a sensor in one exposure, and the tracklet that was found at its position.

    Parameters
    ----------
    frames
        The number of frames on which its centre is on the sensor.
    findable
        Whether it must be found: it is on at least 6 frames, and moves by at least two widths of a star's image.
    found
        The tracklet; None if there is none.
    d_ra, d_dec
        Found minus injected position at the found time, arcsec on the sky; shape (points,).
    time_s
        Found minus injected mid-exposure of the points, seconds; empty for streaks, which are measured at their ends.
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
        """Injected rate of motion, arcsec/min."""
        return float(60 * np.hypot(self.mover.rate_ra, self.mover.rate_dec))

    @property
    def direction(self) -> float:
        """Injected direction of motion, degrees from north through east."""
        return float(np.degrees(np.arctan2(self.mover.rate_ra, self.mover.rate_dec)) % 360)

    @property
    def rms(self) -> float:
        """The rms of found minus injected positions in the worse axis, arcsec; NaN without points."""
        return max(_rms(self.d_ra), _rms(self.d_dec))


@dataclass(frozen=True)
class Spurious:
    """A false tracklet: one without an injected object, or a second one of the same object."""

    exposure: str
    sensor_id: str
    found: TrackletRecord


@dataclass(frozen=True)
class Pairing:
    """Injected moving objects with their tracklets, and the other tracklets.

    Parameters
    ----------
    cubes
        Number of cubes (a sensor's frames of one exposure) that were compared.
    """

    pairs: tuple[MoverPair, ...]
    spurious: tuple[Spurious, ...]
    cubes: int


def pair_movers(truths: Sequence[SensorTruth], events: pa.Table, commits: Sequence[SensorCommit]) -> Pairing:
    """Pair each moving object with the nearest tracklet within 5 arcsec of it at the tracklet's middle time.

    Parameters
    ----------
    truths
        The injected values of each sensor and exposure of the sky.
    events
        The simulator's table of events.
    commits
        The commits of the same sensors and exposures. Their tracklets of the kind cosmic (cosmic-ray hits) are ignored.
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
    """Compare moving objects: numbers of found and false ones, positions, times, rates, directions and magnitudes."""
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
        Check("movers, found of the findable ones", len(found), len(wanted), "", "at least", _findable_in_words()),
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
    """Return the tracklet nearest to a moving object, or None if none is within `REACH_ARCSEC`."""

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
    """Return positions minus a moving object's positions at the same times: east and north, arcsec on the sky."""
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
