"""The demo's night: simulated, masters made, reduced by worker processes, and appended to the light-curve table."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context

from gozen.archive.log.observation_log import rebuild_night
from gozen.archive.raw.exposure_record import RawExposure, raw_exposures
from gozen.errors import BadRequest, UnreadableInput
from gozen.frames.take_in import record_missing
from gozen.lightcurves.append_night import append
from gozen.observing.raw_for_steps import works_of_exposures
from gozen.reduction.night_masters import make_masters, masters_wanted
from gozen.reduction.reduce_all import reduce_all
from gozen.reduction.sensor_work import SharedInputs
from gozen.reduction.shared_inputs import open_bench
from gozen.settings import Settings
from gozen.simulator.simulate_night import SimulatedNight, Target, simulate_night

Counted = Callable[[str, int], AbstractContextManager[Callable[[], None]]]
"""Shows the progress of a stage: its title and its number of steps; gives the function to call after each step."""

NIGHT = "20260115"
FIELD = Target("demo field", 19.75, 29.71)
PIPELINES = ("wcs", "stack", "neo")
DITHERS = ((0.0, 0.0), (180.0, 120.0), (180.0, -120.0), (-180.0, 120.0))


@dataclass(frozen=True)
class DemoPlan:
    """What the demo takes.

    Parameters
    ----------
    sensors
        Number of the camera's sensors.
    dithers
        Number of exposures of the field, a few arcmin apart, so that most stars are in all of them.
    nframe, calibration_frames
        Frames of an exposure of the sky, and of a dark or flat.
    seed
        Of the sky.
    """

    sensors: int = 2
    dithers: int = 2
    nframe: int = 18
    calibration_frames: int = 8
    seed: int = 1

    def __post_init__(self) -> None:
        if self.sensors < 1 or self.nframe < 2 or not 1 <= self.dithers <= len(DITHERS):
            raise BadRequest(
                f"the demo takes at least one sensor, two frames and one to {len(DITHERS)} dithers; "
                f"it was asked for {self.sensors} sensors, {self.nframe} frames and {self.dithers} dithers"
            )


def make_night(plan: DemoPlan, settings: Settings, counted: Counted) -> None:
    """Simulate, reduce and append the demo's night.

    Parameters
    ----------
    settings
        Name the archive, the profile and the number of workers.

    Raises
    ------
    GozenError
        What a master's refusal or a sensor's failure says. A sensor that a gate refuses is no error: the comparison
        counts it.
    """
    # Each worker makes its own arrays; threads inside it would fight over the core.
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
    bench = open_bench(settings)
    _simulate(plan, bench, counted)
    exposures = raw_exposures(bench.store, NIGHT)
    _masters(exposures, bench, counted)
    _reduce(exposures, settings, counted)
    rebuild_night(bench.store, NIGHT)
    with counted("appending", plan.sensors * plan.dithers) as step:
        append(bench.store, NIGHT, progress=step)


def _simulate(plan: DemoPlan, bench: SharedInputs, counted: Counted) -> None:
    sensors = [sensor.id for sensor in bench.profile.sensors][: plan.sensors]
    cubes = len(sensors) * (2 + plan.dithers)
    workers = min(bench.settings.workers, cubes)
    with counted("simulating", cubes) as step, ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        wanted = SimulatedNight(
            NIGHT,
            [FIELD],
            DITHERS[: plan.dithers],
            sensors,
            nframe=plan.nframe,
            calibration_frames=plan.calibration_frames,
            pipelines=PIPELINES,
            seed=plan.seed,
        )
        simulate_night(bench.store, bench.profile, wanted, progress=lambda *_: step(), run=pool.map)
    record_missing(bench.store, NIGHT, bench.profile)


def _masters(exposures: list[RawExposure], bench: SharedInputs, counted: Counted) -> None:
    works = masters_wanted(exposures, bench.profile.masters)
    with counted("making masters", sum(len(work.wanted) for work in works)) as step:
        for made in make_masters(works, partial(open_bench, bench.settings), bench.settings.workers):
            if made.problem is not None:
                raise UnreadableInput(f"the demo's own {made.kind} exposure gives no master: {made.problem}")
            step()


def _reduce(exposures: list[RawExposure], settings: Settings, counted: Counted) -> None:
    works = works_of_exposures(exposures, [], [], settings.run)
    with counted("reducing", len(works)) as step:
        for result in reduce_all(works, partial(open_bench, settings), settings.workers):
            if result.error is not None:
                raise result.error
            step()
