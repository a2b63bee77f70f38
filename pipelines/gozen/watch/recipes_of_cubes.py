"""Find the pipelines and the priority of a cube, from the recipe that requested it or from the settings."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from gozen.archive.keys import Processing
from gozen.archive.raw.exposure_record import RawExposure, raw_exposures
from gozen.archive.stores.open_store import open_archive
from gozen.errors import UnreadableInput
from gozen.instrument.profile import Profile
from gozen.observing.observation_plan import PlannedExposure
from gozen.observing.raw_for_steps import PointingReach, step_of
from gozen.observing.recipe_of_night import observations_of, read_recipe, steps_of
from gozen.reduction.sensor_masters import MasterWork, masters_wanted
from gozen.reduction.sensor_work import SensorWork
from gozen.resources.observation import Observation
from gozen.resources.yaml_resources import dump_resources
from gozen.settings import Settings
from gozen.watch.waiting_cubes import QueuedCube

Asked = list[tuple[PlannedExposure, Observation]]


class Orders:
    """The recipes of a watch, interpreted again for each night.

    Parameters
    ----------
    recipes
        Files with recipes or Observations.
    pipelines
        Pipelines for every exposure; if empty, the pipelines of the recipe, else of the header, else of the profile.
    """

    def __init__(
        self, profile: Profile, settings: Settings, recipes: Sequence[Path] = (), pipelines: Sequence[str] = ()
    ) -> None:
        self._profile, self._settings = profile, settings
        self._pipelines = tuple(pipelines)
        self._texts = [(path.name, read_recipe(path)) for path in recipes]
        self._asked: dict[str, Asked] = {}
        self._taken: dict[str, dict[str, RawExposure]] = {}
        self._reach = PointingReach.of(profile)
        self._of_night("20000101")  # so that an invalid recipe is refused at the start

    def is_express(self, raw: RawExposure) -> bool:
        """Tell whether the recipe or the settings say that exposures of this object are reduced before others.

        If a damaged record hides which step of a recipe requested the exposure, only the settings count; `work` reports
        it.

        Raises
        ------
        StorageUnavailable
            The archive cannot be read.
        """
        if raw.data_type != "OBJECT":
            return False
        try:
            asked = self._asked_for(raw)
        except UnreadableInput:
            asked = None
        if asked is not None and asked[0].exposure.spec.priority_class == "express":
            return True
        return any(fnmatch.fnmatch(raw.object.lower(), one.lower()) for one in self._settings.watch.express)

    def forget(self, night: str) -> None:
        """Drop the exposures of a night from the cache, because they were renamed; the next use reads the archive."""
        self._taken.pop(night, None)

    def masters(self, cube: QueuedCube) -> MasterWork | None:
        """Return the master to make from a calibration cube; None if the camera needs none of this kind."""
        if cube.raw.data_type.lower() not in self._profile.masters:
            return None
        return masters_wanted([cube.raw_exposure], self._profile.masters)[0]

    def work(self, cube: QueuedCube) -> SensorWork | None:
        """Return the reduction task of a sky cube; None if its recipe leaves the sensor out.

        Raises
        ------
        StorageUnavailable
            The archive cannot be read.
        UnreadableInput
            The record of another exposure of the night is damaged, so it is not known which step this one belongs to.
        """
        raw = cube.raw
        processing = Processing(raw.night, raw.exposure, self._settings.run)
        files = raw.sensors[cube.sensor]
        work = SensorWork(processing, cube.sensor, files, pipelines=self._pipelines, object=raw.object)
        asked = self._asked_for(raw)
        if asked is None:
            return work
        spec, observation = asked[0].exposure.spec, asked[1]
        if spec.sensors and cube.sensor not in spec.sensors:
            return None
        return replace(
            work,
            pipelines=self._pipelines or tuple(spec.pipelines),
            recipe_name=observation.metadata.name,
            recipe=dump_resources([observation]),
            retain_raw=spec.retain_raw,
        )

    def _asked_for(self, raw: RawExposure) -> tuple[PlannedExposure, Observation] | None:
        """Return the step of a recipe that requested an exposure, and its Observation; None if no recipe did.

        Other exposures of the night are read only if several steps have the same object.
        """
        target = raw.object.strip()
        asked = [one for one in self._of_night(raw.night) if one[0].exposure.spec.object.strip() == target]
        taken = self._taken_of(raw, target) if len(asked) > 1 else [raw]
        found = step_of(raw, [step for step, _ in asked], taken, self._reach)
        return next((one for one in asked if one[0] is found), None)

    def _taken_of(self, raw: RawExposure, target: str) -> list[RawExposure]:
        """Return the exposures of a target in a night, by time; the archive is read once for each night."""
        if raw.night not in self._taken:
            found = raw_exposures(open_archive(self._settings), raw.night)
            self._taken[raw.night] = {one.exposure: one for one in found}
        known = self._taken[raw.night]
        known[raw.exposure] = raw
        same = [one for one in known.values() if one.object.strip() == target]
        return sorted(same, key=lambda one: (one.mjd, one.exposure))

    def _of_night(self, night: str) -> Asked:
        """Return the steps of a night that observe the sky, in the order of the recipes and their steps."""
        if night not in self._asked:
            found: Asked = []
            for name, text in self._texts:
                for observation in observations_of(text, name, night, self._profile):
                    steps = steps_of(observation, self._profile, self._settings.run)
                    found += [(step, observation) for step in steps if step.exposure.spec.data_type == "OBJECT"]
            self._asked[night] = found
        return self._asked[night]
