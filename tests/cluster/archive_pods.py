"""Pods that read the archive and try to write to it, with volumes, rights and environment of a lab or a worker."""

from __future__ import annotations

from typing import Any

from gozen_hub.hub_settings import HubSettings
from gozen_hub.lab_pods import pod_traits
from gozen_hub.workers.cluster_manifest import cluster_manifest

READS = """
import errno, json, os, pathlib
root = pathlib.Path(os.environ["GOZEN_ARCHIVE"])
release = root / "releases" / "dr1.json"
def answer(write):
    try:
        write()
    except OSError as error:
        return errno.errorcode[error.errno]
    return "written"
writes = {
    "new": lambda: (root / "new").write_text("mine"),
    "change": lambda: release.write_text("mine"),
    "delete": release.unlink,
    "rename": lambda: release.rename(root / "releases" / "dr2.json"),
    "rights": lambda: release.chmod(0o777),
    "folder": (root / "mine").mkdir,
}
print(json.dumps({
    "root": str(root),
    "tables": sorted(json.loads(release.read_text())["tables"]),
    "writes": {name: answer(write) for name, write in writes.items()},
}))
"""
"""Prints what it has read, and how each attempt to write ended."""
Manifest = dict[str, Any]


def reading_pods(settings: HubSettings, image: str, python: str) -> dict[str, Manifest]:
    """Return a pod as a lab and one as a worker of the hub, which run `READS` with an image."""
    command = [python, "-c", READS]
    return {
        "lab": _pod("lab", _of_lab(settings, image, command)),
        "worker": _pod("worker", _of_worker(settings, image, command)),
    }


def _pod(name: str, spec: Manifest) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": f"reads-as-{name}"},
        "spec": spec | {"restartPolicy": "Never"},
    }


def _of_lab(settings: HubSettings, image: str, command: list[str]) -> Manifest:
    """Return the spec of a lab without its home, which the hub makes when it starts one."""
    traits = pod_traits(settings)
    container = {
        "name": "notebook",
        "image": image,
        "imagePullPolicy": "Never",
        "command": command,
        "env": [{"name": name, "value": value.format()} for name, value in traits["environment"].items()],
        "volumeMounts": [one for one in traits["volume_mounts"] if one["name"] != "home"],
        "securityContext": {"allowPrivilegeEscalation": False, **traits["container_security_context"]},
    }
    return {
        "automountServiceAccountToken": False,
        "securityContext": {
            **traits["pod_security_context"],
            "runAsUser": traits["uid"],
            "runAsGroup": traits["gid"],
            "fsGroup": traits["fs_gid"],
        },
        "containers": [container],
        "volumes": [one for one in traits["volumes"] if one["name"] != "home"],
    }


def _of_worker(settings: HubSettings, image: str, command: list[str]) -> Manifest:
    container = {"name": "notebook", "image": settings.lab.image}
    lab = {"metadata": {"name": "lab", "uid": "1", "namespace": "any"}, "spec": {"containers": [container]}}
    spec: Manifest = cluster_manifest(lab, 1, settings)["spec"]["worker"]["spec"]
    (worker,) = spec["containers"]
    kept = {key: value for key, value in worker.items() if key not in ("readinessProbe", "ports")}
    return spec | {"containers": [kept | {"image": image, "imagePullPolicy": "Never", "command": command}]}
