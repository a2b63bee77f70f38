"""Nodes and pods that kwok fakes on a real API server; how a pod lives is given as stages of kwok."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.cluster.api_server import ApiServer
from tests.cluster.processes import Process, wait_until
from tests.cluster.tools import tool
from tests.free_ports import free_ports

Manifest = dict[str, Any]
# kwok would have its lists as streams, for which Debian's etcd is too old; where they are off it asks plainly.
# New nodes would be tainted until a controller has seen them.
SERVER_FLAGS = ("--feature-gates=WatchList=false", "--disable-admission-plugins=TaintNodesByCondition")
"""What the API server is told for the sake of kwok."""

_LIVES = {"key": ".metadata.deletionTimestamp", "operator": "DoesNotExist"}
_CONTAINERS = "containerStatuses:\n{{ range .spec.containers }}\n- {name: {{ .name | Quote }}, image: {{ .image | Quote }}, imageID: '', restartCount: 0, "  # noqa: E501 - one line of the template


def fake_nodes(server: ApiServer, folder: Path, number: int, stages: Sequence[Manifest]) -> Process:
    """Start kwok with so many nodes, and wait until they are ready."""
    nodes = yaml.safe_dump_all(_node(one) for one in range(number))
    server.kubectl("create", "-f", "-", stdin=nodes, check=True)
    (port,) = free_ports(1)
    config = folder / "stages.yaml"
    config.write_text(yaml.safe_dump_all([_node_is_ready(), *stages]))
    flags = [f"--kubeconfig={server.kubeconfig}", "--manage-all-nodes", f"--config={config}"]
    process = Process("kwok", [tool("kwok"), *flags, f"--server-address=127.0.0.1:{port}"], folder / "logs/kwok.log")
    shown = "-o=jsonpath={.items[*].status.conditions[?(@.type=='Ready')].status}"
    ready = ["True"] * number
    wait_until(lambda: server.kubectl("get", "nodes", shown).stdout.split() == ready, "the nodes", 120, [process])
    return process


def pod_runs(address: str = "") -> Manifest:
    """Return the stage in which a pod that has a node runs and is ready at once.

    Parameters
    ----------
    address
        Address that the pod says it has.
    """
    more = f"podIP: {address}\npodIPs: [{{ip: {address}}}]\n" if address else ""
    now = "{{ Now | Quote }}"
    text = f"phase: Running\nstartTime: {now}\n{more}conditions:\n- {{type: Ready, status: 'True'}}\n"
    state = f"ready: true, state: {{running: {{startedAt: {now}}}}}}}\n{{{{ end }}}}\n"
    return _stage("pod-runs", [_LIVES, _phase("Pending")], {"statusTemplate": text + _CONTAINERS + state})


def pod_succeeds(least_ms: int, further_ms: int) -> Manifest:
    """Return the stage in which a pod that runs succeeds after at least some time, and at most so much more."""
    now = "{{ Now | Quote }}"
    ended = f"{{exitCode: 0, reason: Completed, startedAt: {now}, finishedAt: {now}}}"
    state = f"ready: false, state: {{terminated: {ended}}}}}\n{{{{ end }}}}\n"
    text = "phase: Succeeded\nconditions:\n- {type: Ready, status: 'False'}\n" + _CONTAINERS + state
    delay = {"durationMilliseconds": least_ms, "jitterDurationMilliseconds": least_ms + further_ms}
    return _stage("pod-succeeds", [_LIVES, _phase("Running")], {"statusTemplate": text}, delay=delay)


def pod_goes() -> Manifest:
    """Return the stage in which a pod that is deleted is gone at once."""
    then = {"finalizers": {"empty": True}, "delete": True}
    return _stage("pod-goes", [{**_LIVES, "operator": "Exists"}], then)


def _node(number: int) -> Manifest:
    room = {"cpu": "64", "memory": "256Gi", "pods": "250", "ephemeral-storage": "1Ti"}
    meta = {"name": f"fake-{number:02d}", "annotations": {"kwok.x-k8s.io/node": "fake"}}
    return {"apiVersion": "v1", "kind": "Node", "metadata": meta, "status": {"allocatable": room, "capacity": room}}


def _node_is_ready() -> Manifest:
    """Return the stage of a node that is ready; once is enough, for no controller looks at heartbeats."""
    ready = '.status.conditions.[] | select( .type == "Ready" ) | .status'
    new = [{"key": ready, "operator": "NotIn", "values": ["True"]}]
    then = {"statusTemplate": "conditions:\n- {type: Ready, status: 'True'}\n"}
    return _stage("node-is-ready", new, then, kind="Node")


def _phase(name: str) -> Manifest:
    return {"key": ".status.phase", "operator": "In", "values": [name]}


def _stage(
    name: str, matches: Sequence[Manifest], then: Manifest, *, kind: str = "Pod", delay: Mapping[str, int] | None = None
) -> Manifest:
    spec = {
        "resourceRef": {"apiGroup": "v1", "kind": kind},
        "selector": {"matchExpressions": list(matches)},
        "next": then,
        **({"delay": dict(delay)} if delay else {}),
    }
    return {"apiVersion": "kwok.x-k8s.io/v1alpha1", "kind": "Stage", "metadata": {"name": name}, "spec": spec}
