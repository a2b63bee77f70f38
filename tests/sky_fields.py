"""Star fields as detections and reference stars, with or without distortion, which the tests of astrometry share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gozen.astrometry.tangent_plane import PixelAxes, Projection, from_plane, nominal_projection
from gozen.catalog.reference.reference_catalog import ReferenceCatalogue

SHAPE = (1128, 2000)
SCALE = 1.189


@dataclass(frozen=True)
class SkyField:
    """A field with its truth; detections and stars are in the order of brightness.

    Parameters
    ----------
    nominal
        What header and profile promise.
    true
        How the camera really stands, without its distortion.
    """

    x: np.ndarray
    y: np.ndarray
    flux: np.ndarray
    ra: np.ndarray
    dec: np.ndarray
    g: np.ndarray
    nominal: Projection
    true: Projection

    @property
    def reference(self) -> ReferenceCatalogue:
        none = np.full(len(self.ra), np.nan)
        ids = np.arange(len(self.ra), dtype=np.int64)
        return ReferenceCatalogue(ids, self.ra, self.dec, none, none, none, none, self.g, none, epoch=2026.0)


def sky_field(
    ra=150.0,
    dec=2.0,
    stars=500,
    offset_px=(30.0, -20.0),
    turn_deg=0.0,
    scale=1.0,
    distortion=None,
    noise_px=0.05,
    false=0.1,
    missing=0.1,
    mirrored=False,
    seed=1,
):
    """Make a field.

    Parameters
    ----------
    offset_px, turn_deg, scale
        Of the true place against the nominal one.
    distortion
        Function of (u, v), pixels from the middle, to the displacement of a star.
    false, missing
        Fraction of detections that are no stars, and of stars that are not detected.
    """
    rng = np.random.default_rng(seed)
    x0, y0 = (SHAPE[1] - 1) / 2, (SHAPE[0] - 1) / 2
    nominal = nominal_projection(ra, dec, x0, y0, PixelAxes(SCALE, 0.0, mirrored))
    true = nominal_projection(
        ra, dec, x0 + offset_px[0], y0 + offset_px[1], PixelAxes(SCALE * scale, turn_deg, mirrored)
    )
    reach = np.hypot(*SHAPE) / 2 * SCALE / 3600 * 1.3
    count = round(stars * 4 * reach**2 / (SHAPE[0] * SHAPE[1] * (SCALE / 3600) ** 2))
    star_ra, star_dec = from_plane(*rng.uniform(-reach, reach, (2, count)), ra, dec)
    g = np.sort(19 - rng.exponential(2.0, count))
    x, y = true.pixel(star_ra, star_dec)
    if distortion is not None:
        dx, dy = distortion(x - x0, y - y0)
        x, y = x + dx, y + dy
    on = (x > 0) & (x < SHAPE[1]) & (y > 0) & (y < SHAPE[0]) & (rng.uniform(size=count) > missing)
    flux = 10 ** (-0.4 * (g[on] - 24 + rng.normal(0, 0.1, on.sum())))
    x, y = x[on] + rng.normal(0, noise_px, on.sum()), y[on] + rng.normal(0, noise_px, on.sum())
    extra = int(false * on.sum())
    x = np.concatenate([x, rng.uniform(0, SHAPE[1], extra)])
    y = np.concatenate([y, rng.uniform(0, SHAPE[0], extra)])
    flux = np.concatenate([flux, rng.choice(flux, extra)]) if extra else flux
    order = np.argsort(-flux)
    return SkyField(x[order], y[order], flux[order], star_ra, star_dec, g, nominal, true)


def barrel(strength_px):
    """Return a radial cubic distortion of so many pixels in the corner."""
    reach = np.hypot(*SHAPE) / 2

    def displacement(u, v):
        size = strength_px / reach * (u * u + v * v) / reach**2
        return u * size, v * size

    return displacement
