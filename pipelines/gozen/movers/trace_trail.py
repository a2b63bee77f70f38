"""Follow a trail along its line to both ends, and measure its width and its flux above the sky.

Trails are started and linked in `gozen.movers.streaks`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gozen.calibration.calibrate_frame import Image
from gozen.movers.trail_strip import (
    Flags,
    Floats,
    KnownPixels,
    Line,
    Strip,
    offsets_across,
    places,
    strip_of,
    values_along,
)

_FARTHER = 2.0
_PASSES = 4
_STRUCTURE = 3.0
"""Smallest ratio of a trail's brightness to the unevenness of the sky on its sides."""
_BEYOND_FWHM = 2.0
_BARE = 0.5
"""Largest fraction of a trail along which the sky on one of its sides may be unknown."""


@dataclass(frozen=True)
class Trail:
    """Ends, flux and width of a trail.

    Parameters
    ----------
    line
        x and y of a point on the trail, pixels, and its angle from the x axis, radians.
    low, high
        Its ends, pixels along the line from that point.
    flux, flux_err
        Flux of the complete trail and its error, ADU. Hidden parts are assumed to be as bright as the other parts.
    width
        Full width at half maximum across the trail, pixels.
    whole
        Whether the sky beyond each end is known, shape (2,).
    """

    line: Line
    low: float
    high: float
    flux: float
    flux_err: float
    width: float
    whole: Flags


def trace(
    rest: Image, cover: KnownPixels, start: tuple[float, float, float, float], noise: float, fwhm: float
) -> Trail | None:
    """Follow a trail from a piece of it.

    Parameters
    ----------
    rest
        Difference of the frame and the stack, ADU.
    cover
        Pixels of the frame that can be searched.
    start
        x and y of the piece's middle, pixels, its angle from the x axis, radians, and its length, pixels.
    noise
        Noise of one pixel, ADU.
    fwhm
        Full width at half maximum of the stars, pixels.

    Returns
    -------
    The trail; None if it is not a line of light with sky on both sides.
    """
    x, y, angle, length = start
    across = offsets_across(fwhm)
    low, high = -length / 2, length / 2
    for _ in range(_PASSES):
        # Each pass searches farther: a long trail is followed to its ends, and a short one costs little time.
        reach = _FARTHER * (high - low) + 20 * fwhm
        along = np.arange(np.floor(low - reach), np.ceil(high + reach) + 1)
        strip = strip_of(along, across, values_along(rest, cover, (x, y, angle), along, across), fwhm)
        ends = _ends(along, strip.above(strip.sky), (low, high), noise / np.sqrt(strip.core.sum()), fwhm)
        if ends is None:
            return None
        low, high = ends
        inside = (along >= low) & (along <= high)
        light = np.nan_to_num(strip.values - strip.sky[:, None])
        tilt, offset = _line_through(along[inside], light[inside][:, strip.core], across[strip.core])
        x, y = x - np.sin(angle) * offset, y + np.cos(angle) * offset
        angle += np.arctan(tilt)
    inside = (along >= low) & (along <= high) & np.isfinite(strip.above(strip.sky))
    if not _stands_out(strip, inside):
        return None
    flux, error = _flux(strip, inside, high - low, noise)
    profile = np.nanmean(strip.values[inside] - strip.sky[inside, None], axis=0)
    beyond = np.array([low, high]) + np.array([-1.0, 1.0]) * _BEYOND_FWHM * fwhm
    whole = cover.at(*places((x, y, angle), beyond))
    return Trail((x, y, angle), low, high, flux, error, _width(np.nan_to_num(profile), across), whole)


def _stands_out(strip: Strip, inside: Flags) -> bool:
    """Tell whether a line is clearly brighter than the unevenness of the sky on its sides.

    The edge of a reflection or a border is not. A linear gradient of the sky is allowed.
    """
    both = inside & np.isfinite(strip.left) & np.isfinite(strip.right)
    if both.sum() < max(2, (1 - _BARE) * inside.sum()):
        return False
    beside = strip.values[both][:, ~strip.core] - strip.sky[both, None]
    seen = np.isfinite(beside).sum(axis=0) > both.sum() / 2
    across, level = strip.across[~strip.core][seen], np.nanmedian(beside[:, seen], axis=0)
    uneven = level - np.polyval(np.polyfit(across, level, 1), across)
    return bool(np.median(strip.above(strip.sky)[both]) > _STRUCTURE * np.std(uneven))


