"""Tangent-plane projection and linear WCS. For distortion and FITS cards see `solution`. No I/O."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def to_plane(ra: Floats, dec: Floats, ra0: float, dec0: float) -> tuple[Floats, Floats]:
    """Project positions onto the plane that is tangent to the sky at (ra0, dec0).

    This is the gnomonic projection (Calabretta & Greisen 2002, A&A 395, 1077, section 5.1.3).

    Parameters
    ----------
    ra, dec, ra0, dec0
        Degrees.

    Returns
    -------
    xi (east positive) and eta (north positive), degrees; NaN for positions more than 89.4 degrees away.
    """
    a, d = np.deg2rad(ra - ra0), np.deg2rad(dec)
    sin0, cos0 = np.sin(np.deg2rad(dec0)), np.cos(np.deg2rad(dec0))
    sin_d, cos_d = np.sin(d), np.cos(d)
    along = cos_d * np.cos(a)
    towards = sin_d * sin0 + along * cos0
    towards = np.where(towards > 0.01, towards, np.nan)
    xi = cos_d * np.sin(a) / towards
    eta = (sin_d * cos0 - along * sin0) / towards
    return np.rad2deg(xi), np.rad2deg(eta)


def from_plane(xi: Floats, eta: Floats, ra0: float, dec0: float) -> tuple[Floats, Floats]:
    """Return the positions of points of the plane, the inverse of `to_plane`; right ascension in [0, 360) degrees."""
    x, e = np.deg2rad(xi), np.deg2rad(eta)
    sin0, cos0 = np.sin(np.deg2rad(dec0)), np.cos(np.deg2rad(dec0))
    ra = ra0 + np.rad2deg(np.arctan2(x, cos0 - e * sin0))
    dec = np.rad2deg(np.arctan2(sin0 + e * cos0, np.hypot(x, cos0 - e * sin0)))
    return np.asarray(ra % 360.0), np.asarray(dec)


@dataclass(frozen=True)
class Projection:
    """A linear WCS: the plane that is tangent to the sky at (ra, dec), and the linear map of pixels to it.

    Parameters
    ----------
    ra, dec
        The tangent point, degrees.
    x, y
        The 0-based pixel of the tangent point.
    matrix
        Degrees on the plane per pixel, shape (2, 2): rows are xi and eta, columns are x and y.
    """

    ra: float
    dec: float
    x: float
    y: float
    matrix: Floats

    def sky(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Return the positions (degrees) of 0-based pixels."""
        xi, eta = self.matrix @ np.stack([x - self.x, y - self.y])
        return from_plane(xi, eta, self.ra, self.dec)

    def pixel(self, ra: Floats, dec: Floats) -> tuple[Floats, Floats]:
        """Return the 0-based pixels of positions in degrees."""
        dx, dy = np.linalg.solve(self.matrix, np.stack(to_plane(ra, dec, self.ra, self.dec)))
        return dx + self.x, dy + self.y

    @property
    def scale_arcsec(self) -> float:
        """Arcseconds per pixel."""
        return float(np.sqrt(abs(np.linalg.det(self.matrix))) * 3600)


@dataclass(frozen=True)
class PixelAxes:
    """Scale and orientation of a sensor's pixels on the sky.

    Parameters
    ----------
    scale_arcsec
        Arcseconds per pixel.
    orientation_deg
        Position angle of the +y axis, from north through east, degrees.
    mirrored
        False if east is left when north is up; True if it is right.
    """

    scale_arcsec: float
    orientation_deg: float
    mirrored: bool


def nominal_projection(ra: float, dec: float, x: float, y: float, axes: PixelAxes) -> Projection:
    """Return the projection that is expected from a pointing and the pixel axes of a profile.

    Parameters
    ----------
    ra, dec
        Position of the pixel (x, y), degrees.
    x, y
        0-based pixel, usually the middle of the sensor.
    axes
        Scale and orientation.
    """
    angle = np.deg2rad(axes.orientation_deg)
    up = np.array([np.sin(angle), np.cos(angle)])
    right = np.array([-np.cos(angle), np.sin(angle)]) * (-1 if axes.mirrored else 1)
    return Projection(ra, dec, x, y, axes.scale_arcsec / 3600 * np.column_stack([right, up]))
