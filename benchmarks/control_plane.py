"""The control plane under load: a real API server, nodes and pods by kwok, and the operator as its process.

Thousands of finished Exposures are held by Observations that are not complete. Then Exposures come at the pace of the
camera (0.17/s, flat out) times ``--pace``, raw data before three of four and after the fourth, and in the end a burst
at once. Their pods last some seconds; what they would commit is written here when their Job appears. Each Exposure has
three pods, not twelve: what makes and runs pods shares this machine, and it is the operator that is measured. Requests
are counted at the API server, by its audit log. A pace of 10 puts ten times the load on the operator in a tenth of the
time; it does not show what goes wrong by and by. Nothing of the operator's own waiting is shortened, but for the hour
that a finished Exposure stays (half a minute here).

    python benchmarks/control_plane.py [--json FILE] [--quick] [--held 1000 10000] [--exposures 612] [--pace 10]
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.cluster.processes import wait_until
from tests.free_ports import free_ports
from urllib3.exceptions import HTTPError

from fake_cluster import NAMESPACE, FakeCluster, Write
from goals import Goal, conclude
from gozen.archive.commit import SensorCommit, write_commit
from gozen.archive.keys import Processing
from gozen.archive.provenance import Provenance
from gozen.archive.raw.exposure_record import RawExposure, record_exposure
from gozen.archive.stores.open_store import open_store
from gozen.archive.stores.store import Store
from gozen.instrument.profile import load_profile
from gozen_operator.reconcile.conditions import moment

NIGHT = "20260115"
CAMERA_PACE = 0.17
JOBS = 32
RAW_LATER_S = 3.0
SENSORS_PER_POD = 28
PATIENT_S = 1500.0
CHILDREN = 500
API = f"/apis/gozen.astro/v1alpha1/namespaces/{NAMESPACE}"
WAITS = ("Unknown", "Queued", "WaitingForRaw", "WaitingForCalibration", "StorageUnavailable", "Suspended")
_BUCKET = re.compile(r'gozen_reconcile_seconds_bucket\{kind="Exposure",le="([^"]+)"\} ([\d.e+]+)')


@dataclass
class Fed:
    """One Exposure; moments are those of the wall clock, s."""

    name: str
    phase: str
    raw_at: float = 0.0
    job_at: float = 0.0
    gone_at: float = 0.0
    writes: Counter[str] = field(default_factory=Counter)
    waits: set[str] = field(default_factory=set)


class Operator:
    """The operator's process."""

    def __init__(self, cluster: FakeCluster, folder: Path, stays_s: int) -> None:
        (self.port,) = free_ports(1)
        settings = {"port": self.port, "max_active_jobs": JOBS, "exposure_ttl_s": stays_s}
        environment = {
            **os.environ, "KUBECONFIG": str(cluster.operator_kubeconfig), "GOZEN_ARCHIVE": str(folder / "archive"),
            "GOZEN_OPERATOR_NAMESPACES": json.dumps([NAMESPACE]),
            **{f"GOZEN_OPERATOR_{word.upper()}": str(value) for word, value in settings.items()},
        }  # fmt: skip
        with (folder / "operator.log").open("ab") as log:
            program = Path(sys.executable).parent / "gozen-operator"
            self.process = subprocess.Popen([program], env=environment, stdout=log, stderr=log)
        wait_until(lambda: "gozen_leader 1.0" in self.page(), "the operator", 120)
        self.rest()

    def page(self) -> str:
        """Return its metrics; nothing while it does not answer."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=30) as answer:
                return answer.read().decode()
        except OSError:
            return ""

    def rest(self) -> None:
        """Wait until it has looked at everything."""
        wait_until(lambda: "gozen_queue_depth 0.0" in self.page(), "an empty queue", 600)

    def looks(self) -> dict[float, float]:
        """Return how many looks at Exposures took at most so many seconds."""
        return {float(bound): float(count) for bound, count in _BUCKET.findall(self.page())}

    def memory_mb(self, word: str) -> float:
        """Return its memory: ``VmRSS`` now, ``VmHWM`` at most so far."""
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(rf"{word}:\s+(\d+) kB", text)[1]) / 1024

    def processor_s(self) -> float:
        """Return the processor time that it has used."""
        parts = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(parts[11]) + int(parts[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self) -> None:
        """End it as Kubernetes does."""
        self.process.terminate()
        self.process.wait(60)


class Night:
    """The camera and the pods: they make Exposures, raw data and commits."""

    def __init__(self, cluster: FakeCluster, store: Store) -> None:
        self.cluster, self.store = cluster, store
        self.sensors = [sensor.id for sensor in load_profile("tomoe").sensors]
        self.fed: dict[str, Fed] = {}
        self.held = self.number = 0
        self.trouble: list[str] = []

    def hold(self, count: int) -> None:
        """Have so many finished Exposures held by Observations."""
        begun = [{"setParameter": {"nframe": 18, "tintegSec": 0.5}}, {"pointing": {"ra": 83.8, "dec": -5.4}}]
        steps = [*begun, {"exposure": "field"}]
        spec = {"observer": "A", "project": "B", "operations": steps}
        for number in range(self.held // CHILDREN, -(-count // CHILDREN)):
            self._create("Observation", f"held-{number}", spec)
        with ThreadPoolExecutor(4) as several:
            list(several.map(self._hold_one, range(self.held, count)))
        self.held = count

    def feed(self, phase: str, count: int, pace: float) -> list[Fed]:
        """Expose at a pace, or all at once where that is 0."""
        begin, fed = time.time(), []
        with ThreadPoolExecutor(8) as several:
            for index in range(count):
                time.sleep(max(begin + index / pace - time.time(), 0.0) if pace else 0.0)
                self.number += 1
                later = bool(pace) and index % 4 == 3
                one = Fed(f"field-{self.number:06d}", f"{phase}, raw later" if later else phase)
                self.fed[one.name] = one
                fed.append(one)
                several.submit(self._expose, one, self.number, later=later)
        return fed

    def reduce(self, seconds: int) -> None:
        """Write what the pods would, as their Jobs appear."""
        with ThreadPoolExecutor(2) as several, suppress(HTTPError):  # the API server ends before we do
            for job in self.cluster.jobs(seconds):
                several.submit(self._commit, job["metadata"]["name"])

    def knock(self, stop: threading.Event, seconds: list[float]) -> None:
        """Ask the API server for next to nothing, now and then, to know how busy it is by itself."""
        while not stop.wait(0.5):
            begin = time.perf_counter()
            self.cluster.call("GET", f"/api/v1/namespaces/{NAMESPACE}")
            seconds.append(time.perf_counter() - begin)

    def still_held(self) -> int:
        """Return how many of those that are held are there."""
        named = self.cluster.call("GET", f"{API}/exposures")["items"]
        return sum(one["metadata"]["name"].startswith("held-") for one in named)

    def count(self) -> None:
        """Note what the operator has written."""
        for write in self.cluster.writes():
            name = write.name.rpartition(".")[0] if write.what == "events" else write.name
            if name in self.fed:
                _note(self.fed[name], write)

    def wait(self, fed: list[Fed]) -> None:
        """Wait until all of it is reduced and gone."""
        deadline = time.time() + PATIENT_S
        while any(not one.gone_at for one in fed) and time.time() < deadline:
            time.sleep(1)
            self.count()

    def _expose(self, one: Fed, number: int, *, later: bool) -> None:
        try:
            if not later:
                self._take_raw(number)
            spec = {
                "object": "field",
                "night": NIGHT,
                "exposureId": number,
                "nframe": 18,
                "pipelines": ["wcs", "stack"],
                "sensorsPerPod": SENSORS_PER_POD,
            }
            self._create("Exposure", one.name, spec)
            if later:
                time.sleep(RAW_LATER_S)
                self._take_raw(number)
            one.raw_at = time.time()
        except Exception as error:
            self.trouble.append(f"{one.name}: {error}")

    def _take_raw(self, number: int) -> None:
        exposure = f"{number:08d}"
        files = {sensor: (f"raw/{NIGHT}/{exposure}/{sensor}.fits",) for sensor in self.sensors}
        record_exposure(self.store, RawExposure(NIGHT, exposure, "field", "OBJECT", 61000.0, files))

    def _commit(self, name: str) -> None:
        exposure = f"{int(name.removeprefix('field-')):08d}"
        processing = Processing(NIGHT, exposure, "r1")
        for sensor in self.sensors:
            commit = SensorCommit(
                night=NIGHT, exposure=exposure, run="r1", sensor=sensor, frame_id=f"TMQ{sensor}{exposure}",
                object="field", data_type="OBJECT", status="reduced", provenance=Provenance(code_version="0"),
            )  # fmt: skip
            write_commit(self.store, processing, commit)

    def _create(self, kind: str, name: str, spec: dict[str, Any]) -> None:
        body = {"apiVersion": "gozen.astro/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec}
        self.cluster.call("POST", f"{API}/{kind.lower()}s", body)

    def _hold_one(self, number: int) -> None:
        name, now = f"held-{number // CHILDREN}-{number % CHILDREN + 1:03d}", moment(time.time())
        spec = {"object": "field", "night": "20260114", "exposureId": number + 1, "nframe": 18, "pipelines": ["wcs"]}
        self._create("Exposure", name, {**spec, "observationRef": {"name": f"held-{number // CHILDREN}"}})
        words = {"Accepted": "Valid", "RawAvailable": "Arrived", "Complete": "Reduced", "Succeeded": "Reduced"}
        said = [
            {"type": word, "status": "True", "reason": reason, "message": "", "observedGeneration": 1}
            for word, reason in words.items()
        ]
        status = {
            "observedGeneration": 1, "conditions": [{**one, "lastTransitionTime": now} for one in said],
            "sensors": 84, "reduced": 84, "completionTime": now, "job": {"name": name, "uid": f"{number:036d}"},
        }  # fmt: skip
        path = f"{API}/exposures/{name}/status"
        self.cluster.call("PATCH", path, {"status": status}, "application/merge-patch+json")


def _note(one: Fed, write: Write) -> None:
    one.writes[write.what] += 1
    if write.what == "jobs" and write.verb == "create":
        one.job_at = one.job_at or write.at
    if write.what == "exposures" and write.verb == "delete" and write.code < 300:
        one.gone_at = write.at
    for said in (write.body.get("status") or {}).get("conditions", ()) if write.what == "exposures/status" else ():
        if said["type"] == "Succeeded" and said["status"] == "Unknown" and said["reason"] in WAITS:
            one.waits.add(said["reason"])


def quantile(values: list[float], part: float) -> float:
    """Return a quantile; 0 of nothing."""
    ordered = sorted(values)
    return ordered[min(round(part * len(ordered)), len(ordered) - 1)] if ordered else 0.0


def p99(before: dict[float, float], after: dict[float, float]) -> float:
    """Return the bound below which 99 of 100 looks ended; at what is held there are none after the first."""
    counts = {bound: after[bound] - before.get(bound, 0.0) for bound in after}
    total = max(counts.values())
    return min(bound for bound, count in counts.items() if total - count <= 0.01 * total)


def stage(night: Night, folder: Path, held: int, exposures: int, given: argparse.Namespace) -> dict[str, float]:
    """Measure with so many Exposures held; return figures by name."""
    begin = time.time()
    night.hold(held)
    figures = {"seconds to make what is held": time.time() - begin}
    begin, halt, bare_s = time.time(), threading.Event(), list[float]()
    operator = Operator(night.cluster, folder, given.stays)
    try:
        figures["seconds from start to rest"] = time.time() - begin
        figures["memory at rest, MB"] = operator.memory_mb("VmRSS")
        before, begin, spent = operator.looks(), time.time(), operator.processor_s()
        knocking = threading.Thread(target=night.knock, args=(halt, bare_s), daemon=True)
        knocking.start()
        night.count()
        night.wait(night.feed(f"{held}: sustained", exposures, CAMERA_PACE * given.pace))
        figures["sustained, s"] = time.time() - begin
        night.wait(night.feed(f"{held}: burst", given.burst, 0.0))
        halt.set()
        figures["processor time, s per Exposure"] = (operator.processor_s() - spent) / (exposures + given.burst)
        figures["a bare request to the API server, s, p99"] = quantile(bare_s, 0.99)
        figures["no longer held"] = held - night.still_held()
        figures["reconcile p99, s"] = p99(before, operator.looks())
        figures["memory at the end, MB"] = operator.memory_mb("VmRSS")
        figures["memory at most, MB"] = operator.memory_mb("VmHWM")
    finally:
        halt.set()
        operator.stop()
    return figures | of_phases(night, held)


def of_phases(night: Night, held: int) -> dict[str, float]:
    """Return what was counted at the API server, by phase."""
    figures: dict[str, float] = {}
    phases: dict[str, list[Fed]] = defaultdict(list)
    for one in night.fed.values():
        number, _, phase = one.phase.partition(": ")
        if number == str(held):
            phases[phase].append(one)
    for phase, fed in phases.items():
        writes = [sum(count for what, count in one.writes.items() if what != "events") for one in fed]
        waited = [one.job_at - one.raw_at for one in fed if one.job_at]
        figures |= {
            f"{phase}: Exposures": len(fed),
            f"{phase}: not reduced and gone": sum(not one.gone_at for one in fed),
            f"{phase}: Jobs asked for, at most": max(one.writes["jobs"] for one in fed),
            f"{phase}: API writes, mean": sum(writes) / len(fed),
            f"{phase}: API writes less reasons to wait, at most": max(
                count - len(one.waits) for count, one in zip(writes, fed, strict=True)
            ),
            f"{phase}: Events, at most": max(one.writes["events"] for one in fed),
            f"{phase}: raw data to Job, s, median": quantile(waited, 0.5),
            f"{phase}: raw data to Job, s, p99": quantile(waited, 0.99),
        }
    return figures


def measure(folder: Path, given: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Return figures by how many Exposures were held."""
    cluster = FakeCluster(folder)
    try:
        night = Night(cluster, open_store(folder / "archive"))
        pods = threading.Thread(target=night.reduce, args=(3600,), daemon=True)
        pods.start()
        found = {}
        for held in given.held:
            share = 1.0 if held == max(given.held) else 0.25
            count = round(given.exposures * share)
            found[str(held)] = stage(night, folder, held, count, given)
            print(
                *(f"{held:6d} {name:70s} {value:10.3f}" for name, value in found[str(held)].items()),
                sep="\n",
                flush=True,
            )
        if night.trouble:
            raise RuntimeError(night.trouble[0])
        return found
    finally:
        cluster.stop()


