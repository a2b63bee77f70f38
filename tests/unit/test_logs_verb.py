"""``gozen logs`` of a LightCurveJob: the pods that append, and those that publish or remove.

Covered: which pods are chosen, and their order. Not covered: the logs of real pods (cluster/test_story.py), refusals
(cluster/test_commands.py).
"""

from __future__ import annotations

from typing import Any, cast

import pytest

from gozen.cli.call import run
from gozen.resources.lightcurvejob import LightCurveJob
from gozen_operator import cli_verbs
from gozen_operator.api_server.api_request import ApiRequest
from gozen_operator.api_server.client import KubeApi
from gozen_operator.api_server.connection import ApiConnection
from gozen_operator.operator_settings import OperatorSettings
from gozen_operator.reconcile.publish_manifests import publish_job

BEFORE, MADE, LATER, LAST = (f"2030-01-05T0{hour}:00:00Z" for hour in range(4))
JOB: dict[str, Any] = {
    "apiVersion": "gozen.astro/v1alpha1", "kind": "LightCurveJob",
    "metadata": {"name": "m31", "namespace": "kiso", "uid": "u", "creationTimestamp": MADE},
    "spec": {"selection": {"night": "20300105"}, "publish": {"folder": "M31"}},
}  # fmt: skip


def pod(name: str, made: str, labels: dict[str, str]) -> dict[str, Any]:
    meta = {"name": name, "creationTimestamp": made, "labels": labels}
    return {"metadata": meta, "status": {"phase": "Succeeded"}}


class Cluster:
    """An API server with pods: it selects them by their labels, and each log is the name of its pod."""

    def __init__(self, status: dict[str, Any]) -> None:
        labels = publish_job(LightCurveJob.model_validate(JOB), OperatorSettings())["spec"]["template"]["metadata"]
        self.status, mine = status, labels["labels"]
        other = {**mine, "gozen.astro/lightcurvejob": "m33"}
        self.pods = [
            pod("m31-pub-10-x", LAST, mine), pod("m31-pub-9-x", LATER, mine), pod("m31-pub-1-old", BEFORE, mine),
            pod("m33-pub-1-x", LATER, other), pod("m31-append-0-x", LATER, {"batch.kubernetes.io/controller-uid": "j"}),
        ]  # fmt: skip

    def answer(self, request: ApiRequest) -> dict[str, Any]:
        if request.path.endswith("/log"):
            return {"text": f"log of {request.path.split('/')[-2]}\n"}
        wanted = dict(one.split("=") for one in request.query["labelSelector"].split(","))
        return {"items": [one for one in self.pods if wanted.items() <= one["metadata"]["labels"].items()]}

    def unless_gone(self, _: ApiRequest) -> dict[str, Any]:
        return {**JOB, "status": self.status}


def logs(cluster: Cluster, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> list[str]:
    api = KubeApi(cast("ApiConnection", cluster))
    monkeypatch.setattr(cli_verbs, "_connected", lambda _: (api, "kiso"))
    assert run(["logs", "lcj", "m31"]) == 0
    return [line.removeprefix("log of ") for line in capsys.readouterr().out.splitlines() if line.startswith("log of")]


def test_pods_that_publish_follow_in_the_order_of_their_attempts(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster = Cluster({"job": {"name": "m31-append", "uid": "j"}})
    assert logs(cluster, monkeypatch, capsys) == ["m31-append-0-x", "m31-pub-9-x", "m31-pub-10-x"]


def test_they_are_shown_when_the_pods_that_append_are_gone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert logs(Cluster({}), monkeypatch, capsys) == ["m31-pub-9-x", "m31-pub-10-x"]
