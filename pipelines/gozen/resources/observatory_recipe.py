"""Read and write an Observation in the observatory's recipe format."""

from __future__ import annotations

import hashlib
import json
import re
from datetime import date, timedelta, tzinfo
from typing import Literal

from gozen.errors import BadRequest
from gozen.resources import nights
from gozen.resources.metadata import ObjectMeta
from gozen.resources.observation import Observation, ObservationSpec, TimeWindow
from gozen.resources.recipe_steps import Operation
from gozen.resources.sexagesimal import degrees
from gozen.resources.validation import shown, unknown, validate
from gozen.resources.yaml_document import Document, Path, parse, refusal
from gozen.resources.yaml_dump import dump_line
from gozen.resources.yaml_resources import load_resources

HEADER_WORDS = {
    "Observer": "observer",
    "Project": "project",
    "Priority": "priority",
    "Time Window": "timeWindow",
    "Operations": "operations",
    "Comment": "comment",
}
OPERATION_WORDS = {
    "SetFocus": "setFocus",
    "Assert": "assert",
    "Pointing": "pointing",
    "MirrorCover": "mirrorCover",
    "Wait": "wait",
    "SetPipeline": "setPipeline",
    "SetParameter": "setParameter",
    "Exposure": "exposure",
    "Dithering": "dithering",
}
PARAMETER_WORDS = {
    "gain": "gain",
    "tinteg_sec": "tintegSec",
    "nframe": "nframe",
    "datatype": "dataType",
    "sensors": "sensors",
}
_RECIPE_WORDS = {wire: word for word, wire in (HEADER_WORDS | OPERATION_WORDS | PARAMETER_WORDS).items()}

_COMMENT = re.compile(r"^Comment:[ \t]*(?:\r?\n|\Z)", re.MULTILINE)
_RESOURCE = re.compile(r"^(apiVersion|kind)[ \t]*:", re.MULTILINE)
_SLUG_LENGTH = 30


def load_observations(text: str, source: str, *, night: date, zone: tzinfo) -> list[Observation]:
    """Return the Observations of a file, which is either one recipe or a YAML file of resources.

    Parameters
    ----------
    text
        Content of the file.
    source
        Name of the file, for messages.
    night, zone
        The night for which a recipe is applied, and the time zone of the site.

    Raises
    ------
    BadRequest
        The file is invalid, or a resource in it is not an Observation.
    """
    if not _RESOURCE.search(_split(text)[0]):
        return [observation_from_recipe(text, source, night=night, zone=zone)]
    resources = load_resources(text, source)
    for resource in resources:
        if not isinstance(resource, Observation):
            raise BadRequest(f"{source}: {resource.kind} {resource.metadata.name} is not an Observation; leave it out")
    return [resource for resource in resources if isinstance(resource, Observation)]


def observation_from_recipe(text: str, source: str, *, night: date, zone: tzinfo) -> Observation:
    """Return the Observation that a recipe describes.

    Parameters
    ----------
    text
        The recipe. The text after a line ``Comment:`` is kept unchanged.
    source
        Name of the file, for messages.
    night
        The night for which it is applied: the local date on which the night begins. The recipe's times of day are
        in this night; a recipe without ``Time Window`` may run all night.
    zone
        Time zone of the site.

    Raises
    ------
    BadRequest
        The recipe has an unknown keyword or an invalid value; the message names file, line, field and value.
    """
    document = _read(text, source)
    assert isinstance(document.value, dict)
    spec = {HEADER_WORDS[word]: value for word, value in document.value.items()}
    spec["timeWindow"] = _time_window(document, night, zone)
    if isinstance(spec.get("operations"), list):
        spec["operations"] = [_operation(document, step) for step in range(len(spec["operations"]))]
    valid = validate(ObservationSpec, spec, document, _recipe_path)
    return Observation(metadata=ObjectMeta(name=observation_name(valid)), spec=valid)


def recipe_from_observation(observation: Observation) -> str:
    """Return an Observation in the observatory's recipe format.

    If the Observation came from a recipe, the text gives an equal Observation for the same night and site.

    Raises
    ------
    BadRequest
        The Observation has a value that a recipe cannot express.
    """
    spec = observation.spec
    _refuse_what_has_no_word(observation)
    lines = [
        f"Observer: {dump_line(spec.observer)}",
        f"Project: {dump_line(spec.project)}",
        f"Priority: {dump_line(spec.priority)}",
    ]
    if spec.time_window:
        times = [nights.format_time(spec.time_window.start), nights.format_time(spec.time_window.end)]
        lines.append(f"Time Window: {dump_line(times)}")
    lines.append("Operations:")
    lines.extend(_operation_line(operation) for operation in spec.operations)
    if spec.comment:
        lines.append("Comment:")
    return "\n".join(lines) + "\n" + spec.comment


def observation_name(spec: ObservationSpec) -> str:
    """Return the name of an Observation: a slug of its first exposure's object and a hash of its content."""
    first = next((step.exposure for step in spec.operations if step.exposure is not None), "observation")
    slug = re.sub(r"[^a-z0-9]+", "-", first.lower())[:_SLUG_LENGTH].strip("-") or "observation"
    content = json.dumps(spec.model_dump(mode="json", exclude_defaults=True), sort_keys=True)
    return f"{slug}-{hashlib.sha256(content.encode()).hexdigest()[:8]}"


