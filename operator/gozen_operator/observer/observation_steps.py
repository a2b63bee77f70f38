"""The steps of an Observation, and the choice of the next one, also after a crash. No I/O."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from gozen.instrument.profile import Profile
from gozen.observing.observation_plan import PlannedExposure, exposures_of, pointings_of
from gozen.resources.observation import Observation
from gozen.resources.recipe_steps import Operation, Pointing
from gozen.resources.yaml_dump import dump_line

_SETS = {"setFocus": "focus", "pointing": "pointing", "dithering": "pointing", "mirrorCover": "cover"}
"""The state of the telescope that a step sets: the last step of each state counts."""
_CARRIED = ("setPipeline", "setParameter")
"""Steps that only configure the exposures after them."""


@dataclass(frozen=True)
class Recipe:
    """The steps of an Observation.

    Parameters
    ----------
    planned
        Its exposures, by the number of the step (from 1).
    pointings
        Pointing of the telescope after each step that moves it.
    sensors
        All sensors of the camera.
    """

    observation: Observation
    planned: Mapping[int, PlannedExposure]
    pointings: Mapping[int, Pointing]
    sensors: tuple[str, ...]

    @property
    def steps(self) -> int:
        """Number of steps."""
        return len(self.observation.spec.operations)

    def operation(self, step: int) -> Operation:
        """Return a step."""
        return self.observation.spec.operations[step - 1]

    def sensors_of(self, step: int) -> tuple[str, ...]:
        """Return the sensors of an exposure."""
        return tuple(self.planned[step].exposure.spec.sensors) or self.sensors

    def title(self, step: int) -> str:
        """Return a step as messages name it, such as ``step 4 of 6 (exposure M31)``."""
        operation = self.operation(step)
        value = operation.model_dump(mode="json", exclude_none=True)[operation.kind]
        shown = dump_line(value) if isinstance(value, list | dict) else value
        return f"step {step} of {self.steps} ({operation.kind} {shown})"


def read_recipe(observation: Observation, profile: Profile, run: str) -> Recipe:
    """Return the recipe of an Observation.

    Raises
    ------
    BadRequest
        A step contradicts the steps before it.
    """
    planned = exposures_of(
        observation,
        instrument=profile.name,
        run=run,
        default_pipelines=profile.default_pipelines,
        default_gain=profile.default_gain,
    )
    sensors = tuple(sensor.id for sensor in profile.sensors)
    return Recipe(observation, {one.step: one for one in planned}, pointings_of(observation), sensors)


def next_step(recipe: Recipe, done: Collection[int], executed: Collection[int]) -> int | None:
    """Return the next step; None if all steps are done.

    After a crash, the steps whose effect is uncertain are repeated: the last focus, pointing and cover steps before
    the next exposure. Assertions and waits before an exposure that was taken are not repeated. If no exposure remains,
    no step is repeated.

    Parameters
    ----------
    done
        Exposure steps whose Exposures exist.
    executed
        Steps that this process has done since it claimed the Observation.
    """
    last = max(done, default=0)
    coming = min((step for step in recipe.planned if step not in done), default=None)
    for step in range(1, recipe.steps + 1):
        kind = recipe.operation(step).kind
        if step in done or step in executed or kind in _CARRIED:
            continue
        if step < last and not _counts(recipe, step, coming):
            continue
        return step
    return None


def _counts(recipe: Recipe, step: int, coming: int | None) -> bool:
    """Tell whether the next exposure depends on the state that a step before the last exposure has set."""
    what = _SETS.get(recipe.operation(step).kind)
    if what is None or coming is None:
        return False
    later = range(step + 1, coming)
    return not any(_SETS.get(recipe.operation(other).kind) == what for other in later)
