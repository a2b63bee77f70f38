"""Test the requests of the observer to the API server, and how it interprets the answers.

Covered: finished Observations are not listed again, also after an update and with an older schema; pages of a list;
which answers are refusals. That no answer loses an exposure is tested in tests/property.
"""

import pytest

from gozen.errors import BadRequest, ClusterUnavailable
from gozen.resources.metadata import Condition
from gozen.resources.observation import Claim
from gozen_operator.api_server.api_request import PAGE
from gozen_operator.api_server.responses import retry_after_s

from ..observing_api import PAGE_OF_A_PROXY, MemoryApi, breaks, garbles, refuses
from ..observing_world import BEGIN, World, observation

STEPS = ({"setParameter": {"nframe": 4, "tintegSec": 0.5}}, {"pointing": {"ra": 1.0, "dec": 2.0}}, {"exposure": "M31"})


@pytest.fixture
def world():
    return World()


def season(world, count, type_="Executed", status="True", **changes):
    """Apply Observations that are over, as a season before the mark has left them."""
    for number in range(count):
        one = world.cluster.apply(observation({"setFocus": 1.0}, name=f"old-{number:04d}"))
        said = Condition(type=type_, status=status, reason="Executed", last_transition_time=BEGIN)
        words = {"conditions": [*one.status.conditions, said], **changes}
        world.cluster.kept[one.metadata.name] = one.model_copy(update={"status": one.status.model_copy(update=words)})


def cost(world, api, observer, looks=5):
    """Return calls and bytes of a look, on the average of a few."""
    calls, listed = api.calls, api.listed
    for _ in range(looks):
        world.tick(observer.turn(world.now))
    return (api.calls - calls) / looks, (api.listed - listed) / looks


def idle(world, **how):
    api = MemoryApi(world, **how)
    return api, world.process(cluster=api.cluster())


@pytest.mark.parametrize(
    ("type_", "status"), [("Executed", "True"), ("Executed", "False"), ("Complete", "True")], ids=str
)
def test_a_look_costs_the_same_after_a_season(world, type_, status):
    api, observer = idle(world)
    before = cost(world, api, observer)
    season(world, 230, type_, status)
    cost(world, api, observer)  # the first looks after the update mark what is over
    assert cost(world, api, observer) == before == (1, before[1])
    world.cluster.apply(observation(*STEPS))
    assert world.finish(observer).status == "True"
    assert cost(world, api, observer) == before, "what it has executed itself is marked at once"


def test_what_is_marked_is_never_again_written(world):
    api, observer = idle(world)
    season(world, 3)
    cost(world, api, observer)
    writes = world.cluster.writes
    cost(world, api, observer)
    assert world.cluster.writes == writes == 3


def test_an_observation_of_before_the_update_is_seen_among_those_that_are_over(world):
    season(world, 2 * PAGE + 1)
    world.cluster.apply(observation(*STEPS, name="waits-since-then"))
    _, observer = idle(world)
    assert world.finish(observer, "waits-since-then").status == "True"


def test_a_refused_one_that_another_still_executes_keeps_its_claim(world):
    season(world, 1, "Complete", claim=Claim(holder="other", session="1", renewed=BEGIN))
    api, observer = idle(world)
    cost(world, api, observer, looks=1)
    assert world.cluster.kept["old-0000"].status.claim.holder == "other"
    world.tick(100)
    cost(world, api, observer, looks=1)
    assert world.cluster.kept["old-0000"].status.over, "the other has been silent for long"


def test_with_definitions_of_before_the_mark_all_are_listed_and_one_warning_says_so(world, caplog):
    season(world, 3)
    world.cluster.apply(observation(*STEPS))
    api, observer = idle(world, knows_over=False)
    assert world.finish(observer).status == "True"
    writes = world.cluster.writes
    cost(world, api, observer)
    assert world.cluster.writes <= writes + 5, "a mark that does not stay is not tried for each of them"
    (warning,) = [one.message for one in caplog.records if "CustomResourceDefinitions" in one.message]
    assert "the observer therefore lists all Observations at each check" in warning


