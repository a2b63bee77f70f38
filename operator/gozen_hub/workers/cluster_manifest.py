"""The one `DaskCluster` of a user, from a fixed template: a request decides only how many workers there are. No I/O."""

from __future__ import annotations

from typing import Any

from gozen.errors import BadRequest
from gozen.worker_process import DASK_WORKER
from gozen_hub.hub_settings import HubSettings
from gozen_hub.lab_pods import RESTRICTED, USER_ID, archive_mounts, archive_volumes, shared_environment

API = "kubernetes.dask.org/v1"
NAME = "gozen"
"""Name of the cluster; the Service of its scheduler is ``gozen-scheduler``."""
GROUP = f"{NAME}-default"
"""Name of the group of workers that dask-kubernetes makes for the cluster."""
SCHEDULER = f"{NAME}-scheduler"
COMM_PORT, HTTP_PORT, WORKER_HTTP_PORT = 8786, 8787, 8788
LABELS = {
    "app.kubernetes.io/name": "gozen",
    "app.kubernetes.io/part-of": "gozen",
    "app.kubernetes.io/component": "dask",
}
_DEATH_S = 60
_WATCHER_BYTES = 120_000_000
_ROUTES = ("scheduler.prometheus", "scheduler.info", "scheduler.json", "health", "statics", "scheduler.api")
Manifest = dict[str, Any]


def cluster_manifest(lab: Manifest, workers: int, settings: HubSettings) -> Manifest:
    """Return the cluster of the user of a lab.

    Parameters
    ----------
    lab
        The pod of the lab. It owns the cluster: Kubernetes deletes the cluster after the lab.

    Raises
    ------
    BadRequest
        The hub's settings no longer list the image of the lab.
    """
    meta = lab["metadata"]
    owner = {"apiVersion": "v1", "kind": "Pod", "name": meta["name"], "uid": meta["uid"]}
    image = image_of(lab, settings)
    return {
        "apiVersion": API,
        "kind": "DaskCluster",
        "metadata": {
            "name": NAME,
            "namespace": meta["namespace"],
            "labels": LABELS,
            "ownerReferences": [{**owner, "controller": False, "blockOwnerDeletion": False}],
        },
        "spec": {
            "idleTimeout": settings.workers.idle_s,
            "scheduler": {"spec": _pod(_scheduler(image, settings), settings), "service": _service()},
            "worker": {"replicas": workers, "spec": _pod(_worker(image, settings), settings)},
        },
    }


def image_of(lab: Manifest, settings: HubSettings) -> str:
    """Return the image of a user's lab. Workers use the same image, because both must have the same packages.

    Raises
    ------
    BadRequest
        The hub's settings do not list this image, for example because the lab was started before an upgrade of the hub.
    """
    known = {settings.lab.image, *(one.image for one in settings.lab.profiles if one.image)}
    images = [one["image"] for one in lab["spec"]["containers"]]
    for image in images:
        if image in known:
            return str(image)
    raise BadRequest(
        f"the hub starts no workers with the image of this lab ({', '.join(images)}): end the lab and start it again"
    )


def _scheduler(image: str, settings: HubSettings) -> Manifest:
    # Dask's controller asks the HTTP API when a cluster is idle, and never Dask's own protocol.
    routes = [f"distributed.http.{one}" for one in _ROUTES]
    environment = {
        "DASK_DISTRIBUTED__SCHEDULER__HTTP__ROUTES": str(routes),
        # A task that has ended three workers ends the job: each worker takes seconds to come back.
        "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "2",
    }
    health = {"httpGet": {"path": "/health", "port": "http-dashboard"}}
    return {
        **_container("scheduler", image, environment, settings),
        "command": ["dask", "scheduler", f"--port={COMM_PORT}", f"--dashboard-address=:{HTTP_PORT}"],
        "ports": [_port("tcp-comm", COMM_PORT), _port("http-dashboard", HTTP_PORT)],
        "resources": _resources(1.0, 0.1, settings.workers.scheduler_memory, settings.workers.scheduler_memory),
        "readinessProbe": {**health, "periodSeconds": 1},
        "livenessProbe": {**health, "periodSeconds": 20, "timeoutSeconds": 10, "initialDelaySeconds": 30},
    }


