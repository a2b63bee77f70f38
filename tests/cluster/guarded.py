"""Gozen installed with enforced NetworkPolicies, and servers around it that its pods must not reach.

What each pod may reach: `test_policies`.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import helm_python as helm
from tests.services.s3_server import KEY, SECRET, S3Server, s3_server

from gozen.resources.exposure import Exposure
from gozen.resources.lightcurvejob import LightCurveJob
from gozen_operator.operator_settings import OperatorSettings
from gozen_operator.reconcile.job_manifests import exposure_job
from gozen_operator.reconcile.publish_manifests import publish_job

from .custom_resources import adopt
from .machine import run
from .node import Node
from .own_images import load_own_images
from .processes import Process, wait_until

CHART = Path(__file__).parents[2] / "charts" / "gozen"
NAMESPACE, FAR = "guarded", "monitoring"
METADATA, OUTSIDE = "169.254.169.254", "198.51.100.7"
CREDENTIALS = f"[default]\naws_access_key_id = {KEY}\naws_secret_access_key = {SECRET}\n"
PORTS = (53, 80, 443, 6443, 8080)
PYTHON = "/opt/gozen/bin/python"
# Answers on all ports that nobody else has; a name in the answer tells who it was.
LISTENS = """
import selectors, socket, sys
address, *ports = sys.argv[1:]
chosen = selectors.DefaultSelector()
for port in map(int, ports):
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        one = socket.socket(socket.AF_INET, kind)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            one.bind((address, port))
        except OSError:
            continue
        if kind == socket.SOCK_STREAM:
            one.listen(64)
        chosen.register(one, selectors.EVENT_READ)
print("listening", flush=True)
while True:
    for key, _ in chosen.select():
        if key.fileobj.type == socket.SOCK_STREAM:
            key.fileobj.accept()[0].close()
        else:
            said, who = key.fileobj.recvfrom(4096)
            key.fileobj.sendto(said, who)
"""
# A refusal is an answer: the packet came to somebody. A policy drops it.
LOOKS = """
import json, socket, sys
from concurrent.futures import ThreadPoolExecutor
NAME = b"".join(bytes([len(word)]) + word.encode() for word in "kubernetes.default.svc.cluster.local".split("."))
QUESTION = bytes.fromhex("123401000001000000000000") + NAME + bytes([0, 0, 1, 0, 1])
def reached(target):
    _, kind, address, port = target
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM) as one:
        one.settimeout(6)
        try:
            one.connect((address, port))
            if kind == "udp":
                one.send(QUESTION)
                one.recv(4096)
        except ConnectionRefusedError:
            pass
        except OSError:
            return False
    return True
targets = json.load(sys.stdin)
with ThreadPoolExecutor(len(targets)) as pool:
    print(json.dumps([target[0] for target, ok in zip(targets, pool.map(reached, targets)) if ok]))
"""
# What a pod sees in its first moment, and then a server for others to find.
FIRST = f"""
import socket
try:
    socket.create_connection(("{METADATA}", 80), timeout=4)
    print("first: reached", flush=True)
except OSError:
    print("first: denied", flush=True)
