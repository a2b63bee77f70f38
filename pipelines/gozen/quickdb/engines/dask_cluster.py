"""Dask workers of this machine, which end with the script that started them."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import Any

from distributed import Scheduler, SpecCluster
from distributed.deploy.subprocess import SubprocessWorker
from distributed.system import MEMORY_LIMIT

_HOST = "127.0.0.1"
_CRITICAL = 50

_ENVIRONMENT = {"DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED": "False"}
"""Its statistical profile looks into a worker a hundred times a second, which is a tenth of a short job."""


class _Worker(SubprocessWorker):  # type: ignore[misc]  # distributed says nothing of its types
    """A worker as a command: the user's script is not run in it and needs no guard."""

    async def _start(self) -> None:
        spec = json.dumps({"cls": self.worker_class, "opts": self.worker_kwargs})
        command = [sys.executable, "-m", "dask", "spec", self.scheduler, "--spec", spec]
        # In a group of its own Ctrl-C in a terminal does not reach it: half ended it would wait for its own workers.
        self.process = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.DEVNULL, process_group=0, env=os.environ | _ENVIRONMENT
        )


def cluster_of(workers: int) -> Any:
    """Start workers of one thread; the scheduler is in this process, without which they end by themselves."""
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
