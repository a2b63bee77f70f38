"""Simulate raw exposures with worker processes, and record them as a camera would."""

from __future__ import annotations

import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from gozen.archive.stores.open_store import Store
from gozen.errors import BadRequest
from gozen.frames.take_in import record_missing
from gozen.instrument.profile import Profile
from gozen.observing.recipe_of_night import observations_of, read_recipe, steps_of
from gozen.simulator.simulate_night import NightSummary, SimulatedNight, Target, simulate_night
from gozen.workflow.stage_progress import StageProgress, no_progress


def simulate_raw(
    store: Store, profile: Profile, night: SimulatedNight, workers: int, *, progress: StageProgress = no_progress
) -> NightSummary:
    """Simulate the raw files of a night and record their exposures; errors are those of `simulate_night`."""
    # One worker per core: more threads inside a worker would compete for its core.
    files = len(night.sensors or profile.sensors) * (2 + len(night.targets) * len(night.dithers))
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
    with (
        progress("simulating", files) as step,
        ProcessPoolExecutor(min(workers, files), get_context("spawn")) as pool,
    ):
        made = simulate_night(store, profile, night, progress=lambda *_: step(), run=pool.map)
    record_missing(store, night.night, profile)
    return made


def fields_of_recipe(path: Path, night: str, profile: Profile) -> tuple[list[Target], int]:
    """Return the field of each science exposure of a recipe, and the number of frames per exposure.

    Raises
    ------
    BadRequest
        The recipe cannot be read, has no science exposure, or its exposures have different numbers of frames.
    """
    observations = observations_of(read_recipe(path), path.name, night, profile)
    planned = [step for one in observations for step in steps_of(one, profile, "r1")]
    seen = [step for step in planned if step.pointing is not None and step.exposure.spec.data_type == "OBJECT"]
    if not seen:
        raise BadRequest(f"the recipe {path.name} has no exposure of the sky; add one")
    frames = {step.exposure.spec.nframe for step in seen}
    if len(frames) > 1:
        raise BadRequest(
            f"{path.name} has exposures with different numbers of frames, {sorted(frames)}; use one number of frames "
            "in a recipe"
        )
    targets = [
        Target(step.exposure.spec.object, step.pointing.ra, step.pointing.dec)
        for step in seen
        if step.pointing is not None
    ]
    return targets, frames.pop()
