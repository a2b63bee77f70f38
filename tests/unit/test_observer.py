"""Test the observer with simulated devices without pixels: the status that a user reads, and what remains at the end.

Covered: the condition Executed and its times; claims; errors of devices, archive and cluster; suspension, deletion, the
end of the process; an existing Exposure of the same name. Kills and races are in tests/property.
"""

from datetime import datetime, timedelta

import pytest

from gozen.archive import exp_ids
from gozen.errors import BadRequest, ClusterUnavailable, ExitCode, GozenError, StorageUnavailable
from gozen.resources.observation import Claim
from gozen_operator.api_server.responses import RefusedError
from gozen_operator.observer import observer_loop as observer_module
from gozen_operator.observer.observer_main import Ending, ObserverClock, main, run

from ..observing_world import BEGIN, World, observation

STEPS = (
    {"setParameter": {"nframe": 4, "tintegSec": 0.5}},
    {"assert": ["domeslit_open"]},
    {"pointing": {"ra": 10.0, "dec": 20.0}},
    {"exposure": "J0118+2942_dith1"},
    {"dithering": [60.0, 0.0]},
    {"exposure": "J0118+2942_dith2"},
)


@pytest.fixture
def world():
    made = World()
    made.cluster.apply(observation(*STEPS, targetOfOpportunity=True))
    return made


def turns(world, observer, until, most=300):
    """Let an observer work until something holds."""
    for _ in range(most):
        if until():
            return
        world.tick(observer.turn(world.now))
    raise AssertionError(f"it never came to that: {world.cluster.executed()}")


def exposing(world):
    return lambda: world.exposing() is not None


def test_a_recipe_becomes_exposures(world):
    said = world.finish(world.process())
    assert (said.status, said.reason, said.message) == ("True", "Executed", "6 steps, 2 exposures")
    first, second = (world.cluster.exposures[f"obs-00{step}"] for step in (4, 6))
    assert (first.spec.exposure_id, second.spec.exposure_id) == (1, 2)
    assert first.spec.night == "20261120"
    assert second.spec.object == "J0118+2942_dith2"
    assert second.spec.priority_class == "express"
    assert first.metadata.labels["gozen.astro/observation"] == "obs"
    (owner,) = first.metadata.owner_references
    assert (owner["kind"], owner["uid"]) == ("Observation", world.cluster.kept["obs"].metadata.uid)
    assert world.cluster.kept["obs"].status.claim is None
    assert world.opened[0].observer == "Tester"
    assert world.opened[0].sensors == ("111", "112")


def test_what_a_user_reads_meanwhile(world):
    observer, read = world.process(), []
    for _ in range(100):
        world.tick(observer.turn(world.now))
        said = world.cluster.executed()
        if said is not None and (said.reason, said.message) not in [(one.reason, one.message) for one in read]:
            read.append(said)
    assert [(one.status, one.reason, one.message) for one in read] == [
        ("Unknown", "Executing", "claimed"),
        ("Unknown", "Executing", "step 4 of 6 (exposure J0118+2942_dith1): exposing, EXP_ID 00000001"),
        ("Unknown", "Executing", "step 6 of 6 (exposure J0118+2942_dith2): exposing, EXP_ID 00000002"),
        ("True", "Executed", "6 steps, 2 exposures"),
    ]
    assert read[0].last_transition_time == read[2].last_transition_time < read[3].last_transition_time
    assert read[0].observed_generation == 1
    assert world.cluster.writes == 6, "the claim, four words, the claim given back"


def test_a_recipe_waits_until_the_telescope_points_at_the_field(world):
    """As every recipe on the pages does: no driver reports the word `pointing`."""
    steps = (STEPS[0], STEPS[2], {"wait": ["pointing"]}, STEPS[3], STEPS[4], {"wait": ["pointing"]}, STEPS[5])
    world.cluster.delete("obs")
    world.cluster.apply(observation(*steps))
    assert world.finish(world.process()).message == "7 steps, 2 exposures"