def _worker(image: str, settings: HubSettings) -> Manifest:
    size = settings.workers
    # The scheduler reads nothing, so only workers get the credentials of the archive.
    environment = {
        **shared_environment(settings),
        "DASK_SCHEDULER_ADDRESS": f"tcp://{SCHEDULER}:{COMM_PORT}",
        **DASK_WORKER,
    }
    container = _container("worker", image, environment, settings)
    container["volumeMounts"] += archive_mounts(settings)
    # The controller sets DASK_WORKER_NAME to the name of the Deployment, which it deletes when this worker is to end.
    limit = f"--memory-limit={memory_of_functions(size.memory)}"
    options = ["--name=$(DASK_WORKER_NAME)", "--nthreads=1", limit, "--local-directory=/tmp"]
    return {
        **container,
        "command": [
            "dask",
            "worker",
            *options,
            f"--dashboard-address=:{WORKER_HTTP_PORT}",
            f"--death-timeout={_DEATH_S}",
        ],
        "ports": [_port("http", WORKER_HTTP_PORT)],
        "resources": _resources(size.cpu, size.cpu_guarantee, size.memory, size.memory_guarantee),
        "readinessProbe": {"httpGet": {"path": "/health", "port": "http"}, "periodSeconds": 1},
    }


def memory_of_functions(memory: str) -> int:
    """Return how many bytes of a worker's memory Dask gives the process with the user's functions.

    The rest is for the watching process, which ends a function that uses too much memory. Otherwise the kernel would
    end the whole worker: it gives no reason, and a worker needs longer to start again than a function.
    """
    size = int(float(memory[:-1]) * 1000.0 ** ("MGT".index(memory[-1]) + 2))
    return max(size - _WATCHER_BYTES, size // 2)


def _container(name: str, image: str, environment: dict[str, str], settings: HubSettings) -> Manifest:
    return {
        "name": name,
        "image": image,
        "imagePullPolicy": settings.lab.pull_policy,
        "env": [{"name": key, "value": value} for key, value in ({"HOME": "/tmp"} | environment).items()],  # noqa: S108
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108
    }


def _pod(container: Manifest, settings: HubSettings) -> Manifest:
    reads = container["name"] == "worker"
    tmp = {"name": "tmp", "emptyDir": {"sizeLimit": settings.workers.scratch}}
    return {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "serviceAccountName": "default",
        "securityContext": {
            **RESTRICTED,
            "runAsUser": USER_ID,
            "runAsGroup": USER_ID,
            "fsGroup": USER_ID,
        },
        "imagePullSecrets": [{"name": one} for one in settings.lab.pull_secrets],
        "nodeSelector": dict(settings.lab.node_selector),
        "terminationGracePeriodSeconds": 10,
        "containers": [container],
        "volumes": [tmp, *(archive_volumes(settings) if reads else [])],
    }


def _service() -> Manifest:
    # Dask's resource takes the name of a port, not its number.
    names = {"tcp-comm": COMM_PORT, "http-dashboard": HTTP_PORT}
    ports = [{"name": name, "protocol": "TCP", "port": port, "targetPort": name} for name, port in names.items()]
    selector = {"dask.org/cluster-name": NAME, "dask.org/component": "scheduler"}
    return {"type": "ClusterIP", "selector": selector, "ports": ports}


def _port(name: str, port: int) -> Manifest:
    return {"name": name, "containerPort": port, "protocol": "TCP"}


def _resources(cpu: float, cpu_least: float, memory: str, memory_least: str) -> Manifest:
    limits = {"cpu": f"{cpu:g}", "memory": memory}
    return {"limits": limits, "requests": {"cpu": f"{min(cpu, cpu_least):g}", "memory": memory_least}}
