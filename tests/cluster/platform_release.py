"""The science platform on a node: the chart with its hub, an archive on S3, homes, and access from this computer."""

from __future__ import annotations

import json
import secrets
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import helm_python as helm
from tests.free_ports import free_ports
from tests.services.hub_client import HubClient
from tests.services.s3_server import KEY, SECRET, S3Server, s3_server
from tests.unit.rendered_chart import chart_with_dask

from .access import Administered
from .custom_resources import adopt
from .node import Node
from .platform_images import load_images
from .platform_values import PROGRAMS, USERS, Site, values_of
from .processes import ENDS_WITH_ITS_STARTER, Process, wait_until
from .tools import tool

PLACE = "platform"
NAME = "platform-gozen"
PASSWORD = "correct-horse-battery"
CREDENTIALS = f"[default]\naws_access_key_id = {KEY}\naws_secret_access_key = {SECRET}\n"
HOMES = "gozen-homes"
SECONDS_TO_START = 300


@dataclass(frozen=True)
class PlatformRelease(HubClient):
    """A release of the platform on any cluster.

    Parameters
    ----------
    admin_password
        Password of the administrator `ADMIN`.
    """

    cluster: Administered
    admin_password: str

    def kubectl(self, *words: str, **given: Any) -> subprocess.CompletedProcess[str]:
        """Run kubectl in the namespace of the release."""
        return self.cluster.kubectl("--namespace", PLACE, *words, **given)

    def of_user(self, name: str, *words: str, **given: Any) -> subprocess.CompletedProcess[str]:
        """Run kubectl in the namespace of a user."""
        return self.cluster.kubectl("--namespace", f"gozen-user-{name}", *words, **given)

    def data(self, *words: str) -> Any:
        """Return what kubectl prints as JSON in the namespace of the release."""
        return json.loads(self.kubectl(*words, check=True).stdout)

    def data_of(self, name: str, *words: str) -> Any:
        """Return what kubectl prints as JSON in the namespace of a user."""
        return json.loads(self.of_user(name, *words, check=True).stdout)

    def lab(self, name: str) -> Any:
        """Return the pod of a user's lab."""
        words = ("get", "pods", "--selector=app.kubernetes.io/component=lab", "--output=json")
        (pod,) = self.data_of(name, *words)["items"]
        return pod

    def told_of(self, name: str) -> str:
        """Return what a person would inspect when a lab does not start."""
        words = (("get", "pods,pvc,events", "--output=wide"), ("describe", "pods"))
        parts = [self.of_user(name, *one).stdout for one in words]
        parts.append(self.of_user(name, "logs", "--selector=app.kubernetes.io/component=lab", "--tail=40").stdout)
        parts.append(self.kubectl("logs", f"deployment/{NAME}-hub", "--tail=40").stdout)
        return "\n\n".join(parts)

    def in_lab(self, name: str, program: str, given: str = "", seconds: float = 120) -> str:
        """Run a Python program in the lab of a user; return its output."""
        return self.in_pod(name, self.lab(name)["metadata"]["name"], program, given, seconds)

    def in_pod(self, name: str, pod: str, program: str, given: str = "", seconds: float = 120) -> str:
        """Run a Python program in a pod of a user; return its output."""
        words = ("exec", "--stdin", pod, "--", "python", "-c", program)
        return self.of_user(name, *words, stdin=given, seconds=seconds, check=True).stdout


@dataclass(frozen=True)
class Platform(PlatformRelease):
    """The platform on the node of the tests.

    Parameters
    ----------
    store
        The S3 server with the archive.
    """

    node: Node
    store: S3Server


@contextmanager
def platform(
    node: Node, folder: Path, archive: Path, *, password: str = PASSWORD, more: Mapping[str, Any] | None = None
) -> Iterator[Platform]:
    """Install the platform on a node with a copy of an archive on S3; wait until it answers.

    Parameters
    ----------
    more
        Further values of the chart.
    """
    images = load_images(node)
    with s3_server(folder, address=node.host_address) as store:
        fill(store, archive)
        _make_homes(node, folder / "homes")
        site = Site(images, store.endpoint, ([f"{node.address}/32"], 6443), HOMES)
        with released(node, folder, site, password=password, more=more) as place:
            yield Platform(**vars(place), node=node, store=store)


