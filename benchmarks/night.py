"""A night, replayed: exposures come at the camera's pace, `gozen watch` reduces them, and later they come too fast.

Exposures are simulated once for N sensors. Each that the replay feeds is a copy of them under its own number, time and
object, renamed into the folder at the moment at which the shutter closes. `gozen watch` runs as a process of its own
with a worker for each core. First its pace is measured; then N sensors (as many as make a load of 0.7, at most those
simulated; where that many are no load of 0.7, the cycle is shortened) are fed at the camera's cycle; then, after a
restart with a limit on raw data, as many at twice the pace that it can hold, every fourth of them express.

    python benchmarks/night.py [--json FILE] [--sensors 6] [--exposures 14] [--small] [--folder FOLDER]
"""

from __future__ import annotations

import os

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")

import argparse
import itertools
import json
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from astropy.io import fits

from goals import Goal, conclude
from gozen.archive.log.observation_log import read_log_table
from gozen.archive.stores.open_store import open_store
from gozen.catalog import open_catalog
from gozen.catalog.format import manifest
from gozen.catalog.write.append import read_contents
from gozen.instrument.profile import load_profile
from gozen.simulator.simulate_night import SimulatedNight, Target, simulate_night

NIGHT = "20260115"
CYCLE_S = 10.5
"""18 frames of 0.5 s, and 1.5 s for reading the last one out and moving."""
CAMERA_SENSORS = 84
FIRST_NUMBER = 10
LOAD, OVERLOAD = 0.7, 2.0
REHEARSAL = 3
PATIENT_S = 900.0
SMALL_CAMERA = Path(__file__).parents[1] / "tests" / "services" / "small_camera.yaml"
_LINE = re.compile(rf"{NIGHT} (\d+): OBJECT '([^']*)'")
_WARNING = re.compile(r"^(\S+ [\d:]+),(\d+) WARNING \S+: (\w+): ", re.MULTILINE)


@dataclass
class Fed:
    """One exposure of the replay; moments are those of the wall clock, s."""

    number: int
    express: bool
    shutter: float
    curve: float | None = None
    tracklet: float | None = None

    @property
    def name(self) -> str:
        """The exposure's number as the archive writes it."""
        return f"{self.number:08d}"


@dataclass
class Replay:
    """The camera, the folder and the archive of one run."""

    folder: Path
    instrument: str
    base: dict[str, Path]
    cores: int
    next_number: int = FIRST_NUMBER
    seen: dict[str, Fed] = field(default_factory=dict)
    queue: list[tuple[float, int]] = field(default_factory=list)

    def start(self, name: str, **settings: str) -> subprocess.Popen[str]:
        """Start the watch as an observatory does."""
        environment = {
            **os.environ, "GOZEN_INSTRUMENT": self.instrument, "GOZEN_WORKERS": str(self.cores),
            "GOZEN_WATCH__REPORT_S": "0.5", "GOZEN_WATCH__EXPRESS": '["GRB*"]', **settings,
        }  # fmt: skip
        command = [Path(sys.executable).parent / "gozen", "watch", "incoming", "--status", "status.json"]
        with (self.folder / f"{name}.out").open("w") as out, (self.folder / f"{name}.err").open("w") as err:
            return subprocess.Popen(
                command, cwd=self.folder, env=environment, text=True, stdout=out, stderr=err, start_new_session=True
            )

    def prepare(self, sensors: list[str], *, express: bool) -> tuple[Fed, list[Path]]:
        """Copy the simulated exposure under a number of its own, ready to be renamed."""
        fed = Fed(self.next_number, express, 0.0)
        self.next_number += 1
        made = []
        for sensor in sensors:
            path = self.folder / "camera" / f"TMQ{sensor[0]}{NIGHT}{fed.number:08d}{sensor[1:]}.fits"
            shutil.copyfile(self.base[sensor], path)
            stamp(path, fed)
            made.append(path)
        return fed, made

    def expose(self, fed: Fed, made: list[Path]) -> None:
        """Close the shutter: all files of an exposure appear."""
        fed.shutter = time.time()
        self.seen[fed.name] = fed
        for path in made:
            path.rename(self.folder / "incoming" / path.name)

    def feed(self, count: int, sensors: list[str], cycle_s: float, express_every: int = 0) -> list[Fed]:
        """Expose at a cycle and return what was exposed."""
        fed = []
        start = time.time()
        for index in range(count):
            one, made = self.prepare(sensors, express=bool(express_every) and index % express_every == 2)
            time.sleep(max(start + index * cycle_s - time.time(), 0.0))
            self.expose(one, made)
            fed.append(one)
        return fed

    def wait(self, fed: list[Fed]) -> None:
        """Wait until all of it can be looked up."""
        deadline = time.time() + PATIENT_S
        while any(one.curve is None or one.tracklet is None for one in fed):
            if time.time() > deadline:
                return
            time.sleep(0.2)

    def look(self, stop: threading.Event) -> None:
        """Note when exposures can be looked up, and the length of the queue."""
        store = open_store(self.folder / "archive")
        before = None
        while not stop.wait(0.2):
            current = manifest.current(store, "lightcurves")
            log = self.folder / "archive" / "tables" / "tracklets" / f"{NIGHT}.parquet"
            now = (current.version if current else 0, log.stat().st_mtime_ns if log.exists() else 0)
            if now != before and current is not None:
                before = now
                in_table = set(read_contents(store, current, int(NIGHT)))
                in_log = set(read_log_table(store, "tracklets", NIGHT)["exposure"].to_pylist())
                moment = time.time()
                for name, fed in list(self.seen.items()):
                    fed.curve = fed.curve or (moment if name in in_table else None)
                    fed.tracklet = fed.tracklet or (moment if name in in_log else None)
            state = status(self.folder)
            if state:
                self.queue.append((time.time(), state["folder"] + state["waiting"] + state["running"]))


