"""Calibrate a raw frame in one compiled pass: overscan, dark, flat, dead pixels, saturation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numba import njit
from numpy.typing import NDArray

from gozen.frames.stored_pixels import STORED, Pixels, Stored, native
from gozen.instrument.profile import Gain, Profile, section_slices

Image = NDArray[np.float32]
Mask = NDArray[np.uint8]

GOOD, SATURATED, DEAD = 0, 1, 2


@dataclass(frozen=True)
class Detector:
    """What the calibration of one sensor needs: areas, gain, and what masters there are.

    Parameters
    ----------
    dark
        Bias and dark level of the active area in ADU, above the reference columns; zeros where there is no master.
    inverse_flat
        One over the normalised flat; ones where there is no master, NaN at dead pixels.
    """

    active: tuple[slice, slice]
    reference: tuple[slice, slice] | None
    overscan: str
    gain: Gain
    saturation_adu: float
    dark: Image
    inverse_flat: Image


def detector_of(
    profile: Profile, sensor: str, gain: str, dark: Image | None = None, flat: Image | None = None
) -> Detector:
    """Gather what the calibration of one sensor needs from the profile and the masters.

    Parameters
    ----------
    dark, flat
        Masters of the active area's shape; NaN in the flat marks a dead pixel.
    """
    shape = profile.active_shape
    known = profile.sensor(sensor)
    own = known.saturation_adu if known else None
    inverse = np.ones(shape, np.float32) if flat is None else (1 / flat).astype(np.float32)
    return Detector(
        section_slices(profile.active),
        section_slices(profile.reference) if profile.reference else None,
        profile.overscan,
        profile.gains[gain],
        own or profile.gains[gain].saturation_adu,
        np.zeros(shape, np.float32) if dark is None else dark,
        inverse,
    )


def reference_level(raw: Pixels | Stored, detector: Detector) -> NDArray[np.float32] | NDArray[np.float64]:
    """Return the bias level of each active row, ADU: the mean of its reference columns, or that of the whole frame.

    NaN where the reference columns of a row hold no number.
    """
    rows = detector.active[0]
    if detector.reference is None:
        return np.zeros(rows.stop - rows.start, np.float32)
    columns = native(raw[rows, detector.reference[1]])
    # Numbers that need 64 bits lose what the sky adds to them if their level has fewer.
    level = columns.mean(axis=1, dtype=np.float64 if columns.dtype == np.float64 else np.float32)
    if not np.isfinite(level).all():
        level = _mean_of_numbers(columns).astype(level.dtype)
    if detector.overscan == "frame":
        known = level[np.isfinite(level)]
        level[:] = np.median(known) if len(known) else np.nan
    return cast("NDArray[np.float32] | NDArray[np.float64]", level)


def calibrate(
    raw: Pixels | Stored, detector: Detector, image: Image | None = None, mask: Mask | None = None
) -> tuple[Image, Mask]:
    """Calibrate one frame.

    Parameters
    ----------
    raw
        Shape (rows, columns) of the raw frame, also as it lies in a FITS file.
    image, mask
        Where to put the result, shape of the active area; new arrays by default.

    Returns
    -------
    image
        Shape of the active area, ADU: raw minus reference level and dark, over the flat. A dead pixel holds the mean
        of its neighbours in the row, so that it shows no hole; its mask says so.
    mask
        `GOOD`, `SATURATED` or `DEAD` for each pixel.
    """
    shape = detector.dark.shape
    image = np.empty(shape, np.float32) if image is None else image
    mask = np.empty(shape, np.uint8) if mask is None else mask
    run = {STORED: _pass_stored, np.dtype(np.float64): _pass_wide}.get(raw.dtype, _pass)
    run(
        np.ascontiguousarray(raw.view(np.uint16) if raw.dtype == STORED else raw),
        (detector.active[0].start, detector.active[1].start),
        reference_level(raw, detector),
        detector.dark,
        detector.inverse_flat,
        np.float32(detector.saturation_adu),
        image,
        mask,
    )
    return image, mask


def _mean_of_numbers(columns: Pixels) -> NDArray[np.float64]:
    good = np.isfinite(columns)
    total, count = np.where(good, columns, 0).sum(axis=1, dtype=np.float64), good.sum(axis=1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


@njit(cache=True)
def _pass(
    raw: Any, first: Any, level: Any, dark: Any, inverse_flat: Any, saturation: Any, image: Any, mask: Any
) -> None:  # pragma: no cover (compiled)
    rows, columns = image.shape
    for y in range(rows):
        line = raw[first[0] + y, first[1] : first[1] + columns]
        _row(line, level[y], dark[y], inverse_flat[y], saturation, image[y], mask[y])


@njit(cache=True)
def _pass_stored(
    raw: Any, first: Any, level: Any, dark: Any, inverse_flat: Any, saturation: Any, image: Any, mask: Any
) -> None:  # pragma: no cover (compiled)
    """Do the same to uint16 as FITS keeps them, one row at a time, so that no copy of the frame is made."""
    rows, columns = image.shape
    line = np.empty(columns, np.uint16)
    for y in range(rows):
        stored = raw[first[0] + y, first[1] : first[1] + columns]
        for x in range(columns):
            line[x] = ((stored[x] >> np.uint16(8)) | (stored[x] << np.uint16(8))) ^ np.uint16(0x8000)
        _row(line, level[y], dark[y], inverse_flat[y], saturation, image[y], mask[y])


@njit(cache=True)
def _pass_wide(
    raw: Any, first: Any, level: Any, dark: Any, inverse_flat: Any, saturation: Any, image: Any, mask: Any
) -> None:  # pragma: no cover (compiled)
    """Do the same to float64, whose level is taken off before they become float32."""
    rows, columns = image.shape
    line = np.empty(columns, np.float32)
    for y in range(rows):
        wide = raw[first[0] + y, first[1] : first[1] + columns]
        for x in range(columns):
            line[x] = wide[x] - level[y]
        full = np.float32(saturation - level[y])
        _row(line, np.float32(0), dark[y], inverse_flat[y], full, image[y], mask[y])


@njit(cache=True)
def _row(
    raw: Any, level: Any, dark: Any, inverse_flat: Any, saturation: Any, image: Any, mask: Any
) -> None:  # pragma: no cover (compiled)
    dead = 0
    for x in range(len(image)):
        value = np.float32(raw[x])
        pixel = (value - level - dark[x]) * inverse_flat[x]
        image[x] = pixel
        # Without a branch the compiler does many pixels at a time.
        missing = np.uint8(not abs(pixel) < np.inf)
        mask[x] = np.uint8(value >= saturation) | missing << np.uint8(1)
        dead += int(missing)
    if dead:
        _fill(image, mask)


@njit(cache=True)
def _fill(row: Any, mask: Any) -> None:  # pragma: no cover (compiled)
    """Give each dead pixel of a row the mean of the nearest live ones to its left and right."""
    columns = len(row)
    x = 0
    while x < columns:
        if mask[x] & 2 == 0:
            x += 1
            continue
        end = x
        while end < columns and mask[end] & 2:
            end += 1
        total, count = np.float32(0), 0
        if x > 0:
            total, count = total + row[x - 1], count + 1
        if end < columns:
            total, count = total + row[end], count + 1
        value = total / count if count else np.float32(0)
        for k in range(x, end):
            row[k] = value
        x = end