def test_a_claim_is_held_by_one_and_renewed(world):
    observer, other = world.process(), world.process("second")
    world.dome_open = False
    world.cluster.apply(observation({"wait": ["domeslit_open"]}, name="waits", priority=0.9))
    world.cluster.delete("obs")
    turns(world, observer, lambda: world.cluster.executed("waits") is not None)
    for _ in range(60):
        world.tick(5)
        observer.turn(world.now)
        other.turn(world.now)
        assert world.cluster.kept["waits"].status.claim.holder == "observer"
        assert other.idle
    assert world.cluster.writes <= 3 + 300 / 20


def test_priority_decides_and_one_follows_the_other(world):
    world.cluster.apply(observation(*STEPS, name="urgent", targetOfOpportunity=True, priority=1.0))
    observer = world.process()
    world.finish(observer, "urgent")
    assert world.cluster.executed("obs") is None
    world.finish(observer, "obs")
    assert [order.exposure_id for order in world.opened] == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("failing", "step", "said"),
    [
        ("point", "step 3 of 6 (pointing", "DeviceFailed: point: the motor stalls"),
        ("configure", "step 4 of 6 (exposure", "DeviceFailed: the amplifier does not answer"),
        ("expose", "step 4 of 6 (exposure", "DeviceFailed: the shutter is stuck"),
        ("read-out", "step 4 of 6 (exposure", "the read-out has stopped (EXP_ID 00000001, attempt 1)"),
    ],
)
def test_an_error_cancels_the_recipe_as_a_unit_and_says_which_step(world, failing, step, said):
    world.failing = {failing}
    over = world.finish(world.process())
    assert (over.status, over.reason) == ("False", "StepFailed")
    assert over.message.startswith(step)
    assert said in over.message
    assert world.cluster.exposures == {}
    assert len(world.opened) <= 1
    closing = exp_ids.read_closing(world.store, 1)
    assert closing is None or closing.result == "lost"
    assert (closing is not None) == (failing in ("expose", "read-out"))
    world.failing = set()
    observer = world.process()
    for _ in range(20):
        world.tick(observer.turn(world.now))
    assert observer.idle, "it is over"


def test_a_camera_that_falls_silent_is_told_to_abort(world, monkeypatch):
    observer = world.process()
    turns(world, observer, exposing(world))
    monkeypatch.setattr(world.camera, "state", lambda: 1 / 0)
    over = world.finish(observer)
    assert "step 4 of 6 (exposure J0118+2942_dith1): DeviceFailed: ZeroDivisionError" in over.message
    monkeypatch.undo()
    assert world.exposing() is None
    assert exp_ids.read_closing(world.store, 1).why == "DeviceFailed"


def test_what_was_taken_before_an_error_stays(world):
    observer = world.process()
    turns(world, observer, lambda: "obs-004" in world.cluster.exposures)
    world.failing = {"point"}
    assert world.finish(observer).reason == "StepFailed"
    assert list(world.cluster.exposures) == ["obs-004"]


def test_a_dead_sensor_costs_no_exposure(world):
    world.dead_sensors = {"112"}
    assert world.finish(world.process()).status == "True"
    assert world.cluster.exposures["obs-004"].spec.sensors == ["111"]


def test_suspended_in_the_middle_it_stops_before_the_next_exposure_and_goes_on_later(world):
    observer = world.process()
    turns(world, observer, exposing(world))
    world.cluster.change("obs", suspend=True)
    turns(world, observer, lambda: observer.idle)
    said = world.cluster.executed()
    assert (said.status, said.reason, said.message) == ("Unknown", "Suspended", "1 of 2 exposures are made")
    assert list(world.cluster.exposures) == ["obs-004"]
    world.cluster.change("obs", suspend=False)
    assert world.finish(observer).status == "True"
    assert [order.exposure_id for order in world.opened] == [1, 2]


def test_deleted_in_the_middle_the_exposure_is_aborted_and_nothing_is_created(world):
    observer = world.process()
    turns(world, observer, exposing(world))
    world.cluster.delete("obs")
    turns(world, observer, lambda: observer.idle)
    assert world.exposing() is None
    assert world.cluster.exposures == {}
    again = world.cluster.apply(observation(*STEPS))
    assert world.finish(observer).status == "True"
    assert again.metadata.uid == world.cluster.exposures["obs-004"].metadata.owner_references[0]["uid"]
    assert world.cluster.exposures["obs-004"].spec.exposure_id == 2, "another Observation gets other numbers"


