"""How long a person waits for a lab, for the first job on workers, and for a namespace, on a real node.

Labs and bare pods of the same image start in turn. The bare pod runs JupyterLab. The first job of a user without
workers is compared with copies of the same pods, a scheduler and two workers of Dask, which are made by hand all at
once: the seconds until they are ready, and those of an import of QuickDB in a worker.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence

from tests.cluster.platform_release import Platform
from tests.cluster.processes import wait_until
from tests.services.hub_client import called, status, wait_for_end

from bare_pods import BARE, Manifest, copy_of, remove, seconds_until_ready, seconds_until_said, start
from goals import Goal
from gozen_hub.workers.cluster_manifest import COMM_PORT, HTTP_PORT, SCHEDULER
from timing import say

Seconds = Mapping[str, Sequence[float]]
LAB_RATIO, LAB_MORE_S = 1.3, 2.0
JOB_RATIO, JOB_MORE_S = 1.5, 3.0
NAMESPACE_S = 2.0
# JupyterLab in the background, and the moment at which it answers.
LAB = """
import subprocess, sys, time, urllib.request
words = ["--ip=0.0.0.0", "--port=8888", "--no-browser", "--IdentityProvider.token=", "--ServerApp.root_dir=/tmp"]
subprocess.Popen([sys.executable, "-m", "jupyterlab", *words])
while True:
    try:
        urllib.request.urlopen("http://127.0.0.1:8888/api", timeout=2)
        break
    except OSError:
        time.sleep(0.05)
print("moment", time.time(), flush=True)
time.sleep(3600)
"""
IMPORT = """
import time
begin = time.perf_counter()
import gozen.quickdb.api
print(time.perf_counter() - begin)
"""
JOB = """
import time
from gozen import quickdb

def count(patch):
    return int(patch("lightcurves.flux").size)

def add(a, b):
    return a + b

with quickdb.connect(workers=2) as api:
    begin = time.perf_counter()
    api.mapreduce(count, add, cache=False)
    print(time.perf_counter() - begin)
"""


def waits(place: Platform, user: str, token: str, rounds: int) -> dict[str, list[float]]:
    """Return seconds by what was waited for; the lab of the user runs in the end."""
    found: dict[str, list[float]] = {"lab": [], "bare lab": [], "first job": [], "bare workers": []}
    started_lab(place, user, token)  # its volume is bound, and the image is read from the disk
    found["namespace"] = [namespace_seconds(place)]
    place.in_lab(user, JOB, seconds=400)
    pods = pods_of_workers(place, user)
    for number in range(rounds):
        ended_lab(place, user, token)
        found["bare lab"].append(seconds_until_said(place.node, LAB, "2"))
        found["lab"].append(started_lab(place, user, token))
        found["bare workers"].append(bare_workers(place, pods))
        found["first job"].append(float(place.in_lab(user, JOB, seconds=400).split()[-1]))
        say(f"round {number + 1}: " + ", ".join(f"{name} {values[-1]:.1f} s" for name, values in found.items()))
    return found


def pods_of_workers(place: Platform, user: str) -> list[Manifest]:
    """Return copies of the pods of scheduler and workers of a user, with a Service as theirs; the workers come last."""
    words = ("get", "pods", "--selector=dask.org/component", "--sort-by=.metadata.creationTimestamp", "--output=json")
    pods = [copy_of(one) for one in place.data_of(user, *words)["items"]]
    ports = [{"name": name, "port": port} for name, port in (("tcp-comm", COMM_PORT), ("http-dashboard", HTTP_PORT))]
    spec = {"selector": {"dask.org/component": "scheduler"}, "ports": ports}
    start(place.node, [{"apiVersion": "v1", "kind": "Service", "metadata": {"name": SCHEDULER}, "spec": spec}])
    return pods


def bare_workers(place: Platform, pods: Sequence[Manifest]) -> float:
    """Start them by hand; return the seconds until all are ready, and an import in one of them."""
    ready = seconds_until_ready(place.node, pods)
    words = ("exec", pods[-1]["metadata"]["name"], "--", "python", "-c", IMPORT)
    imported = float(place.node.kubectl("-n", BARE, *words, check=True).stdout)
    remove(place.node)
    return ready + imported


def started_lab(place: Platform, user: str, token: str) -> float:
    """Start the lab of a user; return the seconds from the request until it answers."""
    server, lab = f"{place.url}/hub/api/users/{user}/server", f"{place.user_url(user)}/api/contents"
    begin = time.perf_counter()
    called(server, token, "POST")
    wait_until(lambda: status(lab, token) == 200, "the lab", 300)
    return time.perf_counter() - begin


def ended_lab(place: Platform, user: str, token: str) -> None:
    """End the lab of a user, and wait until all pods of the user are gone."""
    called(f"{place.url}/hub/api/users/{user}/server", token, "DELETE")
    wait_for_end(place, user, token, 120)
    words = ("get", "pods", "--output=name")
    wait_until(lambda: not place.of_user(user, *words, check=True).stdout.strip(), "the end of all pods", 180)


def namespace_seconds(place: Platform) -> float:
    """Return how long the service for namespaces took for the first namespace, from its own log."""
    said = place.kubectl("logs", "--selector=app.kubernetes.io/component=namespaces", "--tail=-1").stdout
    found = [line for line in said.splitlines() if " ready after " in line]
    if not found:
        raise RuntimeError(f"the service for namespaces does not say how long it took:\n{said[-2000:]}")
    return float(found[0].rpartition(" ready after ")[2].split()[0])


def goals_of_waits(found: Seconds) -> list[Goal]:
    """Return the goals; a ratio is of medians, after the seconds that are allowed on top."""
    middle = {name: statistics.median(values) for name, values in found.items()}
    lab = (middle["lab"] - LAB_MORE_S) / middle["bare lab"]
    job = (middle["first job"] - JOB_MORE_S) / middle["bare workers"]
    return [
        Goal("lab_less_2_s/bare_pod", lab, LAB_RATIO),
        Goal("first_job_less_3_s/bare_workers", job, JOB_RATIO),
        Goal("namespace_s", middle["namespace"], NAMESPACE_S),
    ]
