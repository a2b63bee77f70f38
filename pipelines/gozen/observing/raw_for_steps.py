"""Assign raw exposures to the steps of an Observation, and list the work to reduce them. No I/O."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gozen.archive.keys import Processing
from gozen.archive.raw.exposure_record import RawExposure
from gozen.frames.exposure_grouping import number_name, tolerance_deg
from gozen.instrument.profile import Profile
from gozen.observing.observation_plan import PlannedExposure
from gozen.reduction.sensor_work import SensorWork
from gozen.resources.observation import Observation
from gozen.resources.sky_circle import separation_deg
from gozen.resources.yaml_resources import dump_resources


@dataclass(frozen=True)
class Answered:
    """The raw exposures that were found for the steps of an Observation.

    Parameters
    ----------
    pairs
        Pairs of a planned and a raw exposure; a planned exposure may have several.
    missing
        Planned exposures without raw data.
    """

    pairs: tuple[tuple[PlannedExposure, RawExposure], ...]
    missing: tuple[PlannedExposure, ...]

    @property
    def calibrations(self) -> list[RawExposure]:
        """The raw calibration exposures, from which masters are made."""
        return [raw for _, raw in self.pairs if raw.data_type != "OBJECT"]


@dataclass(frozen=True)
class PointingReach:
    """Limits for comparing the pointings of a raw exposure and of a step, degrees.

    Parameters
    ----------
    same
        Two pointings within this distance count as the same.
    field
        Beyond this distance an exposure is of another field, even if its target has the same name.
    """

    same: float
    field: float

    @classmethod
    def of(cls, profile: Profile) -> PointingReach:
        """Return the limits for a camera; `field` is its field of view from corner to corner."""
        rows, columns = profile.active_shape
        x, y = ([getattr(one, name) for one in profile.sensors] for name in ("x_arcsec", "y_arcsec"))
        width = columns * profile.pixel_scale_arcsec + max(x) - min(x)
        height = rows * profile.pixel_scale_arcsec + max(y) - min(y)
        return cls(tolerance_deg(profile), (math.hypot(width, height) + 2 * profile.pointing_uncertainty_arcsec) / 3600)


def assign_raw_to_steps(
    planned: Sequence[Sequence[PlannedExposure]], taken: Iterable[RawExposure], reach: PointingReach
) -> tuple[list[Answered], list[RawExposure]]:
    """Match raw exposures to planned ones by kind of data, target and pointing, in order of time.

    Steps that request the same target and pointing get one exposure each, in order. If the camera writes no exposure
    numbers, there may be more exposures than steps, because of a pause, another filter or a mosaic. The remaining ones
    are
    assigned to the last of these steps.

    Parameters
    ----------
    planned
        The steps of each Observation, in order.
    taken
        Raw exposures in order of time.

    Returns
    -------
    The result for each Observation; and the science exposures that no step requested.
    """
    steps = [step for one in planned for step in one]
    found: dict[int, list[RawExposure]] = {number: [] for number in range(len(steps))}
    left = [raw for raw in taken if raw.sensors and not _give(raw, steps, found, reach)]
    while mosaic := [raw for raw in left if _give_beside(raw, found, reach)]:
        left = [raw for raw in left if raw not in mosaic]
    answered, begin = [], 0
    for one in planned:
        numbers = range(begin, begin := begin + len(one))
        pairs = tuple((steps[number], raw) for number in numbers for raw in found[number])
        answered.append(Answered(pairs, tuple(steps[number] for number in numbers if not found[number])))
    return answered, [raw for raw in left if raw.data_type == "OBJECT"]


def step_of(
    raw: RawExposure, steps: Sequence[PlannedExposure], taken: Iterable[RawExposure], reach: PointingReach
) -> PlannedExposure | None:
    """Return the step that a raw exposure belongs to; None if no step has its target and pointing.

    If each matching step has an exposure already, the last matching step is returned.

    Parameters
    ----------
    taken
        All known exposures of its night including this one, in order of time.
    """
    (answered,), _ = assign_raw_to_steps([steps], taken, reach)
    for step, one in answered.pairs:
        if one.exposure == raw.exposure:
            return step
    near = [steps[number] for number in _of_target(raw, steps) if _apart(steps[number], raw) <= reach.field]
    return near[-1] if near else None


def _give(
    raw: RawExposure, steps: Sequence[PlannedExposure], found: dict[int, list[RawExposure]], reach: PointingReach
) -> bool:
    """Assign an exposure to a step; return False if no step requests it."""
    apart = {number: _apart(steps[number], raw) for number in _of_target(raw, steps)}
    near = {number: angle for number, angle in apart.items() if angle <= reach.field}
    if not near:
        return False
    asking = [number for number, angle in near.items() if angle <= min(near.values()) + reach.same]
    free = [number for number in asking if not found[number]]
    if not free and _is_numbered(raw):
        return False
    found[free[0] if free else asking[-1]].append(raw)
    return True


def _give_beside(raw: RawExposure, found: dict[int, list[RawExposure]], reach: PointingReach) -> bool:
    """Assign an exposure to the step that has an adjacent field of the same target; return False if there is none."""
    place = raw.pointing
    if place is None or _is_numbered(raw):
        return False
    for exposures in found.values():
        for one in exposures:
            same = (one.object, one.data_type) == (raw.object, raw.data_type)
            if same and one.pointing is not None and separation_deg(*one.pointing, *place) <= reach.field:
                exposures.append(raw)
                return True
    return False


def _of_target(raw: RawExposure, steps: Sequence[PlannedExposure]) -> list[int]:
    """Return the steps with an exposure's target and kind of data.

    Blanks around the target are ignored, because a step cannot have them.
    """
    wanted = raw.object.strip(), raw.data_type
    specs = [step.exposure.spec for step in steps]
    return [number for number, spec in enumerate(specs) if (spec.object.strip(), spec.data_type) == wanted]


def _apart(step: PlannedExposure, raw: RawExposure) -> float:
    """Return the distance of an exposure from the pointing of a step, degrees; 0 if one of them is unknown."""
    place = raw.pointing
    if step.pointing is None or place is None or raw.data_type != "OBJECT":
        return 0.0
    return separation_deg(step.pointing.ra, step.pointing.dec, *place)


def _is_numbered(raw: RawExposure) -> bool:
    number = raw.setup.exposure_id if raw.setup is not None else raw.exposure
    return number_name(number) is not None


def works_of(observation: Observation, answered: Answered, run: str) -> list[SensorWork]:
    """Return the reductions that an Observation requests: all requested sensors of all its science exposures."""
    recipe = dump_resources([observation])
    works = []
    for step, raw in answered.pairs:
        spec = step.exposure.spec
        if raw.data_type != "OBJECT":
            continue
        works += [
            SensorWork(
                processing=Processing(raw.night, raw.exposure, run),
                sensor=sensor,
                raw=files,
                pipelines=tuple(spec.pipelines),
                object=raw.object,
                recipe_name=observation.metadata.name,
                recipe=recipe,
                retain_raw=spec.retain_raw,
            )
            for sensor, files in raw.sensors.items()
            if not spec.sensors or sensor in spec.sensors
        ]
    return works


def works_of_exposures(
    exposures: Iterable[RawExposure],
    sensors: Sequence[str],
    pipelines: Sequence[str],
    run: str,
    *,
    retain_raw: bool = False,
) -> list[SensorWork]:
    """Return the reductions of given science exposures, without a recipe.

    Parameters
    ----------
    sensors
        Sensors to reduce; empty for all.
    pipelines
        Pipelines to run; empty for the pipelines that the headers name.
    retain_raw
        Whether the raw files are kept from expiring.
    """
    return [
        SensorWork(
            Processing(one.night, one.exposure, run),
            sensor,
            files,
            pipelines=tuple(pipelines),
            object=one.object,
            retain_raw=retain_raw,
            raw_root=one.root,
        )
        for one in exposures
        if one.data_type == "OBJECT"
        for sensor, files in one.sensors.items()
        if not sensors or sensor in sensors
    ]
