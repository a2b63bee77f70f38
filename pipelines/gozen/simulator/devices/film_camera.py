"""The simulated camera as a device driver: exposures take real time, files appear one after another."""

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
    """One exposure on its way."""

    order: ExposureOrder
    ends: float
    abort: threading.Event
    thread: threading.Thread
    error: str = ""


class FilmingCamera:
    """A camera that exposes as long as a real one and writes what `SimulatedCamera` sees.

    The same order gives the same bytes. It dies with its process, and the exposure with it.

    Parameters
    ----------
    camera
        What it is and looks at, and the archive that receives its files.
    speed_up
        How many times faster than real.
    events
        Whether each exposure of the sky sees events, see `typical_events`.
    clock
        Seconds.
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
        """Check that the camera can do what is asked for."""
        self._faults.check("camera.configure")
        sensor_orders(self._camera, order)

    def expose(self, order: ExposureOrder) -> None:
        """Open the shutter."""
        self._faults.check("camera.expose")
        if self.state().phase == "exposing":
            raise DeviceFailed(f"the camera is exposing; {order.exposure} has to wait until it is done or aborted")
        abort = threading.Event()
        thread = threading.Thread(target=self._film, name=f"exposure {order.exposure}", daemon=True)
        self._running = _Running(order, self._clock() + order.duration_s / self._speed_up, abort, thread)
        thread.start()

    def state(self) -> CameraState:
        """Return what it does."""
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
        """End a running exposure; the sensor that is being written is finished, the record is not made."""
        if self._running is not None and self.state().phase == "exposing":
            self._running.abort.set()
            self._running.thread.join()

    def _film(self) -> None:
        running = self._running
        assert running is not None
        try:
            taken = write_files(self._camera.store, self._orders(running.order), running.abort)
            while taken is not None and self._clock() < running.ends:
                # The record says that the exposure has ended, so it must not be there before.
                taken = None if running.abort.wait(_LOOK_S) else taken
            if taken is not None:
                record_exposure(self._camera.store, taken)
        except Exception as error:  # it is told by `state`, as a real camera would
            known = as_gozen_error(error)
            running.error = f"{known.name}: {known}"

    def _orders(self, order: ExposureOrder) -> list[SensorExposure]:
        quiet = sensor_orders(self._camera, order)
        if not self._events:
            return quiet
        happening = tuple(replace(event, name=f"{event.name} {order.exposure}") for event in typical_events(quiet))
        return [replace(one, sky=replace(self._camera.sky, events=happening)) for one in quiet]


def sensor_orders(camera: SimulatedCamera, order: ExposureOrder) -> list[SensorExposure]:
    """Return what each sensor does in an exposure; raises `BadRequest` as `SimulatedCamera.orders`."""
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
    """Return the read-out times of frames of so many seconds; shorter ones than half a second are read out faster."""
    usual = Timing()
    part = tinteg_sec / usual.frame_s
    return Timing(tinteg_sec, usual.exposure_s * part, usual.row_s * min(part, 1.0))


def write_files(store: Store, orders: Sequence[SensorExposure], abort: threading.Event) -> RawExposure | None:
    """Write truth and raw files of an exposure and return the record that is to follow; None when it was aborted."""
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