def test_after_a_crash_what_was_done_is_neither_gone_to_nor_asserted_again():
    world = World(camera_outlives=False)
    world.cluster.apply(observation(*STEPS))
    turns(world, world.process(), lambda: "obs-004" in world.cluster.exposures)
    world.dome_open = False
    assert world.told == ["point"]
    assert world.finish(world.process()).status == "True"
    assert world.told == ["point", "point"], "the dithering alone"


def test_a_word_that_comes_too_late_is_said_again_and_nothing_is_done_twice(world, monkeypatch):
    world.cluster.apply(observation({"setFocus": 28.1}, name="focus", targetOfOpportunity=True, priority=1.0))
    observer, say, refused = world.process(), world.cluster.say, []

    def busy(one, condition):
        if condition["status"] == "True" and not refused:
            refused.append(condition)
            return None
        return say(one, condition)

    monkeypatch.setattr(world.cluster, "say", busy)
    assert world.finish(observer, "focus").status == "True"
    assert refused
    assert world.told == ["focus"]


def test_no_two_exposures_have_the_same_time_though_a_process_died_between_them(world):
    world.camera_is_fast = True
    turns(world, world.process(), lambda: "obs-004" in world.cluster.exposures)
    assert world.now < world.opened[0].start + timedelta(seconds=world.opened[0].duration_s)
    assert world.finish(world.process()).status == "True"
    first, second = world.opened
    assert (second.start - first.start).total_seconds() >= first.duration_s


LONG = (STEPS[0], STEPS[2], {"setParameter": {"nframe": 1200}}, {"exposure": "long"})


def cancelled(world, observer):
    """Somebody deletes the Observation."""
    world.cluster.delete("obs")
    return observer


def failed(world, observer):
    """The camera gives up; the recipe is over."""
    world.camera.abort()
    turns(world, observer, lambda: observer.idle)
    return observer


def overtaken(world, observer):
    """Another process of the name has the claim, and ends before it has done anything."""
    world.cluster.claim(world.cluster.kept["obs"], Claim(holder="observer", session="9", renewed=world.now))
    turns(world, observer, lambda: observer.idle)
    world.cluster.delete("obs")
    return observer


def told_to_end(world, observer):
    """The process is told to end, aborts what is long, and the next one comes."""
    ending = Ending()
    ending.told = True
    run(observer, ending, 20, ObserverClock(lambda: world.now, world.tick))
    return world.process()


def killed(world, observer):
    """The process dies, and its camera with it."""
    world.camera.abort()
    return world.process()


def killed_and_cancelled(world, observer):
    """The same, and nobody finds out what became of its exposure."""
    world.cluster.delete("obs")
    return killed(world, observer)


@pytest.mark.parametrize("end", [cancelled, failed, overtaken, told_to_end, killed, killed_and_cancelled])
def test_after_a_long_exposure_that_was_not_taken_the_next_one_begins_at_once(end):
    world = World()
    world.cluster.apply(observation(*LONG))
    observer = world.process()
    turns(world, observer, exposing(world))
    observer = end(world, observer)
    world.cluster.apply(observation(*STEPS, name="flash", targetOfOpportunity=True))
    turns(world, observer, lambda: len(world.opened) == 2)
    first, second = world.opened
    assert second.start < first.start + timedelta(seconds=60), "not minutes later, when the long one would have ended"
    opened = datetime.fromisoformat(exp_ids.read_opening(world.store, second.exposure_id).start)
    assert opened == second.start <= world.now


DARK = ({"setParameter": {"nframe": 2, "tintegSec": 0.5, "dataType": "DARK"}}, {"exposure": "DARK"})


