"""Reject trails that are at the same position on several frames: spikes, reflections, borders.

Spikes of saturated stars, reflections and vignetted borders differ from the stack on many frames. A moving object has
left its position by the next frame.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from gozen.movers.candidates import Candidates
from gozen.movers.streaks import Streak
from gozen.movers.trail_strip import Floats, Line, offsets_across, places, strip_of
from gozen.photometry.frame_shift import Shift

RestAt = Callable[[int, Floats, Floats], Floats]
"""Return the difference of a frame (by index) and the stack at positions x, y on the frame, ADU; NaN if unknown."""
_NEIGHBOURS, _AROUND = 2, 8
_NEXT, _LATER = 0.5, 0.33
"""A trail persists if its position has more than the first fraction of its light on the previous or the next frame, or
more than the second on two of the eight nearest frames."""

_DRAWN_OUT = 2.0


def without_lasting(
    streaks: list[Streak], frames: list[int], shifts: list[Shift], rest_at: RestAt, fwhm: float
) -> list[Streak]:
    """Return the trails that are on one frame only.

    Parameters
    ----------
    frames
        Indices of the searched frames, in the order of time.
    shifts
        Shift of every frame against the stack.
    fwhm
        Full width at half maximum of the stars, pixels.
    """
    return [streak for streak in streaks if not _lasts(streak, frames, shifts, rest_at, fwhm)]


def without_lasting_ridges(found: list[Candidates], shifts: list[Shift], fwhm: float, box: int) -> list[Candidates]:
    """Remove elongated candidates that have another one at the same position on the previous or the next frame.

    An object with such a trail moves by the length of the trail until the next frame; the edge of a reflection does
    not move.

    Parameters
    ----------
    found
        Candidates of each searched frame, in the order of time.
    box
        Side of the box of the search, pixels.
    """
    drawn = [(one.length_px > 2 * fwhm + box) & (one.elongation > _DRAWN_OUT) for one in found]
    places = [np.column_stack(shifts[one.frame].back(one.x, one.y)) for one in found]
    kept = []
    for k, one in enumerate(found):
        others = [places[j][drawn[j]] for j in (k - 1, k + 1) if 0 <= j < len(found)]
        near = np.concatenate([*others, np.full((1, 2), np.inf)])
        away = np.hypot(*(places[k][:, None] - near).transpose(2, 0, 1)).min(axis=1)
        kept.append(one.where(~(drawn[k] & (away < one.length_px / 3))))
    return kept


def _lasts(streak: Streak, frames: list[int], shifts: list[Shift], rest_at: RestAt, fwhm: float) -> bool:
    light = _light(streak, streak.frame, shifts, rest_at, fwhm)
    at = frames.index(streak.frame)
    order = sorted((abs(k - at), index) for k, index in enumerate(frames) if k != at)[:_AROUND]
    part = np.array([_light(streak, index, shifts, rest_at, fwhm) for _, index in order]) / max(light, 1e-9)
    beside = np.array([away * 2 <= _NEIGHBOURS for away, _ in order], bool)
    return light <= 0 or bool((part[beside] > _NEXT).any() or (part > _LATER).sum() >= 2)


def _light(streak: Streak, index: int, shifts: list[Shift], rest_at: RestAt, fwhm: float) -> float:
    """Return the median light per pixel at a trail's position on another frame, ADU; zero if it is unknown."""
    own, other = shifts[streak.frame], shifts[index]
    line = _line(*other.place(*own.back(streak.x, streak.y)))
    half = streak.length_px / 2
    along, across = np.arange(-np.floor(half), np.floor(half) + 1), offsets_across(fwhm)
    values = rest_at(index, *places(line, along[:, None], across[None, :]))
    strip = strip_of(along, across, values, fwhm)
    light = strip.above(strip.sky)
    known: NDArray[np.bool_] = np.isfinite(light)
    return float(np.median(light[known])) if known.sum() > len(light) / 4 else 0.0


def _line(x: Floats, y: Floats) -> Line:
    """Return middle and angle of a trail from x and y of its two ends."""
    return float(x.mean()), float(y.mean()), float(np.arctan2(np.diff(y)[0], np.diff(x)[0]))
