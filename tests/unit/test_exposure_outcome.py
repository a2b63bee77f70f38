"""Test the status of an Exposure whose pods fail: while its Job tries again, and after the last failure."""

import pytest

from gozen.resources.exposure import Exposure
from gozen_operator.operator_settings import OperatorSettings
from gozen_operator.reconcile.facts import Commit, ExposureFacts, JobSeen, PodEnd
from gozen_operator.reconcile.reconcile_exposure import reconcile_exposure

NOW = 2.0e9
SENSORS = ("111", "112")
KILLED = PodEnd(0, 137, "OOMKilled", "")
STORAGE = PodEnd(1, 75, "Error", "gozen: StorageUnavailable: s3://sky answers 503; try again")


def exposure(**status):
    content = {
        "apiVersion": "gozen.astro/v1alpha1",
        "kind": "Exposure",
        "metadata": {"name": "field", "namespace": "night", "uid": "u", "generation": 1},
        "spec": {
            "object": "field",
            "exposureId": 1,
            "night": "20300101",
            "nframe": 6,
            "pipelines": ["wcs"],
            "sensorsPerPod": 1,
        },
        "status": {"job": {"name": "field", "uid": "j"}, **status},
    }
    return Exposure.model_validate(content, by_alias=True, by_name=False)


def said(facts, **status):
    """Return the plan and its condition Succeeded."""
    plan = reconcile_exposure(exposure(**status), facts, OperatorSettings(retries=3), NOW)
    assert plan.status is not None
    (found,) = [one for one in plan.status["conditions"] if one["type"] == "Succeeded"]
    return plan, found


def test_while_its_job_tries_again_the_reason_says_so():
    job = JobSeen("field", "j", failed=2, ends=(KILLED, STORAGE))
    plan, found = said(ExposureFacts(SENSORS, job=job))
    assert (found["status"], found["reason"]) == ("Unknown", "Retrying")
    assert "2 pods failed, the last by StorageUnavailable: s3://sky answers 503" in found["message"]
    again = reconcile_exposure(exposure(**plan.status), ExposureFacts(SENSORS, job=job), OperatorSettings(), NOW)
    assert again.status is None, "the same reason is written once"


def test_an_outcome_names_the_pods_that_were_tried_again():
    job = JobSeen("field", "j", "Complete", failed=2, ends=(KILLED, STORAGE))
    commits = {"111": Commit("111", reduced=True), "112": Commit("112", reduced=True)}
    _, found = said(ExposureFacts(SENSORS, raw=frozenset(SENSORS), commits=commits, job=job))
    assert (found["status"], found["reason"]) == ("True", "Reduced")
    assert found["message"] == (
        "2 of 2 sensors reduced; 2 pods failed, tried again with success (StorageUnavailable, WorkerLost)"
    )


def test_a_pod_whose_work_nobody_did_is_a_failure_and_no_retry():
    job = JobSeen("field", "j", "Failed", failed=1, ends=(STORAGE,))
    commits = {"111": Commit("111", reduced=True)}
    _, found = said(ExposureFacts(SENSORS, raw=frozenset(SENSORS), commits=commits, job=job))
    assert (found["status"], found["reason"]) == ("False", "StorageUnavailable")
    assert "tried again" not in found["message"]


@pytest.mark.parametrize("job", [None, JobSeen("field", "j", "Complete")])
def test_an_archive_that_is_away_when_the_job_is_done_is_said(job):
    plan, found = said(ExposureFacts(SENSORS, job=job, trouble="s3://sky answers 503"))
    assert (found["status"], found["reason"]) == ("Unknown", "StorageUnavailable")
    assert "the Job is finished, but its outcome cannot be read: s3://sky answers 503" in found["message"]
    assert plan.requeue_after_s is not None


def test_a_failure_that_would_come_again_is_not_called_a_retry():
    job = JobSeen("field", "j", failed=1, ends=(PodEnd(0, 65, "Error", "gozen: UnreadableInput: no dark master"),))
    _, found = said(ExposureFacts(SENSORS, job=job))
    assert found["reason"] == "Running"
