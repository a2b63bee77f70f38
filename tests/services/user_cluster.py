"""The hub's service for workers without Kubernetes: it starts a real scheduler and real workers as processes.

Its answers come from the functions of the real service (`gozen_hub.workers.cluster_state`).
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.free_ports import free_port

from gozen.worker_process import DASK_WORKER
from gozen_hub.lab_settings import WorkersSettings
from gozen_hub.workers.cluster_state import cluster_state

from .watched_processes import PATIENT_S

ROOT = Path(__file__).parents[2]
PATH = "/services/workers/cluster"
TOKEN = "token-of-the-lab"
State = dict[str, Any]


def dask(*words: str, **further: str) -> subprocess.Popen[bytes]:
    """Start one of Dask's commands, with further variables of its environment."""
    paths = [str(ROOT / "pipelines"), str(ROOT / "operator"), str(ROOT)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)} | further
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    command = [sys.executable, "-m", "dask", *words]
    return subprocess.Popen(command, env=environment, start_new_session=True, **quiet)  # type: ignore[call-overload]


def answers(port: int) -> bool:
    """Whether something listens."""
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


@dataclass
class UserCluster:
    """The cluster, and what the service was asked.

    Parameters
    ----------
    conditions
        Conditions of pods that never start; empty to start them.
    memory
        Memory of each worker, for those that start from now on.
    """

    settings: WorkersSettings = field(default_factory=lambda: WorkersSettings(most=2))
    url: str = ""
    asked: list[tuple[str, int | None]] = field(default_factory=list)
    conditions: list[State] = field(default_factory=list)
    refusal: tuple[int, str] | None = None
    ended: State = field(default_factory=dict)
    replicas: int = 0
    port: int = 0
    scheduler: subprocess.Popen[bytes] | None = None
    workers: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    tended: bool = True
    made: int = 0
    starts: int = 0
    memory: str = "4GB"

    def state(self) -> State:
        """Return what the real service would say of these processes."""
        cluster = {"metadata": {"uid": str(self.made)}, "spec": {"worker": {"replicas": self.replicas}}}
        alive = {name: process.poll() is None for name, process in self.workers.items()}
        pods = [self._pod("scheduler", f"s{self.starts}", answers(self.port))] if self.scheduler else []
        pods += [self._pod("worker", f"{name}-pod", ready) for name, ready in alive.items()]
        if self.conditions:
            pods = [{**one, "status": {"conditions": self.conditions}} for one in pods]
        there = cluster if self.replicas else None
        found = cluster_state(there, None, [{"metadata": {}}], pods, self.settings)
        return found | ({"address": f"tcp://127.0.0.1:{self.port}"} if "address" in found else {})

    def _pod(self, role: str, name: str, ready: bool) -> State:
        kinds = {"PodScheduled": "True", "Ready": str(ready)}
        conditions = [{"type": kind, "status": status} for kind, status in kinds.items()]
        last = {"name": role, "lastState": self.ended if role == "worker" else {}}
        return {
            "metadata": {"name": name, "labels": {"dask.org/component": role}},
            "spec": {"containers": [{"resources": {"limits": {"memory": "4G"}}}]},
            "status": {"conditions": conditions, "containerStatuses": [last]},
        }

    def make(self, workers: int) -> None:
        """Start scheduler and workers."""
        if self.replicas:
            return
        self.made += 1
        self.replicas = workers
        self.start_scheduler()
        self.scale(workers)

    def start_scheduler(self) -> None:
        """Start the scheduler, with which whatever clients had is lost."""
        self.starts += 1
        self.port = self.port or free_port()
        options = ["--host=127.0.0.1", f"--port={self.port}", "--dashboard-address=127.0.0.1:0"]
        self.scheduler = dask("scheduler", *options)

    def scale(self, workers: int) -> None:
        """Start workers, or end some."""
        self.replicas = workers
        while len(self.workers) < workers:
            name = f"w{len(self.workers)}-{self.made}"
            self.workers[name] = self._worker(name)
        while len(self.workers) > workers:
            end(self.workers.popitem()[1])

    def tend(self) -> None:
        """Start again what has ended, as the kubelet does: a worker that loses its scheduler ends."""
        for name, process in self.workers.items() if self.tended else ():
            if process.poll() is not None:
                self.workers[name] = self._worker(name)

    def _worker(self, name: str) -> subprocess.Popen[bytes]:
        options = [f"--name={name}", "--nthreads=1", "--no-dashboard", "--death-timeout=60", "--host=127.0.0.1"]
        return dask("worker", f"tcp://127.0.0.1:{self.port}", *options, f"--memory-limit={self.memory}", **DASK_WORKER)

    def remove(self) -> None:
        """End everything."""
        self.scale(0)
        if self.scheduler is not None:
            end(self.scheduler)
        self.scheduler, self.port = None, 0

    def do(self, method: str, number: int | None) -> tuple[int, State]:
        """Answer a request."""
        self.asked.append((method, number))
        if self.refusal is not None:
            return self.refusal[0], {"message": self.refusal[1]}
        if number is not None and number > self.settings.most:
            return 422, {"message": f"this hub gives each user 1 to {self.settings.most} workers"}
        if method == "PUT":
            self.make(number or 1)
        elif method == "PATCH":
            self.scale(number or 1)
        elif method == "DELETE":
            self.remove()
        return 200, self.state()

    def changes(self) -> list[tuple[str, int | None]]:
        """Return what was asked for except questions."""
        return [one for one in self.asked if one[0] != "GET"]


def end(process: subprocess.Popen[bytes]) -> None:
    """Kill a process with its children."""
    if process.poll() is None:
        os.killpg(process.pid, 9)
    process.wait(PATIENT_S)


@contextmanager
def user_cluster() -> Iterator[UserCluster]:
    """Run the service on a free port; afterwards nothing of it runs."""
    cluster, lock, over = UserCluster(), threading.Lock(), threading.Event()

    def tend() -> None:
        while not over.wait(0.1):
            with lock:
                cluster.tend()

    kubelet = threading.Thread(target=tend)
    kubelet.start()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(cluster, lock))
    cluster.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield cluster
    finally:
        over.set()
        kubelet.join()
        server.shutdown()
        thread.join()
        server.server_close()
        cluster.remove()


def _handler(cluster: UserCluster, lock: threading.Lock) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def _do(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            number = json.loads(body)["workers"] if body else None
            status, content = 404, {"message": "no such page"}
            if self.path == PATH:
                status, content = 403, {"message": "only a running lab may request workers"}
                if self.headers["Authorization"] == f"token {TOKEN}":
                    with lock:
                        status, content = cluster.do(self.command, number)
            text = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_PUT = do_PATCH = do_DELETE = _do  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    return Handler
