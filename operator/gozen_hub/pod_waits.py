"""Say in sentences what a user's pod waits for, why it was refused, and whether its node is lost. No I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

OVERDUE = timedelta(seconds=60)
"""Time after its deadline at which a pod that has not ended counts as being on a lost node."""
FETCHED = "the node fetches the image and mounts the volumes"
ADVICE = "wait until other pods end, or ask your administrator"
_IMAGE = {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError"}
_QUOTA = re.compile(r"exceeded quota: .*?requested: (?P<needed>.*), used: (?P<used>.*), limited: (?P<most>.*)$")
_VOLUME = re.compile(r"persistentvolumeclaim|\bpvc\b", re.IGNORECASE)
Manifest = Mapping[str, Any]


def quota_of(message: str) -> dict[str, str] | None:
    """Return the needed, the used and the allowed amount if a quota was the reason of a refusal; else None."""
    found = _QUOTA.search(message)
    return found.groupdict() if found else None


def pending(pod: Manifest, advice: str = ADVICE) -> str:
    """Return what a pod waits for; empty if it is ready or ends.

    Parameters
    ----------
    advice
        What the user can do if no node has enough free resources.
    """
    status = pod.get("status", {})
    if pod["metadata"].get("deletionTimestamp") or condition(pod, "Ready").get("status") == "True":
        return ""
    placed = condition(pod, "PodScheduled")
    if placed.get("status") != "True":
        return _unplaced(placed, advice)
    for container in status.get("containerStatuses") or []:
        waiting = (container.get("state") or {}).get("waiting")
        if waiting:
            return _waiting(pod, container, waiting)
    return "the program starts" if status.get("phase") == "Running" else FETCHED


def condition(pod: Manifest, kind: str) -> Manifest:
    """Return a condition of a pod; empty if it has none of this kind."""
    return next((one for one in pod.get("status", {}).get("conditions") or [] if one["type"] == kind), {})


def ended(pod: Manifest, container: Manifest, advice: str = "") -> str:
    """Return why a container ended before; empty if it never did.

    Parameters
    ----------
    advice
        What the user can do if its memory was used up.
    """
    states = (container.get("state") or {}, container.get("lastState") or {})
    last = next((one["terminated"] for one in states if one.get("terminated")), None)
    if last is None:
        return ""
    memory = pod["spec"]["containers"][0].get("resources", {}).get("limits", {}).get("memory", "its limit")
    if last.get("reason") == "OOMKilled":
        return f"a {container['name']} was ended because its memory ({memory}) was used up{advice and ': '}{advice}"
    return f"a {container['name']} ended with exit code {last.get('exitCode')} ({last.get('reason', 'no reason')})"


def node_is_lost(pod: Manifest) -> bool:
    """Tell whether Kubernetes has found that the node of a running pod does not answer.

    Kubernetes then changes only the condition `Ready` of the pod; the rest of the status is the node's last report.
    """
    containers = pod.get("status", {}).get("containerStatuses") or []
    is_ready = bool(containers) and all(one.get("ready") for one in containers)
    return is_ready and condition(pod, "Ready").get("status") == "False"


def is_overdue(pod: Manifest, now: datetime) -> bool:
    """Tell whether a pod should have ended a minute ago, but its node has not reported it, and may never do so."""
    due = pod["metadata"].get("deletionTimestamp")
    return due is not None and now - datetime.fromisoformat(due).astimezone(UTC) > OVERDUE


def _unplaced(placed: Manifest, advice: str) -> str:
    if placed.get("reason") != "Unschedulable":
        return "a node is being chosen"
    message = placed.get("message", "")
    if _VOLUME.search(message):
        return f"a volume is missing ({message}); ask your administrator"
    return f"no node has room ({message}); {advice}"


def _waiting(pod: Manifest, container: Manifest, waiting: Manifest) -> str:
    reason, message = waiting.get("reason", ""), waiting.get("message", "")
    if reason in _IMAGE:
        return f"the image {container['image']} cannot be fetched ({message or reason}); ask your administrator"
    if reason in ("ContainerCreating", "PodInitializing", ""):
        return FETCHED
    if reason == "CrashLoopBackOff" and (why := ended(pod, container)):
        return f"{why}; it starts again after a pause"
    return f"{reason}: {message}; if this lasts, show it to your administrator"
