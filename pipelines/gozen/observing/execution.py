"""From an Observation and what was taken to the work of reducing it: which raw exposure answers which step. Pure."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gozen.archive.keys import Processing
from gozen.archive.raw import RawExposure
from gozen.observing.plan import PlannedExposure
from gozen.reduction.work import SensorWork
from gozen.resources.observation import Observation
from gozen.resources.yaml import dump_resources


@dataclass(frozen=True)
class Answered:
    """An Observation's steps, set against the raw data.

    Parameters
    ----------
    pairs
        Each planned exposure that was taken, with what was taken.
    missing
        Planned exposures without raw data.
    """

    pairs: tuple[tuple[PlannedExposure, RawExposure], ...]
    missing: tuple[PlannedExposure, ...]

    @property
    def calibrations(self) -> list[RawExposure]:
        """The exposures that masters are made of."""
        return [raw for _, raw in self.pairs if raw.data_type != "OBJECT"]


def answer(planned: Sequence[PlannedExposure], taken: Iterable[RawExposure]) -> Answered:
    """Find what was taken for each planned exposure, by target and kind of data.

    Where a target is exposed more than once, the first step gets the first exposure, and so on.

    Parameters
    ----------
    planned
        In the order of the steps.
    taken
        In the order of time.
    """
    waiting: dict[tuple[str, str], deque[RawExposure]] = defaultdict(deque)
    for raw in taken:
        waiting[raw.object.strip(), raw.data_type].append(raw)
    pairs, missing = [], []
    for step in planned:
        queue = waiting[step.exposure.spec.object.strip(), step.exposure.spec.data_type]
        if queue:
            pairs.append((step, queue.popleft()))
        else:
            missing.append(step)
    return Answered(tuple(pairs), tuple(missing))


def works_of(observation: Observation, answered: Answered, run: str) -> list[SensorWork]:
    """Return the reductions that an Observation asks for: every sensor of every exposure of the sky."""
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
    """Return the reductions of exposures that are named themselves, without a recipe.

    Parameters
    ----------
    sensors
        Which; empty for all.
    pipelines
        What to do; empty for what the headers say.
    retain_raw
        Whether the raw files do not expire.
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
