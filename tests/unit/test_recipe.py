"""Test the observatory's recipe format: every operation, comments, times, coordinates, names, and refusals.

The round trip of all recipes is in tests/property; the observatory's own recipe is in tests/real.
"""

import re
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from gozen.errors import BadRequest, ExitCode
from gozen.resources.metadata import ObjectMeta
from gozen.resources.observation import Observation, ObservationSpec, TimeWindow
from gozen.resources.observatory_recipe import load_observations, observation_from_recipe, recipe_from_observation
from gozen.resources.recipe_steps import Operation, Parameters, Pointing
from gozen.resources.yaml_resources import dump_resources

NIGHT = date(2024, 3, 1)
KISO = ZoneInfo("Asia/Tokyo")

RECIPE = """\
Observer: A. Observer
Project: Supernova Survey
Priority: 0.75
Time Window: ['12:00:00.0', '01:30:00.5']
Operations:
- SetFocus: 28.13
- Assert: domeslit_open
- Pointing: {ra: 210.8, dec: 54.35}
- MirrorCover: open
- Wait: pointing, mirrorcover_open
- SetPipeline: [wcs, stack]
- SetParameter: {gain: high, tinteg_sec: 0.5, nframe: 12}
- Exposure: M101
- Dithering: [30.0, -15.5]
- Exposure: M101 b
Comment:
seeing: 2.1"

  second line: 森
"""


def read(text):
    return observation_from_recipe(text, "m101.yaml", night=NIGHT, zone=KISO)


def refusal_of(text):
    with pytest.raises(BadRequest) as refusal:
        read(text)
    assert refusal.value.exit_code == ExitCode.BAD_REQUEST
    return str(refusal.value)


def changed(old, new):
    assert old in RECIPE
    return RECIPE.replace(old, new, 1)


def test_a_recipe_becomes_an_observation():
    spec = read(RECIPE).spec
    assert (spec.observer, spec.project, spec.priority) == ("A. Observer", "Supernova Survey", 0.75)
    assert spec.time_window == TimeWindow(
        start=datetime(2024, 3, 1, 12, tzinfo=UTC), end=datetime(2024, 3, 2, 1, 30, 0, 500_000, tzinfo=UTC)
    )
    assert spec.operations == [
        Operation(set_focus=28.13),
        Operation(assert_=["domeslit_open"]),
        Operation(pointing=Pointing(ra=210.8, dec=54.35)),
        Operation(mirror_cover="open"),
        Operation(wait=["pointing", "mirrorcover_open"]),
        Operation(set_pipeline=["wcs", "stack"]),
        Operation(set_parameter=Parameters(gain="high", tinteg_sec=0.5, nframe=12)),
        Operation(exposure="M101"),
        Operation(dithering=[30.0, -15.5]),
        Operation(exposure="M101 b"),
    ]
    assert not spec.suspend


def test_an_observation_is_written_in_the_same_form():
    assert recipe_from_observation(read(RECIPE)) == RECIPE


@pytest.mark.parametrize(
    "comment",
    [
        "",
        "\n",
        "\n\n",
        "no newline",
        "a: b: c\n",
        "Comment:\nagain\n",
        "- Exposure: X\n",
        "---\n",
        "\tta\x00b\r\n",
        "空\n",
        "  x  ",
    ],
)
def test_a_comment_is_kept_to_the_letter(comment):
    text = RECIPE[: RECIPE.index("Comment:")] + "Comment:\n" + comment
    observation = read(text)
    assert observation.spec.comment == comment
    assert read(recipe_from_observation(observation)) == observation


def test_a_comment_may_end_the_file_or_be_left_out():
    before = RECIPE[: RECIPE.index("Comment:")]
    assert read(before + "Comment:").spec.comment == ""
    assert read(before).spec.comment == ""


def test_a_comment_on_the_same_line_is_plain_yaml():
    before = RECIPE[: RECIPE.index("Comment:")]
    assert read(before + "Comment: cloudy").spec.comment == "cloudy"
    assert "put text that contains ': ' in quotes" in refusal_of(before + "Comment: seeing: 2")


def test_a_comment_given_twice_is_refused():
    assert "m101.yaml line 17: 'Comment' is given twice" in refusal_of(changed("Priority", "Comment: x\nPriority"))


def test_a_comment_that_is_too_long_is_refused_on_its_line():
    assert "m101.yaml line 16: Comment is " in refusal_of(RECIPE + "x" * 20_000)


def test_windows_line_ends_are_read():
    assert read(RECIPE.replace("\n", "\r\n")).spec.operations == read(RECIPE).spec.operations


