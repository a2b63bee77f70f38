"""Sample the pixels along a line of a frame: the core of a trail, and the sky on both sides."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from gozen.calibration.calibrate_frame import Image

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Line = tuple[float, float, float]
"""x and y of a point on a line, pixels, and its angle from the x axis, radians."""
_SIDE_HALVES = 3.0


@dataclass(frozen=True)
class KnownPixels:
    """The pixels of a frame that can be searched.

    Parameters
    ----------
    known
        True for pixels of the stack that are covered by frames, not dead, and not near a saturated one.
    dx, dy
        Shift of the frame against the stack, whole pixels.
    """

    known: Flags
    dx: int
    dy: int

    def at(self, x: Floats, y: Floats) -> Flags:
        """Tell which positions on the frame can be searched."""
        rows, columns = self.known.shape
        column, row = np.rint(x).astype(np.intp), np.rint(y).astype(np.intp)
        on = (row >= 0) & (column >= 0) & (row < rows) & (column < columns)
        row, column = row - self.dy, column - self.dx
        on &= (row >= 0) & (column >= 0) & (row < rows) & (column < columns)
        known = self.known[np.clip(row, 0, rows - 1), np.clip(column, 0, columns - 1)]
        return np.asarray(on & known)


@dataclass(frozen=True)
class Strip:
    """The image along a line.

    Parameters
    ----------
    along, across
        Offsets of the samples along the line and across it, pixels.
    values
        Samples of the image, shape (along, across), ADU; NaN where unknown.
    core
        Which offsets across belong to the trail.
    left, right
        Sky on each side of the trail, shape (along,), ADU per pixel; NaN where unknown.
    """

    along: Floats
    across: Floats
    values: Floats
    core: Flags
    left: Floats
    right: Floats

    @property
    def sky(self) -> Floats:
        """Sky along the line, ADU per pixel: the mean of both sides, or one side if the other is unknown.

        The sky next to the line is used because stray light and the halo of a bright star are as bright there as on it.
        """
        middle = (self.left + self.right) / 2
        return np.where(np.isfinite(middle), middle, np.where(np.isfinite(self.left), self.left, self.right))

    def above(self, sky: Floats) -> Floats:
        """Return the mean of the core minus a sky, shape (along,), ADU per pixel; NaN if too few pixels are known."""
        values = self.values[:, self.core]
        count = np.isfinite(values).sum(axis=1)
        mean = np.nansum(values, axis=1) / np.maximum(count, 1) - sky
        return np.where(count > self.core.sum() / 2, mean, np.nan)


def half_width(fwhm: float) -> float:
    """Return the distance from its line within which a trail's light is summed, pixels."""
    return max(2.0, 1.5 * fwhm)


def strip_of(along: Floats, across: Floats, values: Floats, fwhm: float) -> Strip:
    """Split the values along a line into the core of a trail and the sky on both sides."""
    half = half_width(fwhm)
    beside = half + 0.5 * fwhm
    sides = [_medians(values[:, chosen]) for chosen in (across < -beside, across > beside)]
    return Strip(along, across, values, np.abs(across) <= half, *sides)


def offsets_across(fwhm: float) -> Floats:
    """Return the offsets of a strip's samples across its line, pixels."""
    reach = np.ceil(_SIDE_HALVES * half_width(fwhm))
    return np.arange(-reach, reach + 1)


def places(line: Line, along: Floats, across: Floats | float = 0.0) -> tuple[Floats, Floats]:
    """Convert offsets along and across a line to positions x, y on the frame, pixels."""
    x, y, angle = line
    return (
        x + along * np.cos(angle) - across * np.sin(angle),
        y + along * np.sin(angle) + across * np.cos(angle),
    )


def values_along(rest: Image, cover: KnownPixels, line: Line, along: Floats, across: Floats) -> Floats:
    """Interpolate an image along a line, shape (along, across); NaN where unknown."""
    px, py = places(line, along[:, None], across[None, :])
    values = map_coordinates(rest, [py, px], order=1, mode="nearest", output=np.float64)
    return np.where(cover.at(px, py), values, np.nan)


def _medians(values: Floats) -> Floats:
    """Return the median of each row; NaN if less than half of the row is known."""
    known = np.isfinite(values).sum(axis=1) >= max(values.shape[1] / 2, 1)
    out = np.full(len(values), np.nan)
    if known.any():
        out[known] = np.nanmedian(values[known], axis=1)
    return out
