"""The observer with kills between any two calls of cluster and archive, take-overs, races and suspensions.

There are two kinds of tests: one recipe, killed or taken over at each of its calls in turn; and random recipes with
random histories.

Covered: in the end each exposure step has exactly one Exposure, with exactly one complete raw record; no EXP_ID opens a
shutter twice; each exposure has the pointing and focus of the recipe; without faults nothing is lost. Not covered:
single decisions (tests/unit), the real API server (tests/cluster).
"""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gozen.archive import exp_ids
from gozen.archive.raw.exposure_record import read_record
from gozen.observing.observation_plan import exposures_of

from ..interruptions import Life
from ..observing_world import SENSORS, World, observation

SETUP = [{"setParameter": {"nframe": 4, "tintegSec": 0.5}}, {"pointing": {"ra": 10.0, "dec": 20.0}}]
steps = st.lists(
    st.one_of(
        st.builds(lambda mm: {"setFocus": mm}, st.sampled_from([27.5, 28.0])),
        st.builds(lambda ra: {"pointing": {"ra": ra, "dec": 20.0}}, st.sampled_from([30.0, 40.0])),
        st.just({"dithering": [60.0, 0.0]}),
        st.builds(lambda state: {"mirrorCover": state}, st.sampled_from(["open", "close"])),
        st.just({"assert": ["domeslit_open"]}),
        st.just({"wait": ["domeslit_open"]}),
        st.just({"exposure": "field"}),
    ),
    min_size=2,
    max_size=9,
).map(lambda drawn: [*SETUP, *drawn, {"exposure": "last"}])
event = st.one_of(
    st.tuples(st.just("go"), st.integers(0, 1), st.integers(1, 60)),
    st.tuples(st.just("kill"), st.integers(0, 1), st.just(0)),
    st.tuples(st.sampled_from(["suspend", "resume"]), st.just(0), st.just(0)),
    st.tuples(st.just("time"), st.just(0), st.integers(1, 200)),
)
histories = st.lists(event, min_size=3, max_size=40)


def play(world: World, history: list[tuple[str, int, int]], *, names: tuple[str, str]) -> None:
    """Let two processes live and die as the history says; all are dead in the end."""
    lives: list[Life | None] = [None, None]
    for what, which, count in history:
        if what == "go":
            life = lives[which] or Life(lambda name=names[which]: world.live(world.process(name)))
            lives[which] = life
            for _ in range(count):
                life.go()
        elif what == "kill" and lives[which] is not None:
            lives[which].kill()
            lives[which] = None
        elif what == "time":
            world.tick(count)
        else:
            world.cluster.change("obs", suspend=what == "suspend")
    for life in lives:
        if life is not None:
            life.kill()
    world.cluster.change("obs", suspend=False)


def check(world: World) -> None:
    """Compare what is left with what the recipe asks for."""
    planned = {one.step: one for one in exposures_of(world.cluster.kept["obs"])}
    assert set(world.cluster.exposures) == {one.exposure.metadata.name for one in planned.values()}
    assert len({order.exposure_id for order in world.opened}) == len(world.opened), "a number was used twice"
    numbers = [one.spec.exposure_id for one in world.cluster.exposures.values()]
    assert len(set(numbers)) == len(numbers)
    taken: dict[int, list[int]] = {}
    for order in world.opened:
        purpose, closing = exp_ids.read_purpose(world.store, order.exposure_id), None
        closing = exp_ids.read_closing(world.store, order.exposure_id)
        if closing is not None and closing.result == "taken":
            taken.setdefault(purpose.step, []).append(order.exposure_id)
    for step, one in planned.items():
        exposure = world.cluster.exposures[one.exposure.metadata.name]
        assert taken[step] == [exposure.spec.exposure_id]
        record = read_record(world.store, exposure.spec.night, f"{exposure.spec.exposure_id:08d}")
        assert set(record.sensors) == set(SENSORS)
        assert record.object == exposure.spec.object


def check_places(world: World) -> None:
    """Compare where each exposure was taken with what the steps before it have set."""
    recipe = world.cluster.kept["obs"]
    planned = {one.step: one for one in exposures_of(recipe)}
    for order, (pointing, position_mm, cover) in zip(world.opened, world.seen, strict=True):
        step = exp_ids.read_purpose(world.store, order.exposure_id).step
        before = recipe.spec.operations[: step - 1]
        assert pointing == planned[step].pointing == order.pointing
        assert position_mm == next((one.set_focus for one in reversed(before) if one.set_focus is not None), None)
        assert cover == next((one.mirror_cover for one in reversed(before) if one.mirror_cover), "close")


