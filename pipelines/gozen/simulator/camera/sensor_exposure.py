"""The full, picklable description of one sensor's exposure; everything else is computed from it."""

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
    """What the air and the telescope do during one frame.

    Parameters
    ----------
    dx, dy
        Displacement of the whole frame, pixels.
    local
        Its change over the sensor, shape (2, 3): along x, along y and along both, pixels at the edge.
    fwhm_px
        Seeing.
    """

    dx: float
    dy: float
    local: Floats
    fwhm_px: float


@dataclass(frozen=True)
class SensorExposure:
    """The order for one sensor's cube. Everything that is drawn depends on the sky's seed and the names in here.

    Parameters
    ----------
    ra, dec
        Where the telescope says that it points, degrees.
    start_mjd
        When the sequence starts, MJD (UTC); the first pixel follows a little later.
    data_type
        OBJECT, DARK or FLAT.
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
        """The exposure's name in keys and in the header."""
        return f"{self.exposure_id:08d}"

    @property
    def frame_id(self) -> str:
        """The frame's name."""
        return raw_header.frame_id(self.night, self.exposure_id, self.sensor)

    @property
    def amplifier(self) -> Gain:
        """The amplifier setting."""
        return self.profile.gains[self.gain]

    @cached_property
    def utc_mjd(self) -> float:
        """MJD (UTC) at which the first pixel starts, exactly as its text in the header says."""
        lead_s = stream(self.sky.seed, "lead", self.exposure).uniform(0.2, 0.7)
        return mjd_of_utc(utc_of_mjd(self.start_mjd + lead_s / _DAY_S))

    @cached_property
    def projection(self) -> CameraProjection:
        """Where the sky really falls."""
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
        """Magnitude (at BP-RP = 0) that gives one electron per second on this sensor."""
        scatter = stream(self.sky.seed, "zero point", self.sensor).standard_normal()
        return self.sky.conditions.zero_point + self.sky.conditions.zero_point_scatter * float(scatter)

    @property
    def zero_point_adu(self) -> float:
        """Magnitude (at BP-RP = 0) that gives one ADU per frame on this sensor."""
        return self.zero_point + 2.5 * math.log10(self.timing.exposure_s / self.amplifier.e_per_adu)

    @property
    def sky_e(self) -> float:
        """Electrons of the sky per pixel and frame at the centre, for a response of 1."""
        area = self.projection.scale_arcsec**2
        return float(self.electrons(np.array(self.sky.conditions.sky_mag), np.array(0.0)) * area)

    @cached_property
    def row_numbers(self) -> Floats:
        """Rows of the raw frame, 0-based, that the active area's rows are."""
        rows = section_slices(self.profile.active)[0]
        return np.arange(rows.start, rows.stop, dtype=float)

    def electrons(self, g: Floats, bp_rp: Floats) -> Floats:
        """Return the electrons on one frame of objects of these magnitudes and colours."""
        magnitude = self.zero_point + self.sky.conditions.colour_term * bp_rp - g
        return np.asarray(10 ** (0.4 * magnitude) * self.timing.exposure_s)

    def mean_factor(self, event: Flare | Eclipse | Transient, start_mjd: Floats) -> Floats:
        """Return the mean of an event's factor, dimmed by the clouds, over exposures that start at ``start_mjd``."""
        return exposure_mean(
            lambda mjd: event.factor(mjd) * self.sky.transmission(mjd), start_mjd, self.timing.exposure_s
        )

    def frame_state(self, frame: int) -> FrameState:
        """Return what the air and the telescope do during a frame (0-based)."""
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
        """Return the MJD at which each row of the active area starts its exposure in a frame."""
        return self.timing.row_start(self.utc_mjd, frame, self.row_numbers)
