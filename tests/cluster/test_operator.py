"""The operator as a process with a real API server: the status that users see within seconds.

Covered: acceptance and refusal, the reasons for which an Exposure waits, the Job that is created (with the
``restricted`` Pod Security level), one operator at a time, health and metrics, SIGTERM. No pods run here (test_story).
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kubernetes import config

from gozen_operator.api_server.client import KubeApi
from gozen_operator.api_server.connection import ApiConnection
from gozen_operator.reconcile.conditions import shortened
from gozen_operator.reconcile.facts import JobSeen
from gozen_operator.reconcile.object_fields import Key
from gozen_operator.reconcile.reconcile_plan import Event

from .api_server import ApiServer
from .processes import wait_until
from .running_operator import Running, begin, get, leading, with_namespace
from .test_crds import EXPOSURE, LIGHTCURVES, OBSERVATION

pytestmark = pytest.mark.xdist_group("api")
NAMESPACE = "night"
SENSORS = ("111", "112", "121")
BARE = {"rawURL": None, "observationRef": None, "sensors": list(SENSORS)}


@pytest.fixture(scope="module")
def server(api_server: ApiServer) -> ApiServer:
    return with_namespace(api_server, NAMESPACE)


@pytest.fixture(scope="module")
def operator(server: ApiServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("operator")
    with leading(server, folder, NAMESPACE, GOZEN_OPERATOR_MAX_ACTIVE_JOBS="2") as running:
        yield running


def test_a_good_observation_is_accepted_and_lists_its_exposures(operator: Running) -> None:
    operator.apply(OBSERVATION, "good")
    assert operator.until("obs/good", "Accepted", "Valid") == "2 exposures"
    assert operator.condition("obs/good", "Succeeded")[:2] == ("Unknown", "WindowNotOpen")
    status = json.loads(operator.kubectl("get", "obs/good", "-o", "json").stdout)["status"]
    assert [one["name"] for one in status["exposures"]] == ["good-003", "good-005"]
    operator.kubectl("patch", "obs/good", "--type=merge", "-p", '{"spec":{"suspend":true}}', check=True)
    operator.until("obs/good", "Succeeded", "Suspended")
    row = operator.kubectl("get", "obs").stdout.splitlines()[1].split()
    assert row[-2] == "Suspended"


BAD_OBSERVATIONS = {
    "past": (
        {"timeWindow": {"start": "2020-01-01T08:00:00Z", "end": "2020-01-01T20:00:00Z"}},
        "WindowInThePast",
        "is in the past",
    ),
    "late-setting": (
        {"operations": [OBSERVATION["spec"]["operations"][index] for index in (1, 2, 0)]},
        "RecipeMakesNoSense",
        "put a setParameter with nframe before it",
    ),
    "unknown-sensor": (
        {
            "operations": [
                {"setParameter": {"nframe": 1, "tintegSec": 1, "sensors": ["900"]}},
                *OBSERVATION["spec"]["operations"][1:],
            ]
        },
        "UnknownSensor",
        "no sensor 900",
    ),
}


@pytest.mark.parametrize("name", BAD_OBSERVATIONS)
def test_an_observation_that_makes_no_sense_says_why(operator: Running, name: str) -> None:
    spec, reason, message = BAD_OBSERVATIONS[name]
    operator.apply(OBSERVATION, name, **spec)
    assert message in operator.until(f"obs/{name}", "Accepted", reason)
    assert operator.condition(f"obs/{name}", "Complete")[0] == "True"
    assert operator.condition(f"obs/{name}", "Succeeded")[:2] == ("False", reason)
    assert reason in operator.kubectl("describe", f"obs/{name}").stdout


BAD_EXPOSURES = {
    "unknown-sensor": ({"sensors": ["900"]}, "UnknownSensor", "tomoe has no sensor 900"),
    "unknown-camera": ({"instrument": "nobody"}, "UnknownInstrument", "nobody"),
    "not-reserved": ({"exposureId": None}, "NotReserved", "spec.exposureId is missing"),
    "elsewhere": ({"rawURL": "s3://elsewhere/raw"}, "RawURLNotAllowed", "spec.rawURL: s3://elsewhere/raw is outside"),
}


@pytest.mark.parametrize("name", BAD_EXPOSURES)
def test_an_exposure_that_makes_no_sense_says_why(operator: Running, name: str) -> None:
    spec, reason, message = BAD_EXPOSURES[name]
    operator.apply(EXPOSURE, name, **{**BARE, "exposureId": 90, **spec})
    assert message in operator.until(f"exp/{name}", "Accepted", reason)
    assert operator.condition(f"exp/{name}", "Succeeded")[:2] == ("False", reason)


def test_an_exposure_waits_for_its_raw_data_and_launches_one_job(operator: Running) -> None:
    operator.apply(EXPOSURE, "field-003", **BARE, exposureId=3, sensorsPerPod=2, priorityClass="express", run="r2")
    message = operator.until("exp/field-003", "Succeeded", "WaitingForRaw")
    assert message == "raw data of 0 of 3 sensors have arrived; missing: 111, 112, 121"
    operator.apply(EXPOSURE, "twice", **BARE, exposureId=3, run="r2")
    assert "belongs to field-003" in operator.until("exp/twice", "Accepted", "ExposureIdTaken")
    operator.raw("00000003", *SENSORS)
    operator.until("exp/field-003", "Succeeded", "Running")
    assert operator.condition("exp/field-003", "RawAvailable")[0] == "True"
    job = json.loads(operator.kubectl("get", "job/field-003", "-o", "json", check=True).stdout)
    assert (job["spec"]["completionMode"], job["spec"]["completions"]) == ("Indexed", 2)
    pod = job["spec"]["template"]["spec"]
    assert pod["priorityClassName"] == "gozen-express"
    (container,) = pod["containers"]
    assert container["args"][:3] == ["reduce", "20300101", "00000003"]
    assert [container["args"][i + 1] for i, word in enumerate(container["args"]) if word == "--sensor"] == list(SENSORS)
    rules = [rule.get("onExitCodes", {}).get("values") for rule in job["spec"]["podFailurePolicy"]["rules"]]
    assert rules == [None, [64], [65, 70]]
    events = operator.kubectl("get", "events", "--field-selector", "involvedObject.name=field-003", "-o", "wide").stdout
    assert "Launched" in events


def test_raw_data_elsewhere_are_waited_for_and_named_to_the_pods(operator: Running) -> None:
    folder = operator.archive.parent / "campaign" / "night"
    folder.mkdir(parents=True)
    url = f"file://{folder}"
    operator.apply(EXPOSURE, "campaign", **{**BARE, "rawURL": url}, exposureId=70)
    assert "raw data of 0 of 3 sensors" in operator.until("exp/campaign", "Succeeded", "WaitingForRaw")
    for sensor in SENSORS:
        (folder / f"TMQ{sensor[0]}2030010100000070{sensor[1:]}.fits").touch()
    operator.until("exp/campaign", "Succeeded", "Running")
    job = json.loads(operator.kubectl("get", "job/campaign", "-o", "json", check=True).stdout)
    args = job["spec"]["template"]["spec"]["containers"][0]["args"]
    assert args[args.index("--raw-url") + 1] == url
    operator.kubectl("delete", "exp/campaign", "job/campaign", check=True)


def test_an_exposure_that_is_applied_again_has_nothing_of_its_predecessor(operator: Running) -> None:
    operator.raw("00000041", *SENSORS)
    operator.apply(EXPOSURE, "again", **BARE, exposureId=41)
    operator.until("exp/again", "Succeeded", "Running")
    old = json.loads(operator.kubectl("get", "exp/again", "-o", "json", check=True).stdout)["metadata"]
    operator.kubectl("delete", "exp/again", check=True)  # nobody collects garbage here: its Job stays
    operator.apply(EXPOSURE, "again", **BARE, exposureId=41)
    message = operator.until("exp/again", "Succeeded", "JobNameTaken")
    assert message.startswith("Job again belongs to the deleted Exposure again")
    late_requests_change_nothing(operator, Key("Exposure", NAMESPACE, "again"), old)
    operator.kubectl("delete", "job/again", check=True)
    operator.until("exp/again", "Succeeded", "Running")
    uid = json.loads(operator.kubectl("get", "exp/again", "-o", "json", check=True).stdout)["metadata"]["uid"]
    job = json.loads(operator.kubectl("get", "job/again", "-o", "json", check=True).stdout)
    assert [one["uid"] for one in job["metadata"]["ownerReferences"]] == [uid]
    operator.kubectl("delete", "exp/again", "job/again", check=True)


def late_requests_change_nothing(operator: Running, key: Key, old: dict[str, Any]) -> None:
    """Ask the API server for what an operator would that does not know yet that a resource was replaced."""
    api = KubeApi(ApiConnection(config.new_client_from_config(str(operator.server.kubeconfig))))
    before = operator.kubectl("get", "exp/again", "job/again", "-o", "json", check=True).stdout
    uid = old["uid"]
    assert api.write_status(key, old["resourceVersion"], {"sensors": 9}) is None
    assert api.expire_job(NAMESPACE, JobSeen("again", "another"), 1) is None
    api.delete(key, uid)
    assert operator.kubectl("get", "exp/again", "job/again", "-o", "json", check=True).stdout == before
    own = json.loads(before)["items"][0]["metadata"]["uid"]
    assert [one["reason"] for one in api.events_of(key, uid)] == ["Launched"]
    assert api.events_of(key, own) == []


def test_an_event_with_a_long_message_of_any_language_is_created(operator: Running) -> None:
    api = KubeApi(ApiConnection(config.new_client_from_config(str(operator.server.kubeconfig))))
    name, now = "a-field-whose-events-are-long", "2030-01-01T00:00:00Z"
    for number, message in enumerate(("観測" * 900, shortened("x" * 2000))):
        api.tell(Key("Exposure", NAMESPACE, name), "uid", Event("Launched", message), now, f"{name}.{number}")
        found = operator.kubectl("get", "events.v1.events.k8s.io", f"{name}.{number}", "-o", "json", check=True).stdout
        assert 1020 < len(json.loads(found)["note"].encode()) <= 1024


def test_its_pods_are_allowed_where_pods_are_restricted(operator: Running) -> None:
    job = json.loads(operator.kubectl("get", "job/field-003", "-o", "json", check=True).stdout)
    operator.kubectl("create", "serviceaccount", "gozen-pipeline")
    for name in ("express", "default"):
        operator.kubectl("create", "priorityclass", f"gozen-{name}", "--value=1000")
    template = job["spec"]["template"]
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "trial"}, "spec": template["spec"]}
    done = operator.kubectl("apply", "--dry-run=server", "-f", "-", stdin=json.dumps(pod))
    assert done.returncode == 0, done.stderr
    root = {**template["spec"], "securityContext": {"runAsUser": 0}}
    done = operator.kubectl("apply", "--dry-run=server", "-f", "-", stdin=json.dumps({**pod, "spec": root}))
    assert "violates PodSecurity" in done.stderr


def test_no_more_jobs_at_once_than_are_allowed(operator: Running) -> None:
    operator.raw("00000004", *SENSORS)
    operator.raw("00000005", *SENSORS)
    operator.apply(EXPOSURE, "field-004", **BARE, exposureId=4)
    operator.until("exp/field-004", "Succeeded", "Running")
    operator.apply(EXPOSURE, "field-005", **BARE, exposureId=5)
    assert "at most 2 Jobs run at the same time" in operator.until("exp/field-005", "Succeeded", "Queued")
    operator.kubectl("delete", "exp/field-004", "job/field-004", "--wait=false", check=True)
    operator.until("exp/field-005", "Succeeded", "Running")


def test_a_light_curve_job_says_what_it_waits_for_and_what_it_cannot_do(operator: Running) -> None:
    operator.apply(LIGHTCURVES, "unmeasured", aperture=33)
    assert "the measured apertures are 21, 10" in operator.until("lcj/unmeasured", "Accepted", "ApertureNotMeasured")
    operator.apply(LIGHTCURVES, "early", selection={"night": "20300101", "run": "r2"})
    assert "field-003" in operator.until("lcj/early", "Succeeded", "WaitingForExposures")
    operator.apply(LIGHTCURVES, "first", selection={"night": "20300102"})
    operator.until("lcj/first", "Succeeded", "Running")
    operator.apply(LIGHTCURVES, "second", selection={"night": "20300103"})
    assert operator.until("lcj/second", "Succeeded", "WaitingForTable") == "first writes to the table"
    operator.apply(LIGHTCURVES, "other", selection={"night": "20300103"}, targetCatalog="other")
    operator.until("lcj/other", "Succeeded", "Running")


def test_health_and_metrics(operator: Running) -> None:
    assert get(operator, "healthz")[0] == 200, get(operator, "healthz")[1]
    wait_until(
        lambda: 'gozen_resources{kind="Exposure",reason="Running"}' in get(operator, "metrics")[1], "the counts", 30
    )
    page = get(operator, "metrics")[1]
    for name in ("gozen_reconcile_seconds_bucket", "gozen_oldest_look_seconds", "gozen_api_writes"):
        assert name in page


def test_a_second_operator_waits_and_takes_over_when_the_first_ends(operator: Running, tmp_path: Path) -> None:
    second = begin(operator.server, tmp_path, NAMESPACE, GOZEN_OPERATOR_IDENTITY="second")
    try:
        wait_until(lambda: get(second, "healthz")[0] == 200, "the second operator", 60)
        assert "gozen_leader 0.0" in get(second, "metrics")[1]
        operator.process.send_signal(signal.SIGTERM)
        assert operator.process.wait(30) == 0
        wait_until(lambda: "gozen_leader 1.0" in get(second, "metrics")[1], "the second operator to lead", 30)
    finally:
        second.process.terminate()
        second.process.wait(30)
        print(second.tail())  # noqa: T201 - shown when a test fails


def test_an_operator_without_a_cluster_says_so(tmp_path: Path) -> None:
    environment = {**os.environ, "KUBECONFIG": str(tmp_path / "absent"), "HOME": str(tmp_path)}
    done = subprocess.run(
        [Path(sys.executable).parent / "gozen-operator"], env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 75
    assert "gozen-operator: ClusterUnavailable" in done.stderr


def test_a_bad_setting_is_named(tmp_path: Path) -> None:
    environment = {**os.environ, "GOZEN_OPERATOR_MAX_ACTIVE_JOBS": "0"}
    done = subprocess.run(
        [Path(sys.executable).parent / "gozen-operator"], env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 64
    assert "GOZEN_OPERATOR_MAX_ACTIVE_JOBS" in done.stderr
