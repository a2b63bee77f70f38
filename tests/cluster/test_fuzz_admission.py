"""Hundreds of resources of each kind, valid or nearly valid, with a real API server.

Covered: each refusal of the server names the field. Gozen's models accept what the server accepts, except for a few
times of day, about which the operator sets a status. The server accepts every Job that is created for an accepted
resource. A resource that cannot be processed waits, with the reason in its status, also if the server refuses its Job.
The numbers are in tests/effort.py. Without a server: tests/property/test_fuzz_resources.py.
"""

from __future__ import annotations

import json
import random
import re
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import urllib3
from pydantic import ValidationError
from tests.effort import REPEATS, SEED, rounds
from tests.resource_fuzz import resource, spoiled

from gozen.resources.exposure import Exposure
from gozen.resources.lightcurvejob import LightCurveJob
from gozen_operator.crds import KINDS
from gozen_operator.operator_settings import OperatorSettings, PublishSettings
from gozen_operator.reconcile.job_manifests import exposure_job, lightcurve_job
from gozen_operator.reconcile.object_fields import parsed
from gozen_operator.reconcile.publish_manifests import publish_job, unpublish_job
from gozen_operator.reconcile.refused import problems

from .access import ADMIN
from .api_server import ApiServer
from .running_operator import leading, with_namespace
from .test_crds import EXPOSURE, OBSERVATION

pytestmark = pytest.mark.xdist_group("api")
NAMESPACE = "fuzz"
SENSORS = ("111", "112", "121")
FUZZED = "fuzzed admissions"
SETTINGS = OperatorSettings(
    namespaces=(NAMESPACE,), publish=PublishSettings(url="https://cloud", user="observatory", secret="nextcloud")
)
PLURALS = {kind.name: kind.plural for kind in KINDS}
Answer = tuple[int, dict[str, Any]]
Ask = Callable[[str, str, dict[str, Any]], Answer]


@pytest.fixture(scope="module")
def server(api_server: ApiServer) -> ApiServer:
    return with_namespace(api_server, NAMESPACE)


@pytest.fixture(scope="module")
def ask(server: ApiServer) -> Ask:
    """Return what asks the server whether it would create something."""
    context = ssl.create_default_context(cafile=str(server.authority))
    pool = urllib3.PoolManager(ssl_context=context)
    headers = {"Authorization": f"Bearer {server.users[ADMIN].token}", "Content-Type": "application/json"}

    def call(group: str, plural: str, manifest: dict[str, Any]) -> Answer:
        url = f"{server.url}/apis/{group}/namespaces/{NAMESPACE}/{plural}?dryRun=All"
        answer = pool.request("POST", url, headers=headers, body=json.dumps(manifest))
        return answer.status, json.loads(answer.data)

    return call


def check_job(ask: Ask, one: Any) -> bool:
    """Check that the server accepts the Jobs of a resource; tell whether it has one."""
    jobs = []
    if isinstance(one, LightCurveJob):
        jobs = [lightcurve_job(one, SETTINGS)]
        if one.spec.publish is not None:
            jobs += [publish_job(one, SETTINGS), unpublish_job(one, SETTINGS)]
    elif isinstance(one, Exposure) and one.spec.exposure_id and one.spec.night:
        jobs = [exposure_job(one, list(one.spec.sensors) or ["111"], SETTINGS)]
    for job in jobs:
        code, said = ask("batch/v1", "jobs", job)
        assert code == 201, said["message"]
        (given,), (taken,) = (found["spec"]["template"]["spec"]["containers"] for found in (job, said))
        assert taken["args"] == given["args"]
    return bool(jobs)


@pytest.mark.parametrize("kind", list(PLURALS))
def test_what_the_server_lets_pass_is_understood_and_what_it_refuses_is_named(ask: Ask, kind: str) -> None:
    rng = random.Random(f"server {SEED} {kind}")
    passed = refused = jobs = 0
    strangers: list[str] = []
    for number in rounds(FUZZED):
        made = resource(rng, kind, f"{kind.lower()}-{number}")
        made = spoiled(rng, made) if rng.random() < 0.5 else made
        code, said = ask("gozen.astro/v1alpha1", PLURALS[kind], made)
        if code != 201:
            assert code in (400, 422), said
            assert re.search(r"\bspec(\.\w+|:|\b)", said["message"]), said["message"]
            refused += 1
            continue
        passed += 1
        said["metadata"] |= {"resourceVersion": "1"}
        try:
            one = parsed(said)
        except ValidationError as error:
            strangers.append(problems(error))
            continue
        jobs += check_job(ask, one)
    assert min(passed, refused) > REPEATS[FUZZED].now / 10
    assert jobs > REPEATS[FUZZED].now / 10 or kind == "Observation"
    assert not [text for text in strangers if not re.match(r"spec\.timeWindow\.(start|end): ", text)], strangers


def test_what_only_the_operator_does_not_understand_is_said_and_can_be_mended(
    server: ApiServer, tmp_path: Path
) -> None:
    with leading(server, tmp_path, NAMESPACE) as running:
        window = {"start": "0001-01-01T00:00:00+14:00", "end": "2030-01-01T20:00:00Z"}
        running.apply(OBSERVATION, "strange", timeWindow=window)
        message = running.until("obs/strange", "Accepted", "InvalidSpec")
        assert message == "spec.timeWindow.start: the moment is outside the years 1 to 9999"
        assert running.condition("obs/strange", "Complete")[0] == "False"
        assert running.condition("obs/strange", "Succeeded")[:2] == ("Unknown", "InvalidSpec")
        mended = {"spec": {"timeWindow": {**window, "start": "2030-01-01T08:00:00Z"}}}
        running.kubectl("patch", "obs/strange", "--type=merge", "-p", json.dumps(mended), check=True)
        assert running.until("obs/strange", "Accepted", "Valid") == "2 exposures"


def test_a_job_that_the_server_refuses_is_waited_for_in_words(server: ApiServer, tmp_path: Path) -> None:
    spec = {"rawURL": None, "observationRef": None, "sensors": list(SENSORS), "exposureId": 78, "run": "r8"}
    with leading(server, tmp_path, NAMESPACE, GOZEN_OPERATOR_PODS__LIMITS='{"memory": "1Mi"}') as wrong:
        wrong.raw("00000078", *SENSORS)
        wrong.apply(EXPOSURE, "refused", **spec)
        assert "must be less than or equal to memory limit" in wrong.until("exp/refused", "Succeeded", "JobRefused")
        assert wrong.condition("exp/refused", "Complete")[0] == "False"
    with leading(server, tmp_path, NAMESPACE) as right:
        right.until("exp/refused", "Succeeded", "Running")
