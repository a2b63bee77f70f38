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

BARE = "bare"
"""Their namespace."""


def moment_of_the_last(node: Node, program: str, names: Sequence[str], cpu: str) -> float:
    """Start pods at once; return the seconds until the last one has printed its moment, and remove them."""
    begin = time.time()
    start(node, [pod(name, ["python", "-c", program], cpu) for name in names])
    moments: dict[str, float] = {}

    def printed() -> bool:
        for name in names:
            said = node.kubectl("-n", BARE, "logs", name).stdout
            moments.update((name, float(line.split()[1])) for line in said.splitlines() if line.startswith("moment "))
        return len(moments) == len(names)

    wait_until(printed, "the bare pods", 300)
    remove(node)
    return max(moments.values()) - begin


def start(node: Node, pods: Sequence[Mapping[str, Any]]) -> None:
    """Make pods."""
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(pods)})
    node.kubectl("-n", BARE, "create", "-f", "-", stdin=text, check=True)


def remove(node: Node) -> None:
    """Remove all of them."""
    node.kubectl("-n", BARE, "delete", "pods", "--all", seconds=120, check=True)


def pod(
    name: str, command: Sequence[str], cpu: str, environment: Mapping[str, str] | None = None, memory: str = "2G"
) -> dict[str, Any]:
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
