"""Measure objects that trail within a frame (ends, flux, width), and link their trails on several frames."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from gozen.calibration.calibrate_frame import Image
from gozen.movers.candidates import Candidates
from gozen.movers.trace_trail import Trail, trace
from gozen.movers.trail_strip import KnownPixels, half_width, places

Floats = NDArray[np.float64]
_ELONGATED, _BRIGHT_ELONGATED, _BRIGHT_SNR = 3.0, 1.5, 50.0
_LONG_FWHM = 4.0
_THIN = 3.5
"""Smallest ratio of length to width of a trail; larger than for candidates: the search box widens them."""
_SHORTEST_PX = 12.0
_AMONG_STARS = 2.5
_HITS_PX = 6.0
"""Amount by which the box and the wings of a bright trail widen the region above the threshold, pixels."""
_NARROW = 0.7
"""A line narrower than this fraction of a star's FWHM did not pass through the optics: it is a cosmic ray."""
_WIDEST = 3.0
"""Largest width in FWHM: a satellite can be out of focus, and so wider than the stars; wider light is stray light."""
_PARALLEL = 0.1
_SAME_LENGTH = 0.2

Kind = Literal["streak", "cosmic"]


@dataclass(frozen=True)
class Streak:
    """A straight trail on one frame.

    Parameters
    ----------
    frame
        Index of the frame.
    x, y
        Positions of its two ends, 0-based pixels of the frame, shape (2,), sorted by x, then by y.
    error_px
        Standard error of the ends, per axis, pixels.
    flux, flux_err
        Flux of the complete trail and its error, ADU.
    width_px
        Full width at half maximum across the trail, pixels.
    kind
        ``cosmic`` if it is narrower than a star can be, else ``streak``.
    whole
        Whether the sky beyond each end is known, shape (2,); False if the trail leaves the frame or the stack there.
    """

    frame: int
    x: Floats
    y: Floats
    error_px: float
    flux: float
    flux_err: float
    width_px: float
    kind: Kind
    whole: NDArray[np.bool_]

    @property
    def length_px(self) -> float:
        """Distance from end to end, pixels."""
        return float(np.hypot(np.diff(self.x)[0], np.diff(self.y)[0]))

    @property
    def middle(self) -> tuple[float, float]:
        """The point in the middle between the ends: x and y, pixels."""
        return float(self.x.mean()), float(self.y.mean())

    def distance(self, x: Floats, y: Floats) -> Floats:
        """Return the distance of positions from the trail, pixels."""
        along, across = _turned(self, x, y)
        return np.hypot(np.maximum(np.abs(along) - self.length_px / 2, 0), across)


def find_streaks(
    rest: Image, cover: KnownPixels, found: Candidates, noise: float, fwhm: float, *, among_stars: bool = False
) -> list[Streak]:
    """Measure the trails among a frame's candidates, the longest first.

    Parameters
    ----------
    rest
        Difference of the frame and the stack (or the background, if there is only one frame), ADU.
    cover
        Pixels of the frame that can be searched.
    found
        Candidates of the frame. Each long, thin one starts a trail, which is followed in both directions.
    noise
        Noise of one pixel, ADU.
    fwhm
        Full width at half maximum of the stars, pixels.
    among_stars
        Whether the image also contains stars. If so, a trail must be longer, to exclude blends and galaxies.
    """
    thin = found.length_px / found.elongation < _WIDEST * fwhm + _HITS_PX
    # The wings of a bright trail are also above the threshold, which lowers its elongation.
    bright = (found.snr > _BRIGHT_SNR) & (found.elongation > _BRIGHT_ELONGATED)
    elongated = (found.elongation > _ELONGATED) | bright
    times = _AMONG_STARS if among_stars else 1.0
    shortest = times * max(_LONG_FWHM * fwhm, _SHORTEST_PX)
    long = (found.length_px > shortest) & elongated & thin
    streaks: list[Streak] = []
    for index in np.flatnonzero(long)[np.argsort(-found.length_px[long], kind="stable")]:
        x, y = found.x[index : index + 1], found.y[index : index + 1]
        if any(streak.distance(x, y)[0] < 3 * fwhm for streak in streaks):
            continue
        start = float(x[0]), float(y[0]), float(found.angle[index]), float(found.length_px[index])
        trail = trace(rest, cover, start, noise, fwhm)
        if trail is None:
            continue
        streak = _measured(trail, found.frame, noise, fwhm)
        if streak.width_px > min(_WIDEST * fwhm, streak.length_px / (times * _THIN)):
            continue
        if streak.length_px > shortest:
            streaks.append(streak)
    return streaks


