"""The observatory's own recipe: read, planned as four exposures on a rectangle, written, and read back equal."""

import math
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from gozen.observing.observation_plan import exposures_of
from gozen.resources.observatory_recipe import load_observations, observation_from_recipe, recipe_from_observation
from gozen.resources.yaml_resources import dump_resources

from ..observed_data import DATA

RECIPE = DATA / "recipes" / "all_sky_survey.yaml"
APPLIED = {"night": date(2023, 12, 12), "zone": ZoneInfo("Asia/Tokyo")}


@pytest.fixture
def text():
    return RECIPE.read_text(encoding="utf-8")


@pytest.fixture
def observation(text):
    return observation_from_recipe(text, RECIPE.name, **APPLIED)


def test_it_is_read_as_it_was_meant(observation):
    spec = observation.spec
    assert (spec.project, spec.priority) == ("All-Sky Survey", 0.94)
    assert spec.time_window.start == datetime(2023, 12, 12, 8, tzinfo=UTC)
    assert spec.time_window.end == datetime(2023, 12, 12, 10, 30, tzinfo=UTC)
    assert len(spec.operations) == 17
    assert spec.operations[4].wait == ["pointing", "mirrorcover_open"]
    assert spec.comment == "All-Sky Survey, 120, 2023-12-12T19:23:26.976\n"
    assert observation.metadata.name.startswith("j0118-2942-dith1-")


def test_recipe_observation_recipe_observation_is_equal(observation):
    recipe = recipe_from_observation(observation)
    assert observation_from_recipe(recipe, "again", **APPLIED) == observation
    assert recipe_from_observation(observation_from_recipe(recipe, "again", **APPLIED)) == recipe


def test_the_observation_comes_back_through_yaml(observation):
    assert load_observations(dump_resources([observation]), "obs.yaml", **APPLIED) == [observation]


def test_the_recipe_we_write_differs_only_in_how_numbers_and_brackets_are_written(text, observation):
    def words(recipe):
        loose = recipe.replace("{ ", "{").replace(" }", "}").replace("' ,", "',").replace("0.9400", "0.94")
        return loose.replace(".0]", "]").replace(".0, ", ", ")

    assert words(recipe_from_observation(observation)) == words(text)


def test_it_makes_four_exposures_of_eighteen_frames(observation):
    planned = exposures_of(observation)
    assert [item.exposure.spec.object for item in planned] == [f"J0118+2942_dith{n}" for n in (1, 2, 3, 4)]
    assert [item.exposure.metadata.name[-4:] for item in planned] == ["-008", "-011", "-014", "-017"]
    assert {(item.exposure.spec.nframe, item.tinteg_sec, item.gain) for item in planned} == {(18, 0.5, "high")}
    assert {tuple(item.exposure.spec.pipelines) for item in planned} == {("wcs", "stack", "neo")}


def test_the_dithers_make_a_rectangle_of_33_by_24_arcmin(observation):
    first, second, third, fourth = (item.pointing for item in exposures_of(observation))
    assert (first.ra, first.dec) == (19.7498221, 29.7107127)
    assert (second.ra, third.dec) == (first.ra, second.dec)
    assert (fourth.ra, fourth.dec) == (third.ra, pytest.approx(first.dec, abs=1e-12))
    assert (second.dec - first.dec) * 60 == pytest.approx(24.0)
    assert (second.ra - third.ra) * math.cos(math.radians(second.dec)) * 60 == pytest.approx(33.0)