"""
Target = tuple[str, str, str, int]


@dataclass(frozen=True)
class Guarded:
    """A release of the chart, and the servers around it.

    Parameters
    ----------
    addresses
        Of the pods, by who they are.
    """

    node: Node
    store: S3Server
    addresses: Mapping[str, str]

    @property
    def store_port(self) -> int:
        """The port of the object store."""
        return int(self.store.endpoint.rpartition(":")[2])

    def kubectl(self, *words: str, **given: Any) -> subprocess.CompletedProcess[str]:
        """Run kubectl in the namespace of the release."""
        return self.node.kubectl("--namespace", NAMESPACE, *words, **given)

    def targets(self) -> list[Target]:
        """Return all that there is to reach: its name, ``tcp`` or ``udp``, address and port."""
        node, host = self.node.address, self.node.host_address
        ports = (*PORTS, self.store_port)
        around = {"node": node, "metadata": METADATA, "outside": OUTSIDE}
        places = around | {who: self.addresses[who] for who in ("neighbour", "far", "reduction")}
        found = [(f"{who} {port}", "tcp", place, port) for who, place in places.items() for port in ports]
        found += [(f"{who} 53/udp", "udp", place, 53) for who, place in places.items()]
        found += [(f"host {port}", "tcp", host, port) for port in PORTS]
        found += [
            ("store", "tcp", host, self.store_port),
            ("API server", "tcp", "10.96.0.1", 443),
            ("kubelet", "tcp", node, 10250),
            ("names", "tcp", "10.96.0.10", 53),
            ("names/udp", "udp", "10.96.0.10", 53),
            ("name service's health", "tcp", self.addresses["names"], 8181),
            ("metrics", "tcp", self.addresses["operator"], 8080),
            ("operator", "tcp", self.addresses["operator"], 9999),
            ("observer", "tcp", self.addresses["observer"], 9999),
        ]
        return found

    def reached_by(self, who: str) -> set[str]:
        """Return the names of the targets that are reached from inside a pod."""
        pod = {"operator": "deployment/gozen-operator", "observer": "deployment/gozen-observer"}.get(who, f"pod/{who}")
        where = FAR if who == "far" else NAMESPACE
        words = ("--namespace", where, "exec", "--stdin", pod, "--", PYTHON, "-c", LOOKS)
        said = self.node.kubectl(*words, stdin=json.dumps(self.targets()), seconds=90, check=True).stdout
        return set(json.loads(said))


@contextmanager
def guarded(node: Node, folder: Path) -> Iterator[Guarded]:
    """Install Gozen with the chart's policies, and put servers and intruders around it."""
    images = load_own_images(node)
    for namespace in (NAMESPACE, FAR):
        node.kubectl("create", "namespace", namespace, check=True)
        level = "pod-security.kubernetes.io/enforce=restricted"
        node.kubectl("label", "namespace", namespace, level, check=True)
    with ExitStack() as stack:
        store = stack.enter_context(s3_server(folder, address=node.host_address))
        store.bucket("sky")
        stack.enter_context(_servers(node, store, folder))
        secret = ("create", "secret", "generic", "gozen-s3", f"--from-literal=credentials={CREDENTIALS}")
        node.kubectl("--namespace", NAMESPACE, *secret, check=True)
        password = ("create", "secret", "generic", "gozen-nextcloud", "--from-literal=password=x")
        node.kubectl("--namespace", NAMESPACE, *password, check=True)
        config = stack.enter_context(helm.Config(kubeconfig_path=node.kubeconfig, namespace=NAMESPACE))
        adopt(node, NAMESPACE)
        config.install(CHART, "gozen", _values(node, store, images), namespace=NAMESPACE)
        stack.callback(lambda: config.uninstall("gozen", ignore_not_found=True))
        yield Guarded(node, store, _addresses(node, store))


@contextmanager
def _servers(node: Node, store: S3Server, folder: Path) -> Iterator[None]:
    """Answer on every port of the node, the metadata address, this computer and an address outside."""
    run(node.machine.command(["ip", "address", "add", f"{METADATA}/32", "dev", "lo"]))
    run(["ip", "address", "add", f"{OUTSIDE}/32", "dev", node.machine.slot.name])
    ports = [str(port) for port in (*PORTS, store.endpoint.rpartition(":")[2])]
    listens = [sys.executable, "-c", LISTENS]
    places = {node.address: node.machine.within, METADATA: node.machine.within, OUTSIDE: (), node.host_address: ()}
    around = [
        Process(f"server on {address}", [*listens, address, *ports], folder / f"{address}.log", within)
        for address, within in places.items()
    ]
    for one in around:
        wait_until(lambda log=one.log: "listening" in log.read_text(), one.name, 30, [one])
    try:
        yield
    finally:
        for one in around:
            one.kill()


