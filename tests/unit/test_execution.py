"""Which raw exposure answers which step of a recipe, and the work that follows. Pure; not here: planning itself."""

from __future__ import annotations

from datetime import date
from zoneinfo import ZoneInfo

from gozen.archive.raw import RawExposure
from gozen.observing import execution
from gozen.observing.execution import Answered, Reach, works_of, works_of_exposures
from gozen.observing.plan import PlannedExposure, exposures_of
from gozen.resources.observation import Observation
from gozen.resources.recipe import observation_from_recipe
from gozen.resources.yaml import load_resources

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
    (answered,), _ = execution.answer([planned], taken, Reach(0.05, 0.2))
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
