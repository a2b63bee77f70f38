"""Convert plain data to models; validation errors become one `BadRequest` with file, line, field and value."""

from __future__ import annotations

import copy
import difflib
import re
import typing
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from gozen.errors import BadRequest
from gozen.resources.metadata import WireModel
from gozen.resources.yaml_document import Document, Path

Model = TypeVar("Model", bound=WireModel)

MOST_PROBLEMS = 10
"""Largest number of problems that one message lists."""

_SHOULD_BE = {
    "model_type": "it should be a mapping",
    "dict_type": "it should be a mapping",
    "list_type": "it should be a list",
    "string_type": "it should be text; put it in quotes",
    "string_unicode": "it contains half of a Unicode character",
    "string_pattern_mismatch": "it does not have the required form",
}

_SUBJECT = re.compile(r"^\w+ should")


def validate(
    model: type[Model], value: object, document: Document, origin: Callable[[Path], Path] = lambda path: path
) -> Model:
    """Return plain data as a model.

    Parameters
    ----------
    model
        The class of the model.
    value
        The data, with the field names of YAML.
    document
        The file from which the data come, for line numbers.
    origin
        Returns the path in the document of a path in the data.

    Raises
    ------
    BadRequest
        The data are invalid. Each problem is on a separate line of the message: file, line, field, value and what to
        do.
    """
    try:
        return model.model_validate(value, by_alias=True, by_name=False)
    except ValidationError as error:
        details = error.errors(include_url=False)
        problems = [_sentence(model, detail, document, origin) for detail in details[:MOST_PROBLEMS]]
        left_out = len(details) - len(problems)
        if left_out:
            problems.append(f"and {left_out} more problem{'s' if left_out > 1 else ''} in {document.source}")
        raise BadRequest("\n".join(problems)) from error


def admitted(model: type[Model], value: object) -> Model:
    """Return the model of an object that the API server has admitted; fields of a later version are left out.

    Raises
    ------
    pydantic.ValidationError
        The object is invalid for this version for another reason than unknown fields.
    """
    try:
        return model.model_validate(value, by_alias=True, by_name=False)
    except ValidationError as error:
        later = [one["loc"] for one in error.errors(include_url=False) if one["type"] == "extra_forbidden"]
        if not later:
            raise
        rest: object = copy.deepcopy(value)
        try:
            for path in later:
                _remove(rest, path)
        except (LookupError, TypeError):  # the path of a union's error names the model; it is not a path in the data
            raise error from None
        return model.model_validate(rest, by_alias=True, by_name=False)


def _remove(value: Any, path: Path) -> None:
    for part in path[:-1]:
        value = value[part]
    del value[path[-1]]


def unknown(what: str, word: str, known: Iterable[str]) -> str:
    """Return the message that refuses an unknown name, with the most similar known name and all known names."""
    words = list(known)
    by_lower_case = {candidate.lower(): candidate for candidate in words}
    near = difflib.get_close_matches(word.lower(), by_lower_case, n=1)
    guess = f"did you mean {by_lower_case[near[0]]!r}? The" if near else "the"
    return f"unknown {what} {word!r}; {guess} {what}s are {', '.join(words)}"


def shown(value: object) -> str:
    """Return a value as text for messages, at most 60 characters."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def label(path: Path) -> str:
    """Return a path in readable form, such as ``spec.operations[2].pointing.ra``."""
    parts = [f"[{part}]" if isinstance(part, int) else f".{part}" for part in path]
    return "".join(parts).removeprefix(".") or "the document"


def _sentence(model: type[WireModel], detail: ErrorDetails, document: Document, origin: Callable[[Path], Path]) -> str:
    wire_path = detail["loc"]
    path = origin(wire_path)
    return str(document.refuse(path, _problem(model, detail, _without_step(path))))


def _without_step(path: Path) -> Path:
    """Return the path of a field without its leading ``Operations[i]``: the line number already names the step."""
    return path[2:] if len(path) > 2 and path[0] == "Operations" else path


def _problem(model: type[WireModel], detail: ErrorDetails, place: Path) -> str:
    field = label(place)
    path, value, kind = detail["loc"], detail["input"], detail["type"]
    description = _description(model, path)
    hint = f" ({description.removesuffix('.')})" if description else ""
    match kind:
        case "extra_forbidden":
            parent = _model_at(model, path[:-1])
            inside = f"{label(place[:-1])}: " if len(place) > 1 else ""
            return inside + unknown("field", str(path[-1]), [info.alias or name for name, info in _fields(parent)])
        case "missing":
            return f"{field} is missing; add it{hint}"
        case "value_error":
            return f"{field} is {shown(value)}; {detail['msg'].removeprefix('Value error, ')}"
    should_be = _SHOULD_BE.get(kind, _SUBJECT.sub("it should", detail["msg"]).replace(" after validation", ""))
    return f"{field} is {shown(value)}; {should_be}{hint}"


def _description(model: type[WireModel], path: Path) -> str | None:
    """Return the description of the innermost field on a path."""
    fields = [(path[:end], path[end]) for end in range(len(path)) if isinstance(path[end], str)]
    for before, word in reversed(fields):
        parent = _model_at(model, before)
        info = next((info for name, info in _fields(parent) if word in (name, info.alias)), None)
        if info:
            return info.description
    return None


def _model_at(model: type[WireModel], path: Path) -> type[WireModel] | None:
    here: type[WireModel] | None = model
    for word in path:
        if isinstance(word, int):
            continue
        info = next((info for name, info in _fields(here) if word in (name, info.alias)), None)
        here = _model_in(info.annotation) if info else None
    return here


def _fields(model: type[WireModel] | None) -> list[tuple[str, FieldInfo]]:
    return list(model.model_fields.items()) if model else []


def _model_in(annotation: object) -> type[WireModel] | None:
    """Return the model inside an annotation such as ``list[Operation] | None``."""
    if isinstance(annotation, type) and not typing.get_args(annotation):
        return annotation if issubclass(annotation, WireModel) else None
    found = (_model_in(argument) for argument in typing.get_args(annotation))
    return next((model for model in found if model), None)
