"""Read the settings, and explain errors in them."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterable, Iterator
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_settings import SettingsError

from gozen.errors import BadRequest
from gozen.settings.site_settings import Settings

_MOVED = {
    "photometry.further_diameters_px": "the apertures belong to the camera: take it out, and write "
    "aperture_diameters_px (the calibrated aperture first, such as [21, 10], or auto) into the instrument profile"
}
"""Former settings, and what to do if one is still given."""
_PREFIX, _BELOW = "GOZEN_", "__"
_OTHERS = re.compile(r"OPERATOR_|(\w+_)?SERVICE_(HOST|PORT)|(\w+_)?PORT(_\d+_|$)")
"""Variables to ignore: the operator's settings, and the addresses of Services that Kubernetes sets in every pod."""
_ALIKE = 0.8
"""Lowest similarity at which a name counts as a misspelling; below it, it may be a variable of another program."""


def load_settings(**flags: Any) -> Settings:
    """Read the settings; flags that are None count as not given.

    Raises
    ------
    BadRequest
        A setting is unknown or out of range; the message names it, its value and what is allowed.
    """
    given = {name: value for name, value in flags.items() if value is not None}
    wrong = misspelt_variables(os.environ)
    if wrong:
        raise BadRequest("; ".join(f"{name} is not a setting: {advice}" for name, advice in wrong.items()))
    try:
        return Settings(**given)
    except ValidationError as error:
        raise BadRequest(_explain(error)) from error
    except SettingsError as error:
        cause = f" ({error.__cause__})" if error.__cause__ else ""
        raise BadRequest(f"{error}{cause}; lists and groups are written as JSON in the environment") from error


def _explain(error: ValidationError) -> str:
    lines = []
    for problem in error.errors():
        name = ".".join(str(part) for part in problem["loc"])
        if name in _MOVED:
            lines.append(f"{name} is not a setting any more: {_MOVED[name]}")
        elif problem["type"] == "extra_forbidden":
            lines.append(f"unknown setting {name!r}; `gozen config` lists all of them")
        else:
            lines.append(f"setting {name} = {problem['input']!r}: {problem['msg']}")
    return "; ".join(lines)


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
            found[name] = f"{meant}, or take it out of the environment"
    return found


def _variables(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        variable = f"{prefix}{name}".upper()
        yield variable
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _variables(field.annotation, f"{variable}{_BELOW}")
