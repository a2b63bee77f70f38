"""Test how long an Exposure waits for calibration exposures of its night that may match it, and when the wait ends."""

from __future__ import annotations

import pytest

from gozen.instrument.profile import load_profile
from gozen.resources.exposure import Exposure
from gozen_operator.index.gather_facts import ArchiveAnswer, ExposureAnswers, exposure_facts
from gozen_operator.index.object_index import Index
from gozen_operator.operator_settings import OperatorSettings
from gozen_operator.reconcile.conditions import moment
from gozen_operator.reconcile.object_fields import Key
from gozen_operator.reconcile.reconcile_exposure import reconcile_exposure

NOW = 2.0e9
NIGHT = "20330518"
TOMOE = load_profile("tomoe")
ARRIVED = ArchiveAnswer(frozenset({"111"}), {})
SETTINGS = OperatorSettings(calibration_patience_s=600, identity="test")
CALIBRATION_INCOMPLETE = (
    "it is reduced with the masters that are in the archive, because it has waited 600 s for the calibration dark"
)


def manifest(kind, name, spec, **meta):
    meta = {"name": name, "namespace": "night", "uid": f"u-{name}", "resourceVersion": "1", "generation": 1, **meta}
    return {"apiVersion": "gozen.astro/v1alpha1", "kind": kind, "metadata": meta, "spec": spec}


def exposure(name, exposure_id, data_type="OBJECT", **spec):
    own = {"object": name, "exposureId": exposure_id, "night": NIGHT, "nframe": 6, "dataType": data_type}
    pipelines = ["wcs"] if data_type == "OBJECT" else []
    return manifest("Exposure", name, {**own, "pipelines": pipelines, "sensors": ["111"], **spec})


def observation(name, *steps):
    """Make an Observation of a DARK, a FLAT or the sky at each step, with its gain and time of one frame."""
    operations = [{"pointing": {"ra": 1.0, "dec": 2.0}}]
    for data_type, gain, tinteg in steps:
        operations += [{"setParameter": {"dataType": data_type, "gain": gain, "tintegSec": tinteg, "nframe": 6}}]
        operations += [{"exposure": data_type}]
    return manifest("Observation", name, {"observer": "A", "project": "B", "operations": operations})


def awaited(*objects, profile=TOMOE, name="sky"):
    index = Index()
    for one in objects:
        index.put(one)
    mine = index.resource(Key("Exposure", "night", name))
    return exposure_facts(index, mine, ExposureAnswers(profile), SETTINGS).calibration


def test_calibration_of_its_night_with_a_lower_number_comes_first():
    assert awaited(exposure("dark", 1, "DARK"), exposure("flat", 2, "FLAT"), exposure("sky", 3)) == ["dark", "flat"]
    assert awaited(exposure("dark", 4, "DARK"), exposure("sky", 3)) == []


@pytest.mark.parametrize(
    "other", [{"night": "20330511"}, {"instrument": "other"}, {"sensors": ["112"]}], ids=lambda one: next(iter(one))
)
def test_what_cannot_be_its_calibration_does_not_hold_it(other):
    assert awaited(exposure("dark", 1, "DARK", **other), exposure("sky", 3)) == []


@pytest.mark.parametrize(
    ("dark", "is_awaited"),
    [(("DARK", "high", 0.5), True), (("DARK", "low", 0.5), False), (("DARK", "high", 2.0), False)],
)
def test_the_recipe_says_what_cannot_fit(dark, is_awaited):
    ref = {"observationRef": {"name": "tonight"}}
    sky = exposure("tonight-005", 3, **ref)
    objects = [observation("tonight", dark, ("OBJECT", "high", 0.5)), exposure("tonight-003", 1, "DARK", **ref), sky]
    profile = TOMOE.model_copy(update={"dark_mismatch": "refused"})
    assert awaited(*objects, profile=profile, name="tonight-005") == (["tonight-003"] if is_awaited else [])


