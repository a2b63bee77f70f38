"""What the reduction of one sensor's cube costs, in ratios to a peer and to a floor measured in the same run.

The peer is ``sep`` on every frame: background with a mesh of 64 pixels, extraction at 5 sigma, an aperture of radius
10.5 with subpix 5 and errors; it neither reads nor calibrates nor writes. The floor is what no reduction can leave out:
the calibration pass, the sums at known places, and the Parquet file. Times are processor times of one core; the frames
are simulated at the size of Tomo-e Gozen's. The typical scene has about 1,500 sources on the stack; others have a
fifth and four times as many stars.

    python benchmarks/reduce.py [--json FILE] [--frames 18] [--repeats 5] [--quick]
"""

from __future__ import annotations

import os

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")

import argparse
import functools
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import sep

import gozen.photometry.detect_sources
import gozen.reduction.align_frames
import gozen.reduction.measure_stars
import gozen.reduction.steps.calibrate_rows
import gozen.reduction.steps.frames_to_stack
import gozen.reduction.steps.solve_stack
import gozen.reduction.steps.store_images
from goals import Goal, conclude
from gozen.archive.commit import SensorCommit
from gozen.archive.keys import Processing
from gozen.archive.provenance import sha256
from gozen.archive.raw.exposure_record import raw_exposures
from gozen.archive.stores.open_store import open_store
from gozen.calibration.calibrate_frame import calibrate, detector_of
from gozen.calibration.master_match import CalibrationSetup
from gozen.calibration.master_search import find_masters
from gozen.frames.raw import assemble, read_file
from gozen.frames.take_in import record_missing
from gozen.instrument.profile import load_profile
from gozen.photometry.aperture_sums import aperture_sums
from gozen.reduction.pool_worker import KEPT_BYTES
from gozen.reduction.process_pool import run_all
from gozen.reduction.reduce_all import reduce_here
from gozen.reduction.reduce_sensor import reduce_sensor
from gozen.reduction.sensor_masters import make_masters, masters_wanted
from gozen.reduction.sensor_work import SensorWork, SharedInputs
from gozen.reduction.shared_inputs import open_shared_inputs
from gozen.settings import Settings
from gozen.simulator.simulate_night import SimulatedNight, Target, simulate_night
from gozen.simulator.sky import population
from gozen.worker_process import keep_freed_memory

NIGHT, SENSOR = "20260115", "111"
PLAIN, CUBE, NEO = ("wcs", "stack"), ("wcs", "stack", "cube"), ("wcs", "stack", "neo")
TYPICAL, FEW, MANY = 0.8, 0.15, 4.2
"""Density of stars, in that of the simulator."""
WORKERS = "speed of two workers over one"
STEPS = {
    "read, with SHA-256": (gozen.reduction.steps.frames_to_stack, "read_files"),
    "calibrate and gates": (gozen.reduction.steps.frames_to_stack, "calibrate_cube"),
    "first registration": (gozen.reduction.align_frames, "_against_middle"),
    "stack": (gozen.reduction.align_frames, "stack_frames"),
    "background": (gozen.photometry.detect_sources, "_sky"),
    "extract": (gozen.photometry.detect_sources, "_extract"),
    "second registration": (gozen.reduction.align_frames, "measure_shift"),
    "seeing": (gozen.reduction.align_frames, "star_fwhm"),
    "WCS": (gozen.reduction.steps.solve_stack, "solve_field"),
    "match": (gozen.reduction.steps.calibrate_rows, "place_sources"),
    "sky of a frame": (gozen.reduction.measure_stars, "frame_sky"),
    "fluxes": (gozen.reduction.measure_stars, "measure_frame"),
    "zero point": (gozen.reduction.measure_stars, "_calibrate"),
    "rows": (gozen.reduction.measure_stars, "sensor_rows"),
    "Parquet": (gozen.reduction.steps.calibrate_rows, "_parquet"),
    "stack as FITS": (gozen.reduction.steps.store_images, "stack_bytes"),
    "write rows, with SHA-256": (gozen.reduction.steps.calibrate_rows, "put_product"),
    "write stack, with SHA-256": (gozen.reduction.steps.store_images, "put_product"),
}


