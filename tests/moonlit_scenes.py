"""Frames of a small camera while the Moon rises: dithered, vignetted, with saturated stars and with trails.

The light is computed here, without the simulator. Such frames are difficult for three reasons: the sky changes from
frame to frame, and differently at the borders than in the middle; only the middle of the stack is covered by all
frames; spikes and bleeding columns of saturated stars change with the seeing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from tests.reductions import SMALL
from tests.star_fields import gaussians

from gozen.calibration.calibrate_frame import detector_of
from gozen.frames.raw import RawFile, assemble
from gozen.instrument.profile import parse_profile
from gozen.photometry.forced_photometry import ApertureSet
from gozen.reduction.align_frames import align, align_roughly
from gozen.reduction.buffers import Workspace
from gozen.reduction.calibrated_frames import calibrate_cube
from gozen.reduction.find_movers import Found, find_moving
from gozen.reduction.measure_stars import measure_frames
from gozen.settings import Settings

ROWS, COLUMNS = 400, 500
FULL_ADU, NOISE_E = 26000.0, 2.0
E_PER_ADU = 0.23


@dataclass(frozen=True)
class Sky:
    """How hard a night is.

    Parameters
    ----------
    moon
        Sky of the last frame over that of the first, less one; it has a gradient across the frame.
    dither
        Pixels by which frames are apart, each way.
    vignetting
        Part of the light that is lost in the corners; the flat makes up for it, not for stray light.
    saturated
        Stars whose columns bleed and which have spikes.
    frames
        How many.
    """

    moon: float = 0.0
    dither: int = 0
    vignetting: float = 0.0
    saturated: int = 0
    frames: int = 12


@dataclass(frozen=True)
class Trail:
    """A trail on one frame, from one place to another, pixels; ``peak`` in units of the first frame's noise."""

    frame: int
    ends: tuple[tuple[float, float], tuple[float, float]]
    peak: float = 6.0


def searched(seed: int, sky: Sky, trails: tuple[Trail, ...] = ()) -> Found:
    """Draw the frames, reduce them as far as the search needs, and search."""
    profile = parse_profile(SMALL, "small")
    words = {
        "OBJECT": "field", "DATA-TYP": "OBJECT", "UTC": "2026-01-15T13:00:00", "EXPTIME1": 9.0, "TFRAME": 10.0,
        "TRLSTEP1": 0.0, "RA": "01:19:00", "DEC": "+29:42:00", "DET_ID": "111", "GAIN": "high",
        "UTC-EXP": "2026-01-15T12:59:59",
    }  # fmt: skip
    response = _response(sky)
    raw = np.full((sky.frames, *profile.shape), 1000.0)
    raw[:, :ROWS, :COLUMNS] += _frames(seed, sky, trails, response)
    stored = np.clip(np.rint(raw), 0, 65535).astype(np.uint16)
    cube = assemble([RawFile("cube.fits", words, stored, 0.0, "0" * 64)], profile)
    detector = detector_of(profile, "111", "high", None, response.astype(np.float32))
    settings = Settings()
    calibrated = calibrate_cube(cube, detector, settings.gates, Workspace())
    assert calibrated.rejections == {}
    aligned = align(align_roughly(calibrated, 0, settings.gates), settings.detection)
    skies, _ = measure_frames(aligned, ApertureSet((21,), settings.photometry.limit_sigma))
    return find_moving(aligned, skies, 21, settings.movers)


def _response(sky: Sky) -> np.ndarray:
    y, x = np.mgrid[-1 : 1 : ROWS * 1j, -1 : 1 : COLUMNS * 1j]
    return 1 - sky.vignetting * np.clip((np.hypot(x, y) - 0.8) / 0.6, 0, 1)


def _frames(seed: int, sky: Sky, trails: tuple[Trail, ...], response: np.ndarray) -> np.ndarray:
    rng = np.random.default_rng(seed)
    dark_e = 60.0
    noise = np.sqrt(dark_e + NOISE_E**2)
    wide = 60
    x, y = rng.uniform(-wide, COLUMNS + wide, 160), rng.uniform(-wide, ROWS + wide, 160)
    flux = 60 * noise * rng.pareto(0.9, 160).clip(0.3, 60)
    bright = rng.uniform(80, COLUMNS - 80, sky.saturated), rng.uniform(80, ROWS - 80, sky.saturated)
    down, across = np.mgrid[0 : 1 : ROWS * 1j, 0 : 1 : COLUMNS * 1j]
    out = np.zeros((sky.frames, ROWS, COLUMNS))
    for k in range(sky.frames):
        dx, dy = rng.integers(-sky.dither, sky.dither + 1, 2) + rng.normal(0, 0.15, 2)
        sigma = 1.2 * rng.normal(1, 0.04)
        light = gaussians((ROWS, COLUMNS), x + dx, y + dy, flux, sigma)
        for bx, by in zip(*bright, strict=True):
            light += _saturated(bx + dx, by + dy, sigma)
        for trail in trails:
            if trail.frame == k:
                light += trail.peak * noise * _line(*trail.ends)
        moon = sky.moon * dark_e * (k / max(sky.frames - 1, 1)) ** 3 * (0.7 + 0.2 * across + 0.1 * down * across)
        # Stray light does not come through the optics: the flat makes it brighter where they dim the sky.
        electrons = rng.poisson((light + dark_e + 0.7 * moon) * response + 0.3 * moon)
        out[k] = (electrons + rng.normal(0, NOISE_E, light.shape)) / E_PER_ADU
    return np.minimum(out, FULL_ADU)


def _saturated(x: float, y: float, sigma: float) -> np.ndarray:
    """Return a star ten times too bright, with a halo, four spikes that grow with the seeing, and a bled column."""
    full = FULL_ADU * E_PER_ADU
    rows, columns = np.mgrid[:ROWS, :COLUMNS]
    right, up = columns - x, rows - y
    away = np.hypot(right, up)
    light = 10 * full * (1 + (away / (2 * sigma)) ** 2) ** -2.5
    for along, beside in ((right + up, right - up), (right - up, right + up)):
        light += 0.02 * full * sigma**4 * np.exp(-((along / 40) ** 2) - beside**2 / 4)
    light[(np.abs(right) < 1) & (np.abs(up) < 30)] = full
    return np.asarray(light)


def _line(one: tuple[float, float], other: tuple[float, float], sigma: float = 1.2) -> np.ndarray:
    """Return a trail whose middle is one high."""
    rows, columns = np.mgrid[:ROWS, :COLUMNS]
    length = np.hypot(other[0] - one[0], other[1] - one[1])
    ux, uy = (other[0] - one[0]) / length, (other[1] - one[1]) / length
    along = (columns - one[0]) * ux + (rows - one[1]) * uy
    beyond = np.maximum(np.abs(along - length / 2) - length / 2, 0)
    across = (rows - one[1]) * ux - (columns - one[0]) * uy
    return np.asarray(np.exp(-(across**2 + beyond**2) / (2 * sigma**2)))
