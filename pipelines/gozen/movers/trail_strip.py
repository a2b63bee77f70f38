"""The pixels along a line of a frame: known pixels, core, and the sky on both sides."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from gozen.calibration.calibrate_frame import Image

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Line = tuple[float, float, float]
"""A place on a line, pixels, and its direction, radians from the x axis."""
_SIDE_HALVES = 3.0


@dataclass(frozen=True)
class KnownPixels:
    """Where something can be said about a frame.

    Parameters
    ----------
    known
        Of the stack's pixels, those that frames reach and that are neither dead nor near a saturated one.
    dx, dy
        Whole pixels by which the frame has drifted against the stack.
    """

    known: Flags
    dx: int
    dy: int

    def at(self, x: Floats, y: Floats) -> Flags:
        """Tell which places of the frame are covered."""
        rows, columns = self.known.shape
        column, row = np.rint(x).astype(np.intp), np.rint(y).astype(np.intp)
        on = (row >= 0) & (column >= 0) & (row < rows) & (column < columns)
        row, column = row - self.dy, column - self.dx
        on &= (row >= 0) & (column >= 0) & (row < rows) & (column < columns)
        known = self.known[np.clip(row, 0, rows - 1), np.clip(column, 0, columns - 1)]
        return np.asarray(on & known)


@dataclass(frozen=True)
class Strip:
    """The image along a line: values of shape (along, across), NaN where nothing is known.

    Parameters
    ----------
    core
        Which places across belong to the trail.
    left, right
        Sky on each side of it, at each place along, ADU per pixel; NaN where there is none.
    """

    along: Floats
    across: Floats
    values: Floats
    core: Flags
    left: Floats
    right: Floats

    @property
    def sky(self) -> Floats:
        """Between both sides; stray light and bad seeing about a bright star are as high beside a line as on it."""
        middle = (self.left + self.right) / 2
        return np.where(np.isfinite(middle), middle, np.where(np.isfinite(self.left), self.left, self.right))

    def above(self, sky: Floats) -> Floats:
        """Return the mean of the core above a sky at each place along, ADU per pixel; NaN where nothing is known."""
        values = self.values[:, self.core]
        count = np.isfinite(values).sum(axis=1)
        mean = np.nansum(values, axis=1) / np.maximum(count, 1) - sky
        return np.where(count > self.core.sum() / 2, mean, np.nan)


def half_width(fwhm: float) -> float:
    """Return how far from its line the light of a trail is summed, pixels."""
    return max(2.0, 1.5 * fwhm)


def strip_of(along: Floats, across: Floats, values: Floats, fwhm: float) -> Strip:
    """Tell core and sides of the values along a line."""
    half = half_width(fwhm)
    beside = half + 0.5 * fwhm
    sides = [_medians(values[:, chosen]) for chosen in (across < -beside, across > beside)]
    return Strip(along, across, values, np.abs(across) <= half, *sides)


def offsets_across(fwhm: float) -> Floats:
    """Return the places across a strip, pixels from its line."""
    reach = np.ceil(_SIDE_HALVES * half_width(fwhm))
    return np.arange(-reach, reach + 1)


def places(line: Line, along: Floats, across: Floats | float = 0.0) -> tuple[Floats, Floats]:
    """Return the places on the frame that lie so far along and beside a line."""
    x, y, angle = line
    return (
        x + along * np.cos(angle) - across * np.sin(angle),
        y + along * np.sin(angle) + across * np.cos(angle),
    )


def values_along(rest: Image, cover: KnownPixels, line: Line, along: Floats, across: Floats) -> Floats:
    """Return the image along a line, shape (along, across); NaN where nothing is known."""
    px, py = places(line, along[:, None], across[None, :])
    values = map_coordinates(rest, [py, px], order=1, mode="nearest", output=np.float64)
    return np.where(cover.at(px, py), values, np.nan)


def _medians(values: Floats) -> Floats:
    """Return the median of each row; NaN where less than half of it is known."""
    known = np.isfinite(values).sum(axis=1) >= max(values.shape[1] / 2, 1)
    out = np.full(len(values), np.nan)
    if known.any():
        out[known] = np.nanmedian(values[known], axis=1)
    return out
