"""Project the sky onto a sensor: gnomonic, with a cubic distortion.

Pixels here are 0-based in the active area; a FITS header counts from 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from gozen.instrument.profile import Profile
from gozen.simulator.sky.random_streams import stream
from gozen.simulator.sky.star_arrays import Floats


@dataclass(frozen=True)
class CameraProjection:
    """One sensor's gnomonic projection (Calabretta & Greisen 2002, A&A 395, 1077, section 5.1.3).

    Parameters
    ----------
    ra, dec
        Tangent point, degrees.
    position_angle_deg
        Position angle of the +y axis at the tangent point, north through east.
    scale_arcsec
        Pixel scale, arcsec per pixel.
    mirrored
        If False, east is left when north is up.
    x0, y0
        0-based pixel of the tangent point, which is also the centre of the distortion.
    distortion
        Relative displacement at a distance of ``reach_px``; it grows with the square of the distance.
    reach_px
        Distance from the centre to the corner of the active area, pixels.
    """

    ra: float
    dec: float
    position_angle_deg: float
    scale_arcsec: float
    mirrored: bool
    x0: float
    y0: float
    distortion: float
    reach_px: float

    def pixels(self, ra: Floats, dec: Floats) -> tuple[Floats, Floats]:
        """Convert positions (degrees) to 0-based pixels; NaN at 90 degrees or more from the tangent point."""
        u, v = self._matrix() @ np.stack(tangent_plane(self.ra, self.dec, ra, dec))
        stretch = 1 + self.distortion * (u * u + v * v) / self.reach_px**2
        return self.x0 + u * stretch, self.y0 + v * stretch

    def sky(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Convert 0-based pixels to ra and dec, degrees."""
        du, dv = np.asarray(x) - self.x0, np.asarray(y) - self.y0
        u, v = du, dv
        for _ in range(8):
            stretch = 1 + self.distortion * (u * u + v * v) / self.reach_px**2
            u, v = du / stretch, dv / stretch
        xi, eta = np.linalg.solve(self._matrix(), np.stack([u, v]))
        return from_tangent_plane(self.ra, self.dec, xi, eta)

    def _matrix(self) -> Floats:
        angle = math.radians(self.position_angle_deg)
        right = 1.0 if self.mirrored else -1.0
        axes = [[right * math.cos(angle), -right * math.sin(angle)], [math.sin(angle), math.cos(angle)]]
        return np.array(axes) * 3600.0 / self.scale_arcsec


def tangent_plane(ra0: float, dec0: float, ra: Floats, dec: Floats) -> tuple[Floats, Floats]:
    """Convert positions to gnomonic coordinates (east and north, degrees) about (``ra0``, ``dec0``).

    Positions 90 degrees or more from there give NaN.
    """
    lon, lat, lat0 = np.radians(ra - ra0), np.radians(dec), math.radians(dec0)
    cosine = np.sin(lat) * math.sin(lat0) + np.cos(lat) * math.cos(lat0) * np.cos(lon)
    depth = np.where(cosine > 0, cosine, np.nan)
    xi = np.cos(lat) * np.sin(lon) / depth
    eta = (np.sin(lat) * math.cos(lat0) - np.cos(lat) * math.sin(lat0) * np.cos(lon)) / depth
    return np.degrees(xi), np.degrees(eta)


def from_tangent_plane(ra0: float, dec0: float, xi: Floats, eta: Floats) -> tuple[Floats, Floats]:
    """Convert gnomonic coordinates about (``ra0``, ``dec0``) to ra and dec, all in degrees."""
    x, y, lat0 = np.radians(xi), np.radians(eta), math.radians(dec0)
    across = math.cos(lat0) - y * math.sin(lat0)
    dec = np.arctan2(math.sin(lat0) + y * math.cos(lat0), np.hypot(x, across))
    return np.mod(ra0 + np.degrees(np.arctan2(x, across)), 360.0), np.degrees(dec)


def project(
    profile: Profile, sensor_id: str, ra: float, dec: float, *, seed: int, rotation_deg: float, distortion_px: float
) -> CameraProjection:
    """Return the projection of one sensor of a camera whose true pointing is (``ra``, ``dec``), degrees.

    All sensors are in one plane, so a sensor far from the centre is rotated against its local north by the convergence
    of the meridians.

    Parameters
    ----------
    seed
        Seed of the sensor's small rotation and scale deviation, which are the same in every exposure.
    rotation_deg
        Standard deviation of the rotation, degrees.
    distortion_px
        Displacement in the corner of the active area, pixels.
    """
    sensor = profile.sensor(sensor_id)
    assert sensor is not None, f"sensors are checked before: {sensor_id}"
    rng = stream(seed, "sensor", sensor_id)
    turn = rotation_deg * rng.standard_normal()
    deviation = profile.pixel_scale_uncertainty * rng.uniform(-0.5, 0.5)
    east, north = sensor.x_arcsec / 3600, sensor.y_arcsec / 3600
    ras, decs = from_tangent_plane(ra, dec, np.array([east, east]), np.array([north, north + 1e-3]))
    lean = math.atan2((ras[1] - ras[0]) * math.cos(math.radians(decs[0])), decs[1] - decs[0])
    rows, columns = profile.active_shape
    reach = math.hypot(rows, columns) / 2
    return CameraProjection(
        ra=float(ras[0]),
        dec=float(decs[0]),
        position_angle_deg=profile.orientation_deg + math.degrees(lean) + turn,
        scale_arcsec=profile.pixel_scale_arcsec * (1 + deviation),
        mirrored=profile.mirrored,
        x0=(columns - 1) / 2,
        y0=(rows - 1) / 2,
        distortion=distortion_px / reach,
        reach_px=reach,
    )
