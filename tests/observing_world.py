"""Surroundings of the observer without pixels: cluster and archive in memory, and devices that a test can inspect.

The cluster has the properties of the API server that matter here: a late write is refused by its resource version,
names are unique, and objects are deleted with their owner. The devices are an ordinary driver; the camera writes one
byte for each sensor, and then the record of the exposure.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from gozen.archive.raw.exposure_record import RawExposure
from gozen.errors import DeviceFailed
from gozen.instrument.profile import Profile, load_profile
from gozen.observing.device_drivers import CameraState, ExposureOrder, Observatory
from gozen.resources.exposure import Exposure
from gozen.resources.metadata import Condition
from gozen.resources.observation import Observation, ObservationStatus
from gozen.settings import ObserverSettings, Settings
from gozen_operator.observer.cluster_requests import Cluster
from gozen_operator.observer.observer_loop import Observer
from gozen_operator.observer.observing_site import ObservingSite

from .interruptions import MemoryStore, Watched

BEGIN = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
SENSORS = ("111", "112")


def camera_profile() -> Profile:
    """Return `tomoe` with two sensors."""
    words = load_profile("tomoe").model_dump()
    words["sensors"] = [one for one in words["sensors"] if one["id"] in SENSORS]
    return Profile.model_validate(words)


PROFILE = camera_profile()


def observation(*operations: Mapping[str, Any], name: str = "obs", **spec: Any) -> Observation:
    """Return an Observation of these steps, before the operator has seen it."""
    given = {"observer": "Tester", "project": "Test", "operations": list(operations), **spec}
    wire = {"apiVersion": "gozen.astro/v1alpha1", "kind": "Observation", "metadata": {"name": name}, "spec": given}
    return Observation.model_validate(wire, by_alias=True, by_name=False)


class MemoryCluster:
    """One namespace of an API server; each call is one atomic step."""

    def __init__(self) -> None:
        self.kept: dict[str, Observation] = {}
        self.exposures: dict[str, Exposure] = {}
        self.writes = 0
        self._numbers = itertools.count(1)

    def apply(self, one: Observation, *, accepted: bool = True) -> Observation:
        """Create an Observation, and let the operator accept it."""
        number = next(self._numbers)
        meta = {"uid": f"uid-{number}", "namespace": "default", "generation": 1, "creation_timestamp": BEGIN}
        status = "True" if accepted else "False"
        said = Condition(type="Accepted", status=status, reason="Valid", last_transition_time=BEGIN)
        made = one.model_copy(
            update={
                "metadata": one.metadata.model_copy(update=meta),
                "status": ObservationStatus(conditions=[said]),
            }
        )
        return self._put(made)

    def change(self, name: str, **spec: Any) -> None:
        """Change the spec of an Observation, as `kubectl edit` does."""
        if name in self.kept:
            one = self.kept[name]
            self._put(one.model_copy(update={"spec": one.spec.model_copy(update=spec)}))

    def delete(self, name: str) -> None:
        """Delete an Observation, and what it owns."""
        gone = self.kept.pop(name)
        uid = gone.metadata.uid
        kept = {n: e for n, e in self.exposures.items() if e.metadata.owner_references[0]["uid"] != uid}
        self.exposures = kept

    def executed(self, name: str = "obs") -> Condition | None:
        """Return the condition that the observer writes."""
        return next((one for one in self.kept[name].status.conditions if one.type == "Executed"), None)

    def observations(self):
        return [one for one in self.kept.values() if not one.status.over]

    def observation(self, name):
        return self.kept.get(name)

    def claim(self, observation, claim):
        known = self.kept.get(observation.metadata.name)
        if known is None or known.metadata.resource_version != observation.metadata.resource_version:
            return None
        self.writes += 1
        return self._put(known.model_copy(update={"status": known.status.model_copy(update={"claim": claim})}))

    def retire(self, observation):
        known = self.kept.get(observation.metadata.name)
        if known is None or known.metadata.resource_version != observation.metadata.resource_version:
            return None
        self.writes += 1
        status = known.status.model_copy(update={"claim": None, "over": True})
        return self._put(known.model_copy(update={"status": status}))

    def say(self, observation, condition):
        known = self.kept.get(observation.metadata.name)
        if known is None or known.metadata.resource_version != observation.metadata.resource_version:
            return None
        self.writes += 1
        said = Condition.model_validate(dict(condition), by_alias=True, by_name=False)
        others = [one for one in known.status.conditions if one.type != said.type]
        status = known.status.model_copy(update={"conditions": [*others, said]})
        return self._put(known.model_copy(update={"status": status}))

    def create(self, exposure):
        return self.exposures.setdefault(exposure.metadata.name, exposure)

    def _put(self, one: Observation) -> Observation:
        meta = one.metadata.model_copy(update={"resource_version": str(next(self._numbers))})
        self.kept[meta.name] = one.model_copy(update={"metadata": meta})
        return self.kept[meta.name]


class Mount:
    """Telescope, dome and focuser at once: each verb takes a second of the world's time."""

    def __init__(self, world: World) -> None:
        self._world, self._until = world, world.now
        self.pointing = None
        self.position_mm = None
        self.cover = "close"

    def _begin(self, verb: str) -> None:
        self._world.told.append(verb)
        assert self._world.exposing() is None, f"{verb} while the shutter is open"
        if verb in self._world.failing:
            raise DeviceFailed(f"{verb}: the motor stalls")
        self._until = self._world.now + timedelta(seconds=self._world.move_s)

    def point(self, pointing):
        self._begin("point")
        self.pointing = pointing

    def where(self):
        return self.pointing

    def mirror_cover(self, state):
        self._begin("cover")
        self.cover = state

    def move(self, position_mm):
        self._begin("focus")
        self.position_mm = position_mm

    def position(self):
        return self.position_mm

    def slit(self, state):
        self._begin("slit")

    def busy(self):
        return self._world.now < self._until

    def stop(self):
        self._until = self._world.now

    def conditions(self):
        return {"domeslit_open": self._world.dome_open, "mirrorcover_open": self.cover == "open"}