RECIPE = [
    *SETUP,
    {"setFocus": 28.0},
    {"exposure": "a"},
    {"dithering": [60.0, 0.0]},
    {"wait": ["domeslit_open"]},
    {"exposure": "b"},
    {"mirrorCover": "close"},
]


def calls_of(world: World) -> int:
    """Return how many calls of the outside an undisturbed process makes until the recipe is over."""
    life, count = Life(lambda: world.finish(world.process())), 0
    while not life.over:
        life.go()
        count += 1
    return count


def begun(outlives: bool) -> World:
    world = World(camera_outlives=outlives)
    world.cluster.apply(observation(*RECIPE))
    return world


@pytest.mark.parametrize("outlives", [True, False])
def test_killed_at_each_call_it_goes_on(outlives) -> None:
    calls = calls_of(begun(outlives))
    assert calls > 60
    for count in range(calls):
        world = begun(outlives)
        play(world, [("go", 0, count)], names=("observer", ""))
        assert world.finish(world.process()).status == "True", count
        check(world)
        check_places(world)
        # What a killed process had opened is lost at most once; a camera that goes on loses nothing but between the
        # word that the shutter opens and the command to open it.
        assert len(world.opened) <= (2 if outlives else 3), count
        assert len(world.store.list("expid/closed")) <= 3, count


@pytest.mark.parametrize("outlives", [True, False])
@pytest.mark.parametrize("second", ["observer", "another"])
def test_overtaken_at_each_call_the_first_one_stops(outlives, second) -> None:
    for count in range(calls_of(begun(outlives))):
        world = begun(outlives)
        first = Life(lambda world=world: world.live(world.process()))
        for _ in range(count):
            first.go()
        world.tick(100)
        assert world.finish(world.process(second)).status == "True", count
        done = len(world.told) + len(world.opened)
        check(world)
        for _ in range(60):
            first.go()
        first.kill()
        check(world)
        assert len(world.told) + len(world.opened) <= done + 1, count
        assert world.cluster.executed().status == "True", count


@settings(max_examples=250)
@given(steps=steps, history=histories, outlives=st.booleans())
def test_killed_and_begun_again_it_neither_exposes_twice_nor_forgets(steps, history, outlives) -> None:
    world = World(camera_outlives=outlives, attempts=99)
    world.cluster.apply(observation(*steps))
    one_process_at_a_time = [(what, 0, count) for what, _, count in history]
    play(world, one_process_at_a_time, names=("observer", "observer"))
    said = world.finish(world.process())
    assert (said.status, said.reason) == ("True", "Executed")
    check(world)
    check_places(world)


@settings(max_examples=250)
@example(
    steps=[*SETUP, {"setFocus": 27.5}, {"assert": ["domeslit_open"]}, {"exposure": "last"}],
    history=[("go", 1, 24), ("go", 0, 3), ("go", 1, 11)],  # the one that is overtaken aborts what the other waits for
    outlives=True,
    same_name=True,
)
@given(steps=steps, history=histories, outlives=st.booleans(), same_name=st.booleans())
def test_two_observers_that_race_make_everything_once(steps, history, outlives, same_name) -> None:
    world = World(camera_outlives=outlives, attempts=99)
    world.cluster.apply(observation(*steps))
    play(world, history, names=("observer", "observer" if same_name else "second"))
    world.tick(1000)
    said = world.finish(world.process())
    if said.status == "True" or not outlives:
        assert (said.status, said.reason) == ("True", "Executed")
        check(world)
    else:
        # One camera, of which both want something at once: it refuses one of them, and that cancels the recipe.
        assert "exposes" in said.message


@settings(max_examples=50)
@given(steps=steps, outlives=st.booleans())
def test_without_trouble_nothing_is_lost(steps, outlives) -> None:
    world = World(camera_outlives=outlives)
    world.cluster.apply(observation(*steps))
    assert world.finish(world.process()).status == "True"
    check(world)
    check_places(world)
    assert [order.exposure_id for order in world.opened] == list(range(1, len(world.opened) + 1))
