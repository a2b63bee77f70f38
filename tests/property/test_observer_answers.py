"""The observer with any answer of the API server: each fault at each call of a recipe in turn.

Covered: no fault ends the Observation, aborts the running exposure or repeats it, and every taken exposure gets its
Exposure; no exception but `ClusterUnavailable` leaves the loop. Not covered: faults of the archive and of devices,
kills and races (test_observer).
"""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gozen.errors import ClusterUnavailable

from ..observing_api import FAULTS, Fault, MemoryApi
from ..observing_world import World, observation
from .test_observer import SETUP, check

RECIPE = [*SETUP, {"exposure": "field"}]


def played(faults: Mapping[int, Fault], *, claim_s: float = 60) -> tuple[World, MemoryApi]:
    """Let a process execute the recipe while its calls of these numbers go wrong."""
    world = World(claim_s=claim_s)
    world.cluster.apply(observation(*RECIPE))
    api = MemoryApi(world)
    api.faults.update(faults)
    observer = world.process(cluster=api.cluster())
    for _ in range(200):
        if world.cluster.kept["obs"].status.over and api.calls > max(faults, default=0):
            return world, api
        try:
            world.tick(observer.turn(world.now))
        except ClusterUnavailable:
            world.tick(2)
    raise AssertionError(f"not over: {world.cluster.executed()}")


def check_nothing_lost(world: World) -> None:
    said = world.cluster.executed()
    assert (said.status, said.reason) == ("True", "Executed")
    assert len(world.opened) == 1, "the exposure that was running was aborted, and taken again"
    check(world)


CALLS = played({})[1].calls


@pytest.mark.parametrize("name", FAULTS)
def test_no_answer_ends_an_observation_or_costs_an_exposure(name: str) -> None:
    assert CALLS > 12
    for first in range(CALLS):
        for count in (1, 3):
            world, _ = played(dict.fromkeys(range(first, first + count), FAULTS[name]), claim_s=3)
            check_nothing_lost(world)


@settings(max_examples=100)
@given(faults=st.dictionaries(st.integers(0, 2 * CALLS), st.sampled_from(sorted(FAULTS)), max_size=2 * CALLS))
def test_nor_do_many_of_them(faults: dict[int, str]) -> None:
    world, _ = played({number: FAULTS[name] for number, name in faults.items()}, claim_s=3)
    check_nothing_lost(world)
