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
    """Areas, gain and masters with which the frames of one sensor are calibrated.

    Parameters
    ----------
    active, reference
        Rows and columns of the active area and of the reference (overscan) columns; None if there are none.
    overscan
        ``frame`` to use one bias level for all rows; else each row has its own.
    dark
        Bias and dark level of the active area minus the level of the reference columns, ADU; 0 without a master.
    inverse_flat
        1 divided by the normalised flat; 1 without a master, NaN at dead pixels.
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
    """Return the `Detector` of one sensor, from the profile and the masters.

    Parameters
    ----------
    gain
        Name of the gain in the profile.
    dark, flat
        Masters with the shape of the active area; NaN in the flat marks a dead pixel.
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
    """Return the bias level of each active row in ADU, shape (rows,): the mean of the row's reference columns.

    With the overscan ``frame``, all rows get the median of these means. The level is 0 without reference columns, and
    NaN if no reference column of the row (with ``frame``: of any row) has a number.
    """
    rows = detector.active[0]
    if detector.reference is None:
        return np.zeros(rows.stop - rows.start, np.float32)
    columns = native(raw[rows, detector.reference[1]])
    # With pixels in float64, a level in float32 would round away the signal of the sky.
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
        The raw frame, shape (rows, columns); also in the stored form of FITS (`STORED`: big-endian with an offset).
    image, mask
        Arrays for the result, with the shape of the active area; new arrays by default.

    Returns
    -------
    image
        (raw - reference level - dark) / flat, ADU, shape of the active area. A dead pixel gets the mean of the nearest
        live pixels in its row, so that the image has no holes; the mask marks it.
    mask
        For each pixel `GOOD`, or the sum of `SATURATED` and `DEAD` as they apply.
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
    """Calibrate as `_pass` does, but from uint16 stored as int16 (`STORED`), row by row, to save a copy."""
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
    """Calibrate as `_pass` does, but from float64; the level is subtracted before the conversion to float32."""
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
        # The compiler vectorises this loop only if it has no branches.
        missing = np.uint8(not abs(pixel) < np.inf)
        mask[x] = np.uint8(value >= saturation) | missing << np.uint8(1)
        dead += int(missing)
    if dead:
        _fill(image, mask)


@njit(cache=True)
def _fill(row: Any, mask: Any) -> None:  # pragma: no cover (compiled)
    """Set each dead pixel of a row to the mean of the nearest live pixels at its left and right, 0 without any."""
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
