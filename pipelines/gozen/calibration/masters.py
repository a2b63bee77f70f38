"""Dark, bias and flat masters: how frames are combined. Where masters are kept and found is in `library`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from gozen.calibration.calibrate import Detector, Image, reference_level
from gozen.errors import CorruptFile, SaturatedField
from gozen.frames.raw import RawCube

_CLIP_SIGMA = 5.0
_FLAT_RANGE = (0.2, 5.0)
_HOT_FRACTION = 0.25


def combine(frames: Iterable[Image]) -> Image:
    """Return the mean of frames without outliers.

    A pixel further than 5 sigma from the median of its own values (cosmic hits, stars that moved between twilight
    frames) is left out; sigma is the robust deviation of that pixel, but not less than the median over all pixels.

    Parameters
    ----------
    frames
        Images of one shape; at least one.
    """
    cube = np.stack(list(frames))
    if len(cube) < 3:
        return np.asarray(cube.mean(axis=0), np.float32)
    out = np.empty(cube.shape[1:], np.float32)
    for y in range(cube.shape[1]):
        row = cube[:, y]
        middle = np.median(row, axis=0)
        sigma = 1.4826 * np.median(np.abs(row - middle), axis=0)
        limit = _CLIP_SIGMA * np.maximum(sigma, np.median(sigma)) + 1e-6
        kept = np.abs(row - middle) <= limit
        out[y] = np.where(kept, row, 0).sum(axis=0) / kept.sum(axis=0)
    return out


def dark_master(cube: RawCube, detector: Detector) -> Image:
    """Return the bias and dark level of the active area, ADU above the reference columns; also that of bias frames."""
    return combine(_above_reference(cube, detector))


def flat_master(cubes: Iterable[RawCube], detector: Detector) -> Image:
    """Return the flat, normalised to a median of 1, with NaN where a pixel is dead.

    Each frame is normalised before it is combined, so that twilight frames of different brightness count alike. A
    pixel is dead below a fifth or above five times the median response, or where its dark level alone fills a quarter
    of the full range.

    Raises
    ------
    SaturatedField
        No frame is below saturation.
    """
    levels = [frame for cube in cubes for frame in _normalised(cube, detector)]
    if not levels:
        raise SaturatedField("no flat frame lies between zero and saturation; take flats at a lower level")
    flat = combine(levels)
    flat /= np.median(flat)
    low, high = _FLAT_RANGE
    dead = (flat < low) | (flat > high) | (detector.dark > _HOT_FRACTION * detector.saturation_adu)
    flat[dead | ~np.isfinite(flat)] = np.nan
    return flat


def _normalised(cube: RawCube, detector: Detector) -> Iterator[Image]:
    for raw, frame in zip(_raw_frames(cube), _above_reference(cube, detector), strict=True):
        light = frame - detector.dark
        middle = float(np.median(light))
        if middle > 0 and float(np.median(raw)) < 0.9 * detector.saturation_adu:
            yield np.asarray(light / middle, np.float32)


def _raw_frames(cube: RawCube) -> Iterator[NDArray[np.float32]]:
    for index in range(cube.nframe):
        yield np.asarray(cube.frame(index), np.float32)


def _above_reference(cube: RawCube, detector: Detector) -> Iterator[Image]:
    for raw in _raw_frames(cube):
        frame = raw[detector.active] - reference_level(raw, detector)[:, np.newaxis]
        if not np.isfinite(frame).any():
            raise CorruptFile(f"{cube.frame_id}: a frame holds no number")
        yield frame