@contextmanager
def released(
    cluster: Administered,
    folder: Path,
    site: Site,
    *,
    password: str = PASSWORD,
    more: Mapping[str, Any] | None = None,
) -> Iterator[PlatformRelease]:
    """Install the chart for a site, and wait until it answers; see `platform`."""
    cluster.kubectl("create", "namespace", PLACE, check=True)
    cluster.kubectl("label", "namespace", PLACE, "pod-security.kubernetes.io/enforce=restricted", check=True)
    admin_password = secrets.token_hex(20)
    login = (f"--from-literal=password={password}", f"--from-literal=admin={admin_password}")
    cluster.kubectl("--namespace", PLACE, "create", "secret", "generic", "gozen-login", *login, check=True)
    for name in ("gozen-s3", "gozen-archive-members", "gozen-archive-others"):
        keys = ("create", "secret", "generic", name, f"--from-literal=credentials={CREDENTIALS}")
        cluster.kubectl("--namespace", PLACE, *keys, check=True)
    (port,) = free_ports(1)
    with ExitStack() as stack:
        config = stack.enter_context(helm.Config(kubeconfig_path=cluster.kubeconfig, namespace=PLACE))
        adopt(cluster, PLACE, release=PLACE)
        config.install(chart_with_dask(folder), PLACE, {**values_of(site, port), **(more or {})}, namespace=PLACE)
        stack.callback(lambda: config.uninstall(PLACE, ignore_not_found=True))
        ready = ("wait", "--for=condition=Available", f"--timeout={SECONDS_TO_START}s", "deployments", "--all")
        done = cluster.kubectl("--namespace", PLACE, *ready, seconds=SECONDS_TO_START + 20)
        assert done.returncode == 0, done.stderr + _told(cluster)
        stack.enter_context(way_in(cluster, f"service/{NAME}-proxy", f"{port}:80", folder))
        yield PlatformRelease(port, password, cluster, admin_password)


def fill(store: S3Server, archive: Path) -> None:
    """Put an archive on an S3 server, where the release reads it."""
    store.bucket("sky")
    client = store.client()  # one for all files: making it takes longer than most of them
    for path in sorted(archive.rglob("*")):
        key = path.relative_to(archive)
        if path.is_file() and not _tells_of_the_demos_sky(key):
            client.put_object(Bucket="sky", Key=f"archive/{key}", Body=path.read_bytes())


def _tells_of_the_demos_sky(key: Path) -> bool:
    """Tell whether a file has true values of the sky of the demo: a telescope of the release simulates its own."""
    return key.parts[0] == "truth" and (len(key.parts) == 2 or key.parts[1].isdigit())


def _make_homes(node: Node, folder: Path) -> None:
    """Make a volume for each user; the test node has nothing that makes volumes by itself."""
    for name in USERS:
        home = folder / name
        home.mkdir(parents=True)
        home.chmod(0o777)
        volume = {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": f"home-{name}"},
            "spec": {
                "capacity": {"storage": "1Gi"},
                "accessModes": ["ReadWriteOnce"],
                "storageClassName": HOMES,
                "persistentVolumeReclaimPolicy": "Retain",
                "hostPath": {"path": str(home), "type": "Directory"},
            },
        }
        node.kubectl("create", "-f", "-", stdin=json.dumps(volume), check=True)


@contextmanager
def way_in(cluster: Administered, to: str, ports: str, folder: Path, namespace: str = PLACE) -> Iterator[None]:
    """Forward a port of this computer, as a developer does; again after a kubelet or what it leads to went away."""
    words = ["--kubeconfig", str(cluster.kubeconfig), "--namespace", namespace, "port-forward", to, ports]
    again = ["sh", "-c", 'while :; do "$@"; sleep 0.5; done', "forward", *ENDS_WITH_ITS_STARTER]
    log = folder / f"forward-{to.rpartition('/')[2]}.log"
    forward = Process("port-forward", [*again, tool("kubectl"), *words], log)
    try:
        wait_until(lambda: "Forwarding from" in forward.log.read_text(), f"the port of {to}", 60, [forward])
        yield
    finally:
        forward.kill()


def _told(cluster: Administered) -> str:
    """Return what a person would inspect when something is wrong."""
    words = (("get", "pods", "--output=wide"), ("get", "events", "--sort-by=.lastTimestamp"))
    parts = [cluster.kubectl("--namespace", PLACE, *one).stdout for one in words]
    parts += [
        cluster.kubectl("--namespace", PLACE, "logs", f"deployment/{NAME}-{name}", "--tail=30").stdout
        for name in PROGRAMS
    ]
    return "\n\n".join(parts)
