"""Compute the light on a sensor during one frame: sky, stars and events, without detector effects and noise."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gozen.simulator.camera import render_stars
from gozen.simulator.camera.sensor_exposure import FrameState, SensorExposure
from gozen.simulator.sky.events import Eclipse, Flare, Mover, exposure_mean
from gozen.simulator.sky.star_arrays import Floats, Stars

_DAY_S = 86400.0
_HALO_PX = 60.0
_TRAIL_STEP_PX = 0.25
_SKY_GRADIENT = 0.01
_FLAT_FADING = 0.004


@dataclass(frozen=True)
class SensorField:
    """The stars of one exposure on one sensor, arrays of shape (n,).

    Parameters
    ----------
    stars
        The stars, with their catalogue positions.
    ra, dec
        Positions at the exposure's epoch, degrees.
    x, y
        0-based pixels of the active area, without the displacement of the frames by the air.
    flux_e
        Electrons on one frame, for a clear sky and a response of 1.
    """

    stars: Stars
    ra: Floats
    dec: Floats
    x: Floats
    y: Floats
    flux_e: Floats


def sensor_field(order: SensorExposure) -> SensorField:
    """Return the stars whose light falls on a sensor: those on the sensor, and those outside whose halo reaches it."""
    place = order.projection
    radius_deg = (place.reach_px + _HALO_PX) * place.scale_arcsec / 3600
    stars = order.sky.stars(place.ra, place.dec, radius_deg)
    ra, dec = stars.at(order.utc_mjd)
    x, y = place.pixels(ra, dec)
    return SensorField(stars, ra, dec, x, y, order.electrons(stars.g, stars.bp_rp))


def displaced(order: SensorExposure, state: FrameState, x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Displace positions (0-based pixels) by the air and the guiding of a frame."""
    rows, columns = order.profile.active_shape
    u, v = x / columns * 2 - 1, y / rows * 2 - 1
    local = state.local @ np.stack([u, v, u * v])
    return x + state.dx + local[0], y + state.dy + local[1]


def sky_light(order: SensorExposure, seen: SensorField, frame: int) -> npt.NDArray[np.float32]:
    """Return the expected electrons of one frame (0-based) on a sensor of response 1, shape of the active area."""
    state = order.frame_state(frame)
    width = render_stars.moffat_width(state.fwhm_px)
    rows, columns = order.profile.active_shape
    slope = 1 + _SKY_GRADIENT * (np.arange(columns) / columns - 0.5)
    light = np.repeat((order.sky_e * slope).astype(np.float32)[None, :], rows, axis=0)
    passed = exposure_mean(order.sky.transmission, order.row_start(frame), order.timing.exposure_s)
    x, y = displaced(order, state, seen.x, seen.y)
    varying = variables(order, seen)
    constant = np.setdiff1d(np.arange(len(x)), [index for _, index in varying])
    render_stars.add_stars(light, x[constant], y[constant], seen.flux_e[constant], passed, width)
    for event, index in varying:
        factor = order.mean_factor(event, order.row_start(frame))
        one = slice(index, index + 1)
        render_stars.add_stars(light, x[one], y[one], seen.flux_e[one], factor, width)
    for flash in order.sky.transients():
        factor = order.mean_factor(flash, order.row_start(frame))
        flux = order.electrons(np.array([flash.g]), np.array([flash.bp_rp]))
        fx, fy = displaced(order, state, *order.projection.pixels(np.array([flash.ra]), np.array([flash.dec])))
        render_stars.add_stars(light, fx, fy, flux, factor, width)
    for mover in order.sky.movers():
        _add_mover(order, light, mover, frame, state, passed)
    return light


def variables(order: SensorExposure, seen: SensorField) -> list[tuple[Flare | Eclipse, int]]:
    """Return the flares and eclipses of stars in the field, each with the star's index in ``seen``."""
    places = {int(source): index for index, source in enumerate(seen.stars.source_id)}
    events = [event for event in order.sky.events if isinstance(event, Flare | Eclipse)]
    return [(event, places[event.source_id]) for event in events if event.source_id in places]


def mover_path(order: SensorExposure, mover: Mover, mjd: Floats) -> tuple[Floats, Floats]:
    """Return the 0-based pixels of a mover at given times (MJD), without displacement by the air."""
    return order.projection.pixels(*mover.position(mjd))


def _add_mover(
    order: SensorExposure,
    light: npt.NDArray[np.float32],
    mover: Mover,
    frame: int,
    state: FrameState,
    passed: Floats,
) -> None:
    """Add a mover along its path between the start of the frame's first row and the end of its last."""
    opens = order.row_start(frame)
    length_s = (opens[-1] - opens[0]) * _DAY_S + order.timing.exposure_s
    speed_px_s = math.hypot(mover.rate_ra, mover.rate_dec) / order.projection.scale_arcsec
    count = max(64, math.ceil(speed_px_s * length_s / _TRAIL_STEP_PX))
    seconds = (np.arange(count) + 0.5) * length_s / count
    x, y = displaced(order, state, *mover_path(order, mover, opens[0] + seconds / _DAY_S))
    if not np.isfinite(x).all():
        return
    flux = float(order.electrons(np.array(mover.g), np.array(mover.bp_rp)))
    width = render_stars.moffat_width(state.fwhm_px)
    row_start = (opens - opens[0]) * _DAY_S
    render_stars.add_trail(light, x, y, seconds, flux, row_start, order.timing.exposure_s, passed, width)


def calibration_light(order: SensorExposure, frame: int) -> npt.NDArray[np.float32]:
    """Return the expected electrons of one frame: 0 for a DARK; for a FLAT, the light of a slowly fading lamp."""
    level = 0.0
    if order.data_type == "FLAT":
        amplifier = order.amplifier
        bright = order.sky.conditions.flat_fraction * amplifier.saturation_adu * amplifier.e_per_adu
        level = bright * (1 - _FLAT_FADING * frame)
    return np.full(order.profile.active_shape, level, np.float32)
