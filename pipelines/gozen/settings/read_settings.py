"""Read the settings, and explain errors in them."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError
from pydantic_settings import SettingsError

from gozen.errors import BadRequest
from gozen.settings.site_settings import Settings

_MOVED = {
    "photometry.further_diameters_px": "the apertures belong to the camera: take it out, and write "
    "aperture_diameters_px (the calibrated aperture first, such as [21, 10], or auto) into the instrument profile"
}
"""What was a setting once, and what to do about one that is still given."""


def load_settings(**flags: Any) -> Settings:
    """Read the settings; flags that are None count as not given.

    Raises
    ------
    BadRequest
        A setting is unknown or out of range; the message names it, its value and what is allowed.
    """
    given = {name: value for name, value in flags.items() if value is not None}
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
            lines.append(f"{name} is no setting any more: {_MOVED[name]}")
        elif problem["type"] == "extra_forbidden":
            lines.append(f"unknown setting {name!r}; `gozen config` lists all of them")
        else:
            lines.append(f"setting {name} = {problem['input']!r}: {problem['msg']}")
    return "; ".join(lines)
