"""Test the Dockerfiles as far as possible without a build: lint, and the imports of the operator.

Not covered: the images (tests/cluster/test_images). The commands for people and the observer are in other images.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
DOCKERFILES = sorted(ROOT.glob("images/*/Dockerfile"))
# Imports as in the image: what the image does not hold cannot be found, though it is installed here.
LOADS_ALL = """
import importlib, json, pkgutil, sys
missing = set(json.load(sys.stdin))
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in missing:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Missing())
import gozen_operator
for module in pkgutil.walk_packages(gozen_operator.__path__, "gozen_operator."):
    if not module.name.startswith(("gozen_operator.observer", "gozen_operator.cli_verbs")):
        importlib.import_module(module.name)
import gozen.archive.stores.s3_store, gozen.archive.stores.open_store, gozen.instrument.profile
"""


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.parent.name)
def test_a_dockerfile_is_clean(dockerfile: Path) -> None:
    hadolint = Path(sys.executable).parent / "hadolint"
    done = subprocess.run([hadolint, "--failure-threshold", "info", dockerfile], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_there_are_dockerfiles() -> None:
    assert [path.parent.name for path in DOCKERFILES] == ["hub", "lab", "operator", "pipeline"]


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.parent.name)
def test_a_commit_changes_the_last_steps_of_a_build_alone(dockerfile: Path) -> None:
    stages = re.split(r"^FROM ", dockerfile.read_text().replace("\\\n", " "), flags=re.MULTILINE)
    (ours,) = (stage for stage in stages if stage.partition("\n")[0].endswith("AS build"))
    _, last = ours.split("ARG VERSION=")
    assert last.count("\nRUN ") == 1
    assert "\nCOPY " not in last
    given = "SETUPTOOLS_SCM_PRETEND_VERSION_FOR_GOZEN"
    assert f"{given}=${{VERSION}} " in last
    assert ours.count("uv pip install") == ours.count(given)  # there is no git that would say it
    for stage in (stage for stage in stages if "\nENTRYPOINT" in stage):
        assert 'LABEL org.opencontainers.image.version="${VERSION}"' in stage.split("ARG VERSION=")[1]


def test_the_operator_imports_what_its_image_holds() -> None:
    listed = (ROOT / "images/operator/requirements.txt").read_text().splitlines()
    held = {"gozen"} | with_dependencies({line for line in listed if line and not line.startswith("#")})
    packages = metadata.packages_distributions()
    missing = [name for name, owners in packages.items() if held.isdisjoint(map(canonicalize_name, owners))]
    words = [sys.executable, "-c", LOADS_ALL]
    done = subprocess.run(words, input=json.dumps(missing), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def with_dependencies(names: set[str]) -> set[str]:
    """Return distributions and all that they need."""
    found: set[str] = set()
    waiting = [Requirement(name).name for name in names]
    while waiting:
        name = str(canonicalize_name(waiting.pop()))
        if name not in found:
            found.add(name)
            needs = (Requirement(text) for text in metadata.requires(name) or ())
            waiting += [one.name for one in needs if one.marker is None or one.marker.evaluate({"extra": ""})]
    return found