def test_any_dark_may_serve_where_the_profile_lets_it_and_none_where_it_applies_none():
    ref = {"observationRef": {"name": "tonight"}}
    steps = [("DARK", "high", 2.0), ("OBJECT", "high", 0.5)]
    objects = [observation("tonight", *steps), exposure("tonight-003", 1, "DARK", **ref)]
    objects += [exposure("flat", 2, "FLAT"), exposure("tonight-005", 3, **ref)]
    names = {}
    for masters, rule in ((("dark", "flat"), "nearest"), (("dark",), "refused"), (("flat",), None), ((), None)):
        profile = TOMOE.model_copy(update={"masters": masters, "dark_mismatch": rule})
        names[masters] = awaited(*objects, profile=profile, name="tonight-005")
    assert names == {("dark", "flat"): ["tonight-003", "flat"], ("dark",): [], ("flat",): ["flat"], (): []}


def looked_at(status, now, dark, **site):
    """Return the plan for an Exposure whose raw data are there, and which a dark of its night holds, or not."""
    index, own = Index(), {**exposure("sky", 3), "status": status}
    index.put(own)
    if dark:
        index.put(exposure("dark", 1, "DARK"))
    mine = index.resource(Key("Exposure", "night", "sky"))
    assert isinstance(mine, Exposure)
    facts = exposure_facts(index, mine, ExposureAnswers(TOMOE, ARRIVED, **site), SETTINGS)
    return reconcile_exposure(mine, facts, SETTINGS, now)


def said(plan):
    return {one["type"]: (one["status"], one["reason"], one["message"]) for one in plan.status["conditions"]}


def test_when_its_patience_is_over_it_goes_on_and_says_without_what():
    first = looked_at({}, NOW, dark=True)
    assert said(first)["Succeeded"][:2] == ("Unknown", "WaitingForCalibration")
    assert first.requeue_after_s == 600
    early = looked_at(first.status, NOW + 599, dark=True)
    assert (early.create, early.status, early.requeue_after_s) == (None, None, 1)
    over = looked_at(first.status, NOW + 600, dark=True)
    message = CALIBRATION_INCOMPLETE
    assert said(over)["CalibrationAvailable"] == ("False", "CalibrationIncomplete", message)
    assert [(one.type, one.reason, one.message) for one in over.events] == [
        ("Warning", "CalibrationIncomplete", message)
    ]
    assert over.create is None, "what it says is written before it goes on, or nobody would know"
    assert looked_at(over.status, NOW + 601, dark=True).create is not None


def test_what_it_went_on_without_stands_in_its_status_to_the_end():
    message = CALIBRATION_INCOMPLETE
    words = {"status": "False", "reason": "CalibrationIncomplete", "message": message}
    kept = {"type": "CalibrationAvailable", "lastTransitionTime": moment(NOW), **words}
    ended = looked_at({"conditions": [kept], "job": {"name": "sky", "uid": "j"}}, NOW + 900, dark=False)
    assert said(ended)["Complete"][0] == "True"
    assert said(ended)["CalibrationAvailable"] == ("False", "CalibrationIncomplete", message)


def test_time_in_which_nobody_looked_is_not_waited():
    first = looked_at({}, NOW, dark=True)
    again = looked_at(first.status, NOW + 7200, dark=True, watched_since=NOW + 7190)
    assert (again.create, again.requeue_after_s) == (None, 590)


def test_raw_data_that_are_only_kept_wait_for_no_calibration():
    index = Index()
    index.put(exposure("dark", 1, "DARK"))
    index.put(exposure("sky", 3, pipelines=[]))
    mine = index.resource(Key("Exposure", "night", "sky"))
    facts = exposure_facts(index, mine, ExposureAnswers(TOMOE, ARRIVED), SETTINGS)
    assert said(reconcile_exposure(mine, facts, SETTINGS, NOW))["Succeeded"][1] == "RawOnly"
