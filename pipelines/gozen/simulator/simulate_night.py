"""Simulate a night: calibration exposures, dithered fields, and events within them."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
from scipy.spatial import cKDTree

from gozen.archive.stores.open_store import Store
from gozen.errors import BadRequest
from gozen.instrument.profile import Profile, Site
from gozen.instrument.read_header import mjd_of_utc
from gozen.simulator import truth_tables
from gozen.simulator.camera.detector import pattern
from gozen.simulator.camera.frame_light import SensorField, sensor_field
from gozen.simulator.camera.row_timing import Timing
from gozen.simulator.camera.sensor_exposure import SensorExposure
from gozen.simulator.simulated_camera import Run, SimulatedCamera, SimulatedExposure, expose_sensor, update_reference
from gozen.simulator.sky.events import CloudEvent, Eclipse, Event, Flare, Mover, Transient
from gozen.simulator.sky.random_streams import stream
from gozen.simulator.sky.scene import Conditions, SimulatedSky
from gozen.simulator.sky.star_arrays import Floats
from gozen.simulator.sky.tycho import find_index

_DAY_S = 86400.0
_GAP_S = 15.0
_EDGE_PX = 60.0

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Target:
    """A field to observe: its name, and the telescope's pointing (ra and dec, degrees)."""

    name: str
    ra: float
    dec: float


@dataclass(frozen=True)
class SimulatedNight:
    """The plan of a simulated night: a DARK, a FLAT, then each dither of each field.

    Parameters
    ----------
    night
        ``YYYYMMDD``; exposures start at 22:00 local time.
    targets
        The fields.
    dithers
        Offsets from the field towards east and north, arcsec on the sky.
    sensors
        Ids of the sensors that expose; by default all of the profile.
    nframe, calibration_frames
        Number of frames of an exposure of the sky, and of a DARK or FLAT (by default the same).
    seed
        Seed of the sky and of all noise.
    events
        Events on the sky; by default `typical_events`.
    conditions
        Properties of the air, the telescope and the sky.
    tycho
        Index of the bright stars; by default the index of the Debian package, if it is installed.
    pipelines, gain
        As in `gozen.simulator.simulated_camera.SimulatedExposure`.
    first_exposure_id
        Number of the first exposure; the others follow.
    """

    night: str
    targets: Sequence[Target]
    dithers: Sequence[tuple[float, float]] = ((0.0, 0.0),)
    sensors: Sequence[str] | None = None
    nframe: int = 18
    calibration_frames: int | None = None
    seed: int = 1
    events: Sequence[Event] | None = None
    conditions: Conditions = field(default_factory=Conditions)
    tycho: Path | None = None
    pipelines: Sequence[str] | None = None
    gain: str | None = None
    first_exposure_id: int = 1

    @property
    def quiet_sky(self) -> SimulatedSky:
        """The sky without events."""
        return SimulatedSky(self.seed, (), self.conditions, self.tycho or find_index())


@dataclass(frozen=True)
class NightSummary:
    """The exposures and files of a simulated night.

    Parameters
    ----------
    night
        Date on which the night began, ``YYYYMMDD``.
    exposures
        The exposures, in order.
    raw
        Keys of the raw files.
    events
        The simulated events.
    sensors
        Ids of the sensors.
    reference
        Key of the reference catalogue.
    """

    night: str
    exposures: tuple[SimulatedExposure, ...]
    raw: tuple[str, ...]
    events: tuple[Event, ...]
    sensors: tuple[str, ...]
    reference: str = field(default=truth_tables.REFERENCE_KEY)


