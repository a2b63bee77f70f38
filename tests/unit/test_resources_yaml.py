"""Test reading and writing YAML: YAML 1.2 scalars, refusals of strict reading with their line, several resources.

The fields of each resource are in test_resources_models.
"""

import math

import pytest
import yaml

from gozen.errors import BadRequest
from gozen.resources.exposure import Exposure
from gozen.resources.lightcurvejob import LightCurveJob
from gozen.resources.observation import Observation
from gozen.resources.yaml_document import DEEPEST, parse
from gozen.resources.yaml_dump import dump, dump_line
from gozen.resources.yaml_resources import dump_resources, load_resources

OBSERVATION = """\
apiVersion: gozen.astro/v1alpha1
kind: Observation
metadata:
  name: m31
spec:
  observer: A. Observer
  project: Survey
  operations:
  - setFocus: 28.13
  - pointing:
      ra: 10.68
      dec: 41.27
  - exposure: M31
"""
EXPOSURE = """\
apiVersion: gozen.astro/v1alpha1
kind: Exposure
metadata: {name: m31-003}
spec: {object: M31, nframe: 18}
"""
JOB = """\
apiVersion: gozen.astro/v1alpha1
kind: LightCurveJob
metadata: {name: tonight}
spec: {selection: {night: "20231212"}}
"""


def value_of(text):
    [document] = parse(text, "f.yaml")
    return document.value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("08:00:00.0", "08:00:00.0"),
        ("01:18:59", "01:18:59"),
        ("on", "on"),
        ("yes", "yes"),
        ("2023-12-12", "2023-12-12"),
        ("1_000", "1_000"),
        ("0b11", "0b11"),
        ("<<", "<<"),
        ("'18'", "18"),
        ("18", 18),
        ("010", 10),
        ("0o17", 15),
        ("0x1f", 31),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("-0.25", -0.25),
        ("true", True),
        ("False", False),
        ("~", None),
        ("null", None),
        (".inf", math.inf),
        ("-.INF", -math.inf),
        ("!!str 18", "18"),
    ],
)
def test_plain_scalars_follow_the_core_schema_of_yaml_1_2(text, value):
    read = value_of(f"key: {text}")["key"]
    assert read == value
    assert type(read) is type(value)


def test_not_a_number_is_read_so_that_a_field_can_refuse_it():
    assert math.isnan(value_of("key: .nan")["key"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3", "f.yaml line 3: 'a' is given twice, first on line 1; remove one"),
        ("s:\n  - {x: 1, x: 2}", "f.yaml line 2: 'x' is given twice, first on line 2"),
        ("a: &here 1", "f.yaml line 1: the anchor or alias 'here' is not allowed; write the value in full"),
        ("a: 1\nb: *here", "f.yaml line 2: the anchor or alias 'here'"),
        (
            "a: !!python/object/apply:os.system [ls]",
            "f.yaml line 1: the tag 'tag:yaml.org,2002:python/object/apply:os.system'",
        ),
        ("a: !!int 5", "line 1: the tag 'tag:yaml.org,2002:int' is not allowed; leave it out"),
        ("a:\n\t- b", "f.yaml line 2: the text is not valid YAML"),
        (
            "ok: 1\nnote: first: second",
            "f.yaml line 2: the text is not valid YAML: mapping values are not allowed here; put text",
        ),
        ("a: 1\nb: \x00", "f.yaml line 2: the character U+0000 is not allowed"),
        ("? [a]\n: b", "f.yaml line 1: a key must be text"),
        ("a: 'open", "the text is not valid YAML: found unexpected end of stream"),
        ('a: "\\UFFFFFFFF"', "f.yaml line 1: the text is not valid YAML"),
        ("[" * 100_000, f"f.yaml line 1: the values are nested more than {DEEPEST} levels deep"),
    ],
)
def test_what_is_not_strict_yaml_is_refused_with_its_line(text, message):
    with pytest.raises(BadRequest) as refusal:
        parse(text, "f.yaml")
    assert message in str(refusal.value)


def test_values_remember_their_lines():
    [document] = parse("a: 1\nlist:\n- x\n- {deep: y}\n", "f.yaml")
    assert document.line(("a",)) == 1
    assert document.line(("list", 1, "deep")) == 4
    assert document.line(("list", 1, "missing", "deeper")) == 4
    assert document.line(("nowhere",)) == 1


@pytest.mark.parametrize(
    "text",
    [
        "on",
        "08:00:00.0",
        "1e3",
        "0o17",
        "18",
        "null",
        "",
        " x ",
        "a: b",
        "# x",
        "x\r\ny",
        "\u2028",
        "é\n\x85",
        "\n\n",
        "森",
    ],
)
def test_text_stays_text_for_readers_of_yaml_1_1_and_1_2(text):
    assert value_of(dump({"key": text})) == {"key": text}
    assert yaml.safe_load(dump({"key": text})) == {"key": text}
    assert value_of(dump_line([text])) == [text]
    assert "\n" not in dump_line([text])


