"""Read and write resources as YAML text, one or more per file. `observatory_recipe` reads the observatory's recipes."""

from __future__ import annotations

from collections.abc import Iterable

from gozen.resources.exposure import Exposure
from gozen.resources.lightcurvejob import LightCurveJob
from gozen.resources.metadata import API_VERSION, Resource
from gozen.resources.observation import Observation
from gozen.resources.validation import shown, unknown, validate
from gozen.resources.yaml_document import Document, parse
from gozen.resources.yaml_dump import dump

AnyResource = Observation | Exposure | LightCurveJob

_KINDS: dict[str, type[AnyResource]] = {
    "Observation": Observation,
    "Exposure": Exposure,
    "LightCurveJob": LightCurveJob,
}


def load_resources(text: str, source: str) -> list[AnyResource]:
    """Return the resources in a YAML text, in their order.

    Parameters
    ----------
    text
        One or more documents between ``---`` lines, strict YAML 1.2.
    source
        Name of the file, for messages.

    Raises
    ------
    BadRequest
        There is no resource, a kind is unknown, or a field is invalid; the message names file, line, field and value.
    """
    documents = parse(text, source)
    if not documents:
        raise Document(None, source).refuse((), "it contains no resource; write at least one")
    return [_resource(document) for document in documents]


def dump_resources(resources: Iterable[Resource]) -> str:
    """Return resources as YAML text, one document each; the same bytes for the same resources."""
    return "---\n".join(dump(resource.wire()) for resource in resources)


def _resource(document: Document) -> AnyResource:
    value = document.value
    if not isinstance(value, dict):
        raise document.refuse((), f"a resource is a mapping of apiVersion, kind, metadata and spec, not {shown(value)}")
    for word in ("apiVersion", "kind"):
        if word not in value:
            raise document.refuse((), f"{word} is missing; a resource begins with apiVersion: {API_VERSION} and kind")
    if value["apiVersion"] != API_VERSION:
        raise document.refuse(("apiVersion",), f"apiVersion is {shown(value['apiVersion'])}; write {API_VERSION}")
    kind = value["kind"]
    if not isinstance(kind, str) or kind not in _KINDS:
        raise document.refuse(("kind",), unknown("kind", str(kind), _KINDS))
    return validate(_KINDS[kind], value, document)
