"""A device driver for the simulated camera: exposures take real time, and files appear one after another."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace

import pyarrow as pa

from gozen.archive.raw.exposure_record import RawExposure, record_exposure
from gozen.archive.stores.open_store import Store
from gozen.errors import DeviceFailed, as_gozen_error
from gozen.instrument.read_header import mjd_of_utc
from gozen.observing.device_drivers import CameraState, ExposureOrder
from gozen.simulator import truth_tables
from gozen.simulator.camera.row_timing import Timing
from gozen.simulator.camera.sensor_exposure import SensorExposure
from gozen.simulator.devices.telescope_dome_focuser import Clock, Faults
from gozen.simulator.simulate_night import typical_events
from gozen.simulator.simulated_camera import SimulatedCamera, SimulatedExposure, expose_sensor, update_reference
from gozen.simulator.sky.events import Event

# The real camera's calibration files carry an impossible declination, so these do too.
_NOWHERE = (0.0, 119.0)
_LOOK_S = 0.02


@dataclass
class _Running:
    """An exposure in progress."""

    order: ExposureOrder
    ends: float
    abort: threading.Event
    thread: threading.Thread
    error: str = ""


class FilmingCamera:
    """A camera that exposes as long as a real one, and writes the files of a `SimulatedCamera`.

    The same order gives the same bytes. If the process ends, a running exposure is lost.

    Parameters
    ----------
    camera
        The simulated camera, with its sky and the archive for its files.
    faults
        Calls of the camera that fail on purpose.
    speed_up
        Factor by which exposures are faster than real ones.
    events
        Whether each exposure of the sky has the events of `typical_events`.
    clock
        Monotonic clock, seconds.
    """

    def __init__(
        self,
        camera: SimulatedCamera,
        faults: Faults,
        *,
        speed_up: float,
        events: bool,
        clock: Clock,
    ) -> None:
        self._camera, self._faults, self._speed_up, self._events, self._clock = (
            camera,
            faults,
            speed_up,
            events,
            clock,
        )
        self._running: _Running | None = None

    def configure(self, order: ExposureOrder) -> None:
        """Check that the camera can take the exposure.

        Raises
        ------
        BadRequest
            As for `gozen.simulator.simulated_camera.SimulatedCamera.orders`.
        DeviceFailed
            The call is in the list of faults to simulate.
        """
        self._faults.check("camera.configure")
        sensor_orders(self._camera, order)

    def expose(self, order: ExposureOrder) -> None:
        """Start the exposure in a thread and return at once.

        Raises
        ------
        DeviceFailed
            The camera is already exposing, or the call is in the list of faults to simulate.
        """
        self._faults.check("camera.expose")
        if self.state().phase == "exposing":
            raise DeviceFailed(f"the camera is exposing; {order.exposure} has to wait until it is done or aborted")
        abort = threading.Event()
        thread = threading.Thread(target=self._film, name=f"exposure {order.exposure}", daemon=True)
        self._running = _Running(order, self._clock() + order.duration_s / self._speed_up, abort, thread)
        thread.start()

    def state(self) -> CameraState:
        """Return the camera's phase, and the exposure that runs or ran last."""
        running = self._running
        if running is None:
            return CameraState()
        exposure_id = running.order.exposure_id
        if running.abort.is_set():
            return CameraState("failed", exposure_id, message="the exposure was aborted")
        remaining_s = running.ends - self._clock()
        if running.thread.is_alive() or (remaining_s > 0 and not running.error):
            return CameraState("exposing", exposure_id, max(remaining_s, 0.0))
        return CameraState("failed" if running.error else "done", exposure_id, message=running.error)

    def abort(self) -> None:
        """Abort a running exposure: finish the file that is being written, but do not write the exposure's record."""
        if self._running is not None and self.state().phase == "exposing":
            self._running.abort.set()
            self._running.thread.join()

    def _film(self) -> None:
        running = self._running
        assert running is not None
        try:
            taken = write_files(self._camera.store, self._orders(running.order), running.abort)
            while taken is not None and self._clock() < running.ends:
                # The record means that the exposure has ended, so it must not be written earlier.
                taken = None if running.abort.wait(_LOOK_S) else taken
            if taken is not None:
                record_exposure(self._camera.store, taken)
        except Exception as error:  # `state` reports it, like a real camera: raised here, it would end only the thread
            known = as_gozen_error(error)
            running.error = f"{known.name}: {known}"

    def _orders(self, order: ExposureOrder) -> list[SensorExposure]:
        quiet = sensor_orders(self._camera, order)
        if not self._events:
            return quiet
        happening = tuple(replace(event, name=f"{event.name} {order.exposure}") for event in typical_events(quiet))
        return [replace(one, sky=replace(self._camera.sky, events=happening)) for one in quiet]


def sensor_orders(camera: SimulatedCamera, order: ExposureOrder) -> list[SensorExposure]:
    """Return the description of each sensor's exposure.

    Raises
    ------
    BadRequest
        As for `gozen.simulator.simulated_camera.SimulatedCamera.orders`.
    """
    ra, dec = (order.pointing.ra, order.pointing.dec) if order.pointing else _NOWHERE
    exposure = SimulatedExposure(
        order.exposure_id,
        order.object,
        ra,
        dec,
        start=mjd_of_utc(order.start),
        nframe=order.nframe,
        data_type=order.data_type,
        sensors=order.sensors,
        pipelines=order.pipelines,
        gain=order.gain,
        project=order.project,
        observer=order.observer,
    )
    return replace(camera, timing=timing_of(order.tinteg_sec)).orders(exposure)


def timing_of(tinteg_sec: float) -> Timing:
    """Return the read-out times of frames of ``tinteg_sec`` seconds; below half a second, rows are read out faster."""
    usual = Timing()
    part = tinteg_sec / usual.frame_s
    return Timing(tinteg_sec, usual.exposure_s * part, usual.row_s * min(part, 1.0))


def write_files(store: Store, orders: Sequence[SensorExposure], abort: threading.Event) -> RawExposure | None:
    """Write the tables of true values and the raw files of an exposure, one sensor after another.

    Returns
    -------
    The record of the exposure, which the caller stores; None if the exposure was aborted.
    """
    first = orders[0]
    update_reference(store, first.sky, orders)
    _add_events(store, first.night, first.sky.events)
    sensors: dict[str, tuple[str, ...]] = {}
    for order in orders:
        if abort.is_set():
            return None
        sensors[order.sensor] = (expose_sensor(store, order),)
    return RawExposure(first.night, first.exposure, first.object, first.data_type, first.utc_mjd, sensors)


def _add_events(store: Store, night: str, events: tuple[Event, ...]) -> None:
    if not events:
        return
    fresh, key = truth_tables.events_table(events), truth_tables.events_key(night)
    rows = {row["name"]: row for row in fresh.to_pylist()}
    if store.exists(key):
        rows = {row["name"]: row for row in truth_tables.read_truth(store, key).to_pylist()} | rows
    truth_tables.write_truth(
        store, key, pa.Table.from_pylist([rows[name] for name in sorted(rows)], schema=fresh.schema)
    )