@pytest.mark.parametrize("ends_s", [310.0, 10_000.0])
def test_no_shutter_opens_while_a_recipe_before_has_left_something_moving(ends_s):
    world = World()
    world.move_s = ends_s
    world.cluster.apply(observation({"setFocus": 28.1}, name="focus", priority=1.0))
    observer = world.process()
    assert "still moving after 300 s" in world.finish(observer, "focus").message
    world.cluster.apply(observation(*DARK))
    over = world.finish(observer)
    if ends_s < 600:
        assert over.status == "True"
        assert world.opened[0].start >= BEGIN + timedelta(seconds=ends_s)
    else:
        assert "step 2 of 2 (exposure DARK): telescope, dome or focuser still moves after 300 s" in over.message
        assert world.opened == []


def test_interrupted_too_often_it_gives_up():
    world = World(camera_outlives=False, attempts=2)
    world.cluster.apply(observation(*STEPS))
    for _ in range(2):
        observer, before = world.process(), len(world.opened)
        turns(world, observer, lambda before=before: len(world.opened) > before)
    over = world.finish(world.process())
    assert over.reason == "StepFailed"
    assert "interrupted: the camera does not expose, and 0 of 2 sensors are recorded (EXP_ID 00000002, attempt 2)" in (
        over.message
    )


def test_an_archive_that_is_away_is_said_and_waited_for(world, monkeypatch):
    observer = world.process()
    turns(world, observer, exposing(world))
    reads = world.store.read

    def away(key):
        raise StorageUnavailable("cannot read the archive: the network is down")

    monkeypatch.setattr(world.store, "read", away)
    for _ in range(3):
        with pytest.raises(StorageUnavailable):
            observer.turn(world.now)
    said = world.cluster.executed()
    assert (said.status, said.reason) == ("Unknown", "StorageUnavailable")
    assert "the network is down" in said.message
    monkeypatch.setattr(world.store, "read", reads)
    observer.turn(world.now)
    assert world.cluster.executed().message == "the archive answers again"
    assert world.finish(observer).status == "True"
    assert len(world.opened) == 2


def test_an_exposure_of_somebody_else_in_the_way_is_named(world):
    recipe = world.cluster.kept["obs"]
    observer = world.process()
    turns(world, observer, lambda: "obs-004" in world.cluster.exposures)
    foreign = world.cluster.exposures["obs-004"]
    meta = foreign.metadata.model_copy(update={"name": "obs-006", "owner_references": []})
    world.cluster.exposures["obs-006"] = foreign.model_copy(update={"metadata": meta})
    over = world.finish(observer)
    assert over.reason == "StepFailed"
    assert "an Exposure obs-006 exists that this Observation does not own" in over.message
    owner = [{"name": recipe.metadata.name, "uid": "the one before"}]
    old = foreign.model_copy(update={"metadata": meta.model_copy(update={"owner_references": owner})})
    world.cluster.kept.clear()
    world.cluster.exposures = {"obs-006": old}
    world.cluster.apply(observation(*STEPS))
    turns(world, observer, lambda: "waits until the old Exposure" in (world.cluster.executed() or over).message)
    del world.cluster.exposures["obs-006"]
    assert world.finish(observer).status == "True"


def test_a_recipe_that_makes_no_sense_does_not_stop_the_next(world):
    world.cluster.apply(observation({"exposure": "nowhere"}, name="nonsense", targetOfOpportunity=True, priority=1.0))
    observer = world.process()
    over = world.finish(observer, "nonsense")
    assert (over.status, over.reason) == ("False", "RecipeMakesNoSense")
    assert "Observation nonsense step 1" in over.message
    assert world.finish(observer).status == "True"


def test_a_recipe_at_which_the_observer_fails_does_not_stop_the_next(world, monkeypatch):
    world.cluster.apply(observation({"setFocus": 1.0}, name="odd", targetOfOpportunity=True, priority=1.0))
    read = observer_module.read_recipe

    def fails(claimed, *words):
        return {}["surprise"] if claimed.metadata.name == "odd" else read(claimed, *words)

    monkeypatch.setattr(observer_module, "read_recipe", fails)
    observer = world.process()
    assert world.finish(observer, "odd").reason == "Bug"
    assert world.finish(observer).status == "True"


