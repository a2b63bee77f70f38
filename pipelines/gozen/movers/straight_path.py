"""Fit a straight path and the flux of a moving object to all its frames at once."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gozen.movers.overlap import Overlap, overlap
from gozen.movers.stamps import Stamps
from gozen.movers.trail_profile import Optics, fit_trail, place_error, trail_flux

Floats = NDArray[np.float64]
_STEPS, _SETTLED = 12, 0.1
_FARTHEST_PX = 1.0
_OUTLIER = 5.0
_VARIES = 0.1
"""Fraction by which an object's flux is assumed to vary from frame to frame."""


@dataclass(frozen=True)
class StraightPath:
    """A straight path; arrays of shape (frames,).

    Parameters
    ----------
    since
        Time of each frame, from the middle.
    start
        Position on the stack at the middle, pixels, shape (2,).
    rate
        Rate of motion, pixels per unit of time, shape (2,).
    flux
        Flux on each frame, scaled to the stack's transparency, ADU.
    """

    since: Floats
    start: Floats
    rate: Floats
    flux: Floats

    @property
    def place(self) -> Floats:
        """Position on the stack at the time of each frame, pixels, shape (2, frames)."""
        return np.asarray(self.start[:, None] + self.rate[:, None] * self.since)


@dataclass(frozen=True)
class Fits:
    """Separate fits of each frame, with the sky taken as known; arrays of shape (frames,), NaN if a fit failed.

    Parameters
    ----------
    place
        Position on the stack, pixels, shape (2, frames).
    error
        Standard error of the position from the frame's noise, per axis, pixels.
    flux
        Flux, scaled to the stack's transparency, ADU.
    """

    place: Floats
    error: Floats
    flux: Floats


def settle(path: StraightPath, stamps: Stamps, optics: Optics, half: int) -> tuple[StraightPath, Overlap]:
    """Fit the path and the flux of an object to all frames, together with the sky behind it.

    The fit is iterative. For each frame, an iteration measures the sky on the other frames, after subtracting the
    object
    with its current path and flux. Part of the object remains in this sky, so the correction of an iteration would be
    too
    small. It is therefore multiplied by a known factor (see `gozen.movers.overlap`).

    Parameters
    ----------
    half
        Half of the side of the cutouts, without the middle pixel.
    """
    for step in range(_STEPS):
        fits = fit_frames(stamps.without(half, path.place, path.flux, optics), path, stamps, optics)
        shared = overlap(path.since, float(np.hypot(*path.rate)), optics.sigma, optics.trail, stamps.weight)
        path, moved, changed = _stepped(path, fits, shared, stamps.weight, still=step == 0)
        typical = float(np.nanmedian(fits.error)) if np.isfinite(fits.error).any() else np.inf
        # The error that remains after a step is a small fraction of the step.
        if step and moved < _SETTLED * typical and changed < _SETTLED * typical / shared.unit:
            break
    return path, shared


def fit_frames(rests: Floats, path: StraightPath, stamps: Stamps, optics: Optics, steps: int = 1) -> Fits:
    """Measure position and flux on each frame separately.

    Parameters
    ----------
    rests
        Cutouts without their sky, shape (frames, side, side), ADU.
    steps
        Largest number of iterations for the position. One is enough near the path, and makes the fit linear.
    """
    x, y = stamps.within(path.place, rests.shape[1] // 2)
    out = np.full((3, len(rests)), np.nan)
    expected = path.flux * stamps.light
    for k, rest in enumerate(rests):
        if np.isnan(rest).any():
            continue
        flux = trail_flux(rest, x[k], y[k], optics.motion, optics.widths[k], optics.table)
        slope = float(expected[k]) if expected[k] > 0 else max(flux, 1e-9)
        px, py = fit_trail(rest, x[k], y[k], optics.motion, optics.sigma, slope, steps)
        out[:, k] = px - x[k], py - y[k], flux / stamps.light[k]
    out[:, ~np.isfinite(out).all(axis=0)] = np.nan
    # The error uses the expected flux, because the measured one is high or low by chance.
    flux = np.where(expected > 0, expected, np.maximum(out[2] * stamps.light, 1e-9))
    error = np.where(np.isfinite(out[2]), place_error(optics) * optics.place_noise(flux) / flux, np.nan)
    return Fits(path.place + out[:2], error, out[2])


def _stepped(
    path: StraightPath, fits: Fits, shared: Overlap, weight: Floats, *, still: bool
) -> tuple[StraightPath, float, float]:
    """Return the next path, the displacement of its ends (pixels), and the relative change of its flux."""
    good = np.isfinite(fits.error)
    if good.sum() < 3:
        return path, 0.0, 0.0
    mean = float(np.average(fits.flux[good], weights=weight[good]))
    before = float(np.average(path.flux, weights=weight))
    if still or before <= 0:
        whole = max(before + shared.brighter * (mean - before), 1e-9)
        return replace(path, flux=np.full(len(path.flux), whole)), np.inf, np.inf
    along = path.rate / np.hypot(*path.rate)
    across = np.array([-along[1], along[0]])
    off = fits.place - path.place
    weight_of = 1 / fits.error[good] ** 2
    (u0, u1), (v0, v1) = _line(path.since[good], np.stack([along @ off, across @ off])[:, good], weight_of)
    unit = shared.unit
    u0, u1, change = shared.along @ np.array([u0 / unit, u1 / unit, mean / before - 1])
    v0, v1 = shared.across @ np.array([v0, v1])
    start, rate = u0 * unit * along + v0 * across, u1 * unit * along + v1 * across
    ends = np.abs(path.since).max()
    moved = float(np.hypot(*start) + np.hypot(*rate) * ends)
    part = min(1.0, _FARTHEST_PX / max(moved, 1e-9))
    change = float(np.clip(change, -0.5, 1.0))
    own = np.where(good, fits.flux / mean - 1, 0.0)
    relative = np.where(good, fits.error / unit, 1.0)
    varied = 1 + own * _VARIES**2 / (_VARIES**2 + relative**2)
    flux = before * (1 + change) * varied / np.average(varied, weights=weight)
    return replace(path, start=path.start + part * start, rate=path.rate + part * rate, flux=flux), moved, abs(change)


def _line(since: Floats, off: Floats, weight: Floats) -> Floats:
    """Fit a straight line along each of two axes, without outliers; return position and rate of each, shape (2, 2)."""
    design = np.column_stack([np.ones_like(since), since])
    for _ in range(2):
        fit = np.linalg.lstsq(design * np.sqrt(weight)[:, None], (off * np.sqrt(weight)).T, rcond=None)[0]
        away = np.hypot(*(off.T - design @ fit).T) * np.sqrt(weight)
        scale = max(1.0, float(np.median(away)))
        weight = np.where(away > _OUTLIER * scale, 0.0, weight)
        if (weight > 0).sum() < 4:
            break
    return np.asarray(fit.T)
