"""Test the reference pages of recipes and resources against the code: examples, a name, refusals."""

from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from gozen.errors import BadRequest
from gozen.observing.observation_plan import exposures_of
from gozen.resources.observatory_recipe import OPERATION_WORDS, PARAMETER_WORDS, observation_from_recipe
from gozen.resources.yaml_resources import load_resources

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"
RECIPES = (REFERENCE / "recipes.md").read_text(encoding="utf-8")
RECIPE = RECIPES.split("```text\n")[1].split("```")[0]


def read(text):
    return observation_from_recipe(text, "m101.yaml", night=date(2024, 3, 1), zone=ZoneInfo("Asia/Tokyo"))


def test_the_recipe_shown_is_read_and_named_as_shown():
    first = exposures_of(read(RECIPE))[0].exposure
    assert f"`{first.metadata.name}`" in RECIPES


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("- Pointing", "- Pointin"),
        ("ra: 210.8", "ra: 360"),
        ("Priority: 0.75", "Priority: 0.75\nPriority: 1"),
        ("'12:00:00.0', '01:30", "'02:00:00.0', '04:00"),
        ("Exposure: M101_1", "Exposure: 5457"),
    ],
)
def test_the_refusals_shown_are_the_softwares_own(old, new):
    with pytest.raises(BadRequest) as refusal:
        read(RECIPE.replace(old, new, 1))
    assert f"{refusal.value}\n" in RECIPES


def test_every_operation_and_parameter_is_explained():
    assert [word for word in [*OPERATION_WORDS, *PARAMETER_WORDS] if f"| `{word}` |" not in RECIPES] == []


def test_the_resources_shown_are_valid():
    text = (REFERENCE / "resources.md").read_text(encoding="utf-8").split("```yaml\n")[1].split("```")[0]
    assert [resource.kind for resource in load_resources(text, "resources.md")] == ["Observation", "LightCurveJob"]