def simulate_night(
    store: Store, profile: Profile, wanted: SimulatedNight, *, progress: Progress | None = None, run: Run = map
) -> NightSummary:
    """Simulate a night into an archive: raw files, tables of the true values, and the reference catalogue.

    Parameters
    ----------
    progress
        Called after each file with the number of finished files, the number of all files, and the file's key.
    run
        `map`, or the ``map`` of a process pool.

    Raises
    ------
    BadRequest
        The night is not a valid date, or an exposure is invalid (see `SimulatedCamera.expose`).
    """
    sky, plan = wanted.quiet_sky, plan_night(profile.site, wanted)
    camera = SimulatedCamera(profile, sky, store)
    quiet = [order for exposure in plan for order in camera.orders(exposure)]
    happening = tuple(typical_events(quiet) if wanted.events is None else wanted.events)
    orders = [replace(order, sky=replace(sky, events=happening)) for order in quiet]
    update_reference(store, sky, orders)
    truth_tables.write_truth(store, truth_tables.events_key(wanted.night), truth_tables.events_table(happening))
    raw = []
    for key in run(partial(expose_sensor, store), orders):
        raw.append(key)
        if progress:
            progress(len(raw), len(orders), key)
    sensors = tuple(dict.fromkeys(order.sensor for order in orders))
    return NightSummary(wanted.night, tuple(plan), tuple(raw), happening, sensors)


def plan_night(site: Site, wanted: SimulatedNight) -> list[SimulatedExposure]:
    """Return the exposures of a night, one after another from 22:00 local time.

    Raises
    ------
    BadRequest
        The night is not a valid date.
    """
    try:
        evening = dt.datetime.strptime(wanted.night, "%Y%m%d").replace(hour=22, tzinfo=ZoneInfo(site.time_zone))
    except ValueError as error:
        raise BadRequest(f"the night {wanted.night!r} is not a date of the form YYYYMMDD, such as 20260115") from error
    plan, start = [], mjd_of_utc(evening)
    for number, one in enumerate([*_calibrations(wanted), *_fields(wanted)], start=wanted.first_exposure_id):
        plan.append(
            replace(
                one,
                exposure_id=number,
                start=start,
                sensors=wanted.sensors,
                pipelines=wanted.pipelines,
                gain=wanted.gain,
            )
        )
        start += (one.nframe * Timing().frame_s + _GAP_S) / _DAY_S
    return plan


def _calibrations(wanted: SimulatedNight) -> list[SimulatedExposure]:
    # The real camera's calibration files carry an impossible declination, so these do too.
    frames = wanted.calibration_frames or wanted.nframe
    return [SimulatedExposure(0, kind, 0.0, 119.0, 0.0, frames, kind) for kind in ("DARK", "FLAT")]


def _fields(wanted: SimulatedNight) -> list[SimulatedExposure]:
    found = []
    for target in wanted.targets:
        for number, (east, north) in enumerate(wanted.dithers, start=1):
            name = target.name if len(wanted.dithers) == 1 else f"{target.name}_dith{number}"
            ra = (target.ra + east / 3600 / math.cos(math.radians(target.dec))) % 360
            found.append(SimulatedExposure(0, name, ra, target.dec + north / 3600, 0.0, wanted.nframe))
    return found


def typical_events(orders: Sequence[SensorExposure]) -> list[Event]:
    """Return events that are visible in the given exposures.

    In the first exposure of the sky, the first sensor has a flare, a transient, and a slow, a fast and a streaking
    mover. The last sensor has an eclipse. The second exposure, if there is one, has a thin cloud. Flare and eclipse
    are on stars without a close neighbour; they are left out if a sensor has no such star.
    """
    seen = [order for order in orders if order.data_type == "OBJECT"]
    if not seen:
        return []
    exposures = sorted({order.exposure for order in seen})
    during = [order for order in seen if order.exposure == exposures[0]]
    events = [*_flashes(during[0]), *_movers(during[0]), *_eclipses(during[-1])]
    if len(exposures) > 1:
        later = next(order for order in seen if order.exposure == exposures[1])
        length = later.nframe * later.timing.frame_s
        start, end = (later.utc_mjd + part * length / _DAY_S for part in (0.4, 0.8))
        events.append(CloudEvent("thin cloud", start, end, transmission=0.8))
    return events


