"""What the reduction of one sensor's cube costs, in ratios to a peer and to a floor measured in the same run.

The peer is ``sep`` on every frame: background with a mesh of 64 pixels, extraction at 5 sigma, an aperture of radius
10.5 with subpix 5 and errors; it neither reads nor calibrates nor writes. The floor is what no reduction can leave out:
the calibration pass, the sums at known places, and the Parquet file. Everything runs on one core; the frames are
simulated at the size of Tomo-e Gozen's, with about 1,500 sources on the stack.

    python benchmarks/reduce.py [--json FILE] [--frames 18] [--repeats 3]
"""

from __future__ import annotations

import os

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")

import argparse
import functools
import json
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import sep

from gozen.archive.keys import Processing
from gozen.archive.store import open_store
from gozen.calibration.calibrate import calibrate, detector_of
from gozen.calibration.library import find_masters
from gozen.frames.arrivals import raw_exposures, record_missing
from gozen.frames.raw import assemble, read_file
from gozen.instrument.profile import load_profile
from gozen.photometry.aperture import aperture_sums
from gozen.reduction.bench import open_bench
from gozen.reduction.exposure import reduce_here
from gozen.reduction.masters import make_masters, masters_wanted
from gozen.reduction.pool import run_all
from gozen.reduction.sensor import reduce_sensor
from gozen.reduction.work import Bench, SensorWork
from gozen.settings import Settings
from gozen.sky.night import Target, simulate_night
from gozen.sky.scene import Conditions

NIGHT = "20260115"
SENSOR = "111"


def make_archive(folder: Path, frames: int, deeper_mag: float = 0.0) -> Bench:
    """Simulate one exposure of one sensor with its masters; ``deeper_mag`` makes more stars bright enough."""
    settings = Settings(archive=str(folder))
    store, profile = open_store(folder), load_profile("tomoe")
    conditions = Conditions()
    conditions = Conditions(zero_point=conditions.zero_point + deeper_mag)
    simulate_night(
        store,
        profile,
        night=NIGHT,
        targets=[Target("field", 19.75, 29.71)],
        sensors=[SENSOR],
        nframe=frames,
        calibration_frames=6,
        events=[],
        conditions=conditions,
    )
    record_missing(store, NIGHT, profile)
    works = masters_wanted(raw_exposures(store, NIGHT), profile.masters)
    list(make_masters(works, functools.partial(open_bench, settings), 1))
    return open_bench(settings)


def work_of(bench: Bench, run: str, pipelines: tuple[str, ...] = ("wcs", "stack")) -> SensorWork:
    """Return the reduction of the exposure under a run's name."""
    exposure = next(one for one in raw_exposures(bench.store, NIGHT) if one.data_type == "OBJECT")
    return SensorWork(Processing(NIGHT, exposure.exposure, run), SENSOR, exposure.sensors[SENSOR], pipelines)


def seconds(task: Callable[[int], Any], repeats: int) -> float:
    """Return the median processor time of a task after a warm-up."""
    task(-1)
    found = []
    for number in range(repeats):
        start = time.process_time()
        task(number)
        found.append(time.process_time() - start)
    return statistics.median(found)


def peer(images: list[np.ndarray]) -> None:
    """Do what a plain script does with each frame."""
    for image in images:
        sky = sep.Background(image, bw=64, bh=64)
        found = sep.extract(image - sky.back(), 5.0, err=sky.globalrms)
        sep.sum_circle(image, found["x"], found["y"], 10.5, err=sky.globalrms, subpix=5)


def floor(bench: Bench, raw: Any, x: np.ndarray, y: np.ndarray, detector: Any, rows: Any) -> None:
    """Calibrate, sum at known places, and write the rows."""
    import pyarrow.parquet as pq

    for index in range(raw.nframe):
        image, mask = calibrate(raw.frame(index), detector)
        aperture_sums(image, mask, x, y, 21)
    sink = Path(bench.settings.archive) / "floor.parquet"
    pq.write_table(rows, sink, compression="zstd", compression_level=1)


