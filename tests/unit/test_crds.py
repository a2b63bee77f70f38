"""Test the CustomResourceDefinitions: the chart's files are those of the models, and the schemas are complete.

How the API server applies them: tests/cluster.
"""

from pathlib import Path

import pytest

from gozen.resources.yaml_document import parse
from gozen_operator.crds import KINDS, definition, structural, write_definitions

FOLDER = Path(__file__).parents[2] / "charts" / "gozen" / "files" / "crds"


def nodes(schema, path=""):
    yield path, schema
    for word, child in schema.get("properties", {}).items():
        yield from nodes(child, f"{path}.{word}")
    if "items" in schema:
        yield from nodes(schema["items"], f"{path}[]")


def test_the_chart_holds_what_the_models_say(tmp_path):
    fresh = {path.name: path.read_text() for path in write_definitions(tmp_path)}
    kept = {path.name: path.read_text() for path in FOLDER.glob("*.yaml")}
    assert kept == fresh, "the models have changed: run `make crds` and commit charts/gozen/files/crds"


def test_the_files_are_yaml_as_everybody_reads_it():
    for path in FOLDER.glob("*.yaml"):
        [document] = parse(path.read_text(), path.name)
        assert document.value["kind"] == "CustomResourceDefinition"


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_node_has_one_type_and_nothing_that_kubernetes_refuses(kind):
    for path, node in nodes(structural(kind.model)):
        assert node.get("x-kubernetes-int-or-string") or node["type"] in (
            "object", "array", "string", "number", "integer", "boolean"
        ), path  # fmt: skip
        assert not {"$ref", "anyOf", "oneOf", "const", "title", "exclusiveMinimum"} & set(node) or (
            node.get("exclusiveMinimum") is True
        ), path
        assert "description" in node or path in ("", ".metadata") or path.endswith("[]"), path


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_lists_of_the_spec_are_never_absent_so_that_rules_may_compare_them(kind):
    spec = structural(kind.model)["properties"]["spec"]
    for path, node in nodes(spec):
        word = path.rsplit(".", 1)[-1]
        if "properties" in node:
            for rule in node.get("x-kubernetes-validations", []):
                named = [w for w in node["properties"] if f"self.{w} == oldSelf.{w}" in rule["rule"]]
                for one in named:
                    given = one in node.get("required", []) or "default" in node["properties"][one]
                    assert given or f"has(self.{one})" in rule["rule"], (word, rule)


def test_the_columns_tell_the_story_of_an_exposure():
    (version,) = definition(KINDS[1])["spec"]["versions"]
    assert [column["name"] for column in version["additionalPrinterColumns"]] == [
        "OBJECT", "NIGHT", "SENSORS", "REDUCED", "REJECTED", "FAILED", "SUCCEEDED", "REASON", "AGE"
    ]  # fmt: skip


def test_a_list_that_may_be_absent_stays_so():
    parameters = structural(KINDS[0].model)["properties"]["spec"]["properties"]["operations"]["items"]["properties"][
        "setParameter"
    ]
    assert "default" not in parameters["properties"]["sensors"]
