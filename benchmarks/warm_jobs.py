"""A warm job of QuickDB on the workers of a lab against bare PyArrow in a pod with the same limits and the same store.

Both ask the colour-colour diagram of `pod_diagram`, in turns, on two processors. The pod of the peer has as many
processors and as much memory as all workers of the user together. What stands between the two is the work of the
platform: the service for workers is asked before each job, tasks go through Dask, credentials are a mounted file.
"""

from __future__ import annotations

import json
import statistics
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.cluster.platform_release import Platform
from tests.cluster.processes import wait_until
from tests.cluster.tools import tool
from tests.services.s3_server import KEY, SECRET

from bare_pods import BARE, pod, remove, start
from goals import Goal
from survey_table import RERUN, TABLE
from timing import say

PROGRAM = Path(__file__).with_name("pod_diagram.py")
RATIO = 1.15
WORKERS = 2
FLOOR = "floor"


class Asked:
    """A program in a pod that asks the diagram at each line.

    Parameters
    ----------
    words
        What kubectl is to run in which pod.
    """

    def __init__(self, place: Platform, words: Sequence[str], question: Mapping[str, Any]) -> None:
        command = [tool("kubectl"), "--kubeconfig", place.node.kubeconfig, *words]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._say(json.dumps(question))
        if self._read() != "ready":
            raise RuntimeError(f"{' '.join(words[:6])}: the program does not start")

    def ask(self) -> dict[str, Any]:
        """Return the seconds, and what the diagram was."""
        self._say("")
        return dict(json.loads(self._read()))

    def end(self) -> None:
        """End the program."""
        if self.process.stdin:
            self.process.stdin.close()
        self.process.wait(timeout=60)

    def _say(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()

    def _read(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()


def warm_jobs(place: Platform, user: str, files: Sequence[str], repeats: int) -> dict[str, Any]:
    """Ask in both ways in turns, after one turn that is not counted.

    Parameters
    ----------
    files
        Those of the table, below the archive.
    """
    question = {
        "workers": WORKERS,
        "rerun": RERUN,
        "endpoint": place.store.endpoint,
        "files": [f"sky/archive/{one}" for one in files],
    }
    spent: dict[str, list[float]] = {"quickdb": [], "pyarrow": []}
    with asked_in_lab(place, user, question) as lab, asked_in_floor(place, question) as floor:
        for turn in range(repeats + 1):
            found = {"quickdb": lab.ask(), "pyarrow": floor.ask()}
            if turn:
                for name, one in found.items():
                    spent[name].append(one["s"])
            say(f"warm job: QuickDB {found['quickdb']['s']:.2f} s, PyArrow {found['pyarrow']['s']:.2f} s")
    return {"s": spent, "counted": {name: one["counted"] for name, one in found.items()}}


@contextmanager
def asked_in_lab(place: Platform, user: str, question: Mapping[str, Any]) -> Iterator[Asked]:
    """Run the program in the lab of a user."""
    name = place.lab(user)["metadata"]["name"]
    with _program(place, f"gozen-user-{user}", name, "quickdb", question) as found:
        yield found


@contextmanager
def asked_in_floor(place: Platform, question: Mapping[str, Any]) -> Iterator[Asked]:
    """Run the program in a bare pod."""
    keys = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_EC2_METADATA_DISABLED": "true"}
    start(place.node, [pod(FLOOR, ["sleep", "infinity"], str(WORKERS), keys, memory=f"{WORKERS}G")])
    words = ("wait", "--for=condition=Ready", f"pod/{FLOOR}", "--timeout=60s")
    wait_until(lambda: place.node.kubectl("-n", BARE, *words, seconds=90).returncode == 0, "the bare pod", 120)
    with _program(place, BARE, FLOOR, "pyarrow", question) as found:
        yield found
    remove(place.node)


@contextmanager
def _program(place: Platform, namespace: str, name: str, way: str, question: Mapping[str, Any]) -> Iterator[Asked]:
    words = ("-n", namespace, "exec", "--stdin", name, "--")
    # A file: the processes that the program starts read it again.
    place.node.kubectl(*words, "sh", "-c", "cat >/tmp/pod_diagram.py", stdin=PROGRAM.read_text(), check=True)
    found = Asked(place, [*words, "python", "/tmp/pod_diagram.py", way], question)
    try:
        yield found
    finally:
        found.end()


def goals_of_warm_jobs(found: Mapping[str, Any]) -> list[Goal]:
    """Return the goals: the ratio of the medians, and the same objects in the diagram."""
    middle = {name: statistics.median(values) for name, values in found["s"].items()}
    apart = abs(found["counted"]["quickdb"] / found["counted"]["pyarrow"] - 1)
    return [Goal("warm_job/floor", middle["quickdb"] / middle["pyarrow"], RATIO), Goal("objects_apart", apart, 1e-3)]


def files_of(archive: Path) -> list[str]:
    """Return the files of the table, below the archive."""
    from gozen.archive.stores.open_store import open_store
    from gozen.catalog import open_catalog

    return [str(Path(one).relative_to(archive)) for one in open_catalog(open_store(archive), TABLE).urls()]
