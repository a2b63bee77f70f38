"""Run a recipe: assign raw exposures to its steps, make masters, reduce."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gozen.archive.raw.exposure_record import RawExposure
from gozen.archive.stores.open_store import Store
from gozen.errors import ExitCode, worst
from gozen.instrument.profile import Profile
from gozen.observing.raw_for_steps import Answered, PointingReach, assign_raw_to_steps, works_of
from gozen.observing.recipe_of_night import steps_of
from gozen.reduction.sensor_masters import MasterResult
from gozen.reduction.sensor_work import SensorResult
from gozen.resources.observation import Observation
from gozen.settings import Settings
from gozen.workflow.make_night_masters import make_night_masters
from gozen.workflow.reduce_exposures import reduce_exposures
from gozen.workflow.stage_progress import StageProgress, no_progress


@dataclass(frozen=True)
class RecipePlan:
    """The Observations of a recipe, with the raw exposures that the night has for each.

    Parameters
    ----------
    exposures
        All exposures of the night.
    unasked
        Science exposures that no step requests.
    """

    answers: tuple[tuple[Observation, Answered], ...]
    exposures: tuple[RawExposure, ...]
    unasked: tuple[RawExposure, ...]

    @property
    def exit_code(self) -> ExitCode:
        """Exit code of the plan: a step without raw data is more severe than an exposure that no step requests."""
        if any(answered.missing for _, answered in self.answers):
            return ExitCode.UNREADABLE_INPUT
        return ExitCode.NOT_ASKED_FOR if self.unasked else ExitCode.DONE


@dataclass(frozen=True)
class RecipeResult:
    """The result of running a recipe.

    Parameters
    ----------
    sensors
        Results of the sensors; None if nothing was reduced, because the archive could not store the masters.
    """

    plan: RecipePlan
    masters: tuple[MasterResult, ...]
    sensors: tuple[SensorResult, ...] | None

    @property
    def exit_code(self) -> ExitCode:
        """The most severe exit code of plan, masters and sensors."""
        made, reduced = ([one.exit_code for one in found or ()] for found in (self.masters, self.sensors))
        return worst([self.plan.exit_code, *made, *reduced])


def plan_recipe(
    observations: Sequence[Observation], exposures: Sequence[RawExposure], profile: Profile, run: str
) -> RecipePlan:
    """Find the exposures of a night that belong to the steps of Observations.

    Parameters
    ----------
    exposures
        Raw exposures in order of time.
    run
        Name of the processing run.

    Raises
    ------
    BadRequest
        A step is not possible after the steps before it.
    """
    planned = [steps_of(observation, profile, run) for observation in observations]
    answers, unasked = assign_raw_to_steps(planned, exposures, PointingReach.of(profile))
    return RecipePlan(tuple(zip(observations, answers, strict=True)), tuple(exposures), tuple(unasked))


def run_recipe(
    store: Store,
    settings: Settings,
    profile: Profile,
    plan: RecipePlan,
    *,
    progress: StageProgress = no_progress,
    begun: Callable[[Observation, Answered], None] = lambda *_: None,
    master_finished: Callable[[MasterResult], None] = lambda _: None,
) -> RecipeResult:
    """Make the masters that the Observations of a plan ask for, then reduce their science exposures.

    A second call completes the rest and repeats nothing. If the archive cannot store the masters, science exposures are
    not reduced: they would fail because masters are missing, and hide the cause.

    Parameters
    ----------
    begun
        Called with each Observation before its masters are made.
    master_finished
        Called with the result of each master as soon as it is available.

    Raises
    ------
    BadRequest
        No master can be made from the calibration exposures of an Observation.
    """
    masters: list[MasterResult] = []
    for observation, answered in plan.answers:
        begun(observation, answered)
        if answered.calibrations and profile.masters:
            masters += make_night_masters(
                store, settings, profile, answered.calibrations, progress=progress, finished=master_finished
            )
    if ExitCode.STORAGE in [one.exit_code for one in masters]:
        return RecipeResult(plan, tuple(masters), None)
    works = [work for observation, answered in plan.answers for work in works_of(observation, answered, settings.run)]
    return RecipeResult(plan, tuple(masters), tuple(reduce_exposures(store, settings, works, progress=progress)))
