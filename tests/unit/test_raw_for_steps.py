"""Test which raw exposures match which step of a recipe, and the resulting work. Not covered: the plan of a recipe."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from zoneinfo import ZoneInfo

from gozen.archive.raw.exposure_record import RawExposure, Setup, Taken
from gozen.observing import raw_for_steps
from gozen.observing.observation_plan import PlannedExposure, exposures_of
from gozen.observing.raw_for_steps import Answered, PointingReach, step_of, works_of, works_of_exposures
from gozen.resources.observation import Observation
from gozen.resources.observatory_recipe import observation_from_recipe
from gozen.resources.yaml_resources import load_resources

RECIPE = """\
Observer: Tester
Project: Test
Priority: 0.5
Operations:
- Pointing: { ra: 10, dec: 20 }
- SetPipeline: [wcs, stack]
- SetParameter: { tinteg_sec: 0.5, nframe: 6 }
- Exposure: field
- Exposure: other
- Exposure: field
- SetParameter: { datatype: DARK }
- Exposure: cap
"""


def observation(text: str = RECIPE) -> Observation:
    return observation_from_recipe(text, "test.yaml", night=date(2026, 1, 15), zone=ZoneInfo("Asia/Tokyo"))


def raw(name: str, target: str, kind: str = "OBJECT", sensors: str = "12") -> RawExposure:
    files: dict[str, tuple[str, ...]] = {one: (f"raw/20260115/{name}/{one}.fits",) for one in sensors}
    return RawExposure("20260115", name, target, kind, 61055.0 + int(name), files)


def answer(planned: list[PlannedExposure], taken: list[RawExposure]) -> Answered:
    (answered,), _ = raw_for_steps.assign_raw_to_steps([planned], taken, PointingReach(0.05, 0.2))
    return answered


def test_a_target_exposed_twice_gets_its_exposures_in_order() -> None:
    taken = [raw("1", "field"), raw("2", "other"), raw("3", "field"), raw("4", "cap", "DARK")]
    found = answer(exposures_of(observation()), taken)
    assert [one.exposure for _, one in found.pairs] == ["1", "2", "3", "4"]
    assert not found.missing
    assert [one.exposure for one in found.calibrations] == ["4"]


def test_what_was_not_taken_is_missing_and_what_nobody_asked_for_is_left() -> None:
    found = answer(exposures_of(observation()), [raw("1", "field"), raw("9", "somebody else's")])
    assert [step.exposure.spec.object for step in found.missing] == ["other", "field", "cap"]
    assert [one.exposure for _, one in found.pairs] == ["1"]


def test_an_object_does_not_answer_a_dark_of_its_name() -> None:
    found = answer(exposures_of(observation()), [raw("1", "cap")])
    assert not found.pairs


def test_every_sensor_of_the_sky_is_work_and_knows_its_recipe() -> None:
    taken = [raw("1", "field"), raw("2", "other"), raw("4", "cap", "DARK")]
    asked = observation()
    works = works_of(asked, answer(exposures_of(asked), taken), "r7")
    assert [(work.processing.exposure, work.sensor) for work in works] == [
        ("1", "1"),
        ("1", "2"),
        ("2", "1"),
        ("2", "2"),
    ]
    assert {work.processing.run for work in works} == {"r7"}
    assert works[0].pipelines == ("wcs", "stack")
    assert load_resources(works[0].recipe, "provenance") == [asked]


def test_a_recipe_may_name_its_sensors() -> None:
    asked = observation(RECIPE.replace("nframe: 6", "nframe: 6, sensors: [2]"))
    works = works_of(asked, answer(exposures_of(asked), [raw("1", "field")]), "r1")
    assert [work.sensor for work in works] == ["2"]


def test_exposures_named_themselves_are_work_without_a_recipe() -> None:
    taken = [raw("1", "field"), raw("4", "cap", "DARK")]
    works = works_of_exposures(taken, ["2"], ["stack"], "r1")
    assert [(work.processing.exposure, work.sensor, work.pipelines) for work in works] == [("1", "2", ("stack",))]


def seen(name: str, target: str, ra: float, dec: float, filter_: str = "R", number: str | None = None) -> RawExposure:
    """Return an exposure as it is recorded, with its pointing."""
    one = raw(name, target)
    key = one.sensors["1"][0]
    setup = Setup("tiny", filter_, 30.0, "low", exposure_id=number)
    return replace(one, setup=setup, taken={key: Taken(one.mjd, ra, dec)})


def asks(*steps: str) -> list[PlannedExposure]:
    """Return the exposures of an Observation with these steps after its camera parameters."""
    text = RECIPE.split("- Pointing")[0] + "- SetParameter: { tinteg_sec: 30, nframe: 2 }\n"
    return exposures_of(observation(text + "".join(f"- {step}\n" for step in steps)))


HERE, BESIDE, FAR = "Pointing: { ra: 10, dec: 20 }", "Pointing: { ra: 10, dec: 20.1 }", "Pointing: { ra: 50, dec: 20 }"
REACH = PointingReach(0.05, 0.2)


def test_two_observations_of_one_target_get_an_exposure_each() -> None:
    one, other = asks(HERE, "Exposure: M 31"), asks(HERE, "Exposure: M 31")
    answers, left = raw_for_steps.assign_raw_to_steps(
        [one, other], [seen("1", "M 31", 10, 20), seen("2", "M 31", 10, 20)], REACH
    )
    assert [[found.exposure for _, found in answered.pairs] for answered in answers] == [["1"], ["2"]]
    assert not left


def test_a_step_is_answered_where_it_points() -> None:
    steps = asks(FAR, "Exposure: M 31", HERE, "Exposure: M 31")
    (answered,), left = raw_for_steps.assign_raw_to_steps(
        [steps], [seen("1", "M 31", 10, 20.01), seen("2", "M 31", 50, 20)], REACH
    )
    assert [(step.step, found.exposure) for step, found in answered.pairs] == [(3, "2"), (5, "1")]
    assert not left


def test_what_no_step_asks_for_is_left_by_target_and_by_pointing() -> None:
    taken = [seen("1", "M 31", 10, 20), seen("2", "M 31", 50, 20), seen("3", "m 31", 10, 20), raw("4", "cap", "DARK")]
    _, left = raw_for_steps.assign_raw_to_steps([asks(HERE, "Exposure: M 31")], taken, REACH)
    assert [one.exposure for one in left] == ["2", "3"]


def test_parts_filters_and_fields_of_a_mosaic_go_with_the_step_that_asks_for_their_target() -> None:
    tiles = [seen(str(number), "M 31", 10, 20 + 0.15 * number, "RV"[number % 2]) for number in range(5)]
    (answered,), left = raw_for_steps.assign_raw_to_steps([asks(HERE, "Exposure: M 31")], tiles, REACH)
    assert sorted(found.exposure for _, found in answered.pairs) == ["0", "1", "2", "3", "4"]
    assert not left


def test_a_mosaic_by_several_steps_gets_a_field_for_each() -> None:
    steps = asks(HERE, "Exposure: M 31", BESIDE, "Exposure: M 31", HERE, "Exposure: M 31")
    taken = [seen("1", "M 31", 10, 20), seen("2", "M 31", 10, 20.1), seen("3", "M 31", 10, 20)]
    (answered,), _ = raw_for_steps.assign_raw_to_steps([steps], taken, REACH)
    assert [found.exposure for _, found in answered.pairs] == ["1", "2", "3"]


def test_a_numbered_exposure_is_the_answer_of_one_step_alone() -> None:
    taken = [seen(f"{number:08d}", "M 31", 10, 20, number=str(number)) for number in (1, 2)]
    (answered,), left = raw_for_steps.assign_raw_to_steps([asks(HERE, "Exposure: M 31")], taken, REACH)
    assert [found.exposure for _, found in answered.pairs] == ["00000001"]
    assert [one.exposure for one in left] == ["00000002"]


def test_blanks_before_a_target_do_not_count_as_no_step_can_write_them() -> None:
    (answered,), _ = raw_for_steps.assign_raw_to_steps(
        [asks(HERE, "Exposure: M 31")], [seen("1", " M 31", 10, 20)], REACH
    )
    assert [found.exposure for _, found in answered.pairs] == ["1"]


def test_all_that_answers_a_target_follows_its_last_step_when_each_has_one() -> None:
    steps = asks(HERE, "Exposure: M 31", "Exposure: M 31")
    taken = [seen(f"{number:08d}", "M 31", 10, 20, number=str(number)) for number in (1, 2, 3)]
    found = [step_of(one, steps, taken, REACH) for one in taken]
    assert [step.step if step else None for step in found] == [3, 4, 4]
