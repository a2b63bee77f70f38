"""The archive's volume in users' namespaces on a real API server, with the account and the settings of the chart.

Covered, for each kind of source: a namespace gets a volume and a claim that name each other, both read-only; repeated,
for two users, for another source, and in a namespace that is created again; the pods of labs and workers mount the
claim; what the account cannot do even if its program is taken over. Not covered: a node (test_archive_on_a_node).
"""

from __future__ import annotations

import copy
import json
import secrets
from collections.abc import Iterator
from typing import Any

import pytest
from kubernetes import config

from gozen_hub.hub_settings import HubSettings
from gozen_hub.lab_pods import archive_volumes
from gozen_hub.namespaces.make_namespace import make_namespace
from gozen_operator.api_server.connection import ApiConnection
from gozen_operator.api_server.responses import RefusedError

from .api_server import ApiServer
from .archive_pods import reading_pods
from .users_release import LOGIN, Manifest, Users, forget, users

pytestmark = pytest.mark.xdist_group("api")
SOURCES: dict[str, Manifest] = {
    "nfs": {"nfs": {"server": "files.sky", "path": '/srv/sky "deep"'}},
    "csi": {
        "csi": {
            "driver": "nfs.csi.k8s.io",
            "volumeHandle": "sky-{namespace}",
            "volumeAttributes": {"server": "files.sky", "share": "/srv/sky"},
            "nodePublishSecretRef": {"name": "of-files", "namespace": "kube-system"},
        }
    },
    "folder": {"hostPath": {"path": "/srv/sky"}},
}
CHANGES: dict[str, list[Manifest]] = {
    "nfs": [{"readOnly": False}, {"path": "/"}, {"server": "another"}],
    "csi": [
        {"readOnly": False},
        {"driver": "another"},
        {"volumeHandle": "sky-{namespace}"},
        {"volumeAttributes": {"server": "files.sky", "share": "/"}},
        {"volumeAttributes": {"server": "files.sky", "share": "/srv/sky", "subDir": "x"}},
        {"nodePublishSecretRef": {"name": "another", "namespace": "kube-system"}},
        {"nodeStageSecretRef": {"name": "another", "namespace": "kube-system"}},
        {"fsType": "ext4"},
    ],
    "hostPath": [{"path": "/srv"}, {"type": "DirectoryOrCreate"}],
}
"""Other sources that a volume of each kind must not have."""
VOLUMES, CLAIMS = "/api/v1/persistentvolumes", "/api/v1/namespaces/{}/persistentvolumeclaims"


@pytest.fixture(scope="module", params=SOURCES)
def service(
    api_server: ApiServer, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Users]:
    source = SOURCES[request.param]
    volume = {"source": source} | ({} if request.param == "folder" else {"mount_options": ["nfsvers=4.2", "nodev"]})
    settings = {
        "login": LOGIN,
        "archive": {"volume": volume},
        "access": {"everyone": True},
        "namespaces": {"prefix": request.param},
    }
    values = {
        "archive": {"volume": {"claimName": "sky"}},
        "hub": {"enabled": True, "publicUrl": "https://sky.example.org", "settings": settings},
    }
    found = users(api_server, tmp_path_factory.mktemp("volumes"), f"with-{request.param}", values)
    yield found
    forget(found)


@pytest.fixture(scope="module")
def ada(service: Users) -> str:
    """Return the namespace of a user."""
    name = f"{service.settings.namespaces.prefix}-ada"
    assert service.ask(name, "ada")[0] == 200
    return name


def claim_of(service: Users, namespace: str, settings: HubSettings | None = None) -> Manifest:
    found: Manifest = service.get("pvc", "-n", namespace, (settings or service.settings).archive.mounted)
    return found


def volume_of(service: Users, namespace: str) -> Manifest:
    found: Manifest = service.get("pv", claim_of(service, namespace)["spec"]["volumeName"])
    return found