def test_without_a_window_a_recipe_may_run_all_night():
    observation = read(changed("Time Window: ['12:00:00.0', '01:30:00.5']\n", ""))
    assert observation.spec.time_window == TimeWindow(
        start=datetime(2024, 3, 1, 3, tzinfo=UTC), end=datetime(2024, 3, 2, 3, tzinfo=UTC)
    )
    assert read(recipe_from_observation(observation)) == observation


def test_lists_may_be_written_as_lists_or_with_commas():
    by_comma = changed("[wcs, stack]", "wcs, stack")
    by_list = changed("pointing, mirrorcover_open", "[pointing, mirrorcover_open]")
    assert read(by_comma).spec == read(by_list).spec == read(RECIPE).spec


@pytest.mark.parametrize(
    ("written", "ra", "dec"),
    [
        ("{ra: 01:18:59.957304, dec: +29:42:38.56572}", 19.7498221, 29.7107127),
        ("{ra: '01 18 59.957304', dec: '+29 42 38.56572'}", 19.7498221, 29.7107127),
        ("{ra: 12:30, dec: -00:30}", 187.5, -0.5),
        ("{ra: 0, dec: -90}", 0.0, -90.0),
    ],
)
def test_coordinates_are_degrees_or_sexagesimal_text(written, ra, dec):
    pointing = read(changed("{ra: 210.8, dec: 54.35}", written)).spec.operations[2].pointing
    assert pointing.ra == pytest.approx(ra, abs=1e-9)
    assert pointing.dec == pytest.approx(dec, abs=1e-9)


def test_dark_frames_and_sensors_are_asked_for_by_parameters():
    text = changed("nframe: 12}", "nframe: 12, datatype: DARK, sensors: [111, 112]}")
    parameters = read(text).spec.operations[6].set_parameter
    assert (parameters.data_type, parameters.sensors) == ("DARK", ["111", "112"])
    assert read(recipe_from_observation(read(text))) == read(text)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "- Pointing",
            "- Pointin",
            "line 8: unknown operation 'Pointin'; did you mean 'Pointing'? The operations are SetFocus",
        ),
        ("- SetFocus", "- setfocus", "line 6: unknown operation 'setfocus'; did you mean 'SetFocus'?"),
        ("- MirrorCover: open", "- Zap: 1", "line 9: unknown operation 'Zap'; the operations are SetFocus, Assert"),
        ("- MirrorCover: open", "- MirrorCover", "line 9: step 'MirrorCover'; a step is one keyword with its value"),
        ("- MirrorCover: open", "- {MirrorCover: open, Wait: x}", "line 9: step {'MirrorCover': 'open', 'Wait': 'x'}"),
        ("- MirrorCover: open", "- MirrorCover:", "line 9: MirrorCover has no value"),
        ("MirrorCover: open", "MirrorCover: on", "line 9: MirrorCover is 'on'; it should be 'open' or 'close'"),
        ("Observer:", "Obsever:", "line 1: unknown word 'Obsever'; did you mean 'Observer'?"),
        ("Project: Supernova Survey\n", "", "line 1: Project is missing; add it (Project of the data"),
        ("Priority: 0.75", "Priority: 7.5", "line 3: Priority is 7.5; it should be less than or equal to 1"),
        ("Priority: 0.75", "Priority: 0.75\nPriority: 1", "line 4: 'Priority' is given twice, first on line 3"),
        ("nframe: 12", "nfrane: 12", "line 12: unknown parameter 'nfrane'; did you mean 'nframe'?"),
        ("nframe: 12", "nframe: twelve", "line 12: SetParameter.nframe is 'twelve'; it should be a valid integer"),
        ("nframe: 12", "nframe: 12, nframe: 13", "line 12: 'nframe' is given twice"),
        ("ra: 210.8", "ra: 360", "line 8: Pointing.ra is 360; it should be less than 360 (Right ascension"),
        (
            "ra: 210.8",
            "ra: '210.8'",
            "line 8: Pointing.ra: '210.8' is not a coordinate; write degrees as a number, or hours",
        ),
        ("ra: 210.8", "ra: 24:00:01", "line 8: Pointing.ra: '24:00:01' is beyond 24 hours"),
        ("dec: 54.35", "dec: 54:60:00", "line 8: Pointing.dec: '54:60:00' is not a coordinate; write degrees"),
        ("dec: 54.35", "dec: -91:00", "line 8: Pointing.dec: '-91:00' is beyond 90 degrees"),
        (", dec: 54.35", "", "line 8: Pointing.dec is missing"),
        (
            "dec: 54.35",
            "dec: 54.35, equinox: 1950",
            "line 8: Pointing: unknown field 'equinox'; the fields are ra, dec",
        ),
        (
            "[wcs, stack]",
            "[wcs, astrometry]",
            "line 11: SetPipeline[1] is 'astrometry'; it should be 'wcs', 'stack', 'neo'",
        ),
        ("- Exposure: M101\n", "- Exposure: 5457\n", "line 13: Exposure is 5457; it should be text; put it in quotes"),
        ("[30.0, -15.5]", "30.0", "line 14: Dithering is 30.0; it should be a list (Offset [dRA, dDec]"),
        ("['12:00:00.0', '01:30:00.5']", "12:00", "line 4: Time Window is '12:00'; write ['08:00:00.0', '10:30:00.0']"),
        ("'12:00:00.0'", "'noon'", "line 4: Time Window: 'noon' is not a time of day"),
        (
            "'12:00:00.0'",
            "'02:00:00.0'",
            "line 4: Time Window: 02:00:00 to 01:30:00 UTC is not within the night 20240301",
        ),
    ],
)
def test_what_the_recipe_language_does_not_have_is_refused_by_name(old, new, message):
    assert refusal_of(changed(old, new)).startswith(f"m101.yaml {message}")