def make_archive(folder: Path, frames: int, crowding: float = TYPICAL, seed: int = 1) -> SharedInputs:
    """Simulate one exposure of one sensor with its masters.

    Parameters
    ----------
    crowding
        Density of stars, in that of the simulator.
    seed
        One of its own for each density, because the simulator remembers its stars.
    """
    usual, population._BRIGHT_DENSITY = population._BRIGHT_DENSITY, population._BRIGHT_DENSITY * crowding
    settings = Settings(archive=str(folder))
    store, profile = open_store(folder), load_profile("tomoe")
    field = [Target("field", 19.75, 29.71)]
    wanted = SimulatedNight(NIGHT, field, sensors=[SENSOR], nframe=frames, calibration_frames=6, events=[], seed=seed)
    simulate_night(store, profile, wanted)
    population._BRIGHT_DENSITY = usual
    record_missing(store, NIGHT, profile)
    works = masters_wanted(raw_exposures(store, NIGHT), profile.masters)
    list(make_masters(works, functools.partial(open_shared_inputs, settings), 1))
    return open_shared_inputs(settings)


def work_of(shared: SharedInputs, run: str, pipelines: tuple[str, ...] = PLAIN) -> SensorWork:
    """Return the reduction of the exposure under a run's name."""
    exposure = next(one for one in raw_exposures(shared.store, NIGHT) if one.data_type == "OBJECT")
    return SensorWork(Processing(NIGHT, exposure.exposure, run), SENSOR, exposure.sensors[SENSOR], pipelines)


def spent(task: Callable[[], Any]) -> float:
    """Return the processor time of a task, seconds."""
    start = time.process_time()
    task()
    return time.process_time() - start


def together(tasks: dict[str, Callable[[int], Any]], repeats: int) -> dict[str, float]:
    """Return the median processor time of each task, after a warm-up; they take turns, so that they share the noise."""
    found: dict[str, list[float]] = {name: [] for name in tasks}
    for number in range(-1, repeats):
        for name, task in tasks.items():
            seconds = spent(functools.partial(task, number))
            if number >= 0:
                found[name].append(seconds)
    return {name: statistics.median(values) for name, values in found.items()}


def peer(images: list[np.ndarray]) -> int:
    """Do what a plain script does with each frame, and return how many sources the last one has."""
    for image in images:
        sky = sep.Background(image, bw=64, bh=64)
        found = sep.extract(image - sky.back(), 5.0, err=sky.globalrms)
        sep.sum_circle(image, found["x"], found["y"], 10.5, err=sky.globalrms, subpix=5)
    return len(found)


def floor(shared: SharedInputs, raw: Any, x: np.ndarray, y: np.ndarray, detector: Any, rows: pa.Table) -> None:
    """Calibrate, sum at known places, and write the rows."""
    for index in range(raw.nframe):
        image, mask = calibrate(raw.stored(index), detector)
        aperture_sums(image, mask, x, y, rows["aperture_diameter"][0].as_py())
    sink = Path(shared.settings.archive) / "floor.parquet"
    pq.write_table(rows, sink, compression="zstd", compression_level=1)


def staged(shared: SharedInputs, commit: SensorCommit) -> pa.Table:
    """Return the rows that a reduction staged."""
    return pq.read_table(pa.BufferReader(shared.store.read(commit.products["staging"].key)))


