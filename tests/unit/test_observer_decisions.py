"""Test single decisions of the observer: which Observation, which step, which action. No I/O.

The complete observer with kills and races: tests/property/test_observer.py.
"""

from dataclasses import replace
from datetime import timedelta

import pytest

from gozen.archive.exp_ids import Closing
from gozen.observing.device_drivers import CameraState
from gozen.resources.metadata import Condition
from gozen.resources.observation import Claim, ObservationStatus
from gozen.resources.recipe_steps import Pointing
from gozen.settings import ObserverSettings
from gozen_operator.observer.exposure_records import exposure_of
from gozen_operator.observer.next_action import next_action
from gozen_operator.observer.observation_steps import next_step, read_recipe
from gozen_operator.observer.schedule import choose
from gozen_operator.observer.situation import (
    Abort,
    Attempt,
    Close,
    Create,
    Expose,
    Failure,
    Finish,
    Leave,
    MoveCover,
    Moving,
    Passed,
    Point,
    Reserve,
    SetFocus,
    Situation,
    Wait,
)

from ..observing_world import BEGIN, PROFILE, MemoryCluster, observation

NIGHT = "20261120"
PARAMETERS = {"setParameter": {"nframe": 20, "tintegSec": 0.5}}
POINT = {"pointing": {"ra": 10.0, "dec": 20.0}}
WINDOW = {"timeWindow": {"start": "2026-11-20T11:00:00Z", "end": "2026-11-20T13:00:00Z"}}


def situation(*operations, step, spec=None, claim="me-1", **changes):
    """Return the situation of a claimed Observation before one of its steps."""
    one = MemoryCluster().apply(observation(*operations, **(spec or {})))
    held = Claim(holder="me", session=claim, renewed=BEGIN)
    one = one.model_copy(update={"status": one.status.model_copy(update={"claim": held})})
    given = {
        "recipe": read_recipe(one, PROFILE, "r1"),
        "uid": one.metadata.uid,
        "observation": one,
        "session": "me-1",
        "now": BEGIN,
        "night": NIGHT,
        "night_ends": BEGIN + timedelta(hours=15),
        "limits": ObserverSettings(interval_s=5, grace_s=20),
        "move_timeout_s": 300.0,
        "step": step,
        "conditions": {"domeslit_open": True, "mirrorcover_open": False},
    }
    return Situation(**(given | changes))


def exposing(**changes):
    """Return the situation before the exposure of a small recipe."""
    return situation(POINT, PARAMETERS, {"exposure": "M31"}, step=3, **changes)


def opened(number=7, **changes):
    return Attempt(1, number, NIGHT, opened=True, **changes)


def changed(s, **spec):
    one = s.observation
    return replace(s, observation=one.model_copy(update={"spec": one.spec.model_copy(update=spec)}))


