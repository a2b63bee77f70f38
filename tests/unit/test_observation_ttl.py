"""Test how long a complete Observation stays in the API server. Its status is tested in tests/cluster."""

from datetime import timedelta

import pytest

from gozen.resources.metadata import Condition
from gozen_operator.operator_settings import OperatorSettings, load_operator_settings
from gozen_operator.reconcile.facts import ChildExposure, ObservationFacts
from gozen_operator.reconcile.reconcile_observation import reconcile_observation
from gozen_operator.reconcile.reconcile_plan import Plan

from ..observing_world import BEGIN, MemoryCluster, observation

NOW = BEGIN.timestamp()
DAY_S = 86400.0
SITE, FOR_EVER = OperatorSettings(observation_ttl_s=30 * DAY_S), OperatorSettings()


def complete(ago_s):
    """Return an Observation that has been complete for so long; the operator of any version has written that."""
    one = MemoryCluster().apply(observation({"setFocus": 1.0}))
    since = BEGIN - timedelta(seconds=ago_s)
    said = Condition(type="Complete", status="True", reason="Reduced", last_transition_time=since)
    status = one.status.model_copy(update={"conditions": [*one.status.conditions, said]})
    return one.model_copy(update={"status": status})


def facts(**children):
    found = {name: ChildExposure(name, done, done) for name, done in children.items()}
    return ObservationFacts(known_sensors=["111"], children=found)


def test_it_goes_in_its_time():
    assert reconcile_observation(complete(DAY_S), facts(), SITE, NOW) == Plan(requeue_after_s=29 * DAY_S)
    assert reconcile_observation(complete(30 * DAY_S), facts(), SITE, NOW) == Plan(delete=True)


def test_it_stays_where_the_site_does_not_say_how_long():
    assert load_operator_settings().observation_ttl_s is None
    assert reconcile_observation(complete(1000 * DAY_S), facts(), FOR_EVER, NOW) == Plan()


def test_an_exposure_that_is_still_reduced_keeps_it():
    late = complete(31 * DAY_S)
    assert reconcile_observation(late, facts(a=True, b=False), SITE, NOW) == Plan()
    assert reconcile_observation(late, facts(a=True, b=True), SITE, NOW) == Plan(delete=True)


def test_what_is_not_complete_does_not_go():
    one = MemoryCluster().apply(observation({"setFocus": 1.0}))
    assert not reconcile_observation(one, facts(), SITE, NOW + 1000 * DAY_S).delete


def test_the_environment_says_how_long(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("GOZEN_OPERATOR_OBSERVATION_TTL_S", "2592000")
    assert load_operator_settings().observation_ttl_s == 30 * DAY_S