class PaperCamera:
    """A camera that writes a byte for each sensor; when its time is up, its next look at itself writes the data."""

    def __init__(self, world: World, store: Any, mount: Mount) -> None:
        self._world, self._store, self._mount = world, store, mount
        self._order: ExposureOrder | None = None
        self._ended: CameraState | None = None

    def configure(self, order):
        if "configure" in self._world.failing:
            raise DeviceFailed("the amplifier does not answer")

    def expose(self, order):
        if "expose" in self._world.failing:
            raise DeviceFailed("the shutter is stuck")
        if self._ended is None and self._order is not None:
            raise DeviceFailed(f"the camera exposes {self._order.exposure} already")
        self._world.opened.append(order)
        assert not self._mount.busy(), "the shutter opens while something moves"
        self._world.seen.append((self._mount.pointing, self._mount.position_mm, self._mount.cover))
        self._order, self._ended = order, None

    def phase(self) -> CameraState:
        """Return what it does, without writing anything."""
        if self._order is None or self._ended is not None:
            return self._ended or CameraState()
        ends = self._order.start + timedelta(seconds=self._order.duration_s)
        left = 0.0 if self._world.camera_is_fast else (ends - self._world.now).total_seconds()
        return CameraState("exposing" if left > 0 else "done", self._order.exposure_id, max(left, 0.0))

    def state(self):
        seen = self.phase()
        if seen.phase == "done" and self._ended is None:
            self._ended = self._write(self._order)
        return self._ended or seen

    def abort(self):
        if self._order is not None and self._ended is None:
            self._ended = CameraState("failed", self._order.exposure_id, message="aborted")

    def _write(self, order: ExposureOrder) -> CameraState:
        if "read-out" in self._world.failing:
            return CameraState("failed", order.exposure_id, message="the read-out has stopped")
        folder, sensors = f"raw/{order.night}/{order.exposure}", {}
        for sensor in order.sensors:
            if sensor not in self._world.dead_sensors:
                sensors[sensor] = (f"{folder}/{sensor}.fits",)
                self._store.write(sensors[sensor][0], b"1")
        taken = RawExposure(order.night, order.exposure, order.object, order.data_type, 61364.0, sensors)
        self._store.write(f"{folder}/exposure.json", taken.to_json())
        return CameraState("done", order.exposure_id)


class World:
    """Everything that outlives an observer's process.

    Parameters
    ----------
    camera_outlives
        Whether camera and mount go on while no process runs, or are gone with it, as the simulated ones.
    """

    def __init__(self, *, camera_outlives: bool = True, **limits: Any) -> None:
        self.cluster, self.store = MemoryCluster(), MemoryStore()
        self.now = BEGIN
        self.move_s = 1.0
        self.dome_open = True
        self.camera_is_fast = False
        self.failing: set[str] = set()
        self.dead_sensors: set[str] = set()
        self.told: list[str] = []
        self.opened: list[ExposureOrder] = []
        self.seen: list[tuple[Any, Any, str]] = []
        self.settings = Settings(observer=ObserverSettings(**{"interval_s": 5, "claim_s": 60, **limits}))
        self._sessions = itertools.count(1)
        self._mount = Mount(self)
        self.camera = PaperCamera(self, self.store, self._mount) if camera_outlives else None

    def process(self, name: str = "observer", cluster: Cluster | None = None) -> Observer:
        """Return a new process of the observer, which may be killed at each call of the outside."""
        store, mount = Watched(self.store), self._mount
        camera: Any = self.camera
        if camera is None:
            mount = Mount(self)
            camera = PaperCamera(self, store, mount)
        observatory = Observatory(mount, mount, mount, camera)
        limits = self.settings.observer.model_copy(update={"name": name})
        settings = self.settings.model_copy(update={"observer": limits})
        session = f"{next(self._sessions):03d}"
        watched: Any = Watched(cluster or self.cluster)
        return Observer(ObservingSite(watched, store, observatory, PROFILE, settings, session))

    def exposing(self) -> int | None:
        """Return the EXP_ID under which a camera that outlives its process exposes now."""
        state = self.camera.phase() if self.camera is not None else CameraState()
        return state.exposure_id if state.phase == "exposing" else None

    def tick(self, pause_s: float) -> None:
        """Let time pass."""
        self.now += timedelta(seconds=max(pause_s, 0.1))

    def live(self, observer: Observer, turns: int = 10**9) -> None:
        """Let a process work for ever, or for so many turns."""
        for _ in range(turns):
            self.tick(observer.turn(self.now))

    def finish(self, observer: Observer, name: str = "obs", turns: int = 2000) -> Condition:
        """Let a process work until the Observation is over, and return what it says."""
        for _ in range(turns):
            said = self.cluster.executed(name)
            if said is not None and said.status != "Unknown":
                return said
            self.tick(observer.turn(self.now))
        raise AssertionError(f"not over after {turns} turns: {self.cluster.executed(name)}")
