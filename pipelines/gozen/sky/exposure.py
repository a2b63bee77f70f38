"""One sensor's exposure: a pure, picklable order, and the raw cube that comes of it. Nothing is stored here."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from gozen.instrument.header import mjd_of_utc, utc_of_mjd
from gozen.instrument.profile import Gain, Profile, section_slices
from gozen.sky import detector, header, render
from gozen.sky.events import Eclipse, Flare, Mover, Transient, exposure_mean
from gozen.sky.geometry import Projection, from_tangent_plane, project
from gozen.sky.scene import SimulatedSky
from gozen.sky.stars import Floats, Stars
from gozen.sky.streams import stream
from gozen.sky.timing import Timing

_DAY_S = 86400.0
_HALO_PX = 60.0
_TRAIL_STEP_PX = 0.25
_SKY_GRADIENT = 0.01
_FLAT_FADING = 0.004


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
class SensorField:
    """The stars of one exposure on one sensor, arrays of shape (n,).

    Parameters
    ----------
    stars
        With their catalogue positions.
    ra, dec
        Degrees, at the exposure's epoch.
    x, y
        0-based pixels of the active area, without the dance of the frames.
    flux_e
        Electrons on one frame through a clear sky, for a response of 1.
    """

    stars: Stars
    ra: Floats
    dec: Floats
    x: Floats
    y: Floats
    flux_e: Floats


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
        return header.frame_id(self.night, self.exposure_id, self.sensor)

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
    def projection(self) -> Projection:
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


def sensor_field(order: SensorExposure) -> SensorField:
    """Return the stars that give light to a sensor: those on it and those whose halo reaches it."""
    place = order.projection
    radius_deg = (place.reach_px + _HALO_PX) * place.scale_arcsec / 3600
    stars = order.sky.stars(place.ra, place.dec, radius_deg)
    ra, dec = stars.at(order.utc_mjd)
    x, y = place.pixels(ra, dec)
    return SensorField(stars, ra, dec, x, y, order.electrons(stars.g, stars.bp_rp))


def displaced(order: SensorExposure, state: FrameState, x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Return where the air puts undisturbed pixels in a frame."""
    rows, columns = order.profile.active_shape
    u, v = x / columns * 2 - 1, y / rows * 2 - 1
    local = state.local @ np.stack([u, v, u * v])
    return x + state.dx + local[0], y + state.dy + local[1]


def simulate_sensor(order: SensorExposure) -> bytes:
    """Return the FITS file of one sensor's raw cube; the same order gives the same bytes in every process."""
    cube = np.empty((order.nframe, *order.profile.shape), np.uint16)
    fixed = detector.pattern(order.sky.seed, order.sensor, order.profile.active_shape, order.profile.shape[0])
    seen = sensor_field(order) if order.data_type == "OBJECT" else None
    for frame in range(order.nframe):
        light = _calibration_light(order, frame) if seen is None else sky_light(order, seen, frame)
        rng = stream(order.sky.seed, "noise", order.exposure, order.sensor, frame)
        cube[frame] = detector.read_out(rng, light, fixed, order.profile, order.amplifier, order.timing.exposure_s)
    return header.fits_bytes(header.raw_header(raw_words(order), order.profile, order.timing), cube)


def raw_words(order: SensorExposure) -> header.RawWords:
    """Return what the raw file's header says."""
    return header.RawWords(
        sensor=order.sensor,
        exposure=order.exposure,
        frame_id=order.frame_id,
        object=order.object,
        data_type=order.data_type,
        nframe=order.nframe,
        sequence_mjd=order.start_mjd,
        utc_mjd=order.utc_mjd,
        ra=order.ra,
        dec=order.dec,
        gain=order.gain,
        pipelines=order.pipelines,
        project=order.project,
        observer=order.observer,
    )


def sky_light(order: SensorExposure, seen: SensorField, frame: int) -> npt.NDArray[np.float32]:
    """Return the expected electrons of one frame (0-based) on a sensor of response 1, shape of the active area."""
    state = order.frame_state(frame)
    width = render.moffat_width(state.fwhm_px)
    rows, columns = order.profile.active_shape
    slope = 1 + _SKY_GRADIENT * (np.arange(columns) / columns - 0.5)
    light = np.repeat((order.sky_e * slope).astype(np.float32)[None, :], rows, axis=0)
    passed = exposure_mean(order.sky.transmission, order.row_start(frame), order.timing.exposure_s)
    x, y = displaced(order, state, seen.x, seen.y)
    varying = variables(order, seen)
    constant = np.setdiff1d(np.arange(len(x)), [index for _, index in varying])
    render.add_stars(light, x[constant], y[constant], seen.flux_e[constant], passed, width)
    for event, index in varying:
        factor = order.mean_factor(event, order.row_start(frame))
        one = slice(index, index + 1)
        render.add_stars(light, x[one], y[one], seen.flux_e[one], factor, width)
    for flash in order.sky.transients():
        factor = order.mean_factor(flash, order.row_start(frame))
        flux = order.electrons(np.array([flash.g]), np.array([flash.bp_rp]))
        fx, fy = displaced(order, state, *order.projection.pixels(np.array([flash.ra]), np.array([flash.dec])))
        render.add_stars(light, fx, fy, flux, factor, width)
    for mover in order.sky.movers():
        _add_mover(order, light, mover, frame, state, passed)
    return light


def variables(order: SensorExposure, seen: SensorField) -> list[tuple[Flare | Eclipse, int]]:
    """Return the events of stars in the field, with the star's index."""
    places = {int(source): index for index, source in enumerate(seen.stars.source_id)}
    events = [event for event in order.sky.events if isinstance(event, Flare | Eclipse)]
    return [(event, places[event.source_id]) for event in events if event.source_id in places]


def mover_path(order: SensorExposure, mover: Mover, mjd: Floats) -> tuple[Floats, Floats]:
    """Return the undisturbed 0-based pixels of a mover at some moments."""
    return order.projection.pixels(*mover.position(mjd))


def _add_mover(
    order: SensorExposure,
    light: npt.NDArray[np.float32],
    mover: Mover,
    frame: int,
    state: FrameState,
    passed: Floats,
) -> None:
    """Add a mover along the part of its path that the frame can see."""
    opens = order.row_start(frame)
    length_s = (opens[-1] - opens[0]) * _DAY_S + order.timing.exposure_s
    speed_px_s = math.hypot(mover.rate_ra, mover.rate_dec) / order.projection.scale_arcsec
    count = max(64, math.ceil(speed_px_s * length_s / _TRAIL_STEP_PX))
    seconds = (np.arange(count) + 0.5) * length_s / count
    x, y = displaced(order, state, *mover_path(order, mover, opens[0] + seconds / _DAY_S))
    if not np.isfinite(x).all():
        return
    flux = float(order.electrons(np.array(mover.g), np.array(mover.bp_rp)))
    width = render.moffat_width(state.fwhm_px)
    row_start = (opens - opens[0]) * _DAY_S
    render.add_trail(light, x, y, seconds, flux, row_start, order.timing.exposure_s, passed, width)


def _calibration_light(order: SensorExposure, frame: int) -> npt.NDArray[np.float32]:
    level = 0.0
    if order.data_type == "FLAT":
        amplifier = order.amplifier
        bright = order.sky.conditions.flat_fraction * amplifier.saturation_adu * amplifier.e_per_adu
        level = bright * (1 - _FLAT_FADING * frame)
    return np.full(order.profile.active_shape, level, np.float32)
