"""An archive on a volume on a real node: labs and workers of each user read it, and cannot write to it.

The volume is a folder of the node, whose files everybody could change if the mount allowed it. Here a controller binds
volume and claim, and deletes the volume after its namespace. Objects and rights: test_user_volumes.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from kubernetes import config
from tests.portal_samples import sample_archive

from gozen_hub.hub_settings import HubSettings
from gozen_hub.namespaces.make_namespace import make_namespace
from gozen_operator.api_server.connection import ApiConnection

from .archive_pods import reading_pods
from .guarded import PYTHON
from .node import Node
from .own_images import load_own_images
from .processes import wait_until
from .users_release import LOGIN

pytestmark = [pytest.mark.node, pytest.mark.xdist_group("node"), pytest.mark.timeout(900)]
PREFIX = "volume-user"
SECONDS = 120
REFUSED = dict.fromkeys(("new", "change", "delete", "rename", "rights", "folder"), "EROFS")


@dataclass(frozen=True)
class Place:
    """A node, and a folder of it that contains an archive."""

    node: Node
    archive: Path
    settings: HubSettings
    image: str

    def namespace(self, user: str) -> str:
        """Make the namespace of a user as the service for namespaces does; wait until its claim is bound."""
        name = f"{PREFIX}-{user}"
        connection = ApiConnection(config.new_client_from_config(str(self.node.kubeconfig)))
        make_namespace(connection, name, user, self.settings)
        wait_until(lambda: self.claim(name)["status"]["phase"] == "Bound", "the claim", SECONDS)
        return name

    def claim(self, namespace: str) -> Any:
        """Return the claim of a namespace."""
        words = ("get", "pvc", self.settings.archive.mounted, "--output=json")
        return json.loads(self.node.kubectl("--namespace", namespace, *words, check=True).stdout)

    def said(self, namespace: str, pod: dict[str, Any]) -> Any:
        """Run a pod to its end; return what it has printed."""
        where, name = ("--namespace", namespace), pod["metadata"]["name"]
        # A quota refuses pods until its controller has seen it.
        created = ("create", "-f", "-")
        wait_until(lambda: not self.node.kubectl(*where, *created, stdin=json.dumps(pod)).returncode, name, SECONDS)
        phase = ("get", "pod", name, "--output=jsonpath={.status.phase}")
        wait_until(lambda: self.node.kubectl(*where, *phase).stdout in ("Succeeded", "Failed"), name, SECONDS)
        return json.loads(self.node.kubectl(*where, "logs", name, check=True).stdout)


@pytest.fixture(scope="module")
def place(node: Node, tmp_path_factory: pytest.TempPathFactory) -> Place:
    archive = tmp_path_factory.mktemp("volume") / "archive"
    archive.mkdir()
    sample_archive(archive)
    for path in (archive, *archive.rglob("*")):
        path.chmod(0o777)
    small = {"cpu_guarantee": 0.02, "memory_guarantee": "64M"}
    settings = HubSettings.model_validate(
        {
            "login": LOGIN,
            "namespaces": {"prefix": PREFIX},
            "archive": {"volume": {"source": {"hostPath": {"path": str(archive)}}}},
            "access": {"everyone": True},
            "workers": small,
        }
    )
    return Place(node, archive, settings, load_own_images(node)["pipeline"])


@pytest.fixture(scope="module")
def hoshi(place: Place) -> str:
    """Return the namespace of a user."""
    return place.namespace("hoshi")


@pytest.mark.parametrize("role", ["lab", "worker"])
def test_labs_and_workers_read_the_archive_and_cannot_write_to_it(place: Place, hoshi: str, role: str) -> None:
    before = contents(place.archive)
    pod = reading_pods(place.settings, place.image, PYTHON)[role]
    assert place.said(hoshi, pod) == {"root": "/data", "tables": ["lightcurves"], "writes": REFUSED}
    assert contents(place.archive) == before


def contents(archive: Path) -> dict[str, bytes]:
    """Return all files of the archive."""
    return {str(path): path.read_bytes() for path in archive.rglob("*") if path.is_file()}


def test_another_user_reads_the_same_files_by_another_volume(place: Place, hoshi: str) -> None:
    sora = place.namespace("sora")
    assert place.claim(sora)["spec"]["volumeName"] != place.claim(hoshi)["spec"]["volumeName"]
    pod = reading_pods(place.settings, place.image, PYTHON)["lab"]
    assert place.said(sora, pod) == {"root": "/data", "tables": ["lightcurves"], "writes": REFUSED}


def test_the_volume_goes_with_its_namespace_and_the_files_stay(place: Place) -> None:
    before = contents(place.archive)
    name = place.namespace("tsuki")
    volume = place.claim(name)["spec"]["volumeName"]
    place.node.kubectl("delete", "namespace", name, seconds=SECONDS, check=True)
    wait_until(lambda: bool(place.node.kubectl("get", "pv", volume).returncode), "the end of the volume", SECONDS)
    assert contents(place.archive) == before
    pod = reading_pods(place.settings, place.image, PYTHON)["lab"]
    assert place.said(place.namespace("tsuki"), pod)["tables"] == ["lightcurves"]
