"""Faults of a node with the platform: a missing image, no node for pods, an exhausted quota, a full home folder.

Each fault ends with its context. It changes nothing on this computer: the mounts are in the node's machine.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from .machine import run
from .node import NAME as NODE
from .node import Node, containerd_client
from .platform_release import PLACE, Platform
from .processes import wait_until

SIZE = 2**20


@contextmanager
def without_image(node: Node, tag: str) -> Iterator[None]:
    """Let an image be missing; pods that run do not need it."""
    aside, images = f"{tag}-aside", [*containerd_client(), "images"]
    run(node.machine.command([*images, "tag", tag, aside]))
    run(node.machine.command([*images, "rm", "--sync", tag]))
    try:
        yield
    finally:
        run(node.machine.command([*images, "tag", aside, tag]))
        run(node.machine.command([*images, "rm", aside]))


@contextmanager
def without_node(node: Node) -> Iterator[None]:
    """Let no node accept pods, as while it is drained."""
    node.kubectl("cordon", NODE, check=True)
    try:
        yield
    finally:
        node.kubectl("uncordon", NODE, check=True)


@contextmanager
def used_quota(platform: Platform, name: str, processors: str) -> Iterator[None]:
    """Use so many processors of the quota of a user, by a pod that no node runs."""
    limits = {"cpu": processors, "memory": "64Mi"}
    closed = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    container = {
        "name": "filler",
        "image": "localhost/none:1",
        "securityContext": closed,
        "resources": {"limits": limits, "requests": {"cpu": "10m", "memory": "1Mi"}},
    }
    spec = {
        "nodeSelector": {"gozen.astro/nowhere": "true"},
        "securityContext": {"runAsNonRoot": True, "runAsUser": 10001, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
    }
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "filler"}, "spec": spec}
    platform.of_user(name, "create", "-f", "-", stdin=json.dumps(pod), check=True)
    try:
        yield
    finally:
        platform.of_user(name, "delete", "pod", "filler", "--force", "--grace-period=0", check=True)


@contextmanager
def full_home(platform: Platform, name: str) -> Iterator[str]:
    """Let the home of a user be a disk of `SIZE` bytes that the file `big` fills; yield its path on the node.

    For a lab that starts meanwhile, and has ended before the end.
    """
    machine, home = platform.node.machine, home_of(platform, name)
    run(machine.command(["mount", "-t", "tmpfs", "-o", f"mode=777,size={SIZE}", "tmpfs", home]))
    try:
        fill = f"head -c {2 * SIZE} /dev/zero >'{home}/big'; chown 10001:10001 '{home}/big'"
        run(machine.command(["sh", "-c", fill]))
        yield home
    finally:
        run(machine.command(["umount", "--lazy", home]))


@contextmanager
def services_that_stay(node: Node) -> Iterator[None]:
    """Let names and Services of the release lead to pods of a lost node, as if these ran on another one."""

    def lead(always: str) -> None:
        change = f'{{"spec": {{"publishNotReadyAddresses": {always}}}}}'
        for namespace in (PLACE, "kube-system"):
            found = node.kubectl("--namespace", namespace, "get", "services", "--output=name", check=True)
            for name in found.stdout.split():
                node.kubectl("--namespace", namespace, "patch", name, f"--patch={change}", check=True)

    lead("true")
    try:
        yield
    finally:
        lead("false")


def home_of(platform: Platform, name: str) -> str:
    """Return the folder of the node with the home of a user."""
    volume = platform.data_of(name, "get", "pvc/home", "--output=json")["spec"]["volumeName"]
    return str(platform.data("get", "pv", volume, "--output=json")["spec"]["hostPath"]["path"])


def restart(node: Node, *names: str) -> None:
    """Kill programs of the node, start them again in the same order, and wait until the kubelet answers."""
    for name in names:
        node.crash(name)
    for name in names:
        node.restart(name)
    # What Kubernetes says of the node is not enough: for 40 s it believes what the node has said before.
    health = f"/api/v1/nodes/{NODE}/proxy/healthz"
    wait_until(lambda: node.kubectl("get", "--raw", health).stdout == "ok", "the kubelet", 120)
    wait_for_node(node, "True")


def wait_for_node(node: Node, *ready: str) -> None:
    """Wait until Kubernetes says of the node that it is ready (``True``), or that it is not."""

    def said() -> bool:
        path = "--output=jsonpath={.status.conditions[?(@.type=='Ready')].status}"
        return node.kubectl("get", "node", NODE, path).stdout in ready

    wait_until(said, f"Ready = {' or '.join(ready)}", 180)


ASK = """
import sys
import urllib.error
import urllib.request

method, url, token, seconds, until = sys.argv[1:]
body, headers = b"" if method == "POST" else None, {"Authorization": f"token {token}"}
request = urllib.request.Request(url, body, headers, method=method)
try:
    with urllib.request.urlopen(request, timeout=float(seconds)) as answer:
        print(answer.status)
        for line in answer:
            print(line.decode(), end="", flush=True)
            if until and until in line.decode():
                break
except urllib.error.HTTPError as error:
    print(error.code, error.read().decode())
"""


def asked_on_the_node(node: Node, method: str, url: str, token: str, until: str = "") -> str:
    """Return what a pod of the hub answers to somebody on the node, where no kubelet is needed for it.

    Parameters
    ----------
    until
        Of an answer that does not end, read only to the line with this text.
    """
    words = [sys.executable, "-c", ASK, method, url, token, "60", until]
    return run(node.machine.command(words), seconds=90)
