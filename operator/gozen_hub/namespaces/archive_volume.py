"""The archive's volume in a user's namespace: a PersistentVolume for this namespace alone, and its claim. No I/O.

A pod mounts only claims of its own namespace, and a PersistentVolume has one claim. So each namespace has both, and all
these volumes lead to the same files. Labs could not write even if their pods mounted the claim for writing: volumes of
nfs and csi are read-only themselves. Kubernetes has no such field for a folder of the nodes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gozen_hub.archive_settings import ArchiveVolume
from gozen_hub.namespaces.namespace_objects import OWNED, Applied, Manifest, of_namespace

_SIZE = "1Mi"
"""Kubernetes requires a size, but limits nothing by the size of an existing volume; it counts towards the quota."""
_MODES = ["ReadOnlyMany"]


def volume_objects(namespace: str, uid: str, volume: ArchiveVolume) -> Iterator[Applied]:
    """Yield the volume of a namespace and the claim for it.

    Parameters
    ----------
    uid
        Uid of the namespace. A namespace that was deleted and made again needs another volume: Kubernetes never binds
        a released one again.
    """
    name = f"{namespace}-{volume.claim}-{uid[:8]}"
    # Kubernetes deletes the volume after its namespace; the policy Retain keeps the files.
    owner = {"apiVersion": "v1", "kind": "Namespace", "name": namespace, "uid": uid}
    claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": namespace, "name": volume.claim}
    spec: Manifest = {
        "capacity": {"storage": _SIZE},
        "accessModes": _MODES,
        "persistentVolumeReclaimPolicy": "Retain",
        "storageClassName": "",
        "claimRef": claim,
        "mountOptions": list(volume.mount_options),
        **_source(volume, namespace),
    }
    meta = {"name": name, "labels": OWNED, "ownerReferences": [owner]}
    manifest = {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": meta, "spec": spec}
    yield Applied(f"/api/v1/persistentvolumes/{name}", manifest)
    wanted = {
        "accessModes": _MODES,
        "storageClassName": "",  # no class: it must not be made, but be this volume
        "volumeName": name,
        "resources": {"requests": {"storage": _SIZE}},
    }
    yield of_namespace(
        "v1", "persistentvolumeclaims", "PersistentVolumeClaim", namespace, volume.claim, {"spec": wanted}
    )


def _source(volume: ArchiveVolume, namespace: str) -> Manifest:
    """Return the source in the form of a PersistentVolume; the chart's admission policy accepts no other."""
    ((kind, given),) = volume.source.items()
    if kind == "hostPath":
        return {kind: {**given, "type": given.get("type") or "Directory"}}
    found: dict[str, Any] = {**given, "readOnly": True}
    if "volumeHandle" in found:  # most drivers keep their notes of a mounted volume by it
        found["volumeHandle"] = str(found["volumeHandle"]).replace("{namespace}", namespace)
    return {kind: found}
