"""Test the fields of Observation, Exposure and LightCurveJob: which values each accepts and refuses.

Also what a Kubernetes schema needs for every field: a description, a camelCase name, limits of lists and text.
"""

import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from pydantic import ValidationError

from gozen.errors import BadRequest
from gozen.resources.exposure import Exposure, exposure_name
from gozen.resources.lightcurvejob import LightCurveJob
from gozen.resources.metadata import NAME_LENGTH, OBSERVATION_NAME_LENGTH, ObjectMeta
from gozen.resources.observation import Observation, ObservationSpec, TimeWindow
from gozen.resources.recipe_steps import Operation, Parameters, Pointing
from gozen.resources.validation import admitted
from gozen.resources.yaml_resources import dump_resources, load_resources

RESOURCES = [Observation, Exposure, LightCurveJob]


def load(kind, spec):
    text = f"apiVersion: gozen.astro/v1alpha1\nkind: {kind}\nmetadata: {{name: x}}\nspec: {spec}\n"
    [resource] = load_resources(text, "x.yaml")
    return resource


def own_fields(model):
    """Every field below spec and status, as (path, schema); metadata are Kubernetes' own."""
    schema = model.model_json_schema(by_alias=True)

    def resolve(node):
        while "$ref" in node:
            node = schema["$defs"][node["$ref"].rsplit("/", 1)[1]]
        return node

    def below(path, node):
        node = resolve(node)
        for choice in node.get("anyOf", []):
            yield from below(path, choice)
        if "items" in node:
            yield f"{path}[]", resolve(node["items"])
            yield from below(f"{path}[]", node["items"])
        for word, child in node.get("properties", {}).items():
            yield f"{path}.{word}", child
            yield from below(f"{path}.{word}", child)

    for part in ("spec", "status"):
        yield from below(part, schema["properties"][part])


def choices(node):
    return [choice for choice in node.get("anyOf", [node]) if choice.get("type") != "null"]


@pytest.mark.parametrize("model", RESOURCES)
def test_every_field_is_described_and_in_camel_case(model):
    fields = {path: node for path, node in own_fields(model) if not path.endswith("[]")}
    assert len(fields) > 10
    assert [path for path, node in fields.items() if len(node.get("description", "")) < 8] == []
    assert [path for path in fields if not re.fullmatch(r"[a-z][A-Za-z0-9]*", path.rsplit(".", 1)[1])] == []


@pytest.mark.parametrize("model", RESOURCES)
def test_every_list_and_text_has_a_limit(model):
    for path, node in own_fields(model):
        for choice in choices(node):
            if choice.get("type") == "array":
                assert choice["maxItems"] <= 1024, path
            if choice.get("type") == "string" and not {"enum", "const", "format"} & set(choice):
                assert choice["maxLength"] <= 16_384, path


@pytest.mark.parametrize("model", RESOURCES)
def test_the_longest_name_leaves_room_for_the_pods_of_a_job(model):
    longest = "x" * model.longest_name
    assert len(exposure_name(longest, 512) if model is Observation else longest) <= NAME_LENGTH
    assert NAME_LENGTH + len("-1023") < 63


@pytest.mark.parametrize("name", ["", "-a", "a-", "A", "a_b", "a.b", "a b", "x" * (NAME_LENGTH + 1), "a\n"])
def test_names_that_kubernetes_would_refuse_are_refused(name):
    with pytest.raises(ValidationError):
        ObjectMeta(name=name)


def test_resources_cannot_be_changed():
    with pytest.raises(ValidationError, match="frozen"):
        Pointing(ra=1.0, dec=2.0).ra = 3.0


@pytest.mark.parametrize(
    "step",
    [
        {"setFocus": 28.13},
        {"assert": ["domeslit_open"]},
        {"pointing": {"ra": 0.0, "dec": -90.0}},
        {"mirrorCover": "close"},
        {"wait": ["pointing", "mirrorcover_open"]},
        {"setPipeline": []},
        {"setPipeline": ["wcs", "stack", "neo", "cube"]},
        {"setParameter": {"dataType": "DARK"}},
        {"setParameter": {"gain": "mid", "tintegSec": 0.5, "nframe": 18, "sensors": ["121"]}},
        {"exposure": "J0118+2942_dith1"},
        {"dithering": [-1980.0, 0.0]},
    ],
)
def test_each_operation_is_a_mapping_with_one_key(step):
    operation = Operation.model_validate(step, by_name=False)
    assert operation.model_dump(mode="json", exclude_none=True) == step
    assert operation.kind == next(iter(step))


