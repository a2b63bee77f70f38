"""Combine dark, bias or flat frames into a master. `master_library` stores it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from gozen.calibration.calibrate_frame import Detector, Image, reference_level
from gozen.errors import CorruptFile, SaturatedField
from gozen.frames.raw import RawCube

_CLIP_SIGMA = 5.0
_FLAT_RANGE = (0.2, 5.0)
_HOT_FRACTION = 0.25


def combine(frames: Iterable[Image]) -> Image:
    """Return the mean of frames without outliers; NaN if no frame has a number at a pixel.

    With three frames or more, a value further than 5 sigma from the median of the same pixel in all frames is left
    out: cosmic-ray hits, or stars that moved between twilight frames. Sigma is the robust standard deviation of that
    pixel, but not less than the median of sigma over the row.

    Parameters
    ----------
    frames
        Images of one shape; at least one.
    """
    cube = np.stack(list(frames))
    out = np.empty(cube.shape[1:], np.float32)
    for y in range(cube.shape[1]):
        row = cube[:, y]
        kept = np.isfinite(row)
        if len(cube) > 2:
            middle = _median(row, kept)
            away = np.abs(row - middle)
            sigma = 1.4826 * _median(away, kept)
            limit = _CLIP_SIGMA * np.fmax(sigma, np.nanmedian(sigma) if np.isfinite(sigma).any() else 0.0) + 1e-6
            kept &= away <= limit
        count = kept.sum(axis=0)
        out[y] = np.where(count > 0, np.where(kept, row, 0).sum(axis=0) / np.maximum(count, 1), np.nan)
    return out


def _median(values: Image, known: NDArray[np.bool_]) -> Image:
    """Return the median of the known values of each column, NaN if a column has none.

    Parameters
    ----------
    values, known
        Shape (frames, columns); `known` is a mask.
    """
    if known.all():
        return np.asarray(np.median(values, axis=0))
    ordered = np.sort(np.where(known, values, np.inf), axis=0)
    count = known.sum(axis=0)
    low, high = (np.take_along_axis(ordered, place[np.newaxis], axis=0)[0] for place in ((count - 1) // 2, count // 2))
    return np.asarray(np.where(count > 0, (low + high) / 2, np.nan))


def dark_master(cube: RawCube, detector: Detector) -> Image:
    """Return the master of dark or bias frames: their level minus the level of the reference columns, ADU."""
    return combine(_above_reference(cube, detector))


def flat_master(cubes: Sequence[RawCube], detector: Detector, darks: Sequence[Image] = ()) -> Image:
    """Return the flat, normalised to a median of 1, with NaN at dead pixels.

    Each frame is divided by its median before the frames are combined; so twilight frames of different brightness have
    the same weight. A pixel is dead if its response is below a fifth or above five times the median, or if its dark
    level is above a quarter of the saturation level.

    Parameters
    ----------
    darks
        The dark to subtract from the frames of each cube; by default the detector's dark for all.

    Raises
    ------
    SaturatedField
        No frame has a median between zero and 90 % of saturation.
    """
    own = [replace(detector, dark=dark) for dark in darks] or [detector] * len(cubes)
    levels = [frame for cube, one in zip(cubes, own, strict=True) for frame in _normalised(cube, one)]
    if not levels:
        raise SaturatedField(
            "no flat frame has a median between zero and 90 % of saturation: all are too bright, or have no light; "
            "take flats with a level between the two"
        )
    flat = combine(levels)
    flat /= np.nanmedian(flat)
    low, high = _FLAT_RANGE
    hot = np.any([one.dark > _HOT_FRACTION * one.saturation_adu for one in own], axis=0)
    dead = (flat < low) | (flat > high) | hot
    flat[dead | ~np.isfinite(flat)] = np.nan
    return flat


def _normalised(cube: RawCube, detector: Detector) -> Iterator[Image]:
    for raw, frame in zip(_raw_frames(cube), _above_reference(cube, detector), strict=True):
        light = frame - detector.dark
        middle = float(np.nanmedian(light))
        if middle > 0 and float(np.nanmedian(raw)) < 0.9 * detector.saturation_adu:
            yield np.asarray(light / middle, np.float32)


def _raw_frames(cube: RawCube) -> Iterator[NDArray[np.float32] | NDArray[np.float64]]:
    for index in range(cube.nframe):
        frame = cube.frame(index)
        yield frame.astype(np.float64) if frame.dtype == np.float64 else frame.astype(np.float32)


def _above_reference(cube: RawCube, detector: Detector) -> Iterator[Image]:
    for raw in _raw_frames(cube):
        frame = raw[detector.active] - reference_level(raw, detector)[:, np.newaxis]
        if not np.isfinite(frame).any():
            raise CorruptFile(
                f"{cube.frame_id}: all pixels of a frame are undefined (NaN or BLANK); leave this file out"
            )
        yield np.asarray(frame, np.float32)