def link_streaks(streaks: list[Streak], times: Floats, exposure: float) -> list[list[Streak]]:
    """Group the trails of each object on several frames, sorted by their first frame.

    Two trails belong together if the step between their middles is parallel to both, and as long as expected from
    their length and the time between the frames. A trail that is cut by a border or a saturated star has no known
    length. It is added to complete trails whose motion passes over it; otherwise it is a group of one.

    Parameters
    ----------
    times
        Time of each frame.
    exposure
        Exposure time of a frame, in the same unit.
    """
    chains: list[list[Streak]] = []
    ordered = sorted(streaks, key=lambda one: (not one.whole.all(), one.frame, -one.flux))
    for streak in ordered:
        chain = next((c for c in chains if _joins(c, streak, times, exposure)), None)
        if chain is None:
            chains.append([streak])
        else:
            chain.append(streak)
    return sorted((sorted(chain, key=lambda one: one.frame) for chain in chains), key=lambda chain: chain[0].frame)


def _joins(chain: list[Streak], streak: Streak, times: Floats, exposure: float) -> bool:
    if streak.whole.all():
        return _follows(chain[-1], streak, times, exposure)
    complete = [one for one in chain if one.whole.all()]
    return len(complete) > 1 and _lies_on(complete, streak, times)


def _lies_on(complete: list[Streak], cut: Streak, times: Floats) -> bool:
    """Tell whether a trail without known ends is part of the trail that the complete trails predict for its frame."""
    first, last = complete[0], complete[-1]
    speed = np.subtract(last.middle, first.middle) / (times[last.frame] - times[first.frame])
    near = min(complete, key=lambda one: abs(times[one.frame] - times[cut.frame]))
    expected = np.asarray(near.middle) + speed * (times[cut.frame] - times[near.frame])
    length, unit = float(np.mean([one.length_px for one in complete])), speed / np.hypot(*speed)
    x, y = cut.x - expected[0], cut.y - expected[1]
    along, across = np.abs(x * unit[0] + y * unit[1]), np.abs(x * unit[1] - y * unit[0])
    room = _SAME_LENGTH * length
    at_ends = np.abs(along - length / 2) < room
    inside = bool((along < length / 2 + room).all() and (across < _PARALLEL * length).all())
    return inside and bool(at_ends[cut.whole].all()) and cut.kind == first.kind


def heading(chain: list[Streak]) -> int:
    """Return +1 if the object moves from the first end to the second, -1 for the opposite, 0 for a single trail."""
    if len(chain) < 2:
        return 0
    first, last = chain[0], chain[-1]
    step = np.subtract(last.middle, first.middle)
    return 1 if step @ _direction(first) > 0 else -1


def _follows(one: Streak, other: Streak, times: Floats, exposure: float) -> bool:
    between = float(times[other.frame] - times[one.frame])
    if between <= 0 or not (one.whole.all() and other.whole.all()) or one.kind != other.kind:
        return False
    step = np.subtract(other.middle, one.middle)
    length = (one.length_px + other.length_px) / 2
    expected = length * between / exposure
    if abs(np.hypot(*step) - expected) > _SAME_LENGTH * expected or abs(one.length_px - other.length_px) > length / 3:
        return False
    unit = step / np.hypot(*step)
    return all(abs(unit[0] * d[1] - unit[1] * d[0]) < _PARALLEL for d in (_direction(one), _direction(other)))


def _direction(streak: Streak) -> Floats:
    return np.array([np.diff(streak.x)[0], np.diff(streak.y)[0]]) / max(streak.length_px, 1e-9)


def _turned(streak: Streak, x: Floats, y: Floats) -> tuple[Floats, Floats]:
    dx, dy = _direction(streak)
    mx, my = streak.middle
    return (x - mx) * dx + (y - my) * dy, (y - my) * dx - (x - mx) * dy


def _measured(trail: Trail, frame: int, noise: float, fwhm: float) -> Streak:
    x, y = places(trail.line, np.array([trail.low, trail.high]))
    order = np.lexsort((y, x))
    length = max(trail.high - trail.low, 1.0)
    core = 2 * half_width(fwhm) + 1
    # Error of the half-light point of an edge as wide as a star, from the noise in one such width.
    steep = max(trail.flux / length * fwhm, 1e-9)
    error = float(np.hypot(0.1, fwhm * noise * np.sqrt(core * fwhm) / steep))
    kind: Kind = "cosmic" if trail.width < _NARROW * fwhm else "streak"
    return Streak(frame, x[order], y[order], error, trail.flux, trail.flux_err, trail.width, kind, trail.whole[order])