def test_nothing_but_named_errors_leaves_an_idle_observer(world, monkeypatch):
    monkeypatch.setattr(world.cluster, "observations", lambda: {}["surprise"])
    with pytest.raises(GozenError, match="KeyError: 'surprise'"):
        world.process().turn(world.now)


def test_what_nobody_foresaw_ends_one_observation_and_not_the_process(world, monkeypatch):
    observer = world.process()
    turns(world, observer, exposing(world))
    with monkeypatch.context() as broken:
        broken.setattr(exp_ids, "read_purpose", lambda *_: {}["surprise"])
        turns(world, observer, lambda: observer.idle)
    said = world.cluster.executed()
    assert (said.status, said.reason) == ("False", "Bug")
    assert world.exposing() is None


def test_told_to_end_it_finishes_the_exposure_and_gives_the_claim_back(world):
    observer, ending = world.process(), Ending()
    turns(world, observer, exposing(world))
    ending.told = True
    run(observer, ending, 20, ObserverClock(lambda: world.now, world.tick))
    assert list(world.cluster.exposures) == ["obs-004"]
    said = world.cluster.executed()
    assert (said.status, said.reason) == ("Unknown", "Interrupted")
    assert world.cluster.kept["obs"].status.claim is None
    assert world.finish(world.process("second")).status == "True"
    assert len(world.opened) == 2


def test_told_to_end_without_a_cluster_it_ends_in_time(world, monkeypatch):
    observer, ending = world.process(), Ending()
    turns(world, observer, exposing(world))

    def away(name):
        raise ClusterUnavailable("the API server does not answer")

    monkeypatch.setattr(world.cluster, "observation", away)
    ending.told, began = True, world.now
    run(observer, ending, 20, ObserverClock(lambda: world.now, world.tick))
    assert 30 <= (world.now - began).total_seconds() < 40
    monkeypatch.undo()
    assert world.finish(world.process()).status == "True"


def test_a_cluster_that_is_away_is_tried_again_less_and_less_often(world, monkeypatch):
    ending, tried = Ending(), []

    def away():
        tried.append((world.now - BEGIN).total_seconds())
        ending.told = tried[-1] > 200
        raise ClusterUnavailable("the API server does not answer")

    monkeypatch.setattr(world.cluster, "observations", away)
    run(world.process(), ending, 20, ObserverClock(lambda: world.now, world.tick))
    assert tried == pytest.approx([0, 2, 6, 14, 30, 62, 122, 182, 242], abs=2)


def test_an_observer_outlives_a_cluster_that_is_away_for_days(world, monkeypatch):
    ending, tried = Ending(), []

    def away():
        tried.append(world.now)
        ending.told = len(tried) > 1100
        raise ClusterUnavailable("the API server does not answer")

    monkeypatch.setattr(world.cluster, "observations", away)
    run(world.process(), ending, 20, ObserverClock(lambda: world.now, world.tick))
    assert (tried[-1] - tried[-2]).total_seconds() == pytest.approx(60, abs=2)


def test_a_server_that_says_when_is_not_asked_before(world, monkeypatch):
    ending, tried = Ending(), []

    def busy():
        tried.append((world.now - BEGIN).total_seconds())
        ending.told = len(tried) > 2
        raise RefusedError("too many requests", 429, retry_after_s=100)

    monkeypatch.setattr(world.cluster, "observations", busy)
    run(world.process(), ending, 20, ObserverClock(lambda: world.now, world.tick))
    assert tried == pytest.approx([0, 100, 200], abs=2)


def test_without_a_cluster_the_command_says_what_to_do(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(SystemExit) as ended:
        main(["--kubeconfig", str(tmp_path / "absent"), "--archive", str(tmp_path / "archive")])
    assert ended.value.code == ExitCode.BAD_REQUEST
    said = capsys.readouterr().err
    assert "gozen-observer: BadRequest: no cluster is configured" in said
    assert "--kubeconfig" in said
    assert BadRequest.__name__ in said


def test_help_needs_nothing(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    assert "never takes two exposures under one number" in " ".join(capsys.readouterr().out.split())
