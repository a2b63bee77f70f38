"""Test the reason for which a pod waits, and when its node counts as lost, from the pod's status alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gozen_hub.pod_waits import FETCHED, OVERDUE, is_overdue, node_is_lost, pending, quota_of

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
Manifest = dict[str, Any]


def pod(due: datetime | None = None, containers: list[Manifest] | None = None, **conditions: Any) -> Manifest:
    """Return a pod with conditions; each is a status, or a reason and a message of one that does not hold."""
    found = []
    for kind, held in conditions.items():
        status, reason, message = (held, "", "") if isinstance(held, str) else ("False", *held)
        found.append({"type": kind, "status": status, "reason": reason, "message": message})
    meta = {"deletionTimestamp": due.strftime("%Y-%m-%dT%H:%M:%SZ")} if due else {}
    spec = {"containers": [{"resources": {"limits": {"memory": "4G"}}}]}
    return {"metadata": meta, "spec": spec, "status": {"conditions": found, "containerStatuses": containers}}


def container(ready: bool = True, **states: Any) -> Manifest:
    return {"name": "notebook", "image": "lab:1", "ready": ready, **states}


UNSCHEDULABLE = "Unschedulable"
CRASHED = {"terminated": {"reason": "Error", "exitCode": 1}}
WAITS = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}}


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (pod(PodScheduled=(UNSCHEDULABLE, "0/2 nodes")), "no node has room (0/2 nodes); choose another"),
        (
            pod(PodScheduled=(UNSCHEDULABLE, 'persistentvolumeclaim "archive" not found')),
            'a volume is missing (persistentvolumeclaim "archive" not found); ask your administrator',
        ),
        (
            pod(PodScheduled=(UNSCHEDULABLE, "pod has unbound immediate PersistentVolumeClaims")),
            "a volume is missing (pod has unbound immediate PersistentVolumeClaims); ask your administrator",
        ),
        (pod(PodScheduled="True"), FETCHED),
        (
            pod(containers=[container(False, state=WAITS, lastState=CRASHED)], PodScheduled="True"),
            "a notebook ended with exit code 1 (Error); it starts again after a pause",
        ),
        (pod(PodScheduled="True", Ready="True"), ""),
        (pod(NOW, PodScheduled=(UNSCHEDULABLE, "0/2 nodes")), ""),
    ],
)
def test_it_says_what_a_pod_waits_for(found: Manifest, said: str) -> None:
    assert pending(found, "choose another") == said


@pytest.mark.parametrize(
    ("found", "lost"),
    [
        (pod(containers=[container()], Ready="False"), True),
        (pod(containers=[container()], Ready="True"), False),
        (pod(containers=[container(ready=False)], Ready="False"), False),
        (pod(containers=[container(), container(ready=False)], Ready="False"), False),
        (pod(Ready="False"), False),
        (pod(containers=[container()]), False),
    ],
    ids=["lost", "ready", "not ready by itself", "one of two", "no container yet", "no condition"],
)
def test_a_node_is_lost_if_only_the_cluster_says_that_the_pod_is_not_ready(found: Manifest, lost: bool) -> None:
    assert node_is_lost(found) is lost


def test_a_pod_is_overdue_a_minute_after_its_time() -> None:
    assert not is_overdue(pod(), NOW)
    assert not is_overdue(pod(NOW + timedelta(seconds=30)), NOW)
    assert not is_overdue(pod(NOW - OVERDUE), NOW)
    assert is_overdue(pod(NOW - OVERDUE - timedelta(seconds=1)), NOW)


def test_a_refusal_by_a_quota_is_told_from_others() -> None:
    both = (
        "exceeded quota: user, requested: limits.cpu=2,pods=1, used: limits.cpu=7,pods=3, limited: limits.cpu=8,pods=3"
    )
    assert quota_of(f'pods "a" is forbidden: {both}') == {
        "needed": "limits.cpu=2,pods=1",
        "used": "limits.cpu=7,pods=3",
        "most": "limits.cpu=8,pods=3",
    }
    assert quota_of("failed quota: user: must specify limits.cpu") is None
