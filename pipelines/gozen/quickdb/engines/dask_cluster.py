"""Dask workers on this machine that end when the script that started them ends."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import Any

from distributed import Scheduler, SpecCluster
from distributed.deploy.subprocess import SubprocessWorker
from distributed.system import MEMORY_LIMIT

from gozen.worker_process import DASK_WORKER

_HOST = "127.0.0.1"
_CRITICAL = 50


class _Worker(SubprocessWorker):  # type: ignore[misc]  # distributed has no type hints
    """A worker that a command starts. It does not import the script, so the script needs no ``__main__`` guard."""

    async def _start(self) -> None:
        spec = json.dumps({"cls": self.worker_class, "opts": self.worker_kwargs})
        command = [sys.executable, "-m", "dask", "spec", self.scheduler, "--spec", spec]
        # In a separate process group Ctrl-C does not reach it: half ended, it would wait for its own worker process.
        self.process = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.DEVNULL, process_group=0, env=os.environ | DASK_WORKER
        )


def cluster_of(workers: int) -> Any:
    """Start single-threaded workers; the scheduler runs in this process, and the workers end when this process ends."""
    options = {
        "host": _HOST,
        "nthreads": 1,
        "dashboard": False,
        "silence_logs": _CRITICAL,
        "memory_limit": MEMORY_LIMIT // workers,
    }
    worker = {"cls": _Worker, "options": {"worker_kwargs": options}}
    scheduler = {"cls": Scheduler, "options": {"host": _HOST, "port": 0, "dashboard_address": f"{_HOST}:0"}}
    return SpecCluster(
        workers=dict.fromkeys(range(workers), worker),
        scheduler=scheduler,
        worker=worker,
        name="gozen",
        silence_logs=_CRITICAL,
    )
