"""The simulated camera: take exposures; store raw cubes, tables of the true values, and the reference catalogue.

The caller's ``run`` function determines whether the work is done in this process or in a process pool.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

import pyarrow as pa

from gozen.archive import keys
from gozen.archive.stores.open_store import Store
from gozen.errors import BadRequest
from gozen.instrument.profile import Profile
from gozen.instrument.read_header import night_of_mjd
from gozen.simulator import truth_tables
from gozen.simulator.camera.row_timing import Timing
from gozen.simulator.camera.sensor_exposure import SensorExposure
from gozen.simulator.camera.simulated_cube import simulate_sensor
from gozen.simulator.sky.population import tiles_in_cone
from gozen.simulator.sky.scene import SimulatedSky
from gozen.simulator.sky.star_arrays import concatenate, reference_table

DATA_TYPES = ("OBJECT", "DARK", "FLAT")
_REFERENCE_MARGIN_DEG = 0.05


class Run(Protocol):
    """A function like ``map``; with the ``map`` of a process pool the sensors are simulated in parallel."""

    def __call__(self, task: Callable[[SensorExposure], str], orders: Iterable[SensorExposure], /) -> Iterable[str]:
        """Apply the task to each order and return the results in order."""


@dataclass(frozen=True)
class SimulatedExposure:
    """One exposure that a simulated camera takes.

    Parameters
    ----------
    ra, dec
        Pointing that the telescope reports, degrees.
    start
        Start of the sequence, MJD (UTC).
    nframe
        Number of frames.
    data_type
        ``OBJECT``, ``DARK`` or ``FLAT``.
    sensors
        Ids of the sensors that expose; by default all of the profile.
    pipelines, gain
        Pipelines that the header requests, and the amplifier setting; by default as in the profile.
    """

    exposure_id: int
    object: str
    ra: float
    dec: float
    start: float
    nframe: int
    data_type: str = "OBJECT"
    sensors: Sequence[str] | None = None
    pipelines: Sequence[str] | None = None
    gain: str | None = None
    project: str = ""
    observer: str = ""


@dataclass(frozen=True)
class SimulatedCamera:
    """A camera under a simulated sky.

    Parameters
    ----------
    profile
        Instrument profile of the camera; its raw data must be cubes.
    sky
        The simulated sky.
    store
        The archive into which the raw files are written.
    timing
        Frame, exposure and row times.
    """

    profile: Profile
    sky: SimulatedSky
    store: Store
    timing: Timing = field(default_factory=Timing)

    def expose(self, exposure: SimulatedExposure, run: Run = map) -> list[str]:
        """Take one exposure and return the keys of its raw files, one for each sensor.

        Parameters
        ----------
        run
            `map` by default; the ``map`` of a process pool uses more cores. The files have the same bytes.

        Raises
        ------
        BadRequest
            The profile has raw files of single frames, or lacks a sensor or the gain; the data type is unknown; there
            are no frames; or the archive contains the reference catalogue of another sky.
        """
        orders = self.orders(exposure)
        update_reference(self.store, self.sky, orders)
        return list(run(partial(expose_sensor, self.store), orders))

    def orders(self, exposure: SimulatedExposure) -> list[SensorExposure]:
        """Return the description of each sensor's exposure, without simulating it.

        Raises
        ------
        BadRequest
            As for `expose`, except that the archive is not checked.
        """
        profile, one = self.profile, exposure
        chosen = [sensor.id for sensor in profile.sensors] if one.sensors is None else list(one.sensors)
        gain = one.gain or profile.default_gain
        self._check(chosen, one.nframe, one.data_type, gain)
        return [
            SensorExposure(
                profile=profile,
                sky=self.sky,
                sensor=sensor,
                night=night_of_mjd(one.start, profile.site),
                exposure_id=one.exposure_id,
                object=one.object,
                ra=one.ra,
                dec=one.dec,
                start_mjd=one.start,
                nframe=one.nframe,
                data_type=one.data_type,
                pipelines=tuple(profile.default_pipelines if one.pipelines is None else one.pipelines),
                gain=gain,
                project=one.project,
                observer=one.observer,
                timing=self.timing,
            )
            for sensor in chosen
        ]

    def _check(self, sensors: list[str], nframe: int, data_type: str, gain: str) -> None:
        name = self.profile.name
        if self.profile.raw != "cube":
            raise BadRequest(
                f"the profile {name} has raw files of single frames, but only cubes can be simulated: use "
                "another profile"
            )
        unknown = [sensor for sensor in sensors if self.profile.sensor(sensor) is None]
        if unknown or not sensors:
            known = ", ".join(sensor.id for sensor in self.profile.sensors)
            wrong = f"the profile {name} has no sensor {', '.join(unknown)}" if unknown else "no sensor is given"
            raise BadRequest(f"{wrong}; the sensors of {name} are {known}")
        if nframe < 1:
            raise BadRequest(f"an exposure cannot have {nframe} frames; give 1 or more")
        if data_type not in DATA_TYPES:
            raise BadRequest(f"the data type {data_type!r} cannot be simulated; give {', '.join(DATA_TYPES)}")
        if gain not in self.profile.gains:
            raise BadRequest(f"the profile {name} has no gain {gain!r}; it has {', '.join(self.profile.gains)}")


def expose_sensor(store: Store, order: SensorExposure) -> str:
    """Simulate one sensor's exposure; store its tables of true values, then the raw file; return the raw file's key."""
    for kind, table in truth_tables.sensor_tables(order).items():
        truth_tables.write_truth(store, truth_tables.sensor_key(order.night, order.exposure, order.sensor, kind), table)
    key = keys.raw(order.night, order.exposure, order.frame_id)
    store.write(key, simulate_sensor(order))
    return key


def update_reference(store: Store, sky: SimulatedSky, orders: Iterable[SensorExposure]) -> None:
    """Add the stars in the fields of view of exposures to the archive's reference catalogue of the simulated sky.

    Raises
    ------
    BadRequest
        The archive contains the reference catalogue of another sky.
    """
    mine = {b"gozen.seed": str(sky.seed).encode(), b"gozen.tycho": (sky.tycho.name if sky.tycho else "").encode()}
    known: set[int] = set()
    if store.exists(truth_tables.REFERENCE_KEY):
        found = truth_tables.read_truth(store, truth_tables.REFERENCE_KEY).schema.metadata or {}
        if any(found.get(name) != value for name, value in mine.items()):
            raise BadRequest(
                f"{store.url_of(truth_tables.REFERENCE_KEY)} belongs to another simulated sky: "
                f"{_difference(found, sky)}, or use another archive"
            )
        known = {int(pixel) for pixel in found[b"gozen.tiles"].split(b",")}
    wanted = known.union(*(_tiles(order) for order in orders if order.data_type == "OBJECT"))
    if wanted != known:
        table: pa.Table = reference_table(concatenate([sky.tile(pixel) for pixel in sorted(wanted)]))
        tiles = ",".join(map(str, sorted(wanted))).encode()
        truth_tables.write_truth(
            store, truth_tables.REFERENCE_KEY, table.replace_schema_metadata({**mine, b"gozen.tiles": tiles})
        )


def _difference(found: Mapping[bytes, bytes], sky: SimulatedSky) -> str:
    """Return a text that says how a sky differs from an archive's sky, and what to do."""
    seed, bright = (found.get(name, b"?").decode() for name in (b"gozen.seed", b"gozen.tycho"))
    if seed != str(sky.seed):
        return f"its seed is {seed}, not {sky.seed}; use that seed"
    if sky.tycho is None:
        return f"it contains the bright stars of {bright}, which are not installed here; install them"
    return f"it does not contain the bright stars of {sky.tycho.name}, which are installed here"


def _tiles(order: SensorExposure) -> list[int]:
    place = order.projection
    return tiles_in_cone(place.ra, place.dec, place.reach_px * place.scale_arcsec / 3600 + _REFERENCE_MARGIN_DEG)
