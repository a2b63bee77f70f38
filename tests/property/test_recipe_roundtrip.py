"""For all recipes: recipe -> Observation -> recipe -> Observation is equal, and so is every resource through YAML.

For any text, reading gives a resource or a `BadRequest` that names the file, never another exception.
"""

from datetime import UTC, date, timedelta, timezone

from hypothesis import example, given, settings
from hypothesis import strategies as st

from gozen.errors import BadRequest
from gozen.observing.observation_plan import exposures_of
from gozen.resources import nights
from gozen.resources.metadata import ObjectMeta
from gozen.resources.observation import Observation, ObservationSpec, TimeWindow
from gozen.resources.observatory_recipe import (
    load_observations,
    observation_from_recipe,
    observation_name,
    recipe_from_observation,
)
from gozen.resources.recipe_steps import Operation, Parameters, Pointing
from gozen.resources.yaml_document import parse
from gozen.resources.yaml_dump import dump, dump_line
from gozen.resources.yaml_resources import dump_resources, load_resources

NIGHT = date(2023, 12, 12)

zones = st.integers(-12 * 4, 14 * 4).map(lambda quarters: timezone(timedelta(minutes=15 * quarters)))
header_texts = st.from_regex(r"[!-~]([ -~]{0,20}[!-~])?", fullmatch=True)
device_conditions = st.lists(st.from_regex(r"[a-z][a-z0-9_]{0,12}", fullmatch=True), min_size=1, max_size=4)
finite = st.floats(allow_nan=False, allow_infinity=False)
offsets = st.floats(-648_000, 648_000)
comments = st.text(max_size=80) | st.lists(st.sampled_from(["", "a: b", "Comment:", "- x", " y ", "森", "\t"])).map(
    "\n".join
)

parameters = st.builds(
    Parameters,
    gain=st.sampled_from(["high", "mid", "low"]),
    tinteg_sec=st.none() | st.floats(1e-3, 86_400),
    nframe=st.none() | st.integers(1, 100_000),
    data_type=st.none() | st.sampled_from(["OBJECT", "DARK", "FLAT"]),
    sensors=st.none() | st.lists(st.from_regex(r"[A-Za-z0-9]{1,4}", fullmatch=True), unique=True, max_size=4),
)
operations = st.one_of(
    st.builds(Operation, set_focus=finite),
    st.builds(Operation, assert_=device_conditions),
    st.builds(Operation, pointing=st.builds(Pointing, ra=st.floats(0, 360, exclude_max=True), dec=st.floats(-90, 90))),
    st.builds(Operation, mirror_cover=st.sampled_from(["open", "close"])),
    st.builds(Operation, wait=device_conditions),
    st.builds(Operation, set_pipeline=st.lists(st.sampled_from(["wcs", "stack", "neo", "cube"]), unique=True)),
    st.builds(Operation, set_parameter=parameters),
    st.builds(Operation, exposure=header_texts),
    st.builds(Operation, dithering=st.lists(offsets, min_size=2, max_size=2)),
)


@st.composite
def applied_observations(draw):
    """Draw an Observation for one night, as a recipe gives it, with the site's time zone."""
    zone = draw(zones)
    begin, end = nights.bounds(NIGHT, zone)
    length = (end - begin) // timedelta(microseconds=1)
    start, stop = sorted(draw(st.lists(st.integers(0, length), min_size=2, max_size=2, unique=True)))
    window = TimeWindow(start=begin + timedelta(microseconds=start), end=begin + timedelta(microseconds=stop))
    spec = ObservationSpec(
        observer=draw(header_texts),
        project=draw(header_texts),
        priority=draw(st.floats(0, 1)),
        time_window=window,
        operations=draw(st.lists(operations, min_size=1, max_size=8)),
        comment=draw(comments),
    )
    return Observation(metadata=ObjectMeta(name=observation_name(spec)), spec=spec), zone


@given(applied_observations())
def test_a_recipe_comes_back_equal(applied):
    observation, zone = applied
    first = recipe_from_observation(observation)
    again = observation_from_recipe(first, "recipe", night=NIGHT, zone=zone)
    assert again == observation
    assert recipe_from_observation(again) == first


@given(applied_observations())
def test_an_observation_comes_back_equal_through_yaml(applied):
    observation, zone = applied
    text = dump_resources([observation, observation])
    assert load_resources(text, "yaml") == [observation, observation]
    assert load_observations(text, "yaml", night=NIGHT, zone=zone) == [observation, observation]


def refusal_of(call):
    """Return the message of a refusal, or None."""
    try:
        call()
    except BadRequest as refusal:
        return str(refusal)
    return None


@given(applied_observations())
def test_exposures_after_pointing_and_parameters_are_planned_each_under_its_step(applied):
    observation, _ = applied
    steps = [
        Operation(pointing=Pointing(ra=1.0, dec=2.0)),
        Operation(set_parameter=Parameters(nframe=2, tinteg_sec=1.0)),
    ]
    steps += [operation for operation in observation.spec.operations if operation.dithering is None]
    spec = observation.spec.model_copy(update={"operations": steps})
    planned = exposures_of(observation.model_copy(update={"spec": spec}))
    expected = [(step, operation.exposure) for step, operation in enumerate(steps, 1) if operation.exposure is not None]
    assert [(item.step, item.exposure.spec.object) for item in planned] == expected
    for item in planned:
        assert load_resources(dump_resources([item.exposure]), "exposure.yaml") == [item.exposure]


@given(applied_observations())
def test_a_plan_that_makes_no_sense_is_refused_by_step(applied):
    observation, _ = applied
    message = refusal_of(lambda: exposures_of(observation))
    assert message is None or message.startswith(f"Observation {observation.metadata.name} step ")


@given(st.integers(0, 24 * 3600 - 1), zones)
def test_the_night_of_a_window_is_the_night_it_was_applied_for(second, zone):
    begin, _ = nights.bounds(NIGHT, zone)
    assert nights.night_of(begin + timedelta(seconds=second), zone) == NIGHT
    assert nights.night_of((begin - timedelta(seconds=1)).astimezone(UTC), zone) == NIGHT - timedelta(days=1)


plain_data = st.recursive(
    st.none() | st.booleans() | st.integers() | finite | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.text(), plain_data, min_size=1, max_size=4))
@example({"=": "=", "<<": "<<", "": "", "~": "~"})
def test_plain_data_come_back_equal(data):
    for text in (dump(data), dump_line(data)):
        [document] = parse(text, "x")
        assert document.value == data


fragments = st.sampled_from(
    ["Observer: x\n", "Project: y\n", "Operations:\n", "- Pointing: {ra: 1, dec: ", "2}\n", "- Exposure: a\n",
     "Comment:\n",
     "- SetParameter: {", "nframe: 1}\n", "Time Window: ['1:0', ", "'2:00']\n", "apiVersion: gozen.astro/v1alpha1\n",
     "kind: Observation\n", "metadata: {name: a}\n", "spec:\n", "  operations: [{", "---\n", "'", '"', "[", "}", ": ",
     "&a ", "*a", "!!int ", "\t", "%", "- ", "? ", "| \n", "> \n", "\\", "1e999", "9" * 400]
)  # fmt: skip


@settings(max_examples=300)
@given(st.lists(fragments | st.text(max_size=5), max_size=12).map("".join))
def test_any_text_is_read_or_refused_by_name(text):
    for message in (
        refusal_of(lambda: load_resources(text, "some.yaml")),
        refusal_of(lambda: load_observations(text, "some.yaml", night=NIGHT, zone=UTC)),
    ):
        assert message is None or message.startswith("some.yaml")
