"""The complete, picklable description of one sensor's exposure, from which the simulation computes everything."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from gozen.instrument.profile import Gain, Profile, section_slices
from gozen.instrument.read_header import mjd_of_utc, utc_of_mjd
from gozen.simulator.camera import raw_header
from gozen.simulator.camera.projection import CameraProjection, from_tangent_plane, project
from gozen.simulator.camera.row_timing import Timing
from gozen.simulator.sky.events import Eclipse, Flare, Transient, exposure_mean
from gozen.simulator.sky.random_streams import stream
from gozen.simulator.sky.scene import SimulatedSky
from gozen.simulator.sky.star_arrays import Floats

_DAY_S = 86400.0


@dataclass(frozen=True)
class FrameState:
    """The displacement and the seeing of one frame.

    Parameters
    ----------
    dx, dy
        Mean displacement of the frame, pixels.
    local
        Change of the displacement over the sensor, pixels at the edge, shape (2, 3): terms in x, y and x * y.
    fwhm_px
        Full width at half maximum of the stars, pixels.
    """

    dx: float
    dy: float
    local: Floats
    fwhm_px: float


@dataclass(frozen=True)
class SensorExposure:
    """The description of one sensor's exposure.

    All random numbers depend only on the seed of the sky, the sensor, the exposure and the frame.

    Parameters
    ----------
    ra, dec
        Pointing that the telescope reports, degrees.
    start_mjd
        Start of the sequence, MJD (UTC); the first pixel's exposure starts 0.2 to 0.7 s later.
    nframe
        Number of frames.
    data_type
        ``OBJECT``, ``DARK`` or ``FLAT``.
    """

    profile: Profile
    sky: SimulatedSky
    sensor: str
    night: str
    exposure_id: int
    object: str
    ra: float
    dec: float
    start_mjd: float
    nframe: int
    data_type: str = "OBJECT"
    pipelines: tuple[str, ...] = ("wcs", "stack")
    gain: str = "high"
    project: str = ""
    observer: str = ""
    timing: Timing = field(default_factory=Timing)

    @property
    def exposure(self) -> str:
        """Name of the exposure in keys and in the header."""
        return f"{self.exposure_id:08d}"

    @property
    def frame_id(self) -> str:
        """FRAME_ID in the header."""
        return raw_header.frame_id(self.night, self.exposure_id, self.sensor)

    @property
    def amplifier(self) -> Gain:
        """Properties of the amplifier setting."""
        return self.profile.gains[self.gain]

    @cached_property
    def utc_mjd(self) -> float:
        """Start of the first pixel's exposure, MJD (UTC), rounded as in the header."""
        lead_s = stream(self.sky.seed, "lead", self.exposure).uniform(0.2, 0.7)
        return mjd_of_utc(utc_of_mjd(self.start_mjd + lead_s / _DAY_S))

    @cached_property
    def projection(self) -> CameraProjection:
        """True projection of the sky onto the sensor, including the pointing error."""
        conditions = self.sky.conditions
        east, north = (
            conditions.pointing_error_arcsec
            / 3600
            * stream(self.sky.seed, "pointing", self.exposure).standard_normal((2, 1))
        )
        ra, dec = from_tangent_plane(self.ra, self.dec, east, north)
        return project(
            self.profile,
            self.sensor,
            float(ra[0]),
            float(dec[0]),
            seed=self.sky.seed,
            rotation_deg=conditions.rotation_deg,
            distortion_px=conditions.distortion_px,
        )

    @cached_property
    def zero_point(self) -> float:
        """Zero point of this sensor: the magnitude (at BP-RP = 0) of one electron per second."""
        scatter = stream(self.sky.seed, "zero point", self.sensor).standard_normal()
        return self.sky.conditions.zero_point + self.sky.conditions.zero_point_scatter * float(scatter)

    @property
    def zero_point_adu(self) -> float:
        """Zero point of this sensor in ADU: the magnitude (at BP-RP = 0) of one ADU per frame."""
        return self.zero_point + 2.5 * math.log10(self.timing.exposure_s / self.amplifier.e_per_adu)

    @property
    def sky_e(self) -> float:
        """Sky level at the centre, electrons per pixel and frame, for a response of 1."""
        area = self.projection.scale_arcsec**2
        return float(self.electrons(np.array(self.sky.conditions.sky_mag), np.array(0.0)) * area)

    @cached_property
    def row_numbers(self) -> Floats:
        """Row numbers of the active area in the raw frame, 0-based."""
        rows = section_slices(self.profile.active)[0]
        return np.arange(rows.start, rows.stop, dtype=float)

    def electrons(self, g: Floats, bp_rp: Floats) -> Floats:
        """Convert magnitudes and colours to electrons on one frame."""
        magnitude = self.zero_point + self.sky.conditions.colour_term * bp_rp - g
        return np.asarray(10 ** (0.4 * magnitude) * self.timing.exposure_s)

    def mean_factor(self, event: Flare | Eclipse | Transient, start_mjd: Floats) -> Floats:
        """Return the mean of the event's factor times the transmission, for exposures that begin at ``start_mjd``."""
        return exposure_mean(
            lambda mjd: event.factor(mjd) * self.sky.transmission(mjd), start_mjd, self.timing.exposure_s
        )

    def frame_state(self, frame: int) -> FrameState:
        """Draw the displacement and the seeing of a frame (0-based)."""
        conditions = self.sky.conditions
        rng = stream(self.sky.seed, "air", self.exposure, self.sensor, frame)
        dx, dy = conditions.dance_px * rng.standard_normal(2)
        fwhm = conditions.fwhm_arcsec / self.profile.pixel_scale_arcsec
        return FrameState(
            dx=float(dx) + conditions.drift_px_s * frame * self.timing.frame_s,
            dy=float(dy),
            local=conditions.local_dance_px * rng.standard_normal((2, 3)),
            fwhm_px=fwhm * (1 + conditions.fwhm_scatter * float(np.clip(rng.standard_normal(), -3, 3))),
        )

    def row_start(self, frame: int) -> Floats:
        """Return the MJD at which the exposure of each row of the active area starts in a frame (0-based)."""
        return self.timing.row_start(self.utc_mjd, frame, self.row_numbers)
