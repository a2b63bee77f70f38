"""The science platform on a real node: how long a person waits for a lab, for workers, and for a namespace.

Labs and bare pods of the same image start in turn, several times. The bare pod runs JupyterLab without hub, home and
network policies. The first job of a user without workers, which begins with its first worker, is compared with two bare
pods, as scheduler and worker, which import QuickDB and print the time. All clocks are that of this computer. Not
measured: warm jobs, and many users.

    sudo python benchmarks/science_platform.py [--json FILE] [--rounds 3]
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from playwright.sync_api import Page
from tests.cluster.developer_platform import archive_of_the_demo
from tests.cluster.node import Node
from tests.cluster.platform_release import IMAGE, Platform, platform
from tests.cluster.processes import wait_until
from tests.services.chromium import chromium
from tests.services.hub_client import called, status, wait_for_end

from goals import Goal, conclude
from timing import say

USER = "hoshi"
BARE = "bare"
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
WORKER = "import time, gozen.quickdb, distributed\nprint('moment', time.time(), flush=True)\ntime.sleep(3600)"
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


def bare_pods(node: Node, program: str, names: tuple[str, ...], cpu: str) -> float:
    """Start pods of the platform's image at once; return the seconds until the last one has printed its moment."""
    pods = [_pod(name, program, cpu) for name in names]
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": pods})
    begin = time.time()
    node.kubectl("-n", BARE, "create", "-f", "-", stdin=text, check=True)
    moments: dict[str, float] = {}

    def printed() -> bool:
        for name in names:
            said = node.kubectl("-n", BARE, "logs", name).stdout
            moments.update((name, float(line.split()[1])) for line in said.splitlines() if line.startswith("moment "))
        return len(moments) == len(names)

    wait_until(printed, "the bare pods", 300)
    node.kubectl("-n", BARE, "delete", "pods", "--all", seconds=120, check=True)
    return max(moments.values()) - begin


def _pod(name: str, program: str, cpu: str) -> dict[str, Any]:
    container = {
        "name": name,
        "image": IMAGE,
        "imagePullPolicy": "Never",
        "command": ["python", "-c", program],
        "env": [{"name": "HOME", "value": "/tmp"}],
        "resources": {"requests": {"cpu": "20m", "memory": "64Mi"}, "limits": {"cpu": cpu, "memory": "2G"}},
    }
    spec = {"containers": [container], "automountServiceAccountToken": False, "terminationGracePeriodSeconds": 0}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


def started_lab(place: Platform, token: str) -> float:
    """Start the lab of the user; return the seconds from the request until it answers."""
    server, lab = f"{place.url}/hub/api/users/{USER}/server", f"{place.user_url(USER)}/api/contents"
    begin = time.perf_counter()
    called(server, token, "POST")
    wait_until(lambda: status(lab, token) == 200, "the lab", 300)
    return time.perf_counter() - begin


def ended_lab(place: Platform, token: str) -> None:
    """End the lab of the user, and wait until its pod is gone."""
    called(f"{place.url}/hub/api/users/{USER}/server", token, "DELETE")
    wait_for_end(place, USER, token, 120)
    words = ("get", "pods", "--output=name")
    wait_until(
        lambda: not place.of_user(USER, *words, check=True).stdout.strip(), "the end of all pods of the user", 180
    )


def token_of(place: Platform, page: Page) -> str:
    """Log the user in; return a token."""
    place.log_in(page, USER)
    page.wait_for_url("**/services/portal/**", timeout=60_000)
    return place.token_of(page)


def namespace_seconds(place: Platform) -> float:
    """Return how long the service for namespaces took for the first namespace, from its own log."""
    said = place.kubectl("logs", "--selector=app.kubernetes.io/component=namespaces", "--tail=-1").stdout
    found = [line for line in said.splitlines() if " ready after " in line]
    if not found:
        raise RuntimeError(f"the service for namespaces does not say how long it took:\n{said[-2000:]}")
    return float(found[0].rpartition(" ready after ")[2].split()[0])


def measured(place: Platform, rounds: int) -> dict[str, list[float]]:
    """Return seconds by what was measured."""
    found: dict[str, list[float]] = {"lab": [], "bare lab": [], "first job": [], "bare workers": [], "namespace": []}
    place.node.kubectl("create", "namespace", BARE, check=True)
    with chromium() as browser:
        token = token_of(place, browser.new_context().new_page())
    started_lab(place, token)  # its volume is bound, and the image is read from the disk
    found["namespace"].append(namespace_seconds(place))
    for number in range(rounds):
        ended_lab(place, token)
        found["bare lab"].append(bare_pods(place.node, LAB, ("lab",), "2"))
        found["lab"].append(started_lab(place, token))
        found["bare workers"].append(bare_pods(place.node, WORKER, ("scheduler", "one"), "1"))
        found["first job"].append(float(place.in_lab(USER, JOB, seconds=400).split()[-1]))
        say(f"round {number + 1}: " + ", ".join(f"{name} {values[-1]:.1f} s" for name, values in found.items()))
    return found


def goals_of(found: dict[str, list[float]]) -> list[Goal]:
    """Return the goals; a ratio is of medians, after the seconds that are allowed on top."""
    middle = {name: statistics.median(values) for name, values in found.items()}
    return [
        Goal("lab_to_bare_pod_after_2_s", (middle["lab"] - LAB_MORE_S) / middle["bare lab"], LAB_RATIO),
        Goal(
            "first_job_to_bare_workers_after_3_s",
            (middle["first job"] - JOB_MORE_S) / middle["bare workers"],
            JOB_RATIO,
        ),
        Goal("namespace_s", middle["namespace"], NAMESPACE_S),
    ]


def main() -> int:
    """Start the node and the platform, measure, and print the goals."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--json", type=Path, metavar="FILE")
    options.add_argument("--rounds", type=int, default=3)
    given = options.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="gozen-platform-")))
        folder.chmod(0o755)
        say("a node starts")
        node = Node(folder)
        stack.callback(node.stop)
        say("the platform starts")
        (folder / "platform").mkdir()
        place = stack.enter_context(platform(node, folder / "platform", archive_of_the_demo()))
        found = measured(place, given.rounds)
    return conclude(goals_of(found), {"seconds": found}, given.json)


if __name__ == "__main__":
    sys.exit(main())
