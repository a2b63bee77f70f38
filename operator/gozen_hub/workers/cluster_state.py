"""Say in sentences what a user's cluster does now, and what it waits for. No I/O."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from gozen_hub.lab_settings import WorkersSettings
from gozen_hub.pod_waits import ended, pending, quota_of
from gozen_hub.workers.cluster_manifest import COMM_PORT, HTTP_PORT, SCHEDULER

Manifest = dict[str, Any]
_ROLE = "dask.org/component"
_LESS = "read fewer columns, or return less from map, or ask your administrator for larger workers"


def cluster_state(
    cluster: Manifest | None,
    group: Manifest | None,
    deployments: Sequence[Manifest],
    pods: Sequence[Manifest],
    settings: WorkersSettings,
) -> Manifest:
    """Return the state of a cluster as the lab gets it.

    Parameters
    ----------
    cluster, group
        The `DaskCluster` and its `DaskWorkerGroup`; None if there is none.
    deployments, pods
        Deployments and pods of the Dask cluster.
    """
    rows = [_row(one) for one in pods if not one["metadata"].get("deletionTimestamp")]
    workers = [one for one in rows if one["role"] == "worker"]
    schedulers = [one for one in rows if one["role"] == "scheduler" and one["ready"]]
    wanted = ((group or cluster or {}).get("spec", {}).get("worker") or {}).get("replicas", 0)
    found: Manifest = {
        "phase": _phase(cluster, schedulers, workers),
        "wanted": wanted if cluster else 0,
        "ready": sum(one["ready"] for one in workers),
        "awaited": list(_awaited(cluster, deployments, pods)) if cluster else [],
        "notes": sorted({one["note"] for one in rows if one["note"]}),
        "pods": rows,
        "least": settings.least,
        "most": settings.most,
        "idle_s": settings.idle_s,
    }
    if schedulers:
        meta = cluster["metadata"] if cluster else {}
        # Another session: whatever a client had at the scheduler is lost.
        found["session"] = f"{meta.get('uid')}/{schedulers[0]['name']}/{schedulers[0]['restarts']}"
        found["address"] = f"tcp://{SCHEDULER}:{COMM_PORT}"
        found["dashboard"] = f"http://{SCHEDULER}:{HTTP_PORT}"
    return found


def _phase(cluster: Manifest | None, schedulers: list[Manifest], workers: list[Manifest]) -> str:
    if cluster is None:
        return "none"
    if cluster["metadata"].get("deletionTimestamp"):
        return "ending"
    return "ready" if schedulers and any(one["ready"] for one in workers) else "starting"


def _row(pod: Manifest) -> Manifest:
    status = pod.get("status", {})
    containers = status.get("containerStatuses") or []
    limits = pod["spec"]["containers"][0].get("resources", {}).get("limits", {})
    return {
        "name": pod["metadata"]["name"],
        "role": (pod["metadata"].get("labels") or {}).get(_ROLE, ""),
        "ready": any(one["type"] == "Ready" and one["status"] == "True" for one in status.get("conditions") or []),
        "cpu": limits.get("cpu", ""),
        "memory": limits.get("memory", ""),
        "restarts": sum(one.get("restartCount", 0) for one in containers),
        "note": next((text for one in containers if (text := ended(pod, one, _LESS))), ""),
    }


def _awaited(cluster: Manifest, deployments: Sequence[Manifest], pods: Sequence[Manifest]) -> Iterator[str]:
    """Yield one sentence for each reason, with the number of pods that it concerns."""
    if cluster["metadata"].get("deletionTimestamp"):
        yield "the workers before these end first"
        return
    if not deployments:
        yield "Dask's controller has not begun yet; if this lasts for a minute, ask your administrator to check it"
    reasons = [(_role(one), text) for one in deployments if (text := refused(one))]
    reasons += [(_role(one), text) for one in pods if (text := pending(one))]
    for (role, text), number in Counter(reasons).items():
        who = role if role == "scheduler" else f"{number} worker" + "s" * (number > 1)
        yield f"{who}: {text}"


def _role(one: Manifest) -> str:
    return str((one["metadata"].get("labels") or {}).get(_ROLE, "worker"))


def refused(deployment: Manifest) -> str:
    """Return why Kubernetes makes no pod for a Deployment; empty if it does."""
    conditions = deployment.get("status", {}).get("conditions") or []
    message = next(
        (one.get("message", "") for one in conditions if one["type"] == "ReplicaFailure" and one["status"] == "True"),
        "",
    )
    if not message:
        return ""
    quota = quota_of(message)
    if quota is None:
        return f"Kubernetes refuses the pod: {message}; show this to your administrator"
    return (
        f"your quota is used up (used: {quota['used']}; at most: {quota['most']}): use fewer workers with "
        "api.workers(n), or end another server"
    )
