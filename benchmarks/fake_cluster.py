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
from tests.cluster.processes import Process
from tests.cluster.tools import tool
from tests.free_ports import free_ports

from fake_nodes import SERVER_FLAGS, fake_nodes, pod_goes, pod_runs, pod_succeeds
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
        audit = [f"--audit-policy-file={policy}", f"--audit-log-path={self.audit}"]
        self.server = ApiServer(folder, [*audit, *SERVER_FLAGS])
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

    def _start_programs(self) -> None:
        kubeconfig, ports = self.server.kubeconfig, free_ports(2)
        controllers = ",".join(_CONTROLLERS)
        programs: dict[str, list[str]] = {
            "kube-controller-manager": [
                f"--kubeconfig={kubeconfig}", f"--controllers={controllers}", "--concurrent-job-syncs=10",
                f"--secure-port={ports[0]}", *_HASTE,
            ],
            "kube-scheduler": [f"--kubeconfig={kubeconfig}", f"--secure-port={ports[1]}", *_HASTE],
        }  # fmt: skip
        for name, flags in programs.items():
            log = self._folder / "logs" / f"{name}.log"
            self._processes.append(Process(name, [tool(name), *flags], log))
        stages = [pod_runs(), pod_succeeds(*PODS_LAST_MS), pod_goes()]
        self._processes.append(fake_nodes(self.server, self._folder, NODES, stages))


def _write(entry: dict[str, Any]) -> Write:
    about, body = entry["objectRef"], entry.get("requestObject") or {}
    name = about.get("name") or (body.get("metadata") or {}).get("name", "")
    what = about["resource"] + (f"/{about['subresource']}" if "subresource" in about else "")
    at = datetime.fromisoformat(entry["stageTimestamp"]).timestamp()
    return Write(entry["verb"], what, name, entry["responseStatus"]["code"], at, body)