def test_what_cannot_be_read_is_left_alone_and_said_once(world, caplog):
    world.cluster.apply(observation(*STEPS))
    api = MemoryApi(world)
    api.odd = [{**world.cluster.kept["obs"].wire(), "metadata": {"name": "odd"}, "spec": {"operations": "none"}}]
    cluster = api.cluster()
    for _ in range(3):
        assert [one.metadata.name for one in cluster.observations()] == ["obs"]
    (warning,) = [one.message for one in caplog.records if "odd" in one.message]
    assert "Observation odd is ignored" in warning


@pytest.mark.parametrize("body", [None, "", PAGE_OF_A_PROXY])
def test_an_observation_is_gone_only_where_the_list_does_not_have_it_either(world, body):
    world.cluster.apply(observation(*STEPS))
    api = MemoryApi(world)
    api.faults = {0: refuses(404, body), 2: refuses(404, body), 3: refuses(404, body)}
    cluster = api.cluster()
    assert cluster.observation("obs").metadata.name == "obs"
    with pytest.raises(ClusterUnavailable, match="get Observation obs: the API server says 404"):
        cluster.observation("obs")
    world.cluster.delete("obs")
    assert cluster.observation("obs") is None


def taken(world):
    """Let an exposure be taken, and return its Exposure."""
    world.cluster.apply(observation(*STEPS))
    world.finish(world.process())
    return world.cluster.exposures["obs-003"]


def test_an_exposure_that_is_gone_when_it_is_looked_at_is_created_the_next_time(world):
    exposure = taken(world)
    del world.cluster.exposures["obs-003"]
    api = MemoryApi(world)
    api.faults = {0: refuses(409)}  # of one that is collected before the observer has asked for it
    cluster = api.cluster()
    with pytest.raises(
        ClusterUnavailable, match="get Exposure obs-003: the API server says 404: it is Not Found"
    ) as no:
        cluster.create(exposure)
    assert no.value.name == "ClusterUnavailable"
    assert cluster.create(exposure).spec.exposure_id == exposure.spec.exposure_id
    assert cluster.create(exposure).metadata.name == "obs-003", "it stands"


@pytest.mark.parametrize("code", [400, 422])
def test_only_the_api_server_itself_refuses_an_exposure(world, code):
    exposure, api = taken(world), MemoryApi(world)
    api.faults = {0: refuses(code), 1: refuses(code, PAGE_OF_A_PROXY), 2: refuses(code, "")}
    cluster = api.cluster()
    with pytest.raises(BadRequest, match=f"create Exposure obs-003: the API server says {code}: it is "):
        cluster.create(exposure)
    for _ in range(2):
        with pytest.raises(ClusterUnavailable):
            cluster.create(exposure)


@pytest.mark.parametrize("code", [400, 422])
def test_a_refusal_of_anything_else_is_tried_again(world, code):
    world.cluster.apply(observation(*STEPS))
    api = MemoryApi(world)
    cluster = api.cluster()
    seen = cluster.observation("obs")
    calls = [lambda: cluster.observation("obs"), lambda: cluster.claim(seen, None), lambda: cluster.retire(seen)]
    for call in calls:
        api.faults[api.calls] = refuses(code)
        with pytest.raises(ClusterUnavailable, match=f"Observation obs: the API server says {code}: it is "):
            call()


def test_a_server_that_is_too_busy_says_how_long_to_wait(world):
    api = MemoryApi(world)
    cluster = api.cluster()
    api.faults = {0: refuses(429, Retry_After="40"), 1: refuses(429, PAGE_OF_A_PROXY, Retry_After="7"), 2: refuses(403)}
    waits = []
    for _ in api.faults:
        with pytest.raises(ClusterUnavailable) as refused:
            cluster.observations()
        waits.append(retry_after_s(refused.value))
    assert waits == [40, 7, 0]


def test_what_the_client_says_of_credentials_and_connections(world):
    api = MemoryApi(world)
    cluster = api.cluster()
    faults = [
        (refuses(403), "list Observations: the API server says 403: it is Forbidden; give the observer's service"),
        (breaks(OSError("no route"), after=False), "list Observations: the API server does not answer: no route"),
        (
            breaks(RuntimeError("the token is empty"), after=False),
            "list Observations: the request failed, or its answer cannot be read: RuntimeError: the token is empty",
        ),
        (garbles(PAGE_OF_A_PROXY), "list Observations: the answer '<html>"),
    ]
    for fault, said in faults:
        api.faults[api.calls] = fault
        with pytest.raises(ClusterUnavailable, match=said):
            cluster.observations()
