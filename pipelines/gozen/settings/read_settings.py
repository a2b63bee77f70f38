"""Read the settings, and explain errors in them."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_settings import EnvSettingsSource, SettingsError

from gozen.errors import BadRequest, problem_of
from gozen.settings.site_settings import Settings
from gozen.settings.toml_file import TomlFile, config_file

_MOVED = {
    "photometry.further_diameters_px": "the apertures belong to the camera; remove the setting, and write "
    "aperture_diameters_px (the calibrated aperture first, such as [21, 10], or auto) into the instrument profile"
}
"""Former settings, and what to do if one is still given."""
FLAG, ENVIRONMENT = "flag", "environment"
"""Names of sources; the name of the settings file is its path."""
_PREFIX, _BELOW = "GOZEN_", "__"
_FIELD = re.compile(r'field "(\w+)"')
_OTHERS = re.compile(r"OPERATOR_|(\w+_)?SERVICE_(HOST|PORT)|(\w+_)?PORT(_\d+_|$)")
"""Variables to ignore: the operator's settings, and the addresses of Services that Kubernetes sets in every pod."""
_ALIKE = 0.8
"""Lowest similarity at which a name counts as a misspelling; below it, it may be a variable of another program."""


def load_settings(**flags: Any) -> Settings:
    """Read the settings; flags that are None count as not given.

    Raises
    ------
    BadRequest
        A setting is unknown or invalid; the message names the setting, its value, its source and what is allowed.
    """
    given = {name: value for name, value in flags.items() if value is not None}
    wrong = misspelt_variables(os.environ)
    if wrong:
        raise BadRequest("; ".join(f"{name} is not a setting: {advice}" for name, advice in wrong.items()))
    try:
        return Settings(**given)
    except ValidationError as error:
        raise BadRequest(_explain(error, given)) from error
    except SettingsError as error:
        raise BadRequest(not_json(error, _PREFIX)) from error


def not_json(error: SettingsError, prefix: str) -> str:
    """Return the message about an environment variable that is not valid JSON; its name begins with ``prefix``."""
    found = _FIELD.search(str(error))
    name = f"the environment variable {prefix}{found[1].upper()}" if found else str(error)
    cause = f" ({error.__cause__})" if error.__cause__ else ""
    return (
        f"{name} is not valid JSON{cause}; lists and groups are written as JSON in the environment, "
        """such as ["a", "b"] or {"name": 1}"""
    )


def _explain(error: ValidationError, given: Mapping[str, Any]) -> str:
    lines = []
    for problem in error.errors():
        name = ".".join(str(part) for part in problem["loc"])
        if name in _MOVED:
            lines.append(f"{name} is not a setting any more: {_MOVED[name]}")
        elif problem["type"] == "extra_forbidden":
            lines.append(f"unknown setting {name!r}{_source(problem['loc'], given)}; `gozen config` lists all of them")
        else:
            source = _source(problem["loc"], given)
            lines.append(f"setting {name} = {problem['input']!r}{source}: {problem_of(problem['msg'])}")
    return "; ".join(lines)


def _source(path: Sequence[int | str], given: Mapping[str, Any]) -> str:
    """Return the source of a setting as text in brackets; empty if it is not known."""
    source = next((name for name, layer in layers(given) if _decides(layer, path)), None)
    if source == FLAG:
        return " (given on the command line, or by the calling program)"
    if source == ENVIRONMENT:
        return f" (environment variable {_variable(path)})"
    return f" (in {source})" if source is not None else ""


def layers(given: Mapping[str, Any]) -> tuple[tuple[str, Mapping[str, Any]], ...]:
    """Return the sources of settings in order of priority, each with what it sets; `given` are the flags."""
    return (
        (FLAG, given),
        (ENVIRONMENT, EnvSettingsSource(Settings)()),
        (str(config_file()), TomlFile(Settings)()),
    )


def _decides(layer: Any, path: Sequence[int | str]) -> bool:
    """Tell whether a source sets the value at a path, or sets a group above it to a value that is not a group."""
    for part in path:
        if not isinstance(layer, Mapping):
            return True
        if part not in layer:
            return False
        layer = layer[part]
    return True


def _variable(path: Sequence[int | str]) -> str:
    """Return the environment variable that sets the value at a path: the variable of the value, else of its group."""
    parts = [str(part).upper() for part in path]
    wanted = [_PREFIX + _BELOW.join(parts[:length]) for length in range(len(parts), 0, -1)]
    variables = {name.upper(): name for name in os.environ}
    return next((variables[name] for name in wanted if name in variables), wanted[0])


def misspelt_variables(names: Iterable[str]) -> dict[str, str]:
    """Return the environment variables that look like settings but are not, each with advice.

    Wrong names inside a group, such as ``GOZEN_GATES__NOISE``, are not included: `Settings` itself refuses those.

    Parameters
    ----------
    names
        Names of all environment variables, in any case.
    """
    groups = tuple(f"{name}{_BELOW}".upper() for name in Settings.model_fields)
    found = {}
    for name in sorted(names):
        ours = name.upper().removeprefix(_PREFIX)
        if ours == name.upper() or ours.startswith(groups) or _OTHERS.match(ours):
            continue
        near = difflib.get_close_matches(ours, known := list(_variables(Settings)), 1, _ALIKE)
        if ours not in known and (near or _BELOW in ours):
            meant = f"write {_PREFIX}{near[0]}" if near else "`gozen config` lists all settings"
            found[name] = f"{meant}, or remove it from the environment"
    return found


def _variables(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        variable = f"{prefix}{name}".upper()
        yield variable
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _variables(field.annotation, f"{variable}{_BELOW}")
