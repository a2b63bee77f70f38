"""Frames with one moving object among stars, and the other arguments of `gozen.movers.measure_mover.follow`.

The light is computed here, without the simulator: Moffat profiles, summed in small steps along the trails.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from gozen.movers.link_tracklets import Line
from gozen.movers.measure_mover import Scene, Track, follow
from gozen.photometry.aperture_sums import aperture_sums
from gozen.photometry.frame_shift import Shift
from gozen.photometry.sky_background import FrameSky

FRAMES, EXPONENT, FWHM, NOISE, EXPOSURE, GAIN = 18, 4.0, 3.0, 10.0, 0.95, 2.0
WIDE_PX = 21.0


def moffat(x, y, fwhm):
    """Return the light of a star of unit flux at some distance, per pixel."""
    width = fwhm / (2 * np.sqrt(2 ** (1 / EXPONENT) - 1))
    return (EXPONENT - 1) / (np.pi * width**2) * (1 + (x**2 + y**2) / width**2) ** -EXPONENT


@functools.cache
def enclosed(diameter, fwhm):
    """Return the part of a star's light in a circle, as circles are summed, on average over places within a pixel."""
    parts = []
    for x, y in np.random.default_rng(0).uniform(-0.5, 0.5, (30, 2)):
        rows, columns = np.mgrid[-20.0:21, -20.0:21]
        star = moffat(columns - x, rows - y, fwhm).astype(np.float32)
        place = np.array([20 + x]), np.array([20 + y])
        parts.append(aperture_sums(star, np.zeros(star.shape, np.uint8), *place, diameter).flux[0])
    return float(np.mean(parts))


def _add(image, x, y, flux, fwhm):
    row, column = max(round(y) - 20, 0), max(round(x) - 20, 0)
    part = image[row : round(y) + 21, column : round(x) + 21]
    rows, columns = np.mgrid[: part.shape[0], : part.shape[1]]
    part += flux * moffat(columns + column - x, rows + row - y, fwhm)


@dataclass(frozen=True)
class Moving:
    """One object that was drawn, and how it was measured; places are those of the frames."""

    x: np.ndarray
    y: np.ndarray
    rate: np.ndarray
    flux: float
    track: Track


def moving(seed, rate, snr, stars=6, frames=FRAMES, varies=0.0):
    """Draw and follow an object.

    Parameters
    ----------
    rate
        Pixels from frame to frame.
    snr
        Of the object on one frame, measured in the best way.
    stars
        In the field; up to thirty times as bright.
    varies
        Amplitude of the object's light over the cube.
    """
    rng = np.random.default_rng(seed)
    angle = rng.uniform(0, 2 * np.pi)
    velocity = rate * np.array([np.cos(angle), np.sin(angle)])
    side = int(60 + rate * frames)
    since = np.arange(frames) - (frames - 1) / 2
    place = side / 2 + rng.uniform(-0.5, 0.5, 2)[:, None] + velocity[:, None] * since
    shift = rng.normal(0, 0.6, (2, frames))
    widths = FWHM * (1 + 0.01 * np.rint(rng.normal(0, 3, frames)))
    parts = max(int(np.ceil(rate * EXPOSURE / 0.3)), 1)
    middle = ((np.arange(parts) + 0.5) / parts - 0.5) * EXPOSURE
    one = np.mean([moffat(*(np.mgrid[-30:31, -30:31] - velocity[::-1, None, None] * t), FWHM) for t in middle], axis=0)
    flux = snr * NOISE / np.sqrt((one**2).sum())
    # Not on the object itself: what a star's seeing leaves is another matter.
    sx, sy = rng.uniform(0, side, (2, stars * 5))
    far = np.min(np.hypot(sx - place[0][:, None], sy - place[1][:, None]), axis=0) > 4 * FWHM
    sx, sy, bright = sx[far][:stars], sy[far][:stars], flux * rng.uniform(1, 30, stars)
    images = np.zeros((frames, side, side), np.float32)
    light = 1 + varies * np.sin(np.linspace(0, 2 * np.pi, frames))
    for k in range(frames):
        for x, y, b in zip(sx, sy, bright, strict=False):
            _add(images[k], x + shift[0, k], y + shift[1, k], b, widths[k])
        for t in middle:
            _add(images[k], *(place[:, k] + shift[:, k] + velocity * t), flux * light[k] / parts, widths[k])
        images[k] += rng.normal(0, np.sqrt(NOISE**2 + images[k] / GAIN))
    scene = Scene(
        images,
        np.zeros((side, side), np.float32),
        [FrameSky(np.zeros((1, 1)), (side, side), NOISE)] * frames,
        np.zeros(images.shape, np.uint8),
        [Shift(*one, 0.0, 50) for one in shift.T],
        [1.0] * frames,
        FWHM,
        widths.tolist(),
        EXPONENT,
        [enclosed(WIDE_PX, w) / enclosed(Scene.diameter_of(FWHM), w) for w in widths],
        GAIN,
        EXPOSURE,
    )
    # What the linking says is off: slow ones look faster than they are.
    (x0, y0), (vx, vy) = (
        place.mean(axis=1) + rng.normal(0, 0.1, 2),
        velocity * (1 + min(0.03, 0.03 / rate)) + rng.normal(0, 0.01, 2),
    )
    line = Line(np.arange(frames), x0, y0, vx, vy, 0.02, float(since.mean()), 0.2, 9.0)
    track = follow(line, set(range(frames)), since, list(range(frames)), scene)
    return Moving(*(place + shift), velocity, flux * enclosed(WIDE_PX, FWHM), track)