@pytest.mark.parametrize("text", ["", "Comment:\nonly this\n", "- SetFocus: 28\n", "just text"])
def test_what_is_no_recipe_is_refused(text):
    assert "a recipe is one mapping of Observer, Project, Priority" in refusal_of(text)


@pytest.mark.parametrize("operations", ["[]", "28.13", "{SetFocus: 28.13}"])
def test_operations_must_be_a_list_of_steps(operations):
    assert "Operations is " in refusal_of(f"Observer: a\nProject: b\nOperations: {operations}\n")


def test_the_name_is_a_slug_of_the_first_object_and_a_hash_of_the_content():
    names = [
        read(text).metadata.name
        for text in (
            RECIPE,
            changed("2.1", "2.2"),
            changed("Exposure: M101\n", "Exposure: J0118+2942_dith1 -- very long name\n"),
        )
    ]
    assert re.fullmatch(r"m101-[0-9a-f]{8}", names[0])
    assert re.fullmatch(r"m101-[0-9a-f]{8}", names[1])
    assert re.fullmatch(r"j0118-2942-dith1-very-long-nam-[0-9a-f]{8}", names[2])
    assert len(set(names)) == 3
    assert read(RECIPE).metadata.name == names[0]


def test_another_night_is_another_observation():
    tomorrow = observation_from_recipe(RECIPE, "m101.yaml", night=NIGHT + timedelta(days=1), zone=KISO)
    assert tomorrow.metadata.name != read(RECIPE).metadata.name


@pytest.mark.parametrize("name", ["'***'", "'-'"])
def test_an_object_without_letters_still_gives_a_name(name):
    assert read(changed("Exposure: M101\n", f"Exposure: {name}\n")).metadata.name.startswith("observation-")


def test_what_the_recipe_form_has_no_word_for_is_refused():
    spec = read(RECIPE).spec
    day = spec.time_window
    long = TimeWindow(start=day.start, end=day.start + timedelta(days=2))
    for update, word in (
        ({"target_of_opportunity": True}, "targetOfOpportunity"),
        ({"suspend": True}, "suspend"),
        ({"time_window": long}, "timeWindow is longer than a day"),
    ):
        observation = Observation(metadata=ObjectMeta(name="m101"), spec=spec.model_copy(update=update))
        with pytest.raises(BadRequest, match=f"Observation m101: .*{word}"):
            recipe_from_observation(observation)


def test_an_observation_without_a_window_is_written_without_one():
    spec = ObservationSpec(observer="a", project="b", operations=[Operation(set_focus=1.0)])
    text = recipe_from_observation(Observation(metadata=ObjectMeta(name="x"), spec=spec))
    assert text == "Observer: a\nProject: b\nPriority: 0.5\nOperations:\n- SetFocus: 1.0\n"


def test_a_file_is_a_recipe_or_holds_observations():
    observation = read(RECIPE)
    where = {"night": NIGHT, "zone": KISO}
    assert load_observations(RECIPE, "m101.yaml", **where) == [observation]
    two = dump_resources([observation, observation.model_copy(update={"metadata": ObjectMeta(name="second")})])
    assert [found.metadata.name for found in load_observations(two, "two.yaml", **where)] == [
        observation.metadata.name,
        "second",
    ]


def test_a_file_that_holds_another_resource_is_refused():
    text = "apiVersion: gozen.astro/v1alpha1\nkind: Exposure\nmetadata: {name: e}\nspec: {object: M31, nframe: 1}\n"
    with pytest.raises(BadRequest, match=r"e\.yaml: Exposure e is not an Observation"):
        load_observations(text, "e.yaml", night=NIGHT, zone=KISO)