def against_the_peer(shared: SharedInputs, frames: int, repeats: int) -> dict[str, float]:
    """Return the times of the reduction, the peer and the floor, in milliseconds a frame, and their ratios."""
    work = work_of(shared, "count")
    commit = reduce_sensor(work, shared)
    raw = assemble([read_file(shared.store, key) for key in work.raw], shared.profile)
    wanted = CalibrationSetup.of_header(raw.header)
    masters = find_masters(shared.store, shared.profile, SENSOR, NIGHT, float(raw.start[0]), wanted)
    detector = detector_of(shared.profile, SENSOR, "high", masters["dark"].image, masters["flat"].image)
    images = [calibrate(raw.stored(index), detector)[0] for index in range(min(frames, 6))]
    rows = staged(shared, commit)
    x, y = (rows[name].to_numpy()[: commit.summary.n_sources].astype(float) for name in ("x", "y"))

    def reduction(name: str, pipelines: tuple[str, ...]) -> Callable[[int], Any]:
        return lambda number: reduce_sensor(work_of(shared, f"{name}{number + 1}", pipelines), shared)

    tasks: dict[str, Callable[[int], Any]] = {
        "reduce": reduction("a", PLAIN),
        "reduce with cube": reduction("b", CUBE),
        "reduce with neo": reduction("c", NEO),
        "peer": lambda _: peer(images),
        "floor": lambda _: floor(shared, raw, x, y, detector, rows),
        "SHA-256 of the raw file": lambda _: sha256(shared.store.read(work.raw[0])),
    }
    seconds = together(tasks, repeats)
    out = {
        "sources on the stack": float(commit.summary.n_sources or 0),
        "peer: sources on a frame": float(peer(images)),
    }
    for name, value in seconds.items():
        out[f"{name}, ms a frame"] = 1e3 * value / (len(images) if name == "peer" else frames)
    for name in ("reduce", "reduce with cube", "reduce with neo"):
        out[f"{name} / peer"] = out[f"{name}, ms a frame"] / out["peer, ms a frame"]
        out[f"{name} / floor"] = out[f"{name}, ms a frame"] / out["floor, ms a frame"]
    return out


def steps(shared: SharedInputs, frames: int, repeats: int) -> dict[str, float]:
    """Return the milliseconds a frame of each step of the reduction."""
    times = dict.fromkeys(STEPS, 0.0)

    def timed(name: str, usual: Callable[..., Any]) -> Callable[..., Any]:
        def measured(*given: Any, **named: Any) -> Any:
            start = time.process_time()
            try:
                return usual(*given, **named)
            finally:
                times[name] += time.process_time() - start

        return measured

    usual = {name: getattr(module, function) for name, (module, function) in STEPS.items()}
    for name, (module, function) in STEPS.items():
        setattr(module, function, timed(name, usual[name]))
    whole = sum(spent(lambda n=n: reduce_sensor(work_of(shared, f"steps{n}"), shared)) for n in range(repeats))
    for name, (module, function) in STEPS.items():
        setattr(module, function, usual[name])
    # The first registration calls what the second calls.
    times["second registration"] -= min(times["first registration"], times["second registration"])
    per_frame = 1e3 / frames / repeats
    out = {f"step: {name}, ms a frame": value * per_frame for name, value in times.items()}
    return out | {"step: all else, ms a frame": (whole - sum(times.values())) * per_frame}


