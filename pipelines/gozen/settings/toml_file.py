"""Find and read the settings file."""

from __future__ import annotations

import contextlib
import os
import tomllib
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from pydantic_settings import PydanticBaseSettingsSource

from gozen.errors import BadRequest

_NAMED_FILE: ContextVar[Path | None] = ContextVar("settings file", default=None)


class TomlFile(PydanticBaseSettingsSource):
    """``gozen.toml`` in the working directory, or the file that ``GOZEN_CONFIG`` names."""

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:
        """Refuse: the whole file is read at once, below."""
        raise NotImplementedError

    def __call__(self) -> dict[str, Any]:
        """Return what the file says, nothing without a file; `BadRequest` when it cannot be read."""
        path = config_file()
        if path is None:
            return {}
        try:
            return tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise BadRequest(f"cannot read the settings file {path}: {error}") from error


def config_file() -> Path | None:
    """Return the settings file that is in force, or None."""
    named = _NAMED_FILE.get() or os.environ.get("GOZEN_CONFIG")
    path = Path(named) if named else Path("gozen.toml")
    return path if named or path.is_file() else None


@contextlib.contextmanager
def settings_file(path: Path | None) -> Iterator[None]:
    """Make a file the settings file for a while, before ``GOZEN_CONFIG``; None changes nothing."""
    token = _NAMED_FILE.set(path or _NAMED_FILE.get())
    try:
        yield
    finally:
        _NAMED_FILE.reset(token)
