"""The science platform on a node: the chart with its hub, an archive on S3, homes, and access from this computer.

One image runs hub, proxy, portal, labs and workers: the lab's image with the hub added.
"""

from __future__ import annotations

import json
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import helm_python as helm
from tests.free_ports import free_ports
from tests.services.hub_client import HubClient
from tests.services.s3_server import KEY, SECRET, S3Server, s3_server
from tests.suite import cache
from tests.suite.costs import measured
from tests.unit.rendered_chart import chart_with_dask

from gozen.version import code_version

from .custom_resources import adopt
from .images import base_image, build_image, export_image, image_id
from .machine import run
from .node import Node
from .own_images import ROOT, load_own_images
from .processes import ENDS_WITH_ITS_STARTER, Process, wait_until
from .tools import tool

PLACE = "platform"
NAME = "platform-gozen"
PASSWORD = "correct-horse-battery"
CREDENTIALS = f"[default]\naws_access_key_id = {KEY}\naws_secret_access_key = {SECRET}\n"
USERS = ("hoshi", "sora")
ADMIN = "taiyo"
PROGRAMS = ("hub", "proxy", "namespaces", "portal", "credentials", "workers", "dask-controller")
LAB_IMAGE, IMAGE = "localhost/gozen/lab:test", "localhost/gozen/platform:test"
EXTRAS = "--extra dask --extra lab --extra portal --extra s3 --extra sql"
PROXY = "configurable-http-proxy@5.3.0"
HOMES = "gozen-homes"
SECONDS_TO_START = 300


@dataclass(frozen=True)
class Platform(HubClient):
    """A release of the platform.

    Parameters
    ----------
    admin_password
        Password of the administrator `ADMIN`.
    """

    node: Node
    store: S3Server
    admin_password: str

    def kubectl(self, *words: str, **given: Any) -> subprocess.CompletedProcess[str]:
        """Run kubectl in the namespace of the release."""
        return self.node.kubectl("--namespace", PLACE, *words, **given)

    def of_user(self, name: str, *words: str, **given: Any) -> subprocess.CompletedProcess[str]:
        """Run kubectl in the namespace of a user."""
        return self.node.kubectl("--namespace", f"gozen-user-{name}", *words, **given)

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


def platform_image() -> str:
    """Build the image, if something in it has changed; return its tag."""
    with measured("build", "image platform"):
        values = {"BASE": base_image(), "VERSION": code_version(), "EXTRAS": EXTRAS}
        build_image(ROOT / "images" / "lab" / "Dockerfile", LAB_IMAGE, values, context=ROOT, flags=["--target=lab"])
        dockerfile = Path(__file__).parent / "platform_image" / "Dockerfile"
        return build_image(dockerfile, IMAGE, {"LAB": LAB_IMAGE}, context=_context())


def _context() -> Path:
    """Return the folder that the build of the image reads, with the proxy of the hub from npm; it is kept."""
    folder = cache.folder() / "platform-image"
    npm = Path(sys.executable).parent / "npm"
    with cache.locked("platform-image"):
        if not (folder / "node_modules" / ".bin" / "configurable-http-proxy").exists():
            shutil.rmtree(folder, ignore_errors=True)
            run([npm, "install", "--silent", "--prefix", folder, PROXY], seconds=300)
        shutil.copy(ROOT / "constraints.txt", folder)
        shutil.copy(ROOT / "images" / "hub" / "requirements.txt", folder)
    return folder


def load_platform_image(node: Node) -> str:
    """Give a node the image; return its tag."""
    tag = platform_image()
    if not node.holds(tag, image_id(tag)):
        with TemporaryDirectory(dir=node.folder) as folder, measured("build", "image on the node"):
            archive = Path(folder) / "image.tar"
            export_image(tag, archive)
            node.load_archive(archive)
            node.note(tag, image_id(tag))
    return tag


