"""Subtract the stack from each frame of a cube, and compute the tolerated residual near stars."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from gozen.calibration.calibrate_frame import DEAD, Image
from gozen.movers.trail_strip import KnownPixels
from gozen.photometry.aperture_sums import aperture_sums
from gozen.photometry.detect_sources import Sources
from gozen.photometry.frame_shift import Shift
from gozen.photometry.mean_stack import Stack
from gozen.photometry.placed_frame import PlacedFrame
from gozen.photometry.sky_background import FrameSky

Floats = NDArray[np.float64]
_STAR_FRACTION = 0.7
"""Largest fraction of a star's light that seeing, scintillation and half a pixel of shift leave in the difference."""
_STACK_SIGMA = 3.0
_SPREAD_PX = 2
_HALO_FWHM = 2.0
_CLOUD = 0.05
_WIDE_FWHM = 3.0
"""Diameter of an aperture whose flux hardly depends on the seeing."""
_SHARPEST = 0.7
"""Largest fraction of the light in 3 x 3 pixels that falls into one of them, for stars half a pixel wide. For a
cosmic-ray hit on a single pixel it is 1."""


@dataclass(frozen=True)
class Template:
    """The model of a frame without moving objects, computed from the stack.

    Parameters
    ----------
    image
        The stack with its background, shape (rows, columns), ADU.
    background
        The background map of the stack, ADU.
    allowance
        Amount that is added to the threshold of a box sum near stars, ADU; infinite for pixels that cannot be searched.
    box
        Side of the box for sums, pixels (odd); close to the optimum for the stars' width.
    fwhm
        Full width at half maximum of the stars, pixels.
    carried
        Whether the template is resampled to the pixels of a rotated frame; pixels outside the stack are then NaN.
    """

    image: Image
    background: Image
    allowance: Image
    box: int
    fwhm: float
    carried: bool = False

    def on_frame(self, shift: Shift) -> tuple[Template, Shift]:
        """Resample the template to a rotated frame; return it and the shift that remains (unchanged if not rotated)."""
        if shift.turn is None:
            return self, shift
        nothing, never = np.float32(np.nan), np.float32(np.inf)
        image, background = (shift.onto_frame(one, nothing) for one in (self.image, self.background))
        allowance = shift.onto_frame(self.allowance, never)
        lying = replace(self, image=image, background=background, allowance=allowance, carried=True)
        return lying, replace(shift, dx=0.0, dy=0.0, turn=None)

    def cover(self, shift: Shift) -> KnownPixels:
        """Return the pixels of a frame with this shift that can be searched."""
        return KnownPixels(self.known, round(shift.dx), round(shift.dy))

    @functools.cached_property
    def known(self) -> NDArray[np.bool_]:
        """Whether each pixel of the stack can be searched: covered, not dead, not near a saturated one."""
        return np.isfinite(self.allowance)


def lower_stack(stack: Stack, parts: list[tuple[Stack, FrameSky]]) -> Image:
    """Return the stack without light that is in only some parts of the cube, such as the light of slow objects.

    Parameters
    ----------
    parts
        Means of some of the frames, such as the first third and the last, with the mean sky of those frames.

    Returns
    -------
    The minimum of the parts in each pixel, corrected for the bias of the minimum by noise, ADU.
    """
    still = Shift(0.0, 0.0, 0.0, 0)
    whole = Template(stack.image, stack.image, stack.image, 3, 1.0)
    rests = [difference(PlacedFrame(part.image, part.mask, still, sky), whole, 1.0) for part, sky in parts]
    for rest, (part, _) in zip(rests, parts, strict=True):
        rest[part.weight == 0] = 0
    lowest = np.minimum.reduce(rests)
    return np.asarray(stack.image + (lowest - np.median(lowest[::7, ::7])), np.float32)