def _values(node: Node, store: S3Server, images: Mapping[str, str]) -> dict[str, Any]:
    small = {"requests": {"cpu": "50m", "memory": "128Mi"}, "limits": {"memory": "1Gi"}}
    return {
        "archive": {
            "url": "s3://sky/archive",
            "s3": {"endpointUrl": store.endpoint, "region": "us-east-1", "secretName": "gozen-s3"},
        },
        "images": {
            name: dict(zip(("repository", "tag"), tag.rsplit(":", 1), strict=True)) for name, tag in images.items()
        },
        "observer": {"enabled": True, "observatory": {"driver": "simulated"}, "resources": small},
        "operator": {"resources": small},
        "pods": small,
        # Nothing of it is asked for but the port 443 of this computer.
        "nextcloud": {
            "url": f"https://{node.host_address}",
            "user": "observatory",
            "secretName": "gozen-nextcloud",
            "resources": small,
        },
        "networkPolicy": {
            "apiServer": {"to": [{"ipBlock": {"cidr": f"{node.address}/32"}}], "ports": [6443]},
            "metrics": {"from": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": FAR}}}]},
        },
        "priorityClasses": {
            "express": {"name": "guarded-express"},
            "default": {"name": "guarded-default"},
        },
    }


def _operator_settings(node: Node) -> OperatorSettings:
    """Return the settings of pods with which the operator of the release runs."""
    listed = "jsonpath={.spec.template.spec.containers[0].env}"
    said = node.kubectl(
        "--namespace", NAMESPACE, "get", "deployment", "gozen-operator", "-o", listed, check=True
    ).stdout
    groups = {}
    for group in ("pods", "publish"):
        prefix = f"GOZEN_OPERATOR_{group.upper()}__"
        given = {
            one["name"].removeprefix(prefix).lower(): one["value"] for one in json.loads(said) if prefix in one["name"]
        }
        groups[group] = given | {word: json.loads(given[word]) for word in ("requests", "limits")}
    return OperatorSettings.model_validate(groups)


def reduction_pod(
    node: Node, name: str, program: str, arguments: Sequence[str] | None = None, labels: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Return a pod as the operator's Jobs have it, with a program of ours in the place of Gozen."""
    exposure = Exposure.model_validate(
        {
            "apiVersion": "gozen.astro/v1alpha1",
            "kind": "Exposure",
            "metadata": {"name": name, "namespace": NAMESPACE, "uid": "1"},
            "spec": {"exposureId": 3, "night": "20260115", "object": "M101", "nframe": 6, "pipelines": ["wcs"]},
        }
    )
    template = exposure_job(exposure, ["111"], _operator_settings(node))["spec"]["template"]
    return _trial(template, name, program, arguments, labels)


def publishing_pod(node: Node, name: str, program: str, arguments: Sequence[str]) -> dict[str, Any]:
    """Return a pod that publishes light curves, with a program of ours in the place of Gozen."""
    job = LightCurveJob.model_validate(
        {
            "apiVersion": "gozen.astro/v1alpha1",
            "kind": "LightCurveJob",
            "metadata": {"name": name, "namespace": NAMESPACE, "uid": "1"},
            "spec": {"selection": {"night": "20260115"}, "publish": {"folder": "M31"}},
        }
    )
    template = publish_job(job, _operator_settings(node))["spec"]["template"]
    return _trial(template, name, program, arguments, None)


def _trial(
    template: dict[str, Any],
    name: str,
    program: str,
    arguments: Sequence[str] | None,
    labels: Mapping[str, str] | None,
) -> dict[str, Any]:
    (container,) = template["spec"]["containers"]
    container["command"] = [PYTHON, "-c", program]
    container["env"].append({"name": "JOB_COMPLETION_INDEX", "value": "0"})
    container["args"] = container["args"] if arguments is None else list(arguments)
    metadata = {"name": name, "labels": template["metadata"]["labels"] if labels is None else dict(labels)}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}


def _addresses(node: Node, store: S3Server) -> dict[str, str]:
    """Start the pods around the release; return the address of each, and of those of the release."""
    ports = [str(port) for port in (*PORTS, store.endpoint.rpartition(":")[2])]
    inside = ("--namespace", NAMESPACE)
    listens = FIRST + LISTENS, ["0.0.0.0", *ports]
    around = {who: reduction_pod(node, who, *listens, {"app": who}) for who in ("neighbour", "far")}
    around |= {"reduction": reduction_pod(node, "reduction", *listens)}
    around |= {"publisher": publishing_pod(node, "publisher", *listens)}
    for who, pod in around.items():
        pod["spec"]["securityContext"]["sysctls"] = [{"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}]
        where = FAR if who == "far" else NAMESPACE
        if who == "far":
            _without_the_release(pod["spec"])
        node.kubectl("--namespace", where, "create", "-f", "-", stdin=json.dumps(pod), check=True)
    deployments = ("deployment/gozen-operator", "deployment/gozen-observer")
    ready = ("wait", "--for=condition=Available", "--timeout=240s", *deployments)
    node.kubectl(*inside, *ready, seconds=260, check=True)
    found = {who: _address(node, NAMESPACE, who) for who in ("reduction", "publisher", "neighbour")} | {
        "far": _address(node, FAR, "far")
    }
    for who in ("operator", "observer"):
        found[who] = _address(node, NAMESPACE, f"--selector=app.kubernetes.io/component={who}")
    return found | {"names": _address(node, "kube-system", "--selector=k8s-app=kube-dns")}


def _without_the_release(spec: dict[str, Any]) -> None:
    """Take what is only in the release's namespace out of a pod."""
    spec["volumes"] = [one for one in spec["volumes"] if one["name"] == "scratch"]
    (container,) = spec["containers"]
    container["volumeMounts"] = [one for one in container["volumeMounts"] if one["name"] == "scratch"]
    del container["envFrom"], spec["serviceAccountName"]


def _address(node: Node, namespace: str, which: str) -> str:
    def listening() -> bool:
        said = node.kubectl("--namespace", namespace, "logs", which)
        return which.startswith("--") or "listening" in said.stdout

    wait_until(listening, f"the pod {which}", 120)
    items = "{.items[0].status.podIP}" if which.startswith("--") else "{.status.podIP}"
    return node.kubectl("--namespace", namespace, "get", "pod", which, f"--output=jsonpath={items}", check=True).stdout