def stamp(path: Path, fed: Fed) -> None:
    """Give a raw file another number, object and time; its header keeps its length."""
    with path.open("r+b") as stream:
        header = fits.Header.fromfile(stream)
        length = stream.tell()
        later = timedelta(seconds=fed.number * CYCLE_S)
        for word in ("UTC", "UTC-EXP"):
            header[word] = (datetime.fromisoformat(header[word]) + later).isoformat(timespec="microseconds")
        header["EXP_ID"], header["FRAME_ID"] = fed.name, path.stem
        header["OBJECT"] = f"GRB {fed.number}" if fed.express else f"survey {fed.number}"
        data = header.tostring().encode("ascii")
        assert len(data) == length
        stream.seek(0)
        stream.write(data)


def status(folder: Path) -> dict[str, Any]:
    """Return what the watch says of itself."""
    try:
        return json.loads((folder / "status.json").read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return {}


def simulate(folder: Path, instrument: str, sensors: int, frames: int, cores: int) -> Replay:
    """Simulate darks, flats and one exposure of each sensor, and put the calibration into the folder."""
    base, archive = open_store(folder / "base"), folder / "archive"
    profile = load_profile(instrument)
    chosen = [sensor.id for sensor in profile.sensors][:sensors]
    with ProcessPoolExecutor(cores, get_context("spawn")) as pool:
        wanted = SimulatedNight(
            NIGHT, [Target("field", 19.75, 29.71)], sensors=chosen, nframe=frames,
            calibration_frames=4, pipelines=("wcs", "stack", "neo"),
        )  # fmt: skip
        simulate_night(base, profile, wanted, run=pool.map)
    shutil.copytree(folder / "base" / "truth", archive / "truth")
    for name in ("incoming", "camera"):
        (folder / name).mkdir()
    for path in (folder / "base" / "raw").rglob("*0000000[12]/*.fits"):
        path.rename(folder / "incoming" / path.name)
    found = sorted((folder / "base" / "raw" / NIGHT / "00000003").glob("*.fits"))
    return Replay(folder, instrument, {fits.getval(path, "DET_ID"): path for path in found}, cores)


def cpu_seconds(group: int) -> float:
    """Return the processor time of the processes of a group."""
    spent = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parts = path.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(parts[2]) == group:
            spent += int(parts[11]) + int(parts[12])
    return spent / os.sysconf("SC_CLK_TCK")


def stop(process: subprocess.Popen[str]) -> None:
    """End the watch as a service manager does."""
    process.send_signal(signal.SIGTERM)
    process.wait(60)


def quantiles(delays: list[float]) -> tuple[float, float]:
    """Return median and 99th percentile."""
    ordered = sorted(delays)
    return statistics.median(ordered), ordered[min(round(0.99 * len(ordered)), len(ordered) - 1)]


def inversions(printed: str) -> int:
    """Return how many survey exposures were published before one that is older."""
    last = {number: place for place, (number, name) in enumerate(_LINE.findall(printed)) if "GRB" not in name}
    order = sorted(last, key=last.__getitem__)
    return sum(later < earlier for earlier, later in itertools.pairwise(order))


def behind_later(printed: str) -> int:
    """Return how many express exposures were published behind a survey exposure that came after them."""
    order = [(int(number), "GRB" in name) for number, name in _LINE.findall(printed)]
    return sum(
        any(not other and later > number for later, other in order[:place])
        for place, (number, express) in enumerate(order)
        if express
    )


def announcement(messages: str) -> dict[str, float]:
    """Return whether the room was used up, and how long before that this was announced last (-1: never)."""
    given = [
        (datetime.fromisoformat(when).timestamp() + int(milli) / 1000, name)
        for when, milli, name in _WARNING.findall(messages)
    ]
    reached = next((moment for moment, name in given if name == "RawRoomUsedUp"), None)
    if reached is None:
        return {"limit reached": 0.0, "limit announced ahead, s": 0.0}
    ahead = [reached - moment for moment, name in given if name == "RawRoomShort" and moment < reached]
    return {"limit reached": 1.0, "limit announced ahead, s": min(ahead, default=-1.0)}


def measure(folder: Path, given: argparse.Namespace) -> dict[str, Any]:
    """Replay and return all figures."""
    cores = len(os.sched_getaffinity(0))
    instrument = str(SMALL_CAMERA) if given.small else "tomoe"
    frames = 8 if given.small else 18
    replay = simulate(folder, instrument, 2 if given.small else given.sensors, frames, cores)
    halt = threading.Event()
    watcher = threading.Thread(target=replay.look, args=(halt,), daemon=True)
    watcher.start()
    process = replay.start("paced")
    try:
        figures = paced(replay, process, given.exposures, frames)
        stop(process)
        process = replay.start("hurried", **limits(replay, figures, given.exposures))
        figures |= hurried(replay, given.exposures, figures)
        stop(process)
    finally:
        halt.set()
        watcher.join()
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    return figures | outcome(replay, int(figures["sensors"]))


def paced(replay: Replay, process: subprocess.Popen[str], exposures: int, frames: int) -> dict[str, Any]:
    """Measure the pace that can be held, then feed at a load of 0.7."""
    every = list(replay.base)
    for count in (1, REHEARSAL):  # the first one loads the code and makes the masters
        begin = time.time()
        replay.wait(replay.feed(count, every, 0.0))
    pace = REHEARSAL * len(every) / (time.time() - begin)
    sensors = every[: max(1, min(len(every), int(LOAD * pace * CYCLE_S)))]
    cycle_s = min(CYCLE_S, len(sensors) / (LOAD * pace)) if len(sensors) == len(every) else CYCLE_S
    spent, begin = cpu_seconds(process.pid), time.time()
    fed = replay.feed(exposures, sensors, cycle_s)
    replay.wait(fed)
    spent, elapsed = cpu_seconds(process.pid) - spent, time.time() - begin
    curve = quantiles([one.curve - one.shutter for one in fed if one.curve])
    tracklet = quantiles([one.tracklet - one.shutter for one in fed if one.tracklet])
    cubes = exposures * len(sensors)
    return {
        "cores": replay.cores,
        "sensors": len(sensors),
        "frames": frames,
        "cycle, s": cycle_s,
        "pace that can be held, sensor exposures/s": pace,
        "pace fed, sensor exposures/s": len(sensors) / cycle_s,
        "pace fed, sensor frames/s": frames * len(sensors) / cycle_s,
        "processor time, s per sensor exposure": spent / cubes,
        "busy cores": spent / elapsed,
        "cores for 84 sensors, by processor time": CAMERA_SENSORS / CYCLE_S * spent / cubes,
        "cores for 84 sensors, by the pace held": CAMERA_SENSORS / CYCLE_S * replay.cores / pace,
        "shutter to light curve, s, median": curve[0],
        "shutter to light curve, s, p99": curve[1],
        "shutter to tracklet, s, median": tracklet[0],
        "shutter to tracklet, s, p99": tracklet[1],
        "longest queue at a load of 0.7": max(length for when, length in replay.queue if when >= begin),
    }


def limits(replay: Replay, figures: dict[str, Any], exposures: int) -> dict[str, str]:
    """Return settings that leave room for a third of what comes too fast."""
    size = next(iter(replay.base.values())).stat().st_size * figures["sensors"] * exposures
    return {"GOZEN_WATCH__RAW_LIMIT_GB": f"{size / 3e9:.6f}", "GOZEN_WATCH__WARN_S": "600"}


def hurried(replay: Replay, exposures: int, figures: dict[str, Any]) -> dict[str, Any]:
    """Feed at twice the pace that can be held and wait until the backlog is gone."""
    sensors = list(replay.base)[: figures["sensors"]]
    replay.wait(replay.feed(1, sensors, 0.0))  # the workers load the code
    cycle_s = len(sensors) / (OVERLOAD * figures["pace that can be held, sensor exposures/s"])
    prepared = [replay.prepare(sensors, express=index % 4 == 2) for index in range(exposures)]
    begin = time.time()
    for index, (one, made) in enumerate(prepared):
        time.sleep(max(begin + index * cycle_s - time.time(), 0.0))
        replay.expose(one, made)
    end = time.time()
    fed = [one for one, _ in prepared]
    replay.wait(fed)
    # The last files leave the spool after the table has their rows.
    deadline = time.time() + 60
    while list((replay.folder / "incoming").rglob("*.fits")) and time.time() < deadline:
        time.sleep(0.2)
    delay = {
        kind: statistics.median([one.curve - one.shutter for one in fed if one.curve and one.express == kind])
        for kind in (True, False)
    }
    return {
        "overload: exposures": exposures,
        "overload: cycle, s": cycle_s,
        "overload: longest queue": max(length for when, length in replay.queue if when >= begin),
        "overload: drained after, s": time.time() - end,
        "overload: light curve of express, s, median": delay[True],
        "overload: light curve of others, s, median": delay[False],
    }


def outcome(replay: Replay, sensors: int) -> dict[str, Any]:
    """Return what was lost, out of order, or said too late."""
    commits = {path.parts[-3:] for path in (replay.folder / "archive" / "exposures").glob("*/*/*/*.json")}
    every = list(replay.base)
    expected = {
        (one.name, "r1", f"{sensor}.json")
        for one in replay.seen.values()
        for sensor in (every if one.number < FIRST_NUMBER + 1 + REHEARSAL else every[:sensors])
    }
    rows = open_catalog(open_store(replay.folder / "archive"), "lightcurves").table(columns=["exposure", "sensor"])
    counted = rows.group_by(["exposure", "sensor"]).aggregate([([], "count_all")]).to_pylist()
    of_sensor: dict[int, set[int]] = {}
    for one in counted:
        of_sensor.setdefault(one["sensor"], set()).add(one["count_all"])
    hurried_said = (replay.folder / "hurried.err").read_text()
    names = ("paced", "hurried")
    return {
        "exposures fed": len(replay.seen),
        "sensor exposures without a commit": len(expected - commits),
        "sensor exposures without rows": len(expected) - len(counted),
        "sensors whose rows differ from exposure to exposure": sum(len(counts) > 1 for counts in of_sensor.values()),
        "files left": len(list((replay.folder / "incoming").rglob("*.fits"))),
        "out of order": sum(inversions((replay.folder / f"{name}.out").read_text()) for name in names),
        "express behind later ones": behind_later((replay.folder / "hurried.out").read_text()),
        **announcement(hurried_said),
        "warnings at a load of 0.7": len(_WARNING.findall((replay.folder / "paced.err").read_text())),
    }


def main() -> int:
    """Replay, print the figures and the goals, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--sensors", type=int, default=6, help="simulated; no more are fed")
    parser.add_argument("--exposures", type=int, default=14, help="at each of the two paces; 90 MB for each sensor")
    parser.add_argument("--small", action="store_true", help="a camera of two small sensors")
    parser.add_argument("--folder", type=Path, help="work here (it must be new) and leave it for a look")
    given = parser.parse_args()
    if given.folder is not None:
        given.folder.mkdir(parents=True)
        figures = measure(given.folder.resolve(), given)
    else:
        with tempfile.TemporaryDirectory() as name:
            figures = measure(Path(name), given)
    for key, value in figures.items():
        print(f"{key:56s} {value:10.2f}")
    ratio = (
        figures["overload: light curve of express, s, median"] / figures["overload: light curve of others, s, median"]
    )
    lost = figures["sensor exposures without a commit"] + figures["sensor exposures without rows"]
    goals = (
        Goal("lost_exposures", lost, 0),
        Goal("files_left", figures["files left"], 0),
        Goal("out_of_order", figures["out of order"], 0),
        Goal("express_behind_later", figures["express behind later ones"], 0),
        Goal("express/others", ratio, 1.0),
        Goal("limit_reached", figures["limit reached"], 1, at_least=True),
        Goal("limit_reached_unannounced", float(figures["limit announced ahead, s"] < 0), 0),
    )
    return conclude(goals, figures, given.json)


if __name__ == "__main__":
    sys.exit(main())