@pytest.mark.parametrize(
    "step",
    [
        {"setFocus": True},
        {"setFocus": float("inf")},
        {"assert": []},
        {"assert": "domeslit_open"},
        {"assert_": ["domeslit_open"]},
        {"pointing": {"ra": 360.0, "dec": 0.0}},
        {"pointing": {"ra": 1.0, "dec": -90.5}},
        {"mirrorCover": "on"},
        {"wait": ["Pointing"]},
        {"setPipeline": ["wcs", "wcs"]},
        {"setPipeline": ["photometry"]},
        {"setParameter": {}},
        {"setParameter": {"nframe": 0}},
        {"setParameter": {"nframe": 18.5}},
        {"setParameter": {"tintegSec": 0}},
        {"setParameter": {"gain": "highest"}},
        {"setParameter": {"sensors": [121]}},
        {"exposure": ""},
        {"exposure": "two\nlines"},
        {"exposure": "アンドロメダ"},
        {"exposure": "x" * 69},
        {"exposure": " M31"},
        {"dithering": [1.0]},
        {"dithering": [1.0, 2.0, 3.0]},
        {"exposure": "M31", "setFocus": 1.0},
        {},
    ],
)
def test_an_operation_that_makes_no_sense_is_refused(step):
    with pytest.raises(ValidationError):
        Operation.model_validate(step, by_name=False)


def test_only_the_parameters_that_are_given_count():
    assert Parameters(gain="low", nframe=12).given == {"gain": "low", "nframe": 12}


def test_moments_are_kept_and_written_in_utc():
    kiso = timezone(timedelta(hours=9))
    window = TimeWindow(
        start=datetime(2023, 12, 12, 17, tzinfo=kiso), end=datetime(2023, 12, 13, 2, 0, 0, 500_000, kiso)
    )
    assert window.start == datetime(2023, 12, 12, 8, tzinfo=UTC)
    assert window.model_dump(mode="json") == {"start": "2023-12-12T08:00:00Z", "end": "2023-12-12T17:00:00.500000Z"}


@pytest.mark.parametrize(
    "start",
    [
        "'2023-12-12'",
        "'2023-12-12T08:00:00'",
        "'2023-13-12T08:00:00Z'",
        "1702368000",
        "'0001-01-01T00:00:00+09:00'",
        "noon",
    ],
)
def test_what_is_no_moment_is_refused(start):
    window = f"{{start: {start}, end: '2023-12-12T10:00:00Z'}}"
    spec = f"{{observer: a, project: b, operations: [{{setFocus: 1}}], timeWindow: {window}}}"
    with pytest.raises(BadRequest, match=r"x\.yaml line 4: spec\.timeWindow\.start is ") as caught:
        load("Observation", spec)
    assert "month must be in" not in str(caught.value)


def test_a_window_that_ends_before_it_starts_is_refused():
    moment = datetime(2023, 12, 12, 8, tzinfo=UTC)
    with pytest.raises(ValidationError, match="ends before it starts"):
        TimeWindow(start=moment, end=moment)


@pytest.mark.parametrize("priority", [-0.1, 1.1, "high"])
def test_priority_is_from_0_to_1(priority):
    with pytest.raises(ValidationError):
        ObservationSpec(observer="a", project="b", priority=priority, operations=[Operation(set_focus=1.0)])


def test_an_observation_needs_a_step():
    with pytest.raises(BadRequest, match=r"spec\.operations is \[\]; it should have at least 1 item"):
        load("Observation", "{observer: a, project: b, operations: []}")


def test_an_exposure_in_full_comes_back_equal():
    spec = (
        "{observationRef: {name: m31-1a2b3c4d}, exposureId: 123456, night: '20231212', object: J0118+2942_dith1, "
        "instrument: tomoe, dataType: OBJECT, sensors: ['111', '112'], nframe: 18, pipelines: [wcs, stack], "
        "rawURL: 's3://tomoe/raw', run: r2, retainRaw: true, priorityClass: express, sensorsPerPod: 2}"
    )
    exposure = load("Exposure", spec)
    assert exposure.spec.raw_url == "s3://tomoe/raw"
    assert exposure.spec.exposure_id == 123456
    assert load_resources(dump_resources([exposure]), "again") == [exposure]


