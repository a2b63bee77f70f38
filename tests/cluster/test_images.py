"""Gozen's own images, built from this checkout: their content, and that they work in a pod with few rights.

Covered: user, labels, size; a night reduced in a pod with the `restricted` level and a read-only root file system,
without compilation; no shell and no program but Python; the bill of materials, compared with its schema and with the
image; the start of the other images; the layers that a new version changes. `make test` runs the tests of an image only
if its Dockerfile has changed; the code is tested in the observer's image by all other tests on the node. Not covered:
lint (tests/unit/test_images).
"""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from gozen.version import code_version

from .images import configuration, export_image, size_mb
from .node import Node
from .own_images import ROOT, load_own_images, own_image
from .processes import wait_until

pytestmark = [pytest.mark.node, pytest.mark.xdist_group("node")]
of_each_image = pytest.mark.proved_for(
    "images", "constraints.txt", "pyproject.toml", "setup.py",
    *(f"tests/cluster/{name}.py" for name in ("test_images", "images", "own_images")),
)  # fmt: skip
NAMES = ("pipeline", "observer", "operator")
LARGEST_MB = {"pipeline": 950, "observer": 1000, "operator": 220}
LARGEST_LAYER_OF_OURS = 40_000_000
SECONDS_TO_RUN = 240
COMPILE = ROOT / "images" / "pipeline" / "compile"
PYTHON = "/opt/gozen/bin/python"
NIGHT = """
import os, pathlib, subprocess
compiled = lambda: len(list(pathlib.Path(os.environ["NUMBA_CACHE_DIR"]).rglob("*.nbc")))
before = compiled()
for words in (
    "simulate /night/recipe.yaml --night 20260115 --sensors 111 --events",
    "masters",
    "run /night/recipe.yaml",
    "night append 20260115",
):
    subprocess.run(["gozen", *words.split()], check=True)
print(f"compiled {before}, then {compiled()}")
print(os.getuid())
"""
# What an intruder would look for, seen from inside.
HOLDS = """
import json, os, pathlib, stat, sys
found = {"programs": [], "packages": sorted(os.listdir("/var/lib/dpkg/status.d")), "set": [], "written": []}
for folder, _, names in os.walk("/"):
    if folder.startswith(("/proc", "/sys", "/dev", "/tmp", "/run", "/var/run")):
        continue
    for name in names:
        path = pathlib.Path(folder, name)
        if path.is_symlink() or not path.is_file():
            continue
        mode = path.stat().st_mode
        if mode & (stat.S_ISUID | stat.S_ISGID):
            found["set"].append(str(path))
        if mode & 0o111 and folder in ("/bin", "/sbin", "/usr/bin", "/usr/sbin", "/usr/local/bin"):
            found["programs"].append(name)
for path in ("/opt/gozen/x", "/usr/x", "/etc/x", "/x"):
    try:
        open(path, "w").close()
        found["written"].append(path)
    except OSError as error:
        assert error.errno in (13, 30), error
from importlib.metadata import distributions
found["distributions"] = sorted(f"{one.metadata['Name']} {one.version}".lower() for one in distributions())
found["sbom"] = json.loads(next(pathlib.Path("/usr/share/sbom").iterdir()).read_text())
found["user"] = os.getuid()
found["certificates"] = __import__("ssl").create_default_context().cert_store_stats()["x509_ca"]
print(json.dumps(found))
"""


@pytest.fixture(scope="module", params=NAMES)
def image(root: None, request: pytest.FixtureRequest) -> tuple[str, str]:
    """Return the name and the tag of an image."""
    return request.param, own_image(request.param)