def main() -> int:
    """Measure, print the table and the goals, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--frames", type=int, default=18)
    parser.add_argument("--repeats", type=int, default=3)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        figures = measure(Path(name), asked.frames, asked.repeats)
    for key, value in figures.items():
        print(f"{key:38s} {value:10.3f}")
    goals = {
        "reduce/peer": (figures["reduce / peer"], 0.35),
        "reduce+cube/peer": (figures["reduce with cube / peer"], 0.65),
        "peak memory, GB": (figures["peak memory, GB"], 1.0),
        "frames: slope end/start": (figures["ms per frame, long / short cube"], 1.1),
        "1 worker / 2 workers": (figures["speed of two workers"], 1.8),
    }
    short = False
    for goal, (measured, limit) in goals.items():
        kept = measured >= limit if "workers" in goal else measured <= limit
        short |= not kept
        print(f"goal {goal.replace(' ', '_')} {measured:.3f} {limit:g} {'ok' if kept else 'short'}")
    if asked.json:
        asked.json.write_text(json.dumps(figures, indent=1) + "\n")
    return int(short)


def measure(folder: Path, frames: int, repeats: int) -> dict[str, float]:
    """Return all figures, times in milliseconds of one core for each frame."""
    bench = make_archive(folder / "typical", frames)
    work = work_of(bench, "count")
    commit = reduce_sensor(work, bench)
    raw = assemble([read_file(bench.store, key) for key in work.raw], bench.profile)
    masters = find_masters(bench.store, bench.profile, SENSOR, NIGHT, float(raw.start[0]))
    detector = detector_of(bench.profile, SENSOR, "high", masters["dark"].image, masters["flat"].image)
    images = [np.ascontiguousarray(calibrate(raw.frame(index), detector)[0]) for index in range(frames)]
    rows = staged(bench, commit)
    x, y = (rows[name].to_numpy()[: commit.summary.n_sources].astype(float) for name in ("x", "y"))
    per_frame = 1e3 / frames
    figures = {
        "sources on the stack": float(commit.summary.n_sources or 0),
        "peer, ms per frame": per_frame * seconds(lambda _: peer(images), repeats),
        "floor, ms per frame": per_frame * seconds(lambda _: floor(bench, raw, x, y, detector, rows), repeats),
        "reduce, ms per frame": per_frame * timed(bench, repeats, "a", ("wcs", "stack")),
        "reduce with cube, ms per frame": per_frame * timed(bench, repeats, "b", ("wcs", "stack", "cube")),
    }
    figures["reduce / peer"] = figures["reduce, ms per frame"] / figures["peer, ms per frame"]
    figures["reduce with cube / peer"] = figures["reduce with cube, ms per frame"] / figures["peer, ms per frame"]
    figures["reduce / floor"] = figures["reduce, ms per frame"] / figures["floor, ms per frame"]
    figures |= scaling(folder, frames, repeats, figures["reduce, ms per frame"])
    figures["speed of two workers"] = two_workers(bench)
    figures["peak memory, GB"] = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6
    return figures


def scaling(folder: Path, frames: int, repeats: int, typical: float) -> dict[str, float]:
    """Return the cost of twice as many frames, and of fewer and more sources."""
    long = make_archive(folder / "long", 2 * frames)
    found = {"ms per frame, long / short cube": 1e3 / (2 * frames) * timed(long, repeats, "l") / typical}
    for name, deeper in (("few", -2.5), ("many", 2.5)):
        bench = make_archive(folder / name, frames, deeper)
        count = reduce_sensor(work_of(bench, "count"), bench).summary.n_sources
        found[f"{name} sources"] = float(count or 0)
        found[f"ms per frame, {name} sources"] = 1e3 / frames * timed(bench, repeats, "s")
    return found


def timed(bench: Bench, repeats: int, run: str, pipelines: tuple[str, ...] = ("wcs", "stack")) -> float:
    """Return the processor time of one reduction, each under a run of its own so that none is passed on."""
    return seconds(lambda number: reduce_sensor(work_of(bench, f"{run}{number + 1}", pipelines), bench), repeats)


def two_workers(bench: Bench) -> float:
    """Return how much faster two worker processes are than one at the same eight cubes, start-up left out."""
    elapsed = {}
    for workers in (1, 2):
        works = [work_of(bench, f"w{workers}-{number}") for number in range(8 + workers)]
        results = run_all(works, reduce_here, functools.partial(open_bench, bench.settings), workers)
        for _ in range(workers):
            next(results)  # the first cube of each worker loads the code
        start = time.perf_counter()
        list(results)
        elapsed[workers] = time.perf_counter() - start
    return elapsed[1] / elapsed[2]


def staged(bench: Bench, commit: Any) -> Any:
    """Return the rows that a reduction staged."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    return pq.read_table(pa.BufferReader(bench.store.read(commit.products["staging"].key)))


if __name__ == "__main__":
    sys.exit(main())
