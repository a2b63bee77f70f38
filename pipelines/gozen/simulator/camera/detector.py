"""Simulate a sensor's electronics: fixed patterns, noise, saturation, digitisation."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numba
import numpy as np
import numpy.typing as npt

from gozen.instrument.profile import Gain, Profile, section_slices
from gozen.simulator.camera.poisson import Guides, poisson, poisson_tables
from gozen.simulator.sky.random_streams import stream
from gozen.simulator.sky.star_arrays import Floats

BIAS_ADU = 500.0
_PIXEL_RESPONSE = 0.01
_VIGNETTING = 0.12
_DARK_E_S = 0.5
_HOT_FRACTION = 1e-4
_DEAD_FRACTION = 2e-5
_DEAD_COLUMNS = 2
_COLUMN_BIAS_ADU = 2.0
_ROW_BIAS_ADU = 3.0
_ROW_NOISE_ADU = 1.5
_FRAME_DRIFT_ADU = 1.0
_BEYOND_SATURATION = 0.1

Image = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Pattern:
    """The fixed patterns of a sensor.

    Parameters
    ----------
    response
        Relative sensitivity with vignetting, shape of the active area; its mean is 1 without the dead pixels, which
        have 0.
    dark
        Dark current, electrons per second, shape of the active area.
    column_bias, row_bias
        Offsets of the active columns and of all rows, ADU.
    dead_columns
        Columns of the active area without signal, 0-based.
    """

    response: Image
    dark: Image
    column_bias: Image
    row_bias: Image
    dead_columns: tuple[int, ...]


@lru_cache(maxsize=2)
def pattern(seed: int, sensor_id: str, shape: tuple[int, int], raw_rows: int) -> Pattern:
    """Draw the fixed patterns of a sensor with an active area of this shape and raw frames of ``raw_rows`` rows."""
    rng = stream(seed, "pattern", sensor_id)
    rows, columns = shape
    response = _vignetting(rng, shape) * (1 + _PIXEL_RESPONSE * rng.standard_normal(shape, dtype=np.float32))
    response /= response.mean()
    dark = _DARK_E_S * np.exp(0.3 * rng.standard_normal(shape, dtype=np.float32))
    hot = rng.integers(0, rows * columns, int(_HOT_FRACTION * rows * columns))
    dark.flat[hot] = 10 ** rng.uniform(2.0, 4.0, hot.size)
    dead = rng.integers(0, rows * columns, int(_DEAD_FRACTION * rows * columns))
    response.flat[dead] = 0.0
    dead_columns = tuple(sorted(int(c) for c in rng.choice(columns, _DEAD_COLUMNS, replace=False)))
    response[:, dead_columns] = 0.0
    dark[:, dead_columns] = 0.0
    return Pattern(
        response=response.astype(np.float32),
        dark=dark.astype(np.float32),
        column_bias=(_COLUMN_BIAS_ADU * rng.standard_normal(columns)).astype(np.float32),
        row_bias=(_ROW_BIAS_ADU * rng.standard_normal(raw_rows)).astype(np.float32),
        dead_columns=dead_columns,
    )


def read_out(
    rng: np.random.Generator, light: Image, fixed: Pattern, profile: Profile, gain: Gain, exposure_s: float
) -> npt.NDArray[np.uint16]:
    """Expose and read one frame.

    Parameters
    ----------
    rng
        Random stream of the frame.
    light
        Expected electrons on an ideal sensor, shape of the active area.
    exposure_s
        Net exposure, seconds.

    Returns
    -------
    numpy.ndarray
        The raw frame, ADU, shape ``profile.shape``. The active area has light and dark current with Poisson noise,
        read noise and bias; the other pixels have only bias and read noise. The row bias of the active area is the
        same in the reference columns.
    """
    rows, columns = profile.shape
    drift = _FRAME_DRIFT_ADU * rng.standard_normal()
    row_offset = BIAS_ADU + drift + fixed.row_bias + _ROW_NOISE_ADU * rng.standard_normal(rows)
    offset = np.repeat(row_offset.astype(np.float32)[:, None], columns, axis=1)
    active = section_slices(profile.active)
    offset[active] += fixed.column_bias
    expected = np.zeros((rows, columns), np.float32)
    expected[active] = fixed.response * light + fixed.dark * np.float32(exposure_s)
    raw = np.empty((rows, columns), np.uint16)
    ceiling = min(65535.0, gain.saturation_adu * (1 + _BEYOND_SATURATION))
    limits = gain.saturation_adu, ceiling
    _digitise(rng, expected, offset, 1 / gain.e_per_adu, gain.read_noise_e, limits, *poisson_tables(), raw)
    return raw


@numba.njit(cache=True)
def _digitise(
    rng: np.random.Generator,
    expected: Image,
    offset: Image,
    adu_per_e: float,
    read_noise_e: float,
    limits: tuple[float, float],
    cumulative: Floats,
    guides: Guides,
    raw: npt.NDArray[np.uint16],
) -> None:
    """Convert expected electrons to noisy ADU; above saturation, values approach the ceiling exponentially."""
    saturation, ceiling = limits
    room = ceiling - saturation
    for row in range(raw.shape[0]):
        for column in range(raw.shape[1]):
            electrons = read_noise_e * rng.standard_normal()
            if expected[row, column] > 0.0:
                electrons += poisson(rng, expected[row, column], cumulative, guides)
            value = electrons * adu_per_e + offset[row, column]
            if value > saturation:
                value = saturation + room * (1.0 - np.exp((saturation - value) / room))
            raw[row, column] = np.uint16(min(max(value + 0.5, 0.0), 65535.0))


def _vignetting(rng: np.random.Generator, shape: tuple[int, int]) -> Image:
    rows, columns = shape
    centre_y, centre_x = rng.uniform(0.3, 0.7, 2)
    y = (np.arange(rows) / rows - centre_y)[:, None]
    x = (np.arange(columns) / columns - centre_x)[None, :]
    return np.asarray(1.0 - _VIGNETTING * (x * x + y * y), np.float32)
