"""Simulated events: flares, eclipses, transients, movers and clouds, as functions of time. No I/O.

`gozen.simulator.camera.frame_light` draws them on frames. Times are MJD (UTC).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from gozen.simulator.sky.star_arrays import Floats

_DAY_S = 86400.0
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(8)


@dataclass(frozen=True)
class Flare:
    """A flare of a star: a quick rise and an exponential decay, as of M dwarfs (after Davenport 2014, ApJ 797, 122).

    Parameters
    ----------
    source_id
        Identifier of the star.
    peak_mjd
        Time of the maximum, MJD (UTC).
    amplitude
        Ratio of the additional flux at the maximum to the quiescent flux.
    rise_s, decay_s
        Time in which the additional flux rises (as a Gaussian) from 1/e to the maximum, and falls to 1/e again.
    """

    kind: ClassVar[str] = "flare"
    name: str
    source_id: int
    peak_mjd: float
    amplitude: float
    rise_s: float = 0.5
    decay_s: float = 3.0

    def factor(self, mjd: Floats) -> Floats:
        """Return the ratio of the flux to the quiescent flux."""
        return 1.0 + self.amplitude * _flare_shape(mjd, self.peak_mjd, self.rise_s, self.decay_s)


@dataclass(frozen=True)
class Transient:
    """A flash at a position without a star in the catalogue.

    Parameters
    ----------
    ra, dec
        Position at the epoch of the exposure, degrees.
    g, bp_rp
        Magnitude and colour at the maximum.
    peak_mjd, rise_s, decay_s
        As for a `Flare`.
    """

    kind: ClassVar[str] = "transient"
    name: str
    ra: float
    dec: float
    g: float
    peak_mjd: float
    bp_rp: float = 0.5
    rise_s: float = 0.5
    decay_s: float = 3.0

    def factor(self, mjd: Floats) -> Floats:
        """Return the ratio of the flux to the flux at the maximum."""
        return _flare_shape(mjd, self.peak_mjd, self.rise_s, self.decay_s)


@dataclass(frozen=True)
class Eclipse:
    """A star with periodic eclipses whose light curve is a trapezoid.

    Parameters
    ----------
    source_id
        Identifier of the star; its catalogue magnitude is that outside of eclipse.
    mid_mjd
        Middle of one eclipse, MJD (UTC).
    depth
        Fraction of the flux that is lost in mid-eclipse, 0 to 1.
    duration_s, ingress_s
        Time from first to last contact, and time in which the flux falls.
    period_d
        Period, days.
    """

    kind: ClassVar[str] = "eclipse"
    name: str
    source_id: int
    mid_mjd: float
    depth: float
    duration_s: float
    ingress_s: float
    period_d: float = 0.1

    def factor(self, mjd: Floats) -> Floats:
        """Return the ratio of the flux to the flux outside of eclipse."""
        phase = np.mod((mjd - self.mid_mjd) / self.period_d + 0.5, 1.0) - 0.5
        from_edge = self.duration_s / 2 - np.abs(phase) * self.period_d * _DAY_S
        return 1.0 - self.depth * np.clip(from_edge / self.ingress_s, 0.0, 1.0)


@dataclass(frozen=True)
class Mover:
    """An object that moves at a constant rate; a fast one makes a streak on each frame.

    Parameters
    ----------
    ra, dec
        Position at ``epoch_mjd``, degrees.
    rate_ra, rate_dec
        Rate, arcsec/s on the sky; ``rate_ra`` includes cos(dec).
    g, bp_rp
        Total magnitude and colour.
    """

    kind: ClassVar[str] = "mover"
    name: str
    ra: float
    dec: float
    epoch_mjd: float
    rate_ra: float
    rate_dec: float
    g: float
    bp_rp: float = 0.8

    def position(self, mjd: Floats) -> tuple[Floats, Floats]:
        """Return ra and dec at given times, degrees."""
        moved_deg = (np.asarray(mjd) - self.epoch_mjd) * _DAY_S / 3600.0
        ra = self.ra + self.rate_ra * moved_deg / math.cos(math.radians(self.dec))
        return np.mod(ra, 360.0), self.dec + self.rate_dec * moved_deg


@dataclass(frozen=True)
class CloudEvent:
    """A cloud over the complete field, of constant transmission between ``ramp_s`` seconds of fall and of rise."""

    kind: ClassVar[str] = "cloud"
    name: str
    start_mjd: float
    end_mjd: float
    transmission: float
    ramp_s: float = 1.0

    def factor(self, mjd: Floats) -> Floats:
        """Return the transmission, 0 to 1."""
        inside = np.minimum(mjd - self.start_mjd, self.end_mjd - np.asarray(mjd)) * _DAY_S
        return 1.0 - (1.0 - self.transmission) * np.clip(inside / self.ramp_s, 0.0, 1.0)


Event = Flare | Transient | Eclipse | Mover | CloudEvent


def exposure_mean(factor: Callable[[Floats], Floats], start_mjd: Floats, exposure_s: float) -> Floats:
    """Return the mean of a function of time over exposures that start at ``start_mjd`` (any shape).

    Gauss-Legendre quadrature with eight points is applied to each quarter of the exposure, so that the kink at a
    flare's maximum costs little accuracy.
    """
    quarter = exposure_s / 4 / _DAY_S
    starts = np.asarray(start_mjd)[..., None] + quarter * np.arange(4)
    times = starts[..., None] + quarter * (_NODES + 1) / 2
    mean: Floats = np.mean(factor(times) @ _WEIGHTS / 2, axis=-1)
    return mean


def _flare_shape(mjd: Floats, peak_mjd: float, rise_s: float, decay_s: float) -> Floats:
    since = (np.asarray(mjd) - peak_mjd) * _DAY_S
    rising = np.exp(-np.square(np.minimum(since, 0.0) / rise_s))
    shape: Floats = rising * np.exp(-np.maximum(since, 0.0) / decay_s)
    return shape
