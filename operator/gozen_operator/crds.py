"""Generate the CustomResourceDefinitions from the models of `gozen.resources` (``make crds``).

    python -m gozen_operator.crds FOLDER

Schemas become structural ones: references are resolved, and "or null" is removed, because an absent field has the same
meaning.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gozen.resources.exposure import Exposure
from gozen.resources.lightcurvejob import LightCurveJob
from gozen.resources.metadata import Resource
from gozen.resources.observation import Observation
from gozen.resources.yaml_dump import dump

GROUP, VERSION = "gozen.astro", "v1alpha1"
Schema = dict[str, Any]
NOT_OVER = "status.over!=true"
"""Field selector of the Observations that an observer may have to execute; it also selects those without a status."""

_LEFT_OUT = frozenset({"title", "additionalProperties", "$defs"})
_HEADER = "# Made by `make crds` from the models in gozen.resources; changes belong there.\n"


@dataclass(frozen=True)
class ResourceKind:
    """The facts about a kind that Kubernetes needs in addition to its schema.

    Parameters
    ----------
    columns
        What ``kubectl get`` shows: title, type and JSON path; the age is added.
    selectable
        JSON paths that a field selector may name.
    """

    model: type[Resource]
    plural: str
    short: str
    columns: tuple[tuple[str, str, str], ...]
    selectable: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The kind, such as ``Observation``."""
        return self.model.__name__


def _condition(kind: str, field: str) -> str:
    return f'.status.conditions[?(@.type=="{kind}")].{field}'


KINDS = (
    ResourceKind(
        Observation,
        "observations",
        "obs",
        (
            ("PROJECT", "string", ".spec.project"),
            ("PRIORITY", "number", ".spec.priority"),
            ("ACCEPTED", "string", _condition("Accepted", "status")),
            ("DONE", "integer", ".status.completed"),
            ("SUCCEEDED", "string", _condition("Succeeded", "status")),
            ("REASON", "string", _condition("Succeeded", "reason")),
        ),
        selectable=(".status.over",),
    ),
    ResourceKind(
        Exposure,
        "exposures",
        "exp",
        (
            ("OBJECT", "string", ".spec.object"),
            ("NIGHT", "string", ".spec.night"),
            ("SENSORS", "integer", ".status.sensors"),
            ("REDUCED", "integer", ".status.reduced"),
            ("REJECTED", "integer", ".status.rejected"),
            ("FAILED", "integer", ".status.failed"),
            ("SUCCEEDED", "string", _condition("Succeeded", "status")),
            ("REASON", "string", _condition("Succeeded", "reason")),
        ),
    ),
    ResourceKind(
        LightCurveJob,
        "lightcurvejobs",
        "lcj",
        (
            ("TABLE", "string", ".spec.targetCatalog"),
            ("NIGHT", "string", ".spec.selection.night"),
            ("EXPOSURES", "integer", ".status.exposures"),
            ("ROWS", "integer", ".status.rows"),
            ("SUCCEEDED", "string", _condition("Succeeded", "status")),
            ("REASON", "string", _condition("Succeeded", "reason")),
            ("PUBLISHED", "string", _condition("Published", "reason")),
        ),
    ),
)


def definition(kind: ResourceKind) -> Schema:
    """Return the CustomResourceDefinition of a kind."""
    age = {"name": "AGE", "type": "date", "jsonPath": ".metadata.creationTimestamp"}
    columns = [{"name": name, "type": type_, "jsonPath": path} for name, type_, path in kind.columns]
    selectable = {"selectableFields": [{"jsonPath": path} for path in kind.selectable]} if kind.selectable else {}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{GROUP}", "annotations": {"helm.sh/resource-policy": "keep"}},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": kind.name,
                "listKind": f"{kind.name}List",
                "plural": kind.plural,
                "singular": kind.name.lower(),
                "shortNames": [kind.short],
                "categories": ["gozen"],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": [*columns, age],
                    **selectable,
                    "schema": {"openAPIV3Schema": structural(kind.model)},
                }
            ],
        },
    }


def structural(model: type[Resource]) -> Schema:
    """Return a model's schema in the form that Kubernetes requires."""
    schema = model.model_json_schema(by_alias=True)
    whole = _plain(schema, schema["$defs"])
    properties = whole["properties"]
    # The API server has its own idea of these, and refuses any but the name to be restricted.
    properties["metadata"] = {"type": "object"}
    for word in ("apiVersion", "kind"):
        properties[word] = {"type": "string", "description": properties[word]["description"]}
    return {**whole, "required": ["spec"]}


def _plain(node: Mapping[str, Any], definitions: Mapping[str, Any]) -> Schema:
    """Return a JSON schema as Kubernetes accepts it: without references, alternatives (``anyOf``), unknown keywords."""
    if "$ref" in node:
        node = {**definitions[node["$ref"].rsplit("/", 1)[1]], **{k: v for k, v in node.items() if k != "$ref"}}
    found = {word: value for word, value in node.items() if word not in _LEFT_OUT and value is not None}
    if found.get("x-kubernetes-int-or-string"):
        found.pop("anyOf")
    elif "anyOf" in found:
        (choice,) = (one for one in found.pop("anyOf") if one.get("type") != "null")
        return {**_plain(choice, definitions), **found}
    if "const" in found:
        found["enum"] = [found.pop("const")]
    for bound in ("Minimum", "Maximum"):
        if f"exclusive{bound}" in found:  # OpenAPI 3.0 has the bound and a flag
            found[bound.lower()] = found[f"exclusive{bound}"]
            found[f"exclusive{bound}"] = True
    if "items" in found:
        found["items"] = _plain(found["items"], definitions)
    if "properties" in found:
        found["properties"] = {word: _field(word, found, definitions) for word in found["properties"]}
    return found


def _field(word: str, parent: Mapping[str, Any], definitions: Mapping[str, Any]) -> Schema:
    field = parent["properties"][word]
    plain = _plain(field, definitions)
    if field.get("type") == "array" and word not in parent.get("required", []):
        plain["default"] = []  # the model makes a new list each time, which its schema does not tell
    return plain


def write_definitions(folder: Path) -> list[Path]:
    """Write one file for each kind and return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for kind in KINDS:
        paths.append(folder / f"{kind.plural}.yaml")
        paths[-1].write_text(_HEADER + dump(definition(kind)))
    return paths


if __name__ == "__main__":
    for path in write_definitions(Path(sys.argv[1])):
        print(path)  # noqa: T201 - what a person wants to know
