"""Find the source of every setting: flag, environment, file or default."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from gozen.settings.read_settings import layers, load_settings
from gozen.settings.section import SettingsSection
from gozen.settings.site_settings import Settings

_ABSENT = object()


@dataclass(frozen=True)
class Setting:
    """The effective value of one setting.

    Parameters
    ----------
    name
        Name, with a dot between group and setting, as in ``gates.noise_ratio``.
    source
        ``flag``, ``environment``, the settings file, or ``default``.
    """

    name: str
    value: Any
    source: str
    meaning: str


def explain_settings(**flags: Any) -> list[Setting]:
    """Return every setting with its value and source; errors are those of `load_settings`."""
    values = load_settings(**flags).model_dump(mode="json")
    given = {name: value for name, value in flags.items() if value is not None}
    sources, found = layers(given), []
    for path, field in _fields(Settings):
        source = next((name for name, layer in sources if _at(layer, path) is not _ABSENT), "default")
        found.append(Setting(".".join(path), _at(values, path), source, field.description or ""))
    return found


def _fields(model: type[BaseModel], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], FieldInfo]]:
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, SettingsSection):
            yield from _fields(field.annotation, (*path, name))
        else:
            yield (*path, name), field


def _at(layer: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        if not isinstance(layer, dict) or name not in layer:
            return _ABSENT
        layer = layer[name]
    return layer
