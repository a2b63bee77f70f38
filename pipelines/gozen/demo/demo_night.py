"""Make the demo's night: simulate, make masters, reduce, append."""

from __future__ import annotations

from dataclasses import dataclass

from gozen.archive.raw.exposure_record import raw_exposures
from gozen.archive.stores.open_store import open_archive
from gozen.errors import BadRequest, UnreadableInput
from gozen.instrument.profile import load_profile
from gozen.lightcurves.append_commits import append
from gozen.observing.raw_for_steps import works_of_exposures
from gozen.reduction.sensor_masters import MasterResult
from gozen.reduction.sensor_work import SensorResult
from gozen.settings import Settings
from gozen.simulator.simulate_night import SimulatedNight, Target
from gozen.workflow.make_night_masters import make_night_masters
from gozen.workflow.reduce_exposures import reduce_exposures
from gozen.workflow.simulate_raw import simulate_raw
from gozen.workflow.stage_progress import StageProgress

NIGHT = "20260115"
FIELD = Target("demo field", 19.75, 29.71)
PIPELINES = ("wcs", "stack", "neo")
DITHERS = ((0.0, 0.0), (180.0, 120.0), (180.0, -120.0), (-180.0, 120.0))


@dataclass(frozen=True)
class DemoPlan:
    """The size of the demo's night.

    Parameters
    ----------
    sensors
        Number of the camera's sensors.
    dithers
        Number of exposures of the field, shifted by a few arcmin: most stars are in all of them.
    nframe, calibration_frames
        Number of frames of an exposure of the sky, and of a dark or flat exposure.
    seed
        Seed of the random numbers of the simulated sky.
    """

    sensors: int = 2
    dithers: int = 2
    nframe: int = 18
    calibration_frames: int = 8
    seed: int = 1

    def __post_init__(self) -> None:
        if self.sensors < 1 or self.nframe < 2 or not 1 <= self.dithers <= len(DITHERS):
            raise BadRequest(
                f"the demo needs at least one sensor, two frames and one to {len(DITHERS)} dithers, but "
                f"{self.sensors} sensors, {self.nframe} frames and {self.dithers} dithers are given"
            )


def make_night(plan: DemoPlan, settings: Settings, progress: StageProgress) -> None:
    """Simulate, reduce and append the demo's night.

    Parameters
    ----------
    settings
        The archive, the instrument profile and the number of workers.

    Raises
    ------
    GozenError
        A master was refused or the reduction of a sensor failed. A sensor that a gate refuses is not an error here: a
        check counts the reduced sensors.
    """
    store, profile = open_archive(settings), load_profile(settings.instrument)
    sensors = [sensor.id for sensor in profile.sensors][: plan.sensors]
    simulate_raw(store, profile, _request(plan, sensors), settings.workers, progress=progress)
    exposures = raw_exposures(store, NIGHT)
    make_night_masters(store, settings, profile, exposures, progress=progress, finished=_check_master)
    works = works_of_exposures(exposures, [], [], settings.run)
    reduce_exposures(store, settings, works, progress=progress, finished=_check_sensor)
    with progress("appending", plan.sensors * plan.dithers) as step:
        append(store, NIGHT, progress=step)


def _request(plan: DemoPlan, sensors: list[str]) -> SimulatedNight:
    return SimulatedNight(
        night=NIGHT,
        targets=[FIELD],
        dithers=DITHERS[: plan.dithers],
        sensors=sensors,
        nframe=plan.nframe,
        seed=plan.seed,
        calibration_frames=plan.calibration_frames,
        pipelines=PIPELINES,
    )


def _check_master(made: MasterResult) -> None:
    if made.problem is not None:
        raise UnreadableInput(f"the demo's own {made.kind} exposure gives no master: {made.problem}")


def _check_sensor(result: SensorResult) -> None:
    if result.error is not None:
        raise result.error
