"""Fit the rotation, scale and shear of a frame against the reference, and resample an image by it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_FEWEST_STARS = 6
_CHANCE = 1e-6
"""Probability that a turn is taken where there is none, if the stars' places scatter at random."""
_SEEN_PX = 0.1
"""A motion of the outermost stars below which nothing that is measured knows the difference."""
_SHEAR_STARS = 12


@dataclass(frozen=True)
class Turn:
    """The linear part of the change from the reference to a frame: rotation, scale and what refraction shears.

    Parameters
    ----------
    xx, xy, yx, yy
        What a pixel along x or y adds to the motion along x (``xx``, ``xy``) and along y (``yx``, ``yy``).
    x0, y0
        Place on the reference that only the shift moves, 0-based pixels.
    """

    xx: float
    xy: float
    yx: float
    yy: float
    x0: float
    y0: float

    @property
    def angle_deg(self) -> float:
        """Rotation from the x axis towards the y axis, degrees."""
        return float(np.rad2deg(np.arctan2(self.yx - self.xy, 2 + self.xx + self.yy)))

    @property
    def scale(self) -> float:
        """Lengths on the frame over those on the reference."""
        return float(np.hypot(2 + self.xx + self.yy, self.yx - self.xy) / 2)

    def motion(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Return what places on the reference move by beside the shift, pixels."""
        u, v = x - self.x0, y - self.y0
        return self.xx * u + self.xy * v, self.yx * u + self.yy * v

    def undone(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Return the places on the reference of places on the frame from which the shift is taken off."""
        u, v = x - self.x0, y - self.y0
        a, b, c, d = 1 + self.xx, self.xy, self.yx, 1 + self.yy
        whole = a * d - b * c
        return self.x0 + (d * u - b * v) / whole, self.y0 + (a * v - c * u) / whole


def fit_turn(
    x: Floats, y: Floats, dx: Floats, dy: Floats, middle: tuple[float, float]
) -> tuple[float, float, Turn | None]:
    """Return the shift of the middle, and the turn where the stars show one: a rotation with scale, or more.

    Parameters
    ----------
    x, y
        Of stars on the reference, pixels.
    dx, dy
        By how much each moved, pixels.
    middle
        Place on the reference that the turn leaves where it is.
    """
    plain = float(dx.mean()), float(dy.mean()), None
    if len(x) < _FEWEST_STARS:
        return plain
    u, v, ex, ey = x - x.mean(), y - y.mean(), dx - plain[0], dy - plain[1]
    lever = float(u @ u + v @ v)
    stretch, turn = float(u @ ex + v @ ey) / lever, float(u @ ey - v @ ex) / lever
    before = float(ex @ ex + ey @ ey)
    after = max(before - (stretch**2 + turn**2) * lever, 1e-12)
    outermost = float(np.sqrt((u * u + v * v).max()))
    if not _is_sure(before, after, 2 * len(x) - 4) or np.hypot(stretch, turn) * outermost < _SEEN_PX:
        return plain
    found = stretch, -turn, turn, stretch
    sheared = _sheared(u, v, ex, ey, after) if len(x) >= _SHEAR_STARS else None
    made = Turn(*(sheared or found), *middle)
    at = made.motion(x.mean(), y.mean())
    return plain[0] - float(at[0]), plain[1] - float(at[1]), made


def _is_sure(before: float, after: float, freedom: int) -> bool:
    """Tell whether two more terms lower the sum of squares by more than chance does.

    The probability is that of the F test with 2 and ``freedom`` degrees of freedom, for which it has this closed form.
    """
    return bool((after / max(before, 1e-12)) ** (freedom / 2) < _CHANCE)


def _sheared(u: Floats, v: Floats, ex: Floats, ey: Floats, before: float) -> tuple[float, float, float, float] | None:
    """Return the four terms of a change that is not the same along both axes, or None where stars do not show one."""
    uu, uv, vv = float(u @ u), float(u @ v), float(v @ v)
    whole = uu * vv - uv * uv
    if whole <= 1e-6 * uu * vv:
        return None
    terms = [((vv * (u @ e) - uv * (v @ e)) / whole, (uu * (v @ e) - uv * (u @ e)) / whole) for e in (ex, ey)]
    (xx, xy), (yx, yy) = terms
    rest = (ex - xx * u - xy * v) ** 2 + (ey - yx * u - yy * v) ** 2
    after = max(float(rest.sum()), 1e-12)
    if not _is_sure(before, after, 2 * len(u) - 6):
        return None
    return float(xx), float(xy), float(yx), float(yy)


@njit(cache=True)
def carried(
    image: Any, fill: Any, dx: float, dy: float, xx: float, xy: float, yx: float, yy: float, x0: float, y0: float
) -> Any:  # pragma: no cover (compiled)
    """Return for each pixel the nearest one of an image at the place that it is moved to; ``fill`` beyond the image."""
    rows, columns = image.shape
    out = np.full((rows, columns), fill, image.dtype)
    for r in range(rows):
        v = r - y0
        for c in range(columns):
            u = c - x0
            column, row = int(np.rint(c + dx + xx * u + xy * v)), int(np.rint(r + dy + yx * u + yy * v))
            if 0 <= column < columns and 0 <= row < rows:
                out[r, c] = image[row, column]
    return out