@contextmanager
def platform(
    node: Node, folder: Path, archive: Path, *, password: str = PASSWORD, more: Mapping[str, Any] | None = None
) -> Iterator[Platform]:
    """Install the platform with a copy of an archive on S3; wait until it answers.

    Parameters
    ----------
    more
        Further values of the chart.
    """
    images = {**load_own_images(node), **dict.fromkeys(("hub", "lab", "proxy"), load_platform_image(node))}
    node.kubectl("create", "namespace", PLACE, check=True)
    node.kubectl("label", "namespace", PLACE, "pod-security.kubernetes.io/enforce=restricted", check=True)
    with ExitStack() as stack:
        store = stack.enter_context(s3_server(folder, address=node.host_address))
        _fill(store, archive)
        _make_homes(node, folder / "homes")
        admin_password = secrets.token_hex(20)
        login = (f"--from-literal=password={password}", f"--from-literal=admin={admin_password}")
        node.kubectl("--namespace", PLACE, "create", "secret", "generic", "gozen-login", *login, check=True)
        for name in ("gozen-s3", "gozen-archive-members", "gozen-archive-others"):
            keys = ("create", "secret", "generic", name, f"--from-literal=credentials={CREDENTIALS}")
            node.kubectl("--namespace", PLACE, *keys, check=True)
        (port,) = free_ports(1)
        config = stack.enter_context(helm.Config(kubeconfig_path=node.kubeconfig, namespace=PLACE))
        adopt(node, PLACE, release=PLACE)
        config.install(
            chart_with_dask(folder), PLACE, {**_values(node, store, images, port), **(more or {})}, namespace=PLACE
        )
        stack.callback(lambda: config.uninstall(PLACE, ignore_not_found=True))
        ready = ("wait", "--for=condition=Available", f"--timeout={SECONDS_TO_START}s", "deployments", "--all")
        done = node.kubectl("--namespace", PLACE, *ready, seconds=SECONDS_TO_START + 20)
        assert done.returncode == 0, done.stderr + _told(node)
        stack.enter_context(_way_in(node, port, folder))
        yield Platform(port, password, node, store, admin_password)


def _fill(store: S3Server, archive: Path) -> None:
    store.bucket("sky")
    for path in sorted(archive.rglob("*")):
        # Without the true values of the demo's sky: a telescope of the release simulates its own.
        if path.is_file() and path.relative_to(archive).parts[0] != "truth":
            key = f"archive/{path.relative_to(archive)}"
            store.client().put_object(Bucket="sky", Key=key, Body=path.read_bytes())


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
def _way_in(node: Node, port: int, folder: Path) -> Iterator[None]:
    """Forward a port of this computer to the proxy, as a developer does; again after a kubelet or a proxy went away."""
    words = ["--kubeconfig", str(node.kubeconfig), "--namespace", PLACE, "port-forward", f"service/{NAME}-proxy"]
    again = ["sh", "-c", 'while :; do "$@"; sleep 0.5; done', "forward", *ENDS_WITH_ITS_STARTER]
    forward = Process("port-forward", [*again, tool("kubectl"), *words, f"{port}:80"], folder / "forward.log")
    try:
        wait_until(lambda: "Forwarding from" in forward.log.read_text(), "the port of the proxy", 60, [forward])
        yield
    finally:
        forward.kill()


def _values(node: Node, store: S3Server, images: Mapping[str, str], port: int) -> dict[str, Any]:
    small = {"requests": {"cpu": "20m", "memory": "64Mi"}, "limits": {"memory": "1Gi"}}
    lab = {
        "profiles": [{"title": "Standard", "cpu": 2, "cpu_guarantee": 0.02, "memory": "2G", "memory_guarantee": "64M"}],
        "home": {"size": "1Gi", "storage_class": HOMES},
    }
    workers = {"most": 2, "cpu": 1, "cpu_guarantee": 0.02, "memory": "1G", "memory_guarantee": "64M"}
    files = {"password_file": "/etc/gozen/login/password", "admin_password_file": "/etc/gozen/login/admin"}
    login = {"method": "test", "test": {"users": [*USERS, ADMIN], **files}, "admins": [ADMIN]}
    return {
        "archive": {
            "url": "s3://sky/archive",
            "s3": {"endpointUrl": store.endpoint, "region": "us-east-1", "secretName": "gozen-s3"},
        },
        "images": {
            name: dict(zip(("repository", "tag"), tag.rsplit(":", 1), strict=True)) for name, tag in images.items()
        },
        "operator": {"resources": small},
        "networkPolicy": {"apiServer": {"to": [{"ipBlock": {"cidr": f"{node.address}/32"}}], "ports": [6443]}},
        "priorityClasses": {"express": {"name": "platform-express"}, "default": {"name": "platform-default"}},
        "hub": {
            "enabled": True,
            "publicUrl": f"http://localhost:{port}",
            "loginSecretName": "gozen-login",
            "database": {"volume": False},
            "workers": {"enabled": True},
            "settings": {
                "login": login,
                "lab": lab,
                "workers": workers,
                "idle": {"check_s": 10},
                "access": {"everyone": True},
                "credentials": {"method": "static", "check_s": 5},
            },
            "resources": dict.fromkeys(PROGRAMS, small),
        },
    }


def _told(node: Node) -> str:
    """Return what a person would inspect when something is wrong."""
    words = (("get", "pods", "--output=wide"), ("get", "events", "--sort-by=.lastTimestamp"))
    parts = [node.kubectl("--namespace", PLACE, *one).stdout for one in words]
    parts += [
        node.kubectl("--namespace", PLACE, "logs", f"deployment/{NAME}-{name}", "--tail=30").stdout for name in PROGRAMS
    ]
    return "\n\n".join(parts)
