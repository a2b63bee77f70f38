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
"""Probability of a false rotation, if the stars' positions scatter at random."""
_SEEN_PX = 0.1
"""A rotation that moves the outermost star by less than this is ignored: it changes no measurement."""
_SHEAR_STARS = 12


@dataclass(frozen=True)
class Turn:
    """The linear part of the transformation from the reference to a frame: rotation, scale and shear by refraction.

    Parameters
    ----------
    xx, xy, yx, yy
        The transformation matrix minus the unit matrix: the displacement along x is ``xx * (x - x0) + xy * (y - y0)``,
        that along y is ``yx * (x - x0) + yy * (y - y0)``.
    x0, y0
        Position on the reference that the transformation leaves unchanged, 0-based pixels.
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
        """Ratio of lengths on the frame to lengths on the reference."""
        return float(np.hypot(2 + self.xx + self.yy, self.yx - self.xy) / 2)

    def motion(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Return how far rotation, scale and shear move positions on the reference (pixels), without the shift."""
        u, v = x - self.x0, y - self.y0
        return self.xx * u + self.xy * v, self.yx * u + self.yy * v

    def undone(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Apply the inverse: convert positions on the frame, minus the shift, to positions on the reference."""
        u, v = x - self.x0, y - self.y0
        a, b, c, d = 1 + self.xx, self.xy, self.yx, 1 + self.yy
        whole = a * d - b * c
        return self.x0 + (d * u - b * v) / whole, self.y0 + (a * v - c * u) / whole


def fit_turn(
    x: Floats, y: Floats, dx: Floats, dy: Floats, middle: tuple[float, float]
) -> tuple[float, float, Turn | None]:
    """Fit the shift of the middle and, if the stars show it significantly, a rotation with scale, or also with shear.

    Parameters
    ----------
    x, y
        Positions of stars on the reference, pixels.
    dx, dy
        Displacement of each star, pixels.
    middle
        Position on the reference about which the frame is rotated, pixels.

    Returns
    -------
    The shift along x and y, pixels; and the linear transformation, which is None if it is not significant.
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
    """Tell whether two more terms reduce the sum of squares significantly.

    The probability is computed as in the F test with 2 and ``freedom`` degrees of freedom, which has this closed form.
    """
    return bool((after / max(before, 1e-12)) ** (freedom / 2) < _CHANCE)


def _sheared(u: Floats, v: Floats, ex: Floats, ey: Floats, before: float) -> tuple[float, float, float, float] | None:
    """Fit a transformation with shear: return its four terms, or None if the shear is not significant."""
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
    """Resample an image by the nearest pixel after a shift and a linear transformation; ``fill`` beyond the image."""
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
