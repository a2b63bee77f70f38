"""A real API server, Job controller and scheduler, with nodes and pods that kwok fakes; and what its audit log says."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import urllib3
import yaml

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.cluster.access import ADMIN
from tests.cluster.api_server import ApiServer
from tests.cluster.processes import Process, free_ports, wait_until
from tests.cluster.tools import tool

from gozen_operator.crds import KINDS, definition

NAMESPACE = "night"
ACCOUNT = "gozen-operator"
NODES = 20
PODS_LAST_MS = (3000, 2000)
"""How long the pods work: at least, and how much longer at most."""
_CONTROLLERS = (
    "job-controller",
    "garbage-collector-controller",
    "ttl-after-finished-controller",
    "pod-garbage-collector-controller",
)
_HASTE = ("--kube-api-qps=1000", "--kube-api-burst=2000", "--leader-elect=false")
_ACCOUNTS = f"system:serviceaccount:{NAMESPACE}:{ACCOUNT}"
_AUDIT = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived", "ResponseStarted"],
    "rules": [
        {"level": "Request", "users": [_ACCOUNTS], "verbs": ["create", "update", "patch", "delete"]},
        {"level": "None"},
    ],
}


class Write(NamedTuple):
    """A request of the operator that would change something, as the API server noted it.

    Parameters
    ----------
    what
        The resource, such as ``jobs``, ``exposures/status`` or ``events``.
    at
        When it was answered, s since 1970.
    """

    verb: str
    what: str
    name: str
    code: int
    at: float
    body: dict[str, Any]


class FakeCluster:
    """The control plane without machines.

    Parameters
    ----------
    folder
        Keeps everything.
    """

    def __init__(self, folder: Path) -> None:
        policy, self.audit = folder / "audit-policy.yaml", folder / "audit.log"
        policy.write_text(yaml.safe_dump(_AUDIT))
        # kwok would have its lists as streams, for which Debian's etcd is too old; where they are off it asks plainly.
        audit = [f"--audit-policy-file={policy}", f"--audit-log-path={self.audit}"]
        # New nodes would be tainted until a controller has seen them.
        further = ["--feature-gates=WatchList=false", "--disable-admission-plugins=TaintNodesByCondition"]
        self.server = ApiServer(folder, [*audit, *further])
        self._folder, self._processes, self._read = folder, [], 0
        try:
            self._prepare()
            self._start_programs()
        except BaseException:
            self.stop()
            raise
        token = self.server.users[ADMIN].token
        self._pool = urllib3.PoolManager(
            ca_certs=str(self.server.authority), headers={"Authorization": f"Bearer {token}"}, maxsize=8
        )
        self.operator_kubeconfig = self.server.kubeconfig_of_service_account(NAMESPACE, ACCOUNT)

    def stop(self) -> None:
        """Stop all programs."""
        for process in self._processes[::-1]:
            process.stop()
        self.server.stop()

    def call(self, method: str, path: str, body: Any = None, content: str = "application/json") -> dict[str, Any]:
        """Ask the API server something as the administrator."""
        answer = self._pool.request(
            method, f"{self.server.url}{path}", headers={**self._pool.headers, "Content-Type": content},
            body=None if body is None else json.dumps(body),
        )  # fmt: skip
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer.status} {answer.data[:500]!r}")
        return json.loads(answer.data)

    def jobs(self, seconds: int) -> Iterator[dict[str, Any]]:
        """Return each Job as it is made, for a while."""
        path = f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs?watch=true&timeoutSeconds={seconds}"
        answer = self._pool.request("GET", self.server.url + path, preload_content=False, timeout=seconds + 10.0)
        rest = b""
        for chunk in answer.stream(65536):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                event = json.loads(line)
                if event["type"] == "ADDED":
                    yield event["object"]

    def writes(self) -> list[Write]:
        """Return what the operator has written since this was last asked."""
        with self.audit.open("rb") as stream:
            stream.seek(self._read)
            data = stream.read()
        whole = data.rpartition(b"\n")[0]
        self._read += len(whole) + bool(whole)
        return [_write(json.loads(line)) for line in whole.splitlines()]

    def _prepare(self) -> None:
        kubectl = self.server.kubectl
        text = "\n---\n".join(yaml.safe_dump(definition(kind)) for kind in KINDS)
        kubectl("apply", "--server-side", "-f", "-", stdin=text, check=True)
        names = [f"crd/{kind.plural}.gozen.astro" for kind in KINDS]
        kubectl("wait", "--for=condition=Established", "--timeout=60s", *names, check=True)
        kubectl("create", "namespace", NAMESPACE, check=True)
        for name in (ACCOUNT, "gozen-pipeline"):
            kubectl("-n", NAMESPACE, "create", "serviceaccount", name, check=True)
        for name in ("express", "default"):
            kubectl("create", "priorityclass", f"gozen-{name}", "--value=1000", check=True)
        who = f"--serviceaccount={NAMESPACE}:{ACCOUNT}"
        kubectl("create", "clusterrolebinding", "all", "--clusterrole=cluster-admin", who, check=True)
        kubectl("create", "-f", "-", stdin=yaml.safe_dump_all(_node(number) for number in range(NODES)), check=True)

    def _start_programs(self) -> None:
        kubeconfig, ports = self.server.kubeconfig, free_ports(3)
        stages = self._folder / "stages.yaml"
        stages.write_text(yaml.safe_dump_all(_stages()))
        controllers = ",".join(_CONTROLLERS)
        programs: dict[str, list[str]] = {
            "kube-controller-manager": [
                f"--kubeconfig={kubeconfig}", f"--controllers={controllers}", "--concurrent-job-syncs=10",
                f"--secure-port={ports[0]}", *_HASTE,
            ],
            "kube-scheduler": [f"--kubeconfig={kubeconfig}", f"--secure-port={ports[1]}", *_HASTE],
            "kwok": [
                f"--kubeconfig={kubeconfig}", "--manage-all-nodes", f"--config={stages}",
                f"--server-address=127.0.0.1:{ports[2]}",
            ],
        }  # fmt: skip
        for name, flags in programs.items():
            log = self._folder / "logs" / f"{name}.log"
            self._processes.append(Process(name, [tool(name), *flags], log))
        wait_until(self._nodes_are_ready, "the nodes", 120, self._processes)

    def _nodes_are_ready(self) -> bool:
        shown = "-o=jsonpath={.items[*].status.conditions[?(@.type=='Ready')].status}"
        return self.server.kubectl("get", "nodes", shown).stdout.split() == ["True"] * NODES


def _write(entry: dict[str, Any]) -> Write:
    about, body = entry["objectRef"], entry.get("requestObject") or {}
    name = about.get("name") or (body.get("metadata") or {}).get("name", "")
    what = about["resource"] + (f"/{about['subresource']}" if "subresource" in about else "")
    at = datetime.fromisoformat(entry["stageTimestamp"]).timestamp()
    return Write(entry["verb"], what, name, entry["responseStatus"]["code"], at, body)


def _node(number: int) -> dict[str, Any]:
    room = {"cpu": "64", "memory": "256Gi", "pods": "250", "ephemeral-storage": "1Ti"}
    meta = {"name": f"fake-{number:02d}", "annotations": {"kwok.x-k8s.io/node": "fake"}}
    return {"apiVersion": "v1", "kind": "Node", "metadata": meta, "status": {"allocatable": room, "capacity": room}}


def _stages() -> list[dict[str, Any]]:
    """Return how pods live: they run at once, and succeed after a moment."""
    fields = "containerStatuses:\n{{ range .spec.containers }}\n- {name: {{ .name | Quote }}, image: {{ .image | Quote }}, imageID: '', restartCount: 0, "  # noqa: E501 - one line of the template
    begun = f"phase: Running\nstartTime: {{{{ Now | Quote }}}}\nconditions:\n- {{type: Ready, status: 'True'}}\n{fields}ready: true, state: {{running: {{startedAt: {{{{ Now | Quote }}}}}}}}}}\n{{{{ end }}}}\n"  # noqa: E501 - as above
    ended = f"phase: Succeeded\nconditions:\n- {{type: Ready, status: 'False'}}\n{fields}ready: false, state: {{terminated: {{exitCode: 0, reason: Completed, startedAt: {{{{ Now | Quote }}}}, finishedAt: {{{{ Now | Quote }}}}}}}}}}\n{{{{ end }}}}\n"  # noqa: E501 - as above
    lives = {"key": ".metadata.deletionTimestamp", "operator": "DoesNotExist"}
    least, further = PODS_LAST_MS
    ready = '.status.conditions.[] | select( .type == "Ready" ) | .status'
    new = [{"key": ready, "operator": "NotIn", "values": ["True"]}]
    return [
        # Once is enough: no controller looks at heartbeats.
        _stage("node-is-ready", new, {"statusTemplate": "conditions:\n- {type: Ready, status: 'True'}\n"}, kind="Node"),
        _stage("pod-runs", [lives, _phase("Pending")], {"statusTemplate": begun}),
        _stage(
            "pod-succeeds",
            [lives, _phase("Running")],
            {"statusTemplate": ended},
            {"durationMilliseconds": least, "jitterDurationMilliseconds": least + further},
        ),
        _stage("pod-goes", [{**lives, "operator": "Exists"}], {"finalizers": {"empty": True}, "delete": True}),
    ]  # fmt: skip


def _phase(name: str) -> dict[str, Any]:
    return {"key": ".status.phase", "operator": "In", "values": [name]}


def _stage(
    name: str,
    matches: list[dict[str, Any]],
    then: dict[str, Any],
    delay: dict[str, int] | None = None,
    kind: str = "Pod",
) -> dict[str, Any]:
    spec = {"resourceRef": {"apiGroup": "v1", "kind": kind}, "selector": {"matchExpressions": matches}, "next": then}
    if delay:
        spec["delay"] = delay
    return {"apiVersion": "kwok.x-k8s.io/v1alpha1", "kind": "Stage", "metadata": {"name": name}, "spec": spec}
