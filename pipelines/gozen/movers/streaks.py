"""Objects so fast that they trail within one frame: their two ends, light and width, and which belong together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from gozen.calibration.calibrate import Image
from gozen.movers.candidates import Candidates

Floats = NDArray[np.float64]
_ELONGATED, _BRIGHT_ELONGATED, _BRIGHT_SNR = 3.0, 1.5, 50.0
_LONG_FWHM = 4.0
_THIN = 3.5
"""Length over width that a trail has; what is above the threshold of a bright one is wider."""
_SHORTEST_PX = 12.0
_AMONG_STARS = 2.5
_FARTHER = 2.0
_HITS_PX = 6.0
"""By which the box and the wings of a bright trail widen what is above the threshold."""
_NARROW = 0.7
"""A line narrower than this part of a star's width never passed through the telescope."""
_WIDEST = 3.0
"""A satellite out of focus or in bad seeing is wider than the stars; what is wider yet is stray light."""
_PARALLEL = 0.1
_SAME_LENGTH = 0.2

Kind = Literal["streak", "cosmic"]


@dataclass(frozen=True)
class Streak:
    """A straight trail on one frame.

    Parameters
    ----------
    x, y
        Of its two ends, 0-based pixels of the frame, shape (2,); along x, or along y where it stands upright.
    error_px
        Of the ends, per axis.
    flux, flux_err
        Of the whole trail, ADU.
    width_px
        Full width at half maximum across.
    kind
        ``cosmic`` when it is narrower than a star can be.
    whole
        Whether each end lies on the frame, shape (2,).
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
        """From end to end."""
        return float(np.hypot(np.diff(self.x)[0], np.diff(self.y)[0]))

    @property
    def middle(self) -> tuple[float, float]:
        """Half way between the ends."""
        return float(self.x.mean()), float(self.y.mean())

    def distance(self, x: Floats, y: Floats) -> Floats:
        """Return how far places are from the trail."""
        along, across = _turned(self, x, y)
        return np.hypot(np.maximum(np.abs(along) - self.length_px / 2, 0), across)


def find_streaks(
    rest: Image, found: Candidates, noise: float, fwhm: float, *, among_stars: bool = False
) -> list[Streak]:
    """Measure the trails among a frame's candidates, the longest first.

    Parameters
    ----------
    rest
        Difference of the frame and the stack (or the background, where there is but one frame), ADU.
    found
        Candidates of the frame: long and thin ones begin a trail, which is then followed to both sides.
    noise
        Of a pixel, ADU.
    fwhm
        Of the stars, pixels.
    among_stars
        Whether stars are on the image, too: long ones, blends and galaxies must not count, so a trail has to be longer.
    """
    thin = found.length_px / found.elongation < _WIDEST * fwhm + _HITS_PX
    # The wings of a bright trail are above the threshold, too, and make it look thicker.
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
        streak = _trace(rest, start, found.frame, noise, fwhm)
        if streak is None or streak.width_px > min(_WIDEST * fwhm, streak.length_px / (times * _THIN)):
            continue
        if streak.length_px > shortest:
            streaks.append(streak)
    return streaks


def link_streaks(streaks: list[Streak], times: Floats, exposure: float) -> list[list[Streak]]:
    """Join the trails of one object on several frames.

    Two trails belong together when the step between their middles is parallel to both and as long as their length and
    the time between the frames say. Trails that end beyond the frame have no known length and stay alone.

    Parameters
    ----------
    times
        Of each frame.
    exposure
        Of a frame, in the same unit.
    """
    chains: list[list[Streak]] = []
    for streak in sorted(streaks, key=lambda one: (one.frame, -one.flux)):
        chain = next((c for c in chains if _follows(c[-1], streak, times, exposure)), None)
        if chain is None:
            chains.append([streak])
        else:
            chain.append(streak)
    return chains


def heading(chain: list[Streak]) -> int:
    """Return +1 when an object went from the first end to the second, -1 for the other way, 0 when one cannot say."""
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


def _trace(
    rest: Image, start: tuple[float, float, float, float], frame: int, noise: float, fwhm: float
) -> Streak | None:
    """Follow a trail from a piece of it: place of its middle, angle and length."""
    x, y, angle, length = start
    half = max(2.0, 1.5 * fwhm)
    across = np.arange(-np.ceil(3 * half), np.ceil(3 * half) + 1)
    core = np.abs(across) <= half
    low, high = -length / 2, length / 2
    for _ in range(4):
        # Each pass looks farther, so that a long trail is followed whole and a short one costs little.
        reach = _FARTHER * (high - low) + 20 * fwhm
        along = np.arange(np.floor(low - reach), np.ceil(high + reach) + 1)
        strip, on = _strip(rest, (x, y), angle, along, across)
        # Stray light and bad seeing about a bright star are as high beside the line as on it.
        strip -= np.median(strip[:, np.abs(across) > half + 0.5 * fwhm], axis=1, keepdims=True)
        ends = _ends(along, strip[:, core].sum(axis=1), on, (low, high), noise * np.sqrt(core.sum()), fwhm)
        if ends is None:
            return None
        low, high = ends
        inside = (along >= low) & (along <= high)
        tilt, offset = _line_through(along[inside], strip[inside][:, core], across[core])
        x, y = x - np.sin(angle) * offset, y + np.cos(angle) * offset
        angle += np.arctan(tilt)
    inside = (along >= low) & (along <= high) & on
    profile = strip[inside].mean(axis=0)
    flux = float(strip[inside][:, core].sum())
    sides = strip[inside][:, np.abs(across) > half + 0.5 * fwhm]
    scatter = max(noise, 1.4826 * float(np.median(np.abs(sides))) if sides.size else noise)
    error = float(
        scatter * np.sqrt(inside.sum() * core.sum()) * np.sqrt(1 + 1.57 * core.sum() / max(sides.shape[1], 1))
    )
    width = _width(profile, across)
    kind: Kind = "cosmic" if width < _NARROW * fwhm else "streak"
    places = np.array([low, high])
    ex, ey = x + np.cos(angle) * places, y + np.sin(angle) * places
    order = np.lexsort((ey, ex))
    rows, columns = rest.shape
    whole = (ex > fwhm) & (ey > fwhm) & (ex < columns - 1 - fwhm) & (ey < rows - 1 - fwhm)
    steep = flux / max(high - low, 1.0)
    # The half-light point of an edge as wide as a star, in the noise of one such width.
    place = float(np.hypot(0.1, fwhm * noise * np.sqrt(core.sum() * fwhm) / max(steep * fwhm, 1e-9)))
    return Streak(frame, ex[order], ey[order], place, flux, error, width, kind, whole[order])


def _strip(
    rest: Image, middle: tuple[float, float], angle: float, along: Floats, across: Floats
) -> tuple[Floats, NDArray[np.bool_]]:
    """Return the image along a line, shape (along, across), and which of its places lie on the image."""
    s, q = along[:, None], across[None, :]
    px = middle[0] + s * np.cos(angle) - q * np.sin(angle)
    py = middle[1] + s * np.sin(angle) + q * np.cos(angle)
    rows, columns = rest.shape
    on = (px[:, len(across) // 2] >= 0) & (px[:, len(across) // 2] <= columns - 1)
    on &= (py[:, len(across) // 2] >= 0) & (py[:, len(across) // 2] <= rows - 1)
    values = map_coordinates(rest, [py, px], order=1, mode="constant", cval=0.0, output=np.float64)
    return values, on


def _ends(
    along: Floats, profile: Floats, on: NDArray[np.bool_], known: tuple[float, float], noise: float, fwhm: float
) -> tuple[float, float] | None:
    """Return where a trail's light falls to half, outwards from the piece that is known; short gaps do not end it."""
    reach = max(round(fwhm), 1)
    smooth = np.convolve(profile, np.ones(2 * reach + 1) / (2 * reach + 1), mode="same")
    inside = (along >= known[0]) & (along <= known[1])
    level = float(np.median(smooth[inside]))
    if level < 2 * noise / np.sqrt(2 * reach + 1):
        return None
    bright = (smooth > level / 2) & on
    gap = max(4 * fwhm, 0.05 * (known[1] - known[0]))
    ends = []
    for sign in (-1, 1):
        places = np.sort(sign * along[bright])
        places = places[places >= 0]
        if len(places) == 0:
            return None
        jumps = np.flatnonzero(np.diff(places) > gap)
        last = sign * (places[jumps[0]] if len(jumps) else places[-1])
        index = int(np.searchsorted(along, last))
        beyond = index + sign
        if 0 <= beyond < len(along) and on[beyond]:
            fall = (smooth[index] - level / 2) / max(smooth[index] - smooth[beyond], 1e-9)
            last += sign * float(np.clip(fall, 0, 1))
        ends.append(float(last))
    return ends[0], ends[1]


def _line_through(along: Floats, strip: Floats, across: Floats) -> tuple[float, float]:
    """Return slope and offset of the light's middle across a strip; robust against stars that touch it."""
    pieces = np.array_split(np.arange(len(along)), max(min(len(along) // 6, 40), 2))
    places, middles, weights = [], [], []
    for piece in pieces:
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
    """Return the full width at half maximum of a profile about its middle, by interpolation; inf when it has none."""
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
