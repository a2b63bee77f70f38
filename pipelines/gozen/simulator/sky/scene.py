"""The simulated sky: the stars in a cone, events, and the transparency."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np

from gozen.catalog.format import healpix
from gozen.simulator.sky.events import CloudEvent, Event, Mover, Transient
from gozen.simulator.sky.population import (
    BRIGHT_LIMIT,
    TILE_ORDER,
    TILE_RADIUS_DEG,
    from_tycho,
    tile,
    tile_centre,
    tiles_in_cone,
)
from gozen.simulator.sky.star_arrays import Floats, Stars, concatenate
from gozen.simulator.sky.tycho import find_index, stars_in_cone


@dataclass(frozen=True)
class Conditions:
    """Properties of air, telescope and flat-field lamp; the defaults are an average night with Tomo-e Gozen at Kiso.

    Parameters
    ----------
    fwhm_arcsec, fwhm_scatter
        Full width at half maximum of the seeing, and its relative scatter from frame to frame.
    dance_px, local_dance_px
        Standard deviation of the displacement of each frame by the air, and of its change over the sensor, pixels.
    drift_px_s
        Guiding error, pixels per second along +x.
    sky_mag
        Brightness of the sky, mag/arcsec2 in the camera's band.
    zero_point, zero_point_scatter
        Magnitude (at BP-RP = 0) of one electron per second, and its scatter from sensor to sensor.
    colour_term
        Colour term in ``G = zero point + colour_term (BP-RP) - 2.5 log10(flux)``.
    pointing_error_arcsec
        Standard deviation per axis of the difference between the true pointing and that in the header.
    rotation_deg, distortion_px
        Rotation and distortion of the sensors, see `gozen.simulator.camera.projection.project`.
    flat_fraction
        Ratio of the level of a flat field to the saturation level.
    """

    fwhm_arcsec: float = 4.0
    fwhm_scatter: float = 0.03
    dance_px: float = 0.25
    local_dance_px: float = 0.02
    drift_px_s: float = 0.0
    sky_mag: float = 20.5
    zero_point: float = 23.9
    zero_point_scatter: float = 0.03
    colour_term: float = 0.10
    pointing_error_arcsec: float = 8.0
    rotation_deg: float = 0.1
    distortion_px: float = 0.2
    flat_fraction: float = 0.5


@dataclass(frozen=True)
class SimulatedSky:
    """Stars and events for one seed: a small object to send to processes, which all draw the same stars from it.

    Parameters
    ----------
    seed
        Seed of the stars and of all random numbers of the camera.
    events
        Events on the sky.
    conditions
        Properties of air, telescope and flat-field lamp.
    tycho
        Index of real stars for the bright end; if None, bright stars are random as well.
    """

    seed: int = 1
    events: tuple[Event, ...] = ()
    conditions: Conditions = field(default_factory=Conditions)
    tycho: Path | None = field(default_factory=find_index)

    def tile(self, pixel: int) -> Stars:
        """Return the stars of one nested HEALPix pixel of order 8; each star is in exactly one pixel."""
        return _tile(self.seed, self.tycho, pixel)

    def stars(self, ra: float, dec: float, radius_deg: float) -> Stars:
        """Return the stars with catalogue positions inside a cone (degrees)."""
        stars = concatenate([self.tile(pixel) for pixel in tiles_in_cone(ra, dec, radius_deg)])
        return stars.take(healpix.separation(ra, dec, stars.ra, stars.dec) <= radius_deg)

    def transmission(self, mjd: Floats) -> Floats:
        """Return the transmission of all clouds together, 0 to 1."""
        passed = np.ones(np.shape(mjd))
        for event in self.events:
            if isinstance(event, CloudEvent):
                passed = passed * event.factor(mjd)
        return passed

    def movers(self) -> list[Mover]:
        """Return the moving objects."""
        return [event for event in self.events if isinstance(event, Mover)]

    def transients(self) -> list[Transient]:
        """Return the transients."""
        return [event for event in self.events if isinstance(event, Transient)]


@lru_cache(maxsize=512)
def _tile(seed: int, tycho: Path | None, pixel: int) -> Stars:
    drawn = tile(seed, pixel)
    if tycho is None:
        return drawn
    ra, dec = tile_centre(pixel)
    real = from_tycho(seed, stars_in_cone(tycho, ra, dec, TILE_RADIUS_DEG))
    inside = healpix.pixels(real.ra, real.dec, TILE_ORDER) == pixel
    return concatenate([drawn.take(drawn.g >= BRIGHT_LIMIT), real.take(inside)])