def lone_stars(order: SensorExposure, brightest: float, faintest: float) -> SensorField:
    """Return a sensor's stars in a magnitude range, with no neighbour, edge or dead column nearby; brightest first."""
    field_ = sensor_field(order)
    rows, columns = order.profile.active_shape
    fixed = pattern(order.sky.seed, order.sensor, order.profile.active_shape, order.profile.shape[0])
    good = (field_.stars.g > brightest) & (field_.stars.g < faintest)
    good &= (field_.x > _EDGE_PX) & (field_.x < columns - _EDGE_PX)
    good &= (field_.y > _EDGE_PX) & (field_.y < rows - _EDGE_PX)
    good &= truth_tables.neighbour_flux(field_.x, field_.y, field_.flux_e) < 0.02 * field_.flux_e
    for column in fixed.dead_columns:
        good &= np.abs(field_.x - column) > _EDGE_PX / 2
    which = np.flatnonzero(good)
    which = which[np.argsort(field_.stars.g[which])]
    arrays = (getattr(field_, name)[which] for name in ("ra", "dec", "x", "y", "flux_e"))
    return SensorField(field_.stars.take(which), *arrays)


def empty_place(order: SensorExposure) -> tuple[Floats, Floats]:
    """Return, of 200 random positions, the farthest from any star: x and y, 0-based pixels, arrays of shape (1,)."""
    field_ = sensor_field(order)
    rows, columns = order.profile.active_shape
    u, v = stream(order.sky.seed, "empty place", order.exposure).uniform(0.2, 0.8, (2, 200))
    apart, _ = cKDTree(np.column_stack([field_.x, field_.y])).query(np.column_stack([u * columns, v * rows]))
    best = int(np.argmax(apart))
    return u[best : best + 1] * columns, v[best : best + 1] * rows


def _flashes(order: SensorExposure) -> list[Event]:
    middle = order.utc_mjd + 0.4 * order.nframe * order.timing.frame_s / _DAY_S
    ra, dec = order.projection.sky(*empty_place(order))
    flash = Transient("flash", float(ra[0]), float(dec[0]), g=16.0, peak_mjd=middle, rise_s=0.1, decay_s=0.3)
    star = _lone_star(order, 14.0)
    return (
        [flash]
        if star is None
        else [Flare("flare", star, peak_mjd=middle, amplitude=1.5, rise_s=0.4, decay_s=2.0), flash]
    )


def _eclipses(order: SensorExposure) -> list[Event]:
    middle = order.utc_mjd + 0.6 * order.nframe * order.timing.frame_s / _DAY_S
    star = _lone_star(order, 13.3)
    return [] if star is None else [Eclipse("eclipse", star, mid_mjd=middle, depth=0.5, duration_s=4.0, ingress_s=1.0)]


def _lone_star(order: SensorExposure, g: float) -> int | None:
    """Return the id of the isolated star nearest to a magnitude; None if the sensor has none between 12.5 and 18."""
    stars = lone_stars(order, 12.5, 18.0).stars
    return int(stars.source_id[np.argmin(np.abs(stars.g - g))]) if len(stars) else None


def _movers(order: SensorExposure) -> list[Event]:
    rows, columns = order.profile.active_shape
    middle = order.utc_mjd + 0.5 * order.nframe * order.timing.frame_s / _DAY_S
    places = {"slow": (0.45, 0.30), "fast": (0.65, 0.70), "streak": (0.50, 0.50)}
    motion = {"slow": (0.9, 0.5, 15.5), "fast": (-9.0, 4.0, 14.0), "streak": (160.0, 45.0, 10.8)}
    events: list[Event] = []
    for name, (u, v) in places.items():
        ra, dec = order.projection.sky(np.array([u * columns]), np.array([v * rows]))
        rate_ra, rate_dec, g = motion[name]
        events.append(Mover(f"{name} mover", float(ra[0]), float(dec[0]), middle, rate_ra, rate_dec, g))
    return events