def _flux(strip: Strip, inside: Flags, length: float, noise: float) -> tuple[float, float]:
    core = int(strip.core.sum())
    light = strip.above(strip.sky)[inside]
    across = np.abs(strip.across) > np.abs(strip.across[strip.core]).max() + 1
    sides = (strip.values[inside] - strip.sky[inside, None])[:, across]
    sides = sides[np.isfinite(sides)]
    scatter = max(noise, 1.4826 * float(np.median(np.abs(sides))) if sides.size else noise)
    pixels = len(light) * core
    error = scatter * np.sqrt(pixels) * np.sqrt(1 + 1.57 * core / max(sides.size / len(light), 1))
    hidden = max(length + 1, len(light)) / len(light)
    return float(light.sum()) * core * hidden, float(error) * hidden


def _ends(
    along: Floats, light: Floats, known: tuple[float, float], noise: float, fwhm: float
) -> tuple[float, float] | None:
    """Return the points at which a trail's light falls to half, outwards from a known piece, across short gaps."""
    reach = max(round(fwhm), 1)
    on = np.isfinite(light)
    window = np.ones(2 * reach + 1)
    weight = np.convolve(on.astype(float), window, mode="same")
    smooth = np.convolve(np.nan_to_num(light), window, mode="same") / np.maximum(weight, 1)
    inside = (along >= known[0]) & (along <= known[1]) & on
    if not inside.any():
        return None
    level = float(np.median(smooth[inside]))
    if level < 2 * noise / np.sqrt(2 * reach + 1):
        return None
    bright = (smooth > level / 2) & on
    gap = max(4 * fwhm, 0.05 * (known[1] - known[0]))
    # Unknown pixels do not count towards a gap.
    seen = np.cumsum(on)
    ends = []
    for sign in (-1, 1):
        indices = np.flatnonzero(bright & (sign * along >= 0))[::sign]
        if len(indices) == 0:
            return None
        jumps = np.flatnonzero(np.abs(np.diff(seen[indices])) > gap)
        index = int(indices[jumps[0]] if len(jumps) else indices[-1])
        last, beyond = float(along[index]), index + sign
        if 0 <= beyond < len(along) and on[beyond]:
            fall = (smooth[index] - level / 2) / max(smooth[index] - smooth[beyond], 1e-9)
            last += sign * float(np.clip(fall, 0, 1))
        ends.append(last)
    return ends[0], ends[1]


def _line_through(along: Floats, strip: Floats, across: Floats) -> tuple[float, float]:
    """Fit slope and offset of the light's centroid across a strip; robust against stars that touch the trail."""
    pieces = np.array_split(np.arange(len(along)), max(min(len(along) // 6, 40), 2))
    places, middles, weights = [], [], []
    for piece in pieces:
        if len(piece) == 0:
            continue
        light = np.maximum(np.median(strip[piece], axis=0), 0)
        if light.sum() > 0:
            places.append(float(along[piece].mean()))
            middles.append(float(light @ across / light.sum()))
            weights.append(1.0)
    if len(places) < 2:
        return 0.0, 0.0
    weight = np.array(weights)
    for _ in range(3):
        slope, offset = np.polyfit(places, middles, 1, w=weight)
        rest = np.abs(np.array(middles) - slope * np.array(places) - offset)
        weight = np.where(rest > 3 * max(1.48 * float(np.median(rest)), 0.05), 0.01, 1.0)
    return float(slope), float(offset)


def _width(profile: Floats, across: Floats) -> float:
    """Return the full width at half maximum of the peak near a profile's middle, interpolated; inf if it has none."""
    middle = len(profile) // 2
    near = slice(middle // 2, len(profile) - middle // 2)
    peak = middle // 2 + int(np.argmax(profile[near]))
    half = profile[peak] / 2
    sides = []
    for step in (-1, 1):
        k = peak + step
        while 0 < k < len(profile) - 1 and profile[k] > half:
            k += step
        if profile[k] > half:
            return float("inf")
        inner, outer = profile[k - step], profile[k]
        part = (inner - half) / max(inner - outer, 1e-9)
        sides.append(abs(across[k - step] + step * float(np.clip(part, 0, 1)) - across[peak]))
    return float(sum(sides))