def test_a_namespace_has_a_claim_and_a_volume_for_it_alone(service: Users, ada: str) -> None:
    claim, volume = claim_of(service, ada), volume_of(service, ada)
    assert volume["spec"]["claimRef"].items() >= {"namespace": ada, "name": claim["metadata"]["name"]}.items()
    assert claim["spec"]["accessModes"] == volume["spec"]["accessModes"] == ["ReadOnlyMany"]
    assert claim["spec"]["storageClassName"] == volume["spec"].get("storageClassName", "") == ""
    assert claim["spec"]["resources"]["requests"] == volume["spec"]["capacity"]
    assert volume["spec"]["persistentVolumeReclaimPolicy"] == "Retain"
    (owner,) = volume["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["uid"]) == ("Namespace", service.get("namespace", ada)["metadata"]["uid"])


def test_the_volume_leads_to_the_source_of_the_settings_and_is_read_only(service: Users, ada: str) -> None:
    wanted = service.settings.archive.volume
    assert wanted is not None
    ((kind, source),) = copy.deepcopy(wanted.source).items()
    if kind == "hostPath":
        source["type"] = "Directory"
    else:
        source["readOnly"] = True
    if kind == "csi":
        source["volumeHandle"] = f"sky-{ada}"
    found = volume_of(service, ada)["spec"]
    assert found[kind] == source
    assert found.get("mountOptions", []) == list(wanted.mount_options)


@pytest.mark.parametrize("role", ["lab", "worker"])
def test_pods_of_labs_and_workers_mount_this_claim_for_reading(service: Users, ada: str, role: str) -> None:
    """The API server accepts such a pod under the level of the namespace; a node runs it in test_archive_on_a_node."""
    pod = reading_pods(service.settings, "an-image", "python")[role]
    (claim,) = (one["persistentVolumeClaim"] for one in pod["spec"]["volumes"] if "persistentVolumeClaim" in one)
    assert claim == {"claimName": claim_of(service, ada)["metadata"]["name"], "readOnly": True}
    (container,) = pod["spec"]["containers"]
    assert {"name": "data", "mountPath": "/data", "readOnly": True} in container["volumeMounts"]
    assert {"name": "GOZEN_ARCHIVE", "value": "/data"} in container["env"]
    create = ("create", "-n", ada, "--dry-run=server", "-f", "-")
    service.server.kubectl(*create, stdin=json.dumps(pod), check=True)


def test_asked_again_nothing_changes(service: Users, ada: str) -> None:
    def both() -> list[Manifest]:
        found = [claim_of(service, ada), volume_of(service, ada)]
        for one in found:
            del one["metadata"]["resourceVersion"]  # of a claim it changes once, by what the API server adds to it
        return found

    before = both()
    assert service.ask(ada, "ada")[0] == 200
    assert both() == before


def test_each_user_has_a_separate_volume(service: Users, ada: str) -> None:
    grace = ada.replace("ada", "grace")
    assert service.ask(grace, "grace")[0] == 200
    mine, theirs = volume_of(service, ada), volume_of(service, grace)
    assert mine["metadata"]["name"] != theirs["metadata"]["name"]
    assert (mine["spec"]["claimRef"]["namespace"], theirs["spec"]["claimRef"]["namespace"]) == (ada, grace)


def test_a_namespace_made_again_gets_another_volume(service: Users, ada: str) -> None:
    """The old volume is released, and Kubernetes never binds it again."""
    name = ada.replace("ada", "mary")
    assert service.ask(name, "mary")[0] == 200
    before = volume_of(service, name)["metadata"]["name"]
    service.server.kubectl("delete", "pvc", "--all", "-n", name, "--wait=false", check=True)
    service.server.kubectl("delete", "namespace", name, "--wait=false", check=True)
    # Nothing but an API server runs here: what controllers do at the end of a namespace.
    patch = ("--type=merge", '--patch={"metadata":{"finalizers":null}}')
    service.server.kubectl("patch", "pvc", "-n", name, service.settings.archive.mounted, *patch)
    gone = service.get("namespace", name) | {"spec": {"finalizers": []}}
    path = f"/api/v1/namespaces/{name}/finalize"
    service.server.kubectl("replace", "--raw", path, "-f", "-", stdin=json.dumps(gone), check=True)
    assert service.ask(name, "mary")[0] == 200
    assert volume_of(service, name)["metadata"]["name"] != before


def test_another_source_gets_other_claims_and_leaves_those_that_labs_use(service: Users, ada: str) -> None:
    """Kubernetes changes neither the source of a volume nor the volume of a claim."""
    before = claim_of(service, ada)
    settings = service.settings.model_dump()
    moved = {"source": {"nfs": {"server": "another", "path": "/sky"}}}
    settings["archive"]["volume"] = moved
    changed = HubSettings.model_validate(settings)
    make_namespace(administrator(service), ada, "ada", changed)
    after = claim_of(service, ada, changed)
    assert after["spec"]["volumeName"] != before["spec"]["volumeName"]
    assert claim_of(service, ada)["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]
    assert archive_volumes(changed)[0]["persistentVolumeClaim"]["claimName"] == after["metadata"]["name"]


def administrator(service: Users) -> ApiConnection:
    """Return the connection of an administrator: the account of the service is held to its source by the policy."""
    return ApiConnection(config.new_client_from_config(str(service.server.kubeconfig)))


def test_the_account_makes_no_volume_with_another_source(service: Users, ada: str) -> None:
    settings = service.settings.model_dump()
    settings["archive"]["volume"] = {"source": {"hostPath": {"path": "/"}}}
    root = HubSettings.model_validate(settings)
    with pytest.raises(RefusedError, match=r"lead to the archive, as hub\.settings\.archive\.volume names it"):
        make_namespace(service.account, ada, "ada", root)


def changed_volume(service: Users, ada: str, **spec: Any) -> tuple[str, Manifest]:
    """Return a volume as the service makes it, with another name and changes; and its path."""
    found = volume_of(service, ada)
    kept = {key: value for key, value in found["spec"].items() if key not in ("volumeMode",)}
    kept["claimRef"] = {key: kept["claimRef"][key] for key in ("apiVersion", "kind", "namespace", "name")}
    name = f"{found['metadata']['name']}-{secrets.token_hex(3)}"
    manifest = {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": kept | spec}
    return f"{VOLUMES}/{name}", manifest


def for_another(volume: Manifest, kind: str, namespace: str) -> Manifest:
    """Return the changes with which a volume is for a claim of another namespace."""
    handle = {"volumeHandle": f"sky-{namespace}"} if kind == "csi" else {}
    return {"claimRef": volume["spec"]["claimRef"] | {"namespace": namespace}, kind: volume["spec"][kind] | handle}


def kind_of(service: Users) -> str:
    volume = service.settings.archive.volume
    assert volume is not None
    return next(iter(volume.source))


def test_a_stolen_account_makes_only_volumes_of_the_archive_for_users(service: Users, ada: str) -> None:
    path, good = changed_volume(service, ada)
    assert service.refusal(path, good) == ""
    kind, claim, elsewhere = kind_of(service), good["spec"]["claimRef"], "lead to the archive"
    for change, said in (
        ({kind: None, "hostPath": {"path": "/", "type": "Directory"}}, elsewhere),
        ({kind: None, "nfs": {"server": "files.sky", "path": "/", "readOnly": True}}, elsewhere),
        *(({kind: good["spec"][kind] | one}, elsewhere) for one in CHANGES[kind]),
        ({"mountOptions": ["rw"]}, elsewhere),
        ({"accessModes": ["ReadWriteMany"]}, "is only read"),
        ({"persistentVolumeReclaimPolicy": "Delete"}, "its files are kept"),
        *((for_another(good, kind, one), "for a claim of a user's namespace") for one in ("kube-system", f"{ada}-x")),
        ({"claimRef": claim | {"name": "home"}}, "for a claim of a user's namespace"),
        ({"claimRef": None}, "ValidatingAdmissionPolicy"),
    ):
        changed = good | {"spec": {key: one for key, one in (good["spec"] | change).items() if one is not None}}
        assert said in service.refusal(path, changed), change
    named = good | {"metadata": {"name": "of-others"}}
    assert "for a claim of a user's namespace" in service.refusal(f"{VOLUMES}/of-others", named)
    assert service.refusal(path, good, "DELETE") != ""


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("archive-new", {}, ""),
        ("home", {}, "is that of the archive"),
        ("archive-new", {"accessModes": ["ReadWriteMany"]}, "is that of the archive"),
        ("archive-new", {"storageClassName": "fast"}, "is that of the archive"),
        ("archive-new", {"storageClassName": None}, "is that of the archive"),
        ("archive-new", {"volumeName": "of-others"}, "is that of the archive"),
        ("archive-new", {"volumeName": None}, "is that of the archive"),
    ],
)
def test_a_stolen_account_makes_only_claims_of_the_archive(
    service: Users, ada: str, name: str, change: Manifest, said: str
) -> None:
    spec = claim_of(service, ada)["spec"] | change
    spec = {key: one for key, one in spec.items() if one is not None and key != "volumeMode"}
    manifest = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name}, "spec": spec}
    found = service.refusal(f"{CLAIMS.format(ada)}/{name}", manifest)
    assert said in found if said else found == ""
    assert "names begin with" in service.refusal(f"{CLAIMS.format(service.place)}/{name}", manifest)


@pytest.mark.parametrize("words", ["get persistentvolumes", "delete persistentvolumes", "list persistentvolumeclaims"])
def test_the_account_reads_and_deletes_no_volumes(service: Users, ada: str, words: str) -> None:
    who = f"--as=system:serviceaccount:{service.place}:{service.place}-gozen-namespaces"
    said = service.server.kubectl("auth", "can-i", *words.split(), "-n", ada, who)
    assert said.stdout.split()[0] == "no", said.stdout + said.stderr
