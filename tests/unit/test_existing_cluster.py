"""``make platform CONTEXT=NAME``: which cluster is taken, and how images reach it. No cluster is needed here.

Covered: a context of the environment chooses nothing; a cluster with something of Gozen is refused. That the platform
runs in a cluster that exists was tried by hand: docs/how-to/cluster.md says with which one.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.cluster.existing_cluster import Foreign, require_free
from tests.cluster.processes import StartError

ROOT = Path(__file__).parents[2]


def started_by_make(*given: str, **environment: str) -> str:
    """Return how `make platform` would start the program."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    command = ["make", "--dry-run", "--no-print-directory", "platform", *given]
    done = subprocess.run(command, cwd=ROOT, env={**clean, **environment}, capture_output=True, text=True, timeout=60)
    return done.stdout.splitlines()[-1].split(" -m ")[1].strip()


def test_a_cluster_is_taken_only_if_the_command_line_names_it() -> None:
    assert started_by_make(CONTEXT="production", REGISTRY="r") == "tests.cluster platform"
    found = started_by_make("CONTEXT=kind-sky", "LOAD=k3s ctr images import")
    assert found == "tests.cluster platform --context 'kind-sky' --load 'k3s ctr images import'"


@pytest.mark.parametrize(
    ("foreign", "command"),
    [
        (Foreign("kind-sky"), "kind load image-archive --name sky"),
        (Foreign("kind-sky", load="other"), "other"),
        (Foreign("lab", load="minikube image load"), "minikube image load"),
        (Foreign("lab", registry="registry.example.org/sky"), ""),
    ],
    ids=["kind", "kind, another command", "a command", "a registry"],
)
def test_the_way_of_images_is_that_of_kind_or_the_one_that_is_given(foreign: Foreign, command: str) -> None:
    assert foreign.way_of_images() == command


@pytest.mark.parametrize(
    ("foreign", "said"),
    [
        (Foreign("lab"), "how do images get into the cluster lab"),
        (Foreign("lab", load="a", registry="b"), "give LOAD or REGISTRY, not both"),
    ],
    ids=["none", "two"],
)
def test_without_one_way_of_images_nothing_begins(foreign: Foreign, said: str) -> None:
    with pytest.raises(StartError, match=said):
        foreign.way_of_images()


class Cluster:
    """A cluster with some namespaces and CustomResourceDefinitions, or one that does not answer."""

    def __init__(self, error: str = "", **names: str) -> None:
        self._error, self._names = error, names

    def kubectl(self, verb: str, kind: str, *_: str) -> Any:
        assert verb == "get"
        return SimpleNamespace(returncode=bool(self._error), stderr=self._error, stdout=self._names.get(kind, ""))


@pytest.mark.parametrize(
    ("cluster", "said"),
    [
        (Cluster(namespaces="default platform"), "has platform already"),
        (Cluster(namespaces="gozen-user-hoshi"), "has gozen-user-hoshi already"),
        (Cluster(crd="a.example.org observations.gozen.astro"), "has observations.gozen.astro already"),
        (Cluster(crd="daskclusters.kubernetes.dask.org"), "has daskclusters.kubernetes.dask.org already"),
        (Cluster("refused"), "does not answer: refused"),
    ],
    ids=["the release", "a user", "resources of Gozen", "resources of Dask", "no answer"],
)
def test_a_cluster_that_has_something_of_it_is_not_touched(cluster: Any, said: str) -> None:
    with pytest.raises(StartError, match=said):
        require_free(cluster, "lab")


def test_any_other_cluster_is_taken() -> None:
    require_free(Cluster(namespaces="default kube-system platform-team", crd="a.example.org"), "lab")
