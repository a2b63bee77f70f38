"""Bare pods of the platform's image on the node: what a lab and workers are compared with.

They have no hub, no home and no network policies. All clocks are that of this computer.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

from tests.cluster.node import Node
from tests.cluster.platform_images import IMAGE
from tests.cluster.processes import wait_until

Manifest = dict[str, Any]
BARE = "bare"
"""Their namespace."""


def seconds_until_said(node: Node, program: str, cpu: str) -> float:
    """Start a pod; return the seconds until the moment that it prints, and remove it."""
    begin = time.time()
    start(node, [pod("program", ["python", "-c", program], cpu)])

    def said() -> str:
        return node.kubectl("-n", BARE, "logs", "program").stdout

    wait_until(lambda: "moment " in said(), "the bare pod", 300)
    moment = next(line for line in said().splitlines() if line.startswith("moment "))
    remove(node)
    return float(moment.split()[1]) - begin


def seconds_until_ready(node: Node, pods: Sequence[Manifest]) -> float:
    """Make pods at once; return the seconds until all of them are ready. They stay."""
    begin = time.perf_counter()
    start(node, pods)
    words = ("wait", "--for=condition=Ready", "pods", "--all", "--timeout=280s")
    node.kubectl("-n", BARE, *words, seconds=300, check=True)
    return time.perf_counter() - begin


def copy_of(pod: Manifest) -> Manifest:
    """Return the same pod for our namespace, without what somebody has added to it, and without who owns it."""
    kept = ("containers", "securityContext", "volumes", "automountServiceAccountToken", "enableServiceLinks")
    spec = {word: pod["spec"][word] for word in kept} | {"terminationGracePeriodSeconds": 0}
    meta = {word: pod["metadata"][word] for word in ("name", "labels")}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}


def start(node: Node, objects: Sequence[Manifest]) -> None:
    """Make pods, and Services for them."""
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
    node.kubectl("-n", BARE, "create", "-f", "-", stdin=text, check=True)


def remove(node: Node) -> None:
    """Remove all of them."""
    node.kubectl("-n", BARE, "delete", "pods", "--all", seconds=120, check=True)


def pod(
    name: str, command: Sequence[str], cpu: str, environment: Mapping[str, str] | None = None, memory: str = "2G"
) -> Manifest:
    """Return a pod with limits."""
    container = {
        "name": name,
        "image": IMAGE,
        "imagePullPolicy": "Never",
        "command": list(command),
        "env": [{"name": key, "value": value} for key, value in ({"HOME": "/tmp"} | dict(environment or {})).items()],
        "resources": {"requests": {"cpu": "20m", "memory": "64Mi"}, "limits": {"cpu": cpu, "memory": memory}},
    }
    spec = {"containers": [container], "automountServiceAccountToken": False, "terminationGracePeriodSeconds": 0}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}