def goals_of(figures: dict[str, dict[str, float]]) -> list[Goal]:
    """Return what issue 6 asks for: the worst over all that was measured."""

    def worst(*words: str) -> float:
        return max(v for one in figures.values() for name, v in one.items() if all(word in name for word in words))

    return [
        Goal("writes_per_exposure_less_reasons_to_wait", worst("API writes less"), 4),
        Goal("events_per_exposure", worst("Events, at most"), 2),
        Goal("jobs_per_exposure", worst("Jobs asked for"), 1),
        Goal("exposures_not_reduced", worst("not reduced"), 0),
        Goal("held_exposures_lost", worst("no longer held"), 0),
        Goal("reconcile_p99_s", worst("reconcile p99"), 1.0),
        Goal("operator_memory_mb", worst("memory at most"), 300),
    ]


def main() -> int:
    """Measure, print figures and goals, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--quick", action="store_true", help="300 held, 20 Exposures, a burst of 20: about a minute")
    parser.add_argument("--held", type=int, nargs="+", default=[1000, 10000], help="Exposures held, one stage each")
    parser.add_argument("--exposures", type=int, default=612, help="of the last stage; others have a quarter")
    parser.add_argument("--burst", type=int, default=100)
    parser.add_argument("--pace", type=float, default=10.0, help="times 0.17 Exposures/s")
    parser.add_argument("--stays", type=int, default=30, help="seconds that a finished Exposure stays")
    parser.add_argument("--folder", type=Path, help="work here (it must be new) and leave it for a look")
    given = parser.parse_args()
    if given.quick:
        given.held, given.exposures, given.burst, given.stays = [300], 20, 20, 5
    if given.folder is not None:
        given.folder.mkdir(parents=True)
        figures = measure(given.folder.resolve(), given)
    else:
        with tempfile.TemporaryDirectory() as name:
            figures = measure(Path(name), given)
    return conclude(goals_of(figures), figures, given.json)


if __name__ == "__main__":
    sys.exit(main())
