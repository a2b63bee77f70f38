"""The template for each frame of a cube, made from the stack, and the tolerated residual near stars."""

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
"""Of a star's light on the stack that seeing, scintillation and half a pixel of shift may leave in the difference."""
_STACK_SIGMA = 3.0
_SPREAD_PX = 2
_HALO_FWHM = 2.0
_CLOUD = 0.05
_WIDE_FWHM = 3.0
"""Diameter of a circle from which seeing takes little light."""
_SHARPEST = 0.7
"""Part of the light in one of three by three pixels for stars half a pixel wide; a single hit pixel has all of it."""


@dataclass(frozen=True)
class Template:
    """The stack of a cube as a frame should look.

    Parameters
    ----------
    image
        The stack, ADU of one frame, with its background.
    background
        Its background map, ADU.
    allowance
        What the sum of a box may exceed its threshold by beside stars, ADU; infinite where nothing can be said.
    box
        Side of the box whose sum is compared, pixels (odd); close to the best matched one for the stars' width.
    fwhm
        Of the stars, pixels.
    carried
        Whether it lies as on a frame that is turned; where the stack does not reach, it is NaN.
    """

    image: Image
    background: Image
    allowance: Image
    box: int
    fwhm: float
    carried: bool = False

    def on_frame(self, shift: Shift) -> tuple[Template, Shift]:
        """Return the template as it lies on a frame that is turned, and the shift that is left; else itself."""
        if shift.turn is None:
            return self, shift
        nothing, never = np.float32(np.nan), np.float32(np.inf)
        image, background = (shift.onto_frame(one, nothing) for one in (self.image, self.background))
        allowance = shift.onto_frame(self.allowance, never)
        lying = replace(self, image=image, background=background, allowance=allowance, carried=True)
        return lying, replace(shift, dx=0.0, dy=0.0, turn=None)

    def cover(self, shift: Shift) -> KnownPixels:
        """Return where something can be said about a frame."""
        return KnownPixels(self.known, round(shift.dx), round(shift.dy))

    @functools.cached_property
    def known(self) -> NDArray[np.bool_]:
        """Of the stack's pixels, those that something can be said about."""
        return np.isfinite(self.allowance)


def lower_stack(stack: Stack, parts: list[tuple[Stack, FrameSky]]) -> Image:
    """Return the stack without what is in only one part of it: an object that crosses it slowly leaves less there.

    Parameters
    ----------
    parts
        Means of some of the frames, such as the first third and the last, with the mean sky of those frames.

    Returns
    -------
    The lowest of the parts, raised by what the noise takes off it.
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
        Of the whole cube.
    image
        What the frames are compared with: the stack, or `lower_stack`.
    background
        Map that was subtracted from the stack to detect, ADU.
    fwhm
        Of the stars on the frames, pixels.
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
    """Return a template of the sky alone, for a frame that there is nothing else to compare with."""
    allowance = np.where(np.isinf(template.allowance), template.allowance, np.float32(0))
    return Template(template.background, template.background, allowance, template.box, template.fwhm)


def box_of(fwhm: float) -> int:
    """Return the odd side of the box that sees a faint star best.

    For a Gaussian the signal-to-noise in a square is highest at a side of 1.19 FWHM, and flat about it.
    """
    return max(3, 2 * round((1.19 * fwhm - 1) / 2) + 1)


def sharpest_star(frame: PlacedFrame, template: Template, sources: Sources) -> float:
    """Return the largest part of its light in three by three pixels that a star of this frame has in one pixel."""
    strong = np.flatnonzero(~sources.merged & (sources.flux > 100 * sources.noise * template.fwhm))
    x, y = frame.shift.place(sources.x[strong], sources.y[strong])
    level = sources.background[strong] + frame.sky.at(x, y)
    core, around = cores(frame.image, x, y, level)
    good = (around > 0) & (core < around)
    if good.sum() < 20:
        return _SHARPEST
    return float(np.clip(np.percentile(core[good] / around[good], 98), 0.2, _SHARPEST))


def star_light(frame: PlacedFrame, whole: Image, sources: Sources, fwhm: float) -> float:
    """Return the stars' light on a frame over that on the stack: clouds make it less than one.

    Parameters
    ----------
    whole
        The stack; `lower_stack` would not do, whose stars lack what seeing takes off them.
    fwhm
        Of the stars, pixels.
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
    """Return a frame minus the stack and minus the frame's own sky; zero where the stack does not reach.

    Parameters
    ----------
    light
        By which the stars are fainter (or brighter) than on the stack; a small change does no harm and costs time.
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
    """Return the same at places on the frame, between pixels; NaN where nothing is known."""
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
        # Rows that are cut to one length let the compiler do several pixels at a time.
        here, there = out[row, first:last], model[row - dy, first - dx : last - dx]
        line, below, above = image[row, first:last], sky[low, first:last], sky[high, first:last]
        for c in range(len(here)):
            here[c] = line[c] - there[c] - (rest * below[c] + part * above[c])
    return out


@njit(cache=True)
def box_sums(image: Any, box: int) -> Any:  # pragma: no cover (compiled)
    """Return the sum of the box about each pixel, zero along the edges."""
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
    """Return the highest value within a square about each pixel."""
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
    """Return the highest pixel near each place, and the sum of the three by three about it, above a level."""
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