@pytest.mark.parametrize(
    ("operation", "action"),
    [
        ({"setFocus": 28.1}, SetFocus(1, 28.1)),
        (POINT, Point(1, Pointing(ra=10.0, dec=20.0))),
        ({"mirrorCover": "open"}, MoveCover(1, "open")),
        ({"assert": ["domeslit_open"]}, Passed(1)),
        ({"wait": ["domeslit_open"]}, Passed(1)),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_each_step_has_its_action(operation, action):
    assert next_action(situation(operation, step=1)) == action


def test_dithering_is_an_absolute_pointing():
    action = next_action(situation(POINT, {"dithering": [0, 3600]}, step=2))
    assert action == Point(2, Pointing(ra=10.0, dec=21.0))


def test_an_assertion_that_fails_cancels_the_recipe():
    action = next_action(situation({"assert": ["domeslit_open", "mirrorcover_open"]}, step=1))
    said = "step 1 of 1 (assert [domeslit_open, mirrorcover_open]): the condition mirrorcover_open is not fulfilled"
    assert action == Finish("False", "StepFailed", said)


@pytest.mark.parametrize("word", ["assert", "wait"])
def test_a_condition_that_nobody_knows_cancels_the_recipe(word):
    action = next_action(situation({word: ["sky_clear"]}, step=1))
    assert action.reason == "StepFailed"
    assert (
        "no device reports the condition sky_clear; the known conditions are domeslit_open, mirrorcover_open"
        in action.message
    )


def test_a_wait_lasts_until_the_window_or_the_night_ends():
    s = situation({"wait": ["mirrorcover_open"]}, {"setFocus": 1.0}, PARAMETERS, POINT, {"exposure": "x"}, step=1)
    assert next_action(s) == Wait(
        5, "step 1 of 5 (wait [mirrorcover_open]): waits, because the condition mirrorcover_open is not fulfilled"
    )
    ended = next_action(replace(s, now=s.night_ends))
    assert (ended.status, ended.reason) == ("False", "WindowClosed")
    assert "by the end of the night" in ended.message
    steps = ({"wait": ["mirrorcover_open"]}, PARAMETERS, POINT, {"exposure": "x"})
    s = situation(*steps, step=1, spec=WINDOW)
    assert isinstance(next_action(s), Wait)
    ended = next_action(replace(s, now=BEGIN + timedelta(hours=1, seconds=1)))
    assert ended == Finish(
        "False", "WindowClosed", "the time window ends at 2026-11-20T13:00:00Z; 1 exposures are not made"
    )


def test_what_moves_is_waited_for_but_not_for_ever():
    s = situation({"setFocus": 28.1}, step=1, moving=Moving(1, BEGIN), busy=True)
    assert isinstance(next_action(s), Wait)
    assert next_action(replace(s, busy=False)) == Passed(1)
    late = next_action(replace(s, now=BEGIN + timedelta(seconds=301)))
    assert late.reason == "StepFailed"
    assert "step 1 of 1 (setFocus 28.1): still moving after 300 s" in late.message


def test_what_a_device_refuses_cancels_the_recipe():
    s = situation({"setFocus": 28.1}, step=1, failure=Failure(1, "DeviceFailed: the motor stalls"))
    assert next_action(s).message == "step 1 of 1 (setFocus 28.1): DeviceFailed: the motor stalls"


def test_the_end():
    s = situation(POINT, PARAMETERS, {"exposure": "M31"}, step=None, done=frozenset({3}))
    assert next_action(s) == Finish("True", "Executed", "3 steps, 1 exposures")


def test_an_exposure_is_reserved_opened_closed_and_created():
    assert next_action(exposing()) == Reserve(3, 1)
    assert next_action(exposing(attempt=Attempt(1, 7, NIGHT))) == Expose(3, 7, NIGHT)
    running = exposing(attempt=opened(), camera=CameraState("exposing", 7, 3.0))
    assert next_action(running) == Wait(3.0)
    all_ = frozenset({"111", "112"})
    done = exposing(attempt=opened(recorded=all_), camera=CameraState("done", 7))
    assert next_action(done) == Close(3, 7, Closing("taken", "Taken", "", ("111", "112")))
    taken = exposing(attempt=opened(closing=Closing("taken", "Taken", "", ("111", "112"))))
    assert next_action(taken) == Create(3, 7, NIGHT, ("111", "112"))


def test_what_a_process_before_this_one_left():
    whole = exposing(attempt=opened(recorded=frozenset({"111", "112"})))
    assert next_action(whole).closing.result == "taken"
    half = next_action(exposing(attempt=opened(recorded=frozenset({"111"}))))
    assert (half.closing.result, half.closing.why) == ("lost", "Interrupted")
    assert "1 of 2 sensors are recorded" in half.closing.message
    none = next_action(exposing(attempt=opened()))
    assert (none.closing.result, none.closing.why) == ("lost", "Interrupted")
    other_night = next_action(exposing(attempt=Attempt(1, 7, "20261119")))
    assert (other_night.closing.result, other_night.closing.why) == ("lost", "OtherNight")
    again = next_action(exposing(attempt=Attempt(2)))
    assert again == Reserve(3, 2)


def test_an_exposure_that_ended_with_fewer_sensors_counts():
    s = exposing(attempt=opened(recorded=frozenset({"112"})), camera=CameraState("done", 7))
    assert next_action(s).closing == Closing("taken", "Taken", "", ("112",))
    exposure = exposure_of(s.recipe, Create(3, 7, NIGHT, ("112",)))
    assert exposure.spec.sensors == ["112"]
    assert exposure_of(s.recipe, Create(3, 7, NIGHT, ("111", "112"))).spec.sensors == []


def test_a_camera_that_fails_cancels_the_recipe_and_its_number():
    failed = exposing(attempt=opened(), camera=CameraState("failed", 7, message="the read-out has stopped"))
    action = next_action(failed)
    assert action == Close(3, 7, Closing("lost", "DeviceFailed", "the read-out has stopped"))
    after = next_action(exposing(attempt=opened(closing=action.closing)))
    assert (after.status, after.reason) == ("False", "StepFailed")
    assert "step 3 of 3 (exposure M31): the read-out has stopped (EXP_ID 00000007, attempt 1)" in after.message
    silent = next_action(exposing(attempt=opened(), camera=CameraState("done", 7)))
    assert silent.closing.why == "DeviceFailed"


def test_an_exposure_that_another_process_opened_may_have_been_aborted_by_it():
    failed = exposing(attempt=opened(opened_by="me-0"), camera=CameraState("failed", 7, message="aborted"))
    assert next_action(failed).closing.why == "Interrupted", "it is begun again"
    ours = replace(failed, attempt=opened(opened_by="me-1"))
    assert next_action(ours).closing.why == "DeviceFailed"


def test_what_an_earlier_process_exposes_is_aborted_when_the_name_is_another_observation_by_now():
    running = exposing(attempt=opened(), camera=CameraState("exposing", 7, 3.0), uid="another")
    assert next_action(running) == Abort(7, "the Observation was deleted")


def test_a_failure_ends_the_exposure_that_is_running_but_keeps_one_that_was_taken():
    failure = Failure(3, "DeviceFailed: the line is dead")
    running = exposing(attempt=opened(), camera=CameraState("exposing", 7, 3.0), failure=failure)
    assert next_action(running) == Abort(7, "DeviceFailed: the line is dead")
    aborted = replace(running, camera=CameraState("failed", 7))
    assert next_action(aborted).closing.result == "lost"
    recorded = replace(aborted, attempt=opened(recorded=frozenset({"111", "112"})))
    assert next_action(recorded).closing.result == "taken"
    taken = replace(aborted, attempt=opened(closing=Closing("taken", "Taken", "", ("111", "112"))))
    assert isinstance(next_action(taken), Create)
    blocked = replace(taken, failure=Failure(3, "an Exposure of this name has another owner", blocked=True))
    assert next_action(blocked).reason == "StepFailed"


def test_suspended_it_stops_before_the_next_exposure():
    assert next_action(changed(exposing(), suspend=True)) == Finish("Unknown", "Suspended", "0 of 1 exposures are made")
    running = changed(exposing(attempt=opened(), camera=CameraState("exposing", 7, 3.0)), suspend=True)
    assert isinstance(next_action(running), Wait)
    taken = changed(exposing(attempt=opened(closing=Closing("taken", "Taken", "", ("111",)))), suspend=True)
    assert isinstance(next_action(taken), Create)


def test_told_to_end_it_finishes_a_short_exposure_and_aborts_a_long_one():
    assert next_action(exposing(stopping=True)).reason == "Interrupted"
    short = exposing(attempt=opened(), camera=CameraState("exposing", 7, 19.0), stopping=True)
    assert isinstance(next_action(short), Wait)
    long = replace(short, camera=CameraState("exposing", 7, 21.0))
    assert isinstance(next_action(long), Abort)
    aborted = replace(short, camera=CameraState("failed", 7, message="the exposure was aborted"))
    assert next_action(aborted).closing.why == "Interrupted"
    moving = situation({"setFocus": 1.0}, step=1, moving=Moving(1, BEGIN), busy=True, stopping=True)
    assert next_action(moving).reason == "Interrupted"


def test_an_exposure_that_does_not_fit_into_the_window_is_not_begun():
    s = exposing(spec=WINDOW, now=BEGIN + timedelta(minutes=59, seconds=55))
    assert next_action(s).reason == "WindowClosed"
    assert isinstance(next_action(replace(s, now=BEGIN + timedelta(minutes=59, seconds=45))), Reserve)


def test_steps_after_the_last_exposure_are_done_though_the_window_has_closed():
    steps = (POINT, PARAMETERS, {"exposure": "M31"}, {"mirrorCover": "close"})
    late = BEGIN + timedelta(hours=5)
    assert next_action(situation(*steps, step=4, spec=WINDOW, now=late, done=frozenset({3}))) == MoveCover(4, "close")


def test_what_is_not_ours_any_more_is_left():
    assert next_action(exposing(claim="me-2")) == Leave("the claim is with me, another process")
    gone = replace(exposing(attempt=opened(), camera=CameraState("exposing", 7, 3.0)), observation=None)
    assert next_action(gone) == Abort(7, "the Observation was deleted")
    assert next_action(replace(gone, camera=CameraState("failed", 7))) == Leave("the Observation was deleted")
    other = replace(exposing(), uid="another")
    assert isinstance(next_action(other), Leave)


def test_an_exposure_is_aborted_by_the_process_that_began_it_when_another_has_the_claim():
    running = exposing(claim="me-2", attempt=opened(9), camera=CameraState("exposing", 7, 3.0))
    assert isinstance(next_action(replace(running, began=7)), Abort)
    assert isinstance(next_action(replace(running, began=6)), Leave), "it is the other's"


def test_nothing_moves_while_the_camera_exposes_something_else():
    camera = CameraState("exposing", 6, 3.0)
    said = "waits, because the camera still exposes EXP_ID 00000006"
    assert next_action(situation({"setFocus": 1.0}, step=1, camera=camera)) == Wait(3.0, said)
    assert next_action(exposing(attempt=Attempt(1, 7, NIGHT), camera=camera)) == Wait(3.0, said)


def test_what_the_operator_accepts_no_more_is_over():
    s = exposing()
    said = Condition(type="Accepted", status="False", reason="UnknownSensor", last_transition_time=BEGIN)
    status = s.observation.status.model_copy(update={"conditions": [said]})
    s = replace(s, observation=s.observation.model_copy(update={"status": status}))
    assert next_action(s).reason == "NotAccepted"


STEPS = [
    PARAMETERS,  # 1
    {"setFocus": 27.0},  # 2
    POINT,  # 3
    {"assert": ["domeslit_open"]},  # 4
    {"exposure": "a"},  # 5
    {"pointing": {"ra": 30.0, "dec": 0.0}},  # 6
    {"exposure": "b"},  # 7
    {"wait": ["domeslit_open"]},  # 8
    {"dithering": [60, 0]},  # 9
    {"exposure": "c"},  # 10
    {"mirrorCover": "close"},  # 11
]


@pytest.mark.parametrize(
    ("done", "steps"),
    [
        (set(), [2, 3, 4, 5, 6, 7, 8, 9, 10, 11]),
        ({5}, [2, 6, 7, 8, 9, 10, 11]),  # the old pointing is not gone to again, nor asserted
        ({5, 7}, [2, 8, 9, 10, 11]),
        ({5, 7, 10}, [11]),
    ],
)
def test_after_a_crash_only_what_still_counts_is_done_again(done, steps):
    recipe = read_recipe(MemoryCluster().apply(observation(*STEPS)), PROFILE, "r1")
    executed, exposed, order = set(), set(done), []
    while (step := next_step(recipe, exposed, executed)) is not None:
        order.append(step)
        (exposed if step in recipe.planned else executed).add(step)
    assert order == steps


def known(name, *, priority=0.5, age_s=0, **changes):
    one = MemoryCluster().apply(observation({"setFocus": 1.0}, name=name, priority=priority, **changes.pop("spec", {})))
    meta = {"creation_timestamp": BEGIN - timedelta(seconds=age_s), **changes.pop("meta", {})}
    status = one.status.model_copy(update=changes)
    return one.model_copy(update={"metadata": one.metadata.model_copy(update=meta), "status": status})


def first(*observations, now=BEGIN):
    chosen = choose(observations, Claim(holder="me", session="2", renewed=now), 60)
    return chosen and chosen.metadata.name


def claim(holder, ago_s=0.0, session="1"):
    return Claim(holder=holder, session=session, renewed=BEGIN - timedelta(seconds=ago_s))


def executed(status):
    said = Condition(type="Executed", status=status, reason="X", last_transition_time=BEGIN)
    accepted = Condition(type="Accepted", status="True", reason="Valid", last_transition_time=BEGIN)
    return {"conditions": [accepted, said]}


def test_what_comes_first():
    plain, old, high = known("plain"), known("old", age_s=60), known("high", priority=0.9)
    express = known("express", priority=0.1, spec={"targetOfOpportunity": True})
    begun = known("begun", priority=0.0, claim=claim("me"))
    assert first(plain, old) == "old"
    assert first(plain, old, high) == "high"
    assert first(plain, old, high, express) == "express"
    assert first(plain, old, high, express, begun) == "begun"


def test_what_is_not_chosen():
    assert first(known("a", claim=claim("other", 59))) is None
    assert first(known("a", claim=claim("other", 61))) == "a"
    assert first(known("a", claim=claim("me", session="1"))) == "a", "of an earlier process of this observer"
    assert first(known("a", claim=claim("me", session="3"))) is None, "of a later one, which lives"
    assert first(known("a", claim=claim("me", 61, session="3"))) == "a", "of a later one, which died"
    assert first(known("a", spec={"suspend": True})) is None
    assert first(known("a", meta={"deletion_timestamp": BEGIN})) is None
    assert first(known("a", **executed("True"))) is None
    assert first(known("a", **executed("False"))) is None
    assert first(known("a", **executed("Unknown"))) == "a"
    assert first(known("a", conditions=[])) is None, "the operator has not looked at it"
    later = known("a", spec={"timeWindow": {"start": "2026-11-20T12:30:00Z", "end": "2026-11-20T13:00:00Z"}})
    assert first(later) is None
    assert first(later, now=BEGIN + timedelta(minutes=31)) == "a"
    assert ObservationStatus().claim is None
