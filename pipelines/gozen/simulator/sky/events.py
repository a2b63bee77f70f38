"""Simulated events: flares, eclipses, transients, movers and clouds, as pure functions of time.

An event is drawn by `frame_light`; here is only what it does. Times are MJD (UTC).
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
    """A star brightens quickly and fades exponentially, as M dwarfs do (shape after Davenport 2014, ApJ 797, 122).

    Parameters
    ----------
    source_id
        The star.
    peak_mjd
        Moment of the maximum.
    amplitude
        Extra flux at the maximum over the quiet flux.
    rise_s, decay_s
        Width of the Gaussian rise, and the time in which the flux falls to 1/e.
    """

    kind: ClassVar[str] = "flare"
    name: str
    source_id: int
    peak_mjd: float
    amplitude: float
    rise_s: float = 0.5
    decay_s: float = 3.0

    def factor(self, mjd: Floats) -> Floats:
        """Return the flux over the quiet flux."""
        return 1.0 + self.amplitude * _flare_shape(mjd, self.peak_mjd, self.rise_s, self.decay_s)


@dataclass(frozen=True)
class Transient:
    """A flash where the catalogue has no star.

    Parameters
    ----------
    ra, dec
        Degrees, at the epoch of the exposure.
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
        """Return the flux over the flux at the maximum."""
        return _flare_shape(mjd, self.peak_mjd, self.rise_s, self.decay_s)


@dataclass(frozen=True)
class Eclipse:
    """A star dims periodically; the dip is a trapezoid.

    Parameters
    ----------
    source_id
        The star; the catalogue's magnitude is the one outside of eclipse.
    mid_mjd
        Middle of one eclipse.
    depth
        Lost fraction of the flux, 0 to 1.
    duration_s, ingress_s
        From first to last contact, and the time that the light takes to fall.
    period_d
        Days.
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
        """Return the flux over the flux outside of eclipse."""
        phase = np.mod((mjd - self.mid_mjd) / self.period_d + 0.5, 1.0) - 0.5
        from_edge = self.duration_s / 2 - np.abs(phase) * self.period_d * _DAY_S
        return 1.0 - self.depth * np.clip(from_edge / self.ingress_s, 0.0, 1.0)


@dataclass(frozen=True)
class Mover:
    """An object that moves on a straight line at a constant rate; a fast one leaves a streak on each frame.

    Parameters
    ----------
    ra, dec
        Degrees, at ``epoch_mjd``.
    rate_ra, rate_dec
        arcsec/s on the sky; ``rate_ra`` includes cos(dec).
    g, bp_rp
        Magnitude of the whole object, and colour.
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
        """Return ra and dec, degrees."""
        moved_deg = (np.asarray(mjd) - self.epoch_mjd) * _DAY_S / 3600.0
        ra = self.ra + self.rate_ra * moved_deg / math.cos(math.radians(self.dec))
        return np.mod(ra, 360.0), self.dec + self.rate_dec * moved_deg


@dataclass(frozen=True)
class Cloud:
    """A cloud over the whole field: transmission falls over ``ramp_s``, stays, and comes back."""

    kind: ClassVar[str] = "cloud"
    name: str
    start_mjd: float
    end_mjd: float
    transmission: float
    ramp_s: float = 1.0

    def factor(self, mjd: Floats) -> Floats:
        """Return the fraction of the light that passes."""
        inside = np.minimum(mjd - self.start_mjd, self.end_mjd - np.asarray(mjd)) * _DAY_S
        return 1.0 - (1.0 - self.transmission) * np.clip(inside / self.ramp_s, 0.0, 1.0)


Event = Flare | Transient | Eclipse | Mover | Cloud


def exposure_mean(factor: Callable[[Floats], Floats], start_mjd: Floats, exposure_s: float) -> Floats:
    """Return the mean of a function of time over exposures that start at ``start_mjd`` (any shape).

    Gauss-Legendre quadrature of eight points, applied to four quarters so that the kink of a flare costs nothing.
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