def test_lines_of_a_comment_are_written_as_lines():
    assert dump({"comment": "first: a\nsecond\n"}) == "comment: |\n  first: a\n  second\n"


def test_a_file_may_hold_resources_of_all_kinds():
    resources = load_resources("---\n".join([OBSERVATION, EXPOSURE, JOB]) + "---\n", "night.yaml")
    assert [type(resource) for resource in resources] == [Observation, Exposure, LightCurveJob]
    assert resources[0].spec.operations[1].pointing.dec == 41.27
    assert resources[2].spec.aperture is None


def test_resources_come_back_equal_and_with_the_same_bytes():
    resources = load_resources("---\n".join([OBSERVATION, EXPOSURE, JOB]), "night.yaml")
    text = dump_resources(resources)
    again = load_resources(text, "again.yaml")
    assert again == resources
    assert dump_resources(again) == text
    assert list(yaml.safe_load(text.split("---\n")[0])) == ["apiVersion", "kind", "metadata", "spec"]


def test_what_the_api_server_adds_is_read():
    added = """\
metadata:
  name: m31
  namespace: night
  uid: 0c5a
  resourceVersion: "77"
  generation: 2
  creationTimestamp: "2023-12-12T07:59:59Z"
  labels: {team: survey}
  managedFields: [{manager: kubectl, operation: Apply}]
status:
  conditions:
  - {type: Accepted, status: "True", reason: Valid, lastTransitionTime: "2023-12-12T08:00:00Z"}
"""
    [observation] = load_resources(OBSERVATION.replace("metadata:\n  name: m31\n", added), "got.yaml")
    assert observation.metadata.resource_version == "77"
    assert observation.status.conditions[0].reason == "Valid"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("kind: Observation", "kind: Observatory", "line 2: unknown kind 'Observatory'; did you mean 'Observation'?"),
        ("kind: Observation\n", "", "line 1: kind is missing"),
        ("v1alpha1", "v2", "line 1: apiVersion is 'gozen.astro/v2'; write gozen.astro/v1alpha1"),
        ("  observer: A", "  observr: A", "line 6: spec: unknown field 'observr'; did you mean 'observer'?"),
        ("project: Survey", "project: 5", "line 7: spec.project is 5; it should be text; put it in quotes"),
        ("dec: 41.27", "dec: 141.27", "line 12: spec.operations[1].pointing.dec is 141.27; it should be less than or"),
        ("ra: 10.68", "ra: .nan", "line 11: spec.operations[1].pointing.ra is nan"),
        (
            "ra: 10.68",
            "ra: '00:42:44'",
            "line 11: spec.operations[1].pointing.ra is '00:42:44'; it should be a valid number",
        ),
        ("      dec: 41.27\n", "", "line 10: spec.operations[1].pointing.dec is missing; add it (Declination"),
        (
            "- exposure: M31",
            "- exposre: M31",
            "line 13: spec.operations[2]: unknown field 'exposre'; did you mean 'exposure'?",
        ),
        ("- exposure: M31", "- {}", "line 13: spec.operations[2] is {}; a step is exactly one of setFocus"),
        ("- exposure: M31", "- M31", "line 13: spec.operations[2] is 'M31'; it should be a mapping"),
        ("setFocus: 28.13", "set_focus: 28.13", "line 9: spec.operations[0]: unknown field 'set_focus'"),
        ("name: m31", "name: M31", "line 4: metadata.name is 'M31'"),
        ("name: m31", f"name: {'m' * 49}", "the name has 49 characters; 48 are allowed"),
        (OBSERVATION, "", "it contains no resource"),
        (OBSERVATION, "- 1", "a resource is a mapping"),
    ],
)
def test_a_refused_resource_names_file_line_field_and_value(old, new, message):
    assert old in OBSERVATION
    with pytest.raises(BadRequest) as refusal:
        load_resources(OBSERVATION.replace(old, new), "obs.yaml")
    assert str(refusal.value).startswith("obs.yaml line ")
    assert message in str(refusal.value)
    assert "pydantic" not in str(refusal.value)


def test_all_problems_are_listed_each_on_its_line():
    text = OBSERVATION.replace("ra: 10.68", "ra: 400").replace("setFocus: 28.13", "setFocus: near")
    with pytest.raises(BadRequest) as refusal:
        load_resources(text, "obs.yaml")
    assert [line.split(":")[0] for line in str(refusal.value).splitlines()] == ["obs.yaml line 9", "obs.yaml line 11"]


def test_a_flood_of_problems_is_cut_and_counted():
    text = OBSERVATION.replace("  - exposure: M31\n", "  - exposure: 31\n" * 30)
    with pytest.raises(BadRequest, match=r"and 20 more problems in obs\.yaml"):
        load_resources(text, "obs.yaml")