def test_an_optional_field_of_a_later_version_is_left_out_of_what_an_api_server_admitted():
    observation = load("Observation", "{observer: a, project: b, operations: [{pointing: {ra: 1, dec: 2}}]}")
    later = observation.wire()
    later["spec"]["moonDistance"] = 30
    later["spec"]["operations"][0]["pointing"]["equinox"] = "J2000"
    later["status"] = {"queue": 3, "conditions": []}
    assert admitted(Observation, later).spec == observation.spec
    assert later["spec"]["moonDistance"] == 30
    later["spec"]["priority"] = "much"
    with pytest.raises(ValidationError, match="priority"):
        admitted(Observation, later)


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ("exposureId: 0", "greater than or equal to 1"),
        ("exposureId: 100000000", "less than or equal to 99999999"),
        ("night: '20231312'", "spec.night is '20231312'"),
        ("night: 20231212", "put it in quotes"),
        ("dataType: BIAS", "'OBJECT', 'DARK' or 'FLAT'"),
        ("sensors: ['111', '111']", "111 given twice"),
        ("rawURL: /data/raw", "spec.rawURL is '/data/raw'"),
        ("rawUrl: 's3://raw'", "unknown field 'rawUrl'; did you mean 'rawURL'?"),
        ("run: R2", "spec.run is 'R2'"),
        ("priorityClass: urgent", "'express' or 'default'"),
        ("sensorsPerPod: 0", "greater than or equal to 1"),
    ],
)
def test_a_field_of_an_exposure_that_makes_no_sense_is_refused(field, message):
    with pytest.raises(BadRequest) as refusal:
        load("Exposure", f"{{object: M31, nframe: 18, {field}}}")
    assert message in str(refusal.value)


@pytest.mark.parametrize("cadence", ["frame", 1, 60])
def test_a_cadence_is_every_frame_or_whole_seconds(cadence):
    assert load("LightCurveJob", f"{{selection: {{night: '20231212'}}, cadence: {cadence}}}").spec.cadence == cadence


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ("cadence: 0", "spec.cadence is 0; write frame, the only cadence of this version"),
        ("cadence: 1.5", "spec.cadence is 1.5; write frame, the only cadence of this version"),
        ("cadence: true", "spec.cadence is True; write frame, the only cadence of this version"),
        ("cadence: frames", "spec.cadence is 'frames'; write frame, the only cadence of this version"),
        ("aperture: 1", "Diameter of an aperture in the profile, pixels"),
        ("matchRadiusArcsec: 0", "greater than 0"),
        ("referenceCatalog: Gaia DR3", "spec.referenceCatalog is 'Gaia DR3'"),
    ],
)
def test_a_field_of_a_light_curve_job_that_makes_no_sense_is_refused(field, message):
    with pytest.raises(BadRequest) as refusal:
        load("LightCurveJob", f"{{selection: {{night: '20231212'}}, {field}}}")
    assert message in str(refusal.value)


@pytest.mark.parametrize(
    "selection",
    ["night: '20231212'", "exposures: ['00123456']", "region: {ra: 10.0, dec: -5.0, radiusDeg: 0.5}"],
)
def test_a_selection_is_by_night_exposures_or_region(selection):
    job = load("LightCurveJob", f"{{selection: {{{selection}}}}}")
    assert load_resources(dump_resources([job]), "again") == [job]


def test_an_empty_selection_is_refused():
    with pytest.raises(BadRequest, match="the selection is empty; give night, exposures or region"):
        load("LightCurveJob", "{selection: {}}")


def test_an_observation_name_must_leave_room_for_its_steps():
    operations = ObservationSpec(observer="a", project="b", operations=[Operation(set_focus=1.0)])
    Observation(metadata=ObjectMeta(name="x" * OBSERVATION_NAME_LENGTH), spec=operations)
    with pytest.raises(ValidationError, match="48 are allowed"):
        Observation(metadata=ObjectMeta(name="x" * (OBSERVATION_NAME_LENGTH + 1)), spec=operations)