def make_template(stack: Stack, image: Image, background: Image, sources: Sources, fwhm: float) -> Template:
    """Prepare the comparison of a cube's frames with their stack.

    Parameters
    ----------
    stack
        Stack of all frames of the cube.
    image
        The image to subtract from the frames: the stack, or the result of `lower_stack`.
    background
        Background map of the stack from the detection, ADU.
    fwhm
        Full width at half maximum of the stars on the frames, pixels.
    """
    box = box_of(fwhm)
    stars = image - background
    noise = float(np.median(sources.noise)) if len(sources) else float(stars.std())
    sums = box_sums(stars, box)
    light = np.maximum(sums - np.float32(_STACK_SIGMA * noise * box), 0)
    allowance = np.float32(_STAR_FRACTION) * _widened(light, _SPREAD_PX)
    reach = int(np.ceil(_HALO_FWHM * fwhm))
    spoiled = stack.mask > 0
    _blot(allowance, *np.nonzero(spoiled), np.where(stack.mask[spoiled] & DEAD, 1 + box // 2, reach))
    return Template(image, background, allowance, box, fwhm)


def without_stars(template: Template) -> Template:
    """Return a template with the sky but without stars, for a cube with only one frame."""
    allowance = np.where(np.isinf(template.allowance), template.allowance, np.float32(0))
    return Template(template.background, template.background, allowance, template.box, template.fwhm)


def box_of(fwhm: float) -> int:
    """Return the odd side of the box with the highest signal-to-noise for a faint star, pixels; at least 3.

    For a Gaussian star, the signal-to-noise in a square has a broad maximum at a side of 1.19 FWHM.
    """
    return max(3, 2 * round((1.19 * fwhm - 1) / 2) + 1)


def sharpest_star(frame: PlacedFrame, template: Template, sources: Sources) -> float:
    """Return the largest fraction that one of 3 x 3 pixels has of a star's light in these pixels, on this frame."""
    strong = np.flatnonzero(~sources.merged & (sources.flux > 100 * sources.noise * template.fwhm))
    x, y = frame.shift.place(sources.x[strong], sources.y[strong])
    level = sources.background[strong] + frame.sky.at(x, y)
    core, around = cores(frame.image, x, y, level)
    good = (around > 0) & (core < around)
    if good.sum() < 20:
        return _SHARPEST
    return float(np.clip(np.percentile(core[good] / around[good], 98), 0.2, _SHARPEST))


def star_light(frame: PlacedFrame, whole: Image, sources: Sources, fwhm: float) -> float:
    """Return the ratio of the stars' flux on a frame to that on the stack; below 1 under clouds.

    Parameters
    ----------
    whole
        The image of the stack. The result of `lower_stack` is not suitable: its stars are too faint, because the
        seeing varies between the parts.
    fwhm
        Full width at half maximum of the stars, pixels.
    """
    order = np.argsort(-sources.flux, kind="stable")[:200]
    x, y = sources.x[order], sources.y[order]
    wide = _WIDE_FWHM * fwhm
    moved = frame.shift.place(x, y)
    there = aperture_sums(frame.image, frame.mask, *moved, wide)
    here = aperture_sums(whole, np.zeros_like(frame.mask), x, y, wide)
    seen = there.flux - there.area * (sources.background[order] + frame.sky.at(*moved))
    stack = here.flux - here.area * sources.background[order]
    good = ~(there.edge | there.dead | there.saturated | here.edge) & (stack > 20 * sources.noise[order] * wide)
    return float(np.median(seen[good] / stack[good])) if good.sum() >= 5 else 1.0


def difference(frame: PlacedFrame, template: Template, light: float) -> Image:
    """Subtract the stack, and the difference of their skies, from a frame; 0 in pixels outside the stack.

    Parameters
    ----------
    light
        Ratio of the stars' flux on the frame to that on the stack. A deviation from 1 by less than 5 % is ignored, to
        save time.
    """
    image, sky = frame.image, frame.sky
    template, shift = template.on_frame(frame.shift)
    model = template.image
    if abs(light - 1) > _CLOUD:
        model = template.background + np.float32(light) * (template.image - template.background)
    rows, columns = image.shape
    cells = (np.arange(columns) + 0.5) / sky.cell[1] - 0.5
    across = np.stack([np.interp(cells, np.arange(len(line)), line) for line in sky.excess]).astype(np.float32)
    place = np.clip((np.arange(rows) + 0.5) / sky.cell[0] - 0.5, 0, len(across) - 1)
    rest = np.asarray(_subtract(image, model, across, place, round(shift.dx), round(shift.dy)))
    return np.asarray(np.nan_to_num(rest, copy=False, nan=0.0)) if template.carried else rest


def difference_at(frame: PlacedFrame, template: Template, light: float, x: Floats, y: Floats) -> Floats:
    """Return `difference` interpolated at positions on the frame, ADU; NaN where it is unknown."""
    image, shift = frame.image, frame.shift
    column, row = shift.back(x, y) if shift.turn else (x - round(shift.dx), y - round(shift.dy))
    model, level = (
        map_coordinates(one, [row, column], order=1, mode="nearest", output=np.float64)
        for one in (template.image, template.background)
    )
    if abs(light - 1) > _CLOUD:
        model = level + light * (model - level)
    values = map_coordinates(image, [y, x], order=1, mode="nearest", output=np.float64)
    rows, columns = image.shape
    on = (x >= 0) & (y >= 0) & (x <= columns - 1) & (y <= rows - 1)
    known = on & KnownPixels(template.known, 0, 0).at(column, row) if shift.turn else template.cover(shift).at(x, y)
    return np.where(known, values - model - frame.sky.at(x, y), np.nan)


@njit(cache=True)
def _subtract(image: Any, model: Any, sky: Any, place: Any, dx: int, dy: int) -> Any:  # pragma: no cover (compiled)
    rows, columns = image.shape
    out = np.zeros((rows, columns), np.float32)
    first, last = max(dx, 0), min(columns + dx, columns)
    for row in range(max(dy, 0), min(rows + dy, rows)):
        low = int(place[row])
        high = min(low + 1, len(sky) - 1)
        part = np.float32(place[row] - low)
        rest = np.float32(1) - part
        # Slices of equal length let the compiler vectorize the loop.
        here, there = out[row, first:last], model[row - dy, first - dx : last - dx]
        line, below, above = image[row, first:last], sky[low, first:last], sky[high, first:last]
        for c in range(len(here)):
            here[c] = line[c] - there[c] - (rest * below[c] + part * above[c])
    return out


@njit(cache=True)
def box_sums(image: Any, box: int) -> Any:  # pragma: no cover (compiled)
    """Return the sum of the box around each pixel; 0 along the edges."""
    rows, columns = image.shape
    half = box // 2
    out = np.zeros((rows, columns), np.float32)
    total = np.zeros(columns, np.float32)
    for row in range(rows):
        for c in range(columns):
            total[c] += image[row, c]
        if row >= box:
            for c in range(columns):
                total[c] -= image[row - box, c]
        if row < box - 1:
            continue
        line = out[row - half, half : columns - half]
        for k in range(box):
            part = total[k : k + len(line)]
            for c in range(len(line)):
                line[c] += part[c]
    return out


def _widened(image: Image, reach: int) -> Image:
    """Return the maximum within ``reach`` pixels of each pixel, along each axis."""
    out = image.copy()
    for step in range(1, reach + 1):
        np.maximum(out[step:], image[:-step], out=out[step:])
        np.maximum(out[:-step], image[step:], out=out[:-step])
    tall = out.copy()
    for step in range(1, reach + 1):
        np.maximum(out[:, step:], tall[:, :-step], out=out[:, step:])
        np.maximum(out[:, :-step], tall[:, step:], out=out[:, :-step])
    return out


@njit(cache=True)
def _blot(image: Any, rows: Any, columns: Any, reach: Any) -> None:  # pragma: no cover (compiled)
    for i in range(len(rows)):
        r, c, k = rows[i], columns[i], reach[i]
        image[max(r - k, 0) : r + k + 1, max(c - k, 0) : c + k + 1] = np.inf


@njit(cache=True)
def cores(image: Any, xs: Any, ys: Any, level: Any) -> Any:  # pragma: no cover (compiled)
    """Return the highest pixel near each position, and the sum of the 3 x 3 pixels around it, both minus a level."""
    rows, columns = image.shape
    core, around = np.zeros(len(xs)), np.zeros(len(xs))
    for i in range(len(xs)):
        if not (2 <= ys[i] < rows - 3 and 2 <= xs[i] < columns - 3):
            continue
        row, column = int(np.rint(ys[i])), int(np.rint(xs[i]))
        br, bc = row, column
        for r in range(row - 1, row + 2):
            for c in range(column - 1, column + 2):
                if image[r, c] > image[br, bc]:
                    br, bc = r, c
        core[i] = image[br, bc] - level[i]
        for r in range(br - 1, br + 2):
            for c in range(bc - 1, bc + 2):
                around[i] += image[r, c] - level[i]
    return core, around