def scaling(folder: Path, typical: SharedInputs, frames: int, repeats: int) -> dict[str, float]:
    """Return the cost of cubes of several lengths and fields of several densities."""
    out: dict[str, float] = {}
    lengths = {half: make_archive(folder / f"long{half}", half) for half in (frames // 2, 2 * frames)} | {
        frames: typical
    }
    cost = together({str(count): _one(shared, "l") for count, shared in lengths.items()}, repeats)
    counts = np.array(sorted(lengths))
    seconds = np.array([cost[str(count)] for count in counts])
    slope, intercept = np.polyfit(counts, seconds, 1)
    out |= {f"{count} frames, ms": 1e3 * value for count, value in zip(counts, seconds, strict=True)}
    out |= {"frames: ms for one more": 1e3 * slope, "frames: ms before the first": 1e3 * intercept}
    first, second = np.diff(seconds) / np.diff(counts)
    out["frames: one more, late / early"] = second / first
    fields = {
        "few": make_archive(folder / "few", frames, FEW, 2),
        "many": make_archive(folder / "many", frames, MANY, 3),
    }
    fields["typical"] = typical
    sources = {
        name: reduce_sensor(work_of(shared, "count"), shared).summary.n_sources for name, shared in fields.items()
    }
    cost = together({name: _one(shared, "s") for name, shared in fields.items()}, repeats)
    for name in ("few", "typical", "many"):
        out[f"{name}: sources"] = float(sources[name] or 0)
        out[f"{name}: ms a frame"] = 1e3 * cost[name] / frames
    early, late = _slope(out, "few", "typical"), _slope(out, "typical", "many")
    out |= {"sources: us a frame for one more": 1e3 * late, "sources: one more, late / early": late / early}
    return out


def _one(shared: SharedInputs, run: str) -> Callable[[int], Any]:
    return lambda number: reduce_sensor(work_of(shared, f"{run}{number + 1}"), shared)


def _slope(figures: dict[str, float], one: str, other: str) -> float:
    rise = figures[f"{other}: ms a frame"] - figures[f"{one}: ms a frame"]
    return rise / (figures[f"{other}: sources"] - figures[f"{one}: sources"])


def two_workers(shared: SharedInputs) -> float:
    """Return how much faster two worker processes are than one at the same eight cubes, start-up left out."""
    elapsed = {}
    for workers in (1, 2):
        works = [work_of(shared, f"w{workers}-{number}") for number in range(8 + workers)]
        results = run_all(works, reduce_here, functools.partial(open_shared_inputs, shared.settings), workers)
        for _ in range(workers):
            next(results)  # the first cube of each worker loads the code
        start = time.perf_counter()
        list(results)
        elapsed[workers] = time.perf_counter() - start
    return elapsed[1] / elapsed[2]


def peak_gb(work: SensorWork, shared: SharedInputs) -> float:
    """Reduce a cube and return the most memory that this process ever held, GB."""
    reduce_sensor(work, shared)
    # What `getrusage` says of a process begins with what its parent held.
    peak = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(peak.group(1)) * 1024 / 1e9 if peak else float("nan")


def memory(shared: SharedInputs) -> float:
    """Return the most memory that a worker needs for two cubes with everything."""
    works = [work_of(shared, f"m{number}", (*CUBE, "neo")) for number in range(2)]
    results = run_all(works, peak_gb, functools.partial(open_shared_inputs, shared.settings), 1)
    return max(float(result) for _, result in results)


def measure(folder: Path, frames: int, repeats: int, quick: bool) -> dict[str, float]:
    """Return all figures; the quick ones are those of one cube in this process."""
    keep_freed_memory(KEPT_BYTES)
    shared = make_archive(folder / "typical", frames)
    figures = against_the_peer(shared, frames, repeats)
    figures |= steps(shared, frames, repeats)
    if quick:
        return figures
    figures |= scaling(folder, shared, frames, repeats)
    figures[WORKERS] = two_workers(shared)
    figures["peak memory of a worker, GB"] = memory(shared)
    return figures


def goals_of(figures: dict[str, float]) -> list[Goal]:
    """Return what the figures are held against."""
    limits = {
        "reduce / peer": 0.35,
        "reduce with cube / peer": 0.65,
        "frames: one more, late / early": 1.1,
        "sources: one more, late / early": 1.25,
        "peak memory of a worker, GB": 1.0,
        WORKERS: 1.8,
    }
    return [
        Goal(re.sub(r"[^a-zA-Z/]+", "_", name).replace("_/_", "/"), figures[name], limit, name == WORKERS)
        for name, limit in limits.items()
        if name in figures
    ]


def main() -> int:
    """Measure, print the table and the goals, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--frames", type=int, default=18)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="one cube only, without its growth and further workers")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        figures = measure(Path(name), asked.frames, asked.repeats, asked.quick)
    for key, value in figures.items():
        print(f"{key:45s} {value:10.3f}")
    return conclude(goals_of(figures), figures, asked.json)


if __name__ == "__main__":
    sys.exit(main())
