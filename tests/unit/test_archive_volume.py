"""Test the archive's volume in users' namespaces: the volumes and claims, and when they are created.

With an API server and the chart's policy: cluster/test_user_volumes. Pods that mount the volume:
test_lab_and_worker_pods. On a node: cluster/test_archive_on_a_node.
"""

from __future__ import annotations

from typing import Any

import pytest

from gozen_hub.archive_settings import ArchiveVolume
from gozen_hub.hub_settings import HubSettings
from gozen_hub.namespaces.archive_volume import volume_objects
from gozen_hub.namespaces.make_namespace import make_namespace
from gozen_operator.api_server.api_request import ApiRequest

NFS: dict[str, Any] = {"nfs": {"server": "files", "path": "/sky"}}
CSI: dict[str, Any] = {"csi": {"driver": "d", "volumeHandle": "sky-{namespace}", "readOnly": False}}


def pair(source: dict[str, Any], namespace: str = "gozen-user-ada", uid: str = "1234567890", **more: Any) -> Any:
    """Return the volume and the claim of a namespace."""
    volume = ArchiveVolume.model_validate({"source": source, **more})
    return [one.manifest for one in volume_objects(namespace, uid, volume)]


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        (NFS, {"nfs": {"server": "files", "path": "/sky", "readOnly": True}}),
        (CSI, {"csi": {"driver": "d", "volumeHandle": "sky-gozen-user-ada", "readOnly": True}}),
        (
            {"csi": {"driver": "d", "volumeHandle": "fs-1"}},
            {"csi": {"driver": "d", "volumeHandle": "fs-1", "readOnly": True}},
        ),
        ({"hostPath": {"path": "/sky"}}, {"hostPath": {"path": "/sky", "type": "Directory"}}),
    ],
    ids=["nfs", "csi", "one handle", "folder"],
)
def test_the_source_is_that_of_the_settings_for_reading(source: dict[str, Any], wanted: dict[str, Any]) -> None:
    volume, claim = pair(source)
    assert volume["spec"].items() >= wanted.items()
    assert volume["spec"]["accessModes"] == claim["spec"]["accessModes"] == ["ReadOnlyMany"]
    assert volume["spec"]["persistentVolumeReclaimPolicy"] == "Retain"


def test_volume_and_claim_name_each_other() -> None:
    volume, claim = pair(NFS)
    assert claim["spec"]["volumeName"] == volume["metadata"]["name"]
    assert (
        volume["spec"]["claimRef"].items()
        >= {
            "namespace": claim["metadata"]["namespace"],
            "name": claim["metadata"]["name"],
        }.items()
    )


def test_names_of_volumes_differ_by_user_by_namespace_made_again_and_by_source() -> None:
    options = {"mount_options": ["nfsvers=4.2"]}
    made = [pair(NFS), pair(NFS, "gozen-user-eve"), pair(NFS, uid="999999999"), pair(CSI), pair(NFS, **options)]
    assert len({volume["metadata"]["name"] for volume, _ in made}) == len(made)
    claims = [claim["metadata"]["name"] for _, claim in made]
    assert claims[0] == claims[1] == claims[2]
    assert len(set(claims)) == 3
    assert made[-1][0]["spec"]["mountOptions"] == ["nfsvers=4.2"]
    assert pair(NFS) == pair(NFS)


class FakeConnection:
    """An API server that accepts everything, and notes the kinds."""

    def __init__(self) -> None:
        self.applied: list[str] = []
        self.owners: list[str] = []

    def unless_gone(self, request: ApiRequest) -> None:
        assert request.method == "GET"

    def answer(self, request: ApiRequest) -> dict[str, Any]:
        self.applied.append(request.body["kind"])
        self.owners += [one["uid"] for one in request.body["metadata"].get("ownerReferences", ())]
        return {"metadata": {"uid": "uid-of-the-answer"}}


@pytest.mark.parametrize("volume", [None, {"source": NFS}])
def test_the_claim_is_there_before_those_who_may_start_pods(volume: dict[str, Any] | None) -> None:
    login = {"method": "test", "test": {"users": ["ada"], "password_file": "/p"}}
    bindings = {"hub": {"role": "r", "service_account": "hub", "namespace": "sky"}}
    settings = HubSettings.model_validate(
        {
            "login": login,
            "namespaces": {"bindings": bindings},
            "archive": {"volume": volume},
            "access": {"everyone": True},
        }
    )
    connection: Any = FakeConnection()
    make_namespace(connection, "gozen-user-ada", "ada", settings)
    kinds = connection.applied
    assert (kinds[0], kinds[-1]) == ("Namespace", "RoleBinding")
    assert kinds.count("PersistentVolume") == kinds.count("PersistentVolumeClaim") == (volume is not None)
    assert connection.owners == ["uid-of-the-answer"] * (volume is not None)