def _split(text: str) -> tuple[str, str | None]:
    """Return the text before the line ``Comment:`` and the text after it (None without such a line)."""
    found = _COMMENT.search(text)
    return (text[: found.start()], text[found.end() :]) if found else (text, None)


def _read(text: str, source: str) -> Document:
    """Return the recipe's keywords and values, including the comment."""
    header, comment = _split(text)
    documents = parse(header, source)
    if len(documents) != 1 or not isinstance(documents[0].value, dict):
        raise Document(None, source).refuse((), f"a recipe is one mapping of {', '.join(HEADER_WORDS)}")
    document = documents[0]
    value, comment_line = documents[0].value, header.count("\n") + 1
    for word in value:
        if word not in HEADER_WORDS:
            raise document.refuse((word,), unknown("word", word, HEADER_WORDS))
    if comment is None:
        return document
    if "Comment" in value:
        raise refusal(source, comment_line, "'Comment' is given twice; keep one of them")
    return Document(value | {"Comment": comment}, source, {**document.lines, ("Comment",): comment_line})


def _time_window(document: Document, night: date, zone: tzinfo) -> TimeWindow:
    assert isinstance(document.value, dict)
    given = document.value.get("Time Window")
    if given is None and "Time Window" not in document.value:
        start, end = nights.bounds(night, zone)
        return TimeWindow(start=start, end=end)
    if not isinstance(given, list) or len(given) != 2:
        problem = f"Time Window is {shown(given)}; write ['08:00:00.0', '10:30:00.0']: UTC start and end"
        raise document.refuse(("Time Window",), problem)
    try:
        first, last = (nights.read_time(text) for text in given)
        start, end = nights.window(first, last, night, zone)
    except ValueError as error:
        raise document.refuse(("Time Window",), f"Time Window: {error}") from error
    return TimeWindow(start=start, end=end)


def _operation(document: Document, step: int) -> dict[str, object]:
    """Return a step with the field names of the resource."""
    assert isinstance(document.value, dict)
    path: Path = ("Operations", step)
    operation = document.value["Operations"][step]
    if not isinstance(operation, dict) or len(operation) != 1:
        raise document.refuse(
            path, f"step {shown(operation)}; a step is one keyword with its value, such as SetFocus: 28.13"
        )
    [(word, value)] = operation.items()
    if word not in OPERATION_WORDS:
        raise document.refuse((*path, word), unknown("operation", word, OPERATION_WORDS))
    if value is None:
        raise document.refuse((*path, word), f"{word} has no value; write a value after the colon")
    return {OPERATION_WORDS[word]: _wire_value(document, (*path, word), word, value)}


def _wire_value(document: Document, path: Path, word: str, value: object) -> object:
    match word, value:
        case ("Wait" | "Assert" | "SetPipeline", str()):
            return [part.strip() for part in value.split(",")]
        case "Pointing", dict():
            return {key: _coordinate(document, (*path, key), key, number) for key, number in value.items()}
        case "SetParameter", dict():
            return _parameters(document, path, value)
    return value


def _coordinate(document: Document, path: Path, key: str, value: object) -> object:
    if not isinstance(value, str):
        return value
    unit: Literal["hours", "degrees"] = "hours" if key == "ra" else "degrees"
    try:
        return degrees(value, unit)
    except ValueError as error:
        raise document.refuse(path, f"Pointing.{key}: {error}") from error


def _parameters(document: Document, path: Path, given: dict[str, object]) -> dict[str, object]:
    for word in given:
        if word not in PARAMETER_WORDS:
            raise document.refuse((*path, word), unknown("parameter", word, PARAMETER_WORDS))
    parameters = {PARAMETER_WORDS[word]: value for word, value in given.items()}
    sensors = parameters.get("sensors")
    if isinstance(sensors, list):
        parameters["sensors"] = [str(sensor) if type(sensor) is int else sensor for sensor in sensors]
    return parameters


def _recipe_path(wire_path: Path) -> Path:
    return tuple(_RECIPE_WORDS.get(part, part) if isinstance(part, str) else part for part in wire_path)


def _operation_line(operation: Operation) -> str:
    [(wire, value)] = operation.model_dump(mode="json", exclude_none=True).items()
    if wire in ("wait", "assert"):
        value = ", ".join(value)
    elif wire == "setParameter":
        value = {_RECIPE_WORDS[word]: parameter for word, parameter in value.items()}
    return f"- {_RECIPE_WORDS[wire]}: {dump_line(value)}"


def _refuse_what_has_no_word(observation: Observation) -> None:
    spec, name = observation.spec, observation.metadata.name
    for word, given in (("targetOfOpportunity", spec.target_of_opportunity), ("suspend", spec.suspend)):
        if given:
            raise BadRequest(f"Observation {name}: the recipe form has no word for {word}; keep it as an Observation")
    if spec.time_window and spec.time_window.end - spec.time_window.start > timedelta(days=1):
        raise BadRequest(
            f"Observation {name}: timeWindow is longer than a day, but the recipe form has only times of day, without "
            "dates: shorten timeWindow"
        )
