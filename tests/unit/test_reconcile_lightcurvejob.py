"""Test the status of a LightCurveJob, which depends on the requested aperture and on those of the site's instrument."""

from __future__ import annotations

import pytest

from gozen.resources.lightcurvejob import LightCurveJob
from gozen_operator.operator_settings import OperatorSettings
from gozen_operator.reconcile.facts import JobSeen, LightCurveFacts
from gozen_operator.reconcile.reconcile_lightcurvejob import reconcile_lightcurvejob


def accepted(aperture, measured):
    """Return whether a job is accepted, and what its status says about it."""
    spec = {"selection": {"night": "20260115"}} | ({} if aperture is None else {"aperture": aperture})
    metadata = {"name": "tonight", "namespace": "kiso", "uid": "u1", "generation": 1}
    job = LightCurveJob.model_validate({"apiVersion": "gozen.astro/v1alpha1", "metadata": metadata, "spec": spec})
    plan = reconcile_lightcurvejob(job, LightCurveFacts(apertures=measured), OperatorSettings(), 1.8e9)
    if plan.create is not None:
        return True, ""
    said = next(one for one in plan.status["conditions"] if one["type"] == "Accepted")
    return False, f"{said['reason']}: {said['message']}"


@pytest.mark.parametrize("measured", [(21, 10), (7,), "auto", None])
def test_a_job_that_names_no_aperture_takes_the_calibrated_one(measured):
    assert accepted(None, measured) == (True, "")


@pytest.mark.parametrize("aperture", [21, 10])
def test_an_aperture_that_the_profile_names_is_accepted(aperture):
    assert accepted(aperture, (21, 10)) == (True, "")


@pytest.mark.parametrize(
    ("aperture", "measured", "says"),
    [
        (21, (9, 5), "ApertureNotMeasured: spec.aperture 21: the measured apertures are 9, 5 pixel"),
        (21, "auto", "leave spec.aperture out"),
        (21, None, "which lists the apertures, cannot be read"),
    ],
)
def test_another_one_is_refused_with_what_to_do(aperture, measured, says):
    is_accepted, message = accepted(aperture, measured)
    assert not is_accepted
    assert says in message


def test_what_has_begun_is_not_refused_for_a_profile_that_has_changed_since():
    spec = {"selection": {"night": "20260115"}, "aperture": 21}
    metadata = {"name": "tonight", "namespace": "kiso", "uid": "u1", "generation": 1}
    job = LightCurveJob.model_validate({"apiVersion": "gozen.astro/v1alpha1", "metadata": metadata, "spec": spec})
    for finished, reason in ((None, "Running"), ("Complete", "Appended")):
        seen = JobSeen("tonight-append", "j1", finished)
        plan = reconcile_lightcurvejob(job, LightCurveFacts(apertures=None, job=seen), OperatorSettings(), 1.8e9)
        assert plan.status["conditions"][-1]["reason"] == reason