@of_each_image
def test_it_says_what_it_is_and_is_not_root(image: tuple[str, str]) -> None:
    name, tag = image
    config = configuration(tag)
    assert config["User"] == "10001:10001"
    assert config["Labels"]["org.opencontainers.image.title"] == f"gozen-{name}"
    assert config["Labels"]["org.opencontainers.image.licenses"] == "BSD-3-Clause"
    assert config["Labels"]["org.opencontainers.image.version"] == code_version()


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
    tag = load_own_images(node)["pipeline"]
    environment = [
        {"name": "GOZEN_INSTRUMENT", "value": "/night/camera.yaml"},
        {"name": "GOZEN_ARCHIVE", "value": "/tmp/archive"},
        {"name": "GOZEN_WORKERS", "value": "1"},
    ]
    manifest = pod("night", tag, command=["with-compiled", PYTHON, "-c", NIGHT], env=environment)
    node.kubectl("apply", "--namespace", namespace, "-f", "-", stdin=manifest, check=True)
    phase, said = outcome(node, namespace, "night")
    assert phase == "Succeeded", said
    assert "1 reduced, 0 rejected, 0 failed" in said
    counts = next(line for line in said.splitlines() if line.startswith("compiled "))
    before, after = counts.removeprefix("compiled ").split(", then ")
    assert int(before) > 40
    assert after == before
    assert said.splitlines()[-1] == "10001"


@of_each_image
@pytest.mark.parametrize("name", NAMES)
def test_there_is_no_shell_and_a_list_of_all_that_is(node: Node, namespace: str, name: str) -> None:
    tag = own_image(name)
    node.load_image(tag)
    manifest = pod(f"{name}-holds", tag, command=[PYTHON, "-c", HOLDS])
    node.kubectl("apply", "--namespace", namespace, "-f", "-", stdin=manifest, check=True)
    phase, said = outcome(node, namespace, f"{name}-holds")
    assert phase == "Succeeded", said
    found = json.loads(said)
    assert set(found["programs"]) <= {"python3.11", "python3.12", "python3.13", "with-compiled"}
    assert (found["set"], found["written"], found["user"]) == ([], [], 10001)
    assert found["certificates"] > 50
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(found["sbom"])) is None
    listed = {
        (one.get("purl", "pkg:pypi/gozen").partition("/")[0], one["name"].lower(), one["version"])
        for one in found["sbom"]["components"]
    }
    of_python = {tuple(one.split(" ", 1)) for one in found["distributions"]}
    assert {(which, version) for kind, which, version in listed if kind == "pkg:pypi"} == of_python
    assert sorted(which for kind, which, _ in listed if kind == "pkg:deb") == found["packages"]
    assert f"gozen {code_version()}" in found["distributions"]
    assert {"libc6", "libssl3"} <= set(found["packages"]) or {"libc6", "libssl3t64"} <= set(found["packages"])


@of_each_image
@pytest.mark.parametrize(("name", "word"), [("operator", "GOZEN_OPERATOR_"), ("observer", "gozen-observer")])
def test_the_processes_of_the_chart_start(node: Node, namespace: str, name: str, word: str) -> None:
    tag = own_image(name)
    node.load_image(tag)
    manifest = pod(name, tag, args=["--help"])
    node.kubectl("apply", "--namespace", namespace, "-f", "-", stdin=manifest, check=True)
    phase, said = outcome(node, namespace, name)
    assert phase == "Succeeded", said
    assert word in said


@of_each_image
@pytest.mark.parametrize("name", ["operator", "observer"])
def test_what_is_ours_is_a_small_layer_above_all_that_others_wrote(root: None, tmp_path: Path, name: str) -> None:
    export_image(own_image(name), tmp_path / "image.tar")
    with tarfile.open(tmp_path / "image.tar") as whole:
        layers = json.load(whole.extractfile("manifest.json"))[0]["Layers"]
        ours = []
        for layer in layers:
            with tarfile.open(fileobj=whole.extractfile(layer)) as files:
                if any("/site-packages/gozen" in one for one in files.getnames()):
                    ours.append(layer)
        assert ours == layers[-1:]
        assert whole.getmember(ours[0]).size < LARGEST_LAYER_OF_OURS


@of_each_image
def test_none_is_larger_than_it_must_be(image: tuple[str, str]) -> None:
    name, tag = image
    assert size_mb(tag) < LARGEST_MB[name]
