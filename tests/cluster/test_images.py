"""Gozen's own images, built from this checkout: what is in them, and that they work in a pod that may do little.

Covered: user, labels, size; a night reduced in a pod under the `restricted` level, with a root file system that is only
read, without compiling anything; what the other images start. Not here: lint (tests/unit/test_images).
"""

from __future__ import annotations

import json

import pytest

from .images import configuration, size_mb
from .node import Node
from .own_images import ROOT, own_image
from .processes import wait_until

pytestmark = [pytest.mark.node, pytest.mark.xdist_group("cluster")]
NAMES = ("pipeline", "observer", "operator")
LARGEST_MB = {"pipeline": 1150, "observer": 1200, "operator": 420}
"""On the tests' base, which has 250 of it."""
SECONDS_TO_RUN = 240
COMPILE = ROOT / "images" / "pipeline" / "compile"
NIGHT = """
set -e
compiled() { find "$NUMBA_CACHE_DIR" -name '*.nbc' | wc -l; }
before=$(compiled)
gozen simulate /night/recipe.yaml --night 20260115 --sensors 111 --events
gozen masters
gozen run /night/recipe.yaml
gozen night append 20260115
echo "compiled $before, then $(compiled)"
touch /opt/gozen/x 2>/dev/null && echo "the image can be written"
id -u
"""


@pytest.fixture(scope="module", params=NAMES)
def image(root: None, request: pytest.FixtureRequest) -> tuple[str, str]:
    """Return the name and the tag of an image."""
    return request.param, own_image(request.param)


def test_it_says_what_it_is_and_is_not_root(image: tuple[str, str]) -> None:
    name, tag = image
    config = configuration(tag)
    assert config["User"] == "10001:10001"
    assert config["Labels"]["org.opencontainers.image.title"] == f"gozen-{name}"
    assert config["Labels"]["org.opencontainers.image.licenses"] == "BSD-3-Clause"


def pod(name: str, tag: str, **container: object) -> str:
    """Return the manifest of a pod as the operator's Jobs and the chart have them."""
    security = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
    mounts = [{"name": "scratch", "mountPath": "/tmp"}, {"name": "night", "mountPath": "/night"}]
    main = {"name": "main", "image": tag, "imagePullPolicy": "Never", "securityContext": security}
    spec = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "securityContext": {"runAsNonRoot": True, "runAsUser": 10001, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [{**main, "volumeMounts": mounts, **container}],
        "volumes": [
            {"name": "scratch", "emptyDir": {}},
            {"name": "night", "configMap": {"name": "compile"}},
        ],
    }
    return json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec})


@pytest.fixture(scope="module")
def namespace(node: Node) -> str:
    """Return a namespace that enforces the restricted level and holds a small camera and recipe."""
    node.kubectl("create", "namespace", "images", check=True)
    node.kubectl("label", "namespace", "images", "pod-security.kubernetes.io/enforce=restricted", check=True)
    files = [f"--from-file={COMPILE / name}" for name in ("camera.yaml", "recipe.yaml")]
    node.kubectl("create", "configmap", "compile", *files, "--namespace=images", check=True)
    return "images"


def outcome(node: Node, namespace: str, name: str) -> tuple[str, str]:
    """Wait for a pod's end; return its phase and what it said."""
    where = ("--namespace", namespace)

    def phase() -> str:
        return node.kubectl("get", "pod", name, *where, "--output=jsonpath={.status.phase}", check=True).stdout

    wait_until(lambda: phase() in ("Succeeded", "Failed"), f"the end of the pod {name}", SECONDS_TO_RUN)
    return phase(), node.kubectl("logs", name, *where, check=True).stdout


def test_a_pod_reduces_a_night_and_compiles_nothing(node: Node, namespace: str) -> None:
    tag = own_image("pipeline")
    node.load_image(tag)
    environment = [
        {"name": "GOZEN_INSTRUMENT", "value": "/night/camera.yaml"},
        {"name": "GOZEN_ARCHIVE", "value": "/tmp/archive"},
        {"name": "GOZEN_WORKERS", "value": "1"},
    ]
    manifest = pod("night", tag, command=["with-compiled", "sh", "-c", NIGHT], env=environment)
    node.kubectl("apply", "--namespace", namespace, "-f", "-", stdin=manifest, check=True)
    phase, said = outcome(node, namespace, "night")
    assert phase == "Succeeded", said
    assert "1 reduced, 0 rejected, 0 failed" in said
    counts = next(line for line in said.splitlines() if line.startswith("compiled "))
    before, after = counts.removeprefix("compiled ").split(", then ")
    assert int(before) > 40
    assert after == before
    assert "the image can be written" not in said
    assert said.splitlines()[-1] == "10001"


@pytest.mark.parametrize(("name", "word"), [("operator", "GOZEN_OPERATOR_"), ("observer", "gozen-observer")])
def test_the_processes_of_the_chart_start(node: Node, namespace: str, name: str, word: str) -> None:
    tag = own_image(name)
    node.load_image(tag)
    manifest = pod(name, tag, args=["--help"])
    node.kubectl("apply", "--namespace", namespace, "-f", "-", stdin=manifest, check=True)
    phase, said = outcome(node, namespace, name)
    assert phase == "Succeeded", said
    assert word in said


def test_none_is_larger_than_it_must_be(image: tuple[str, str]) -> None:
    name, tag = image
    assert size_mb(tag) < LARGEST_MB[name]
