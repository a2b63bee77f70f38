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

from gozen.errors import BadRequest, reason_of

_NAMED_FILE: ContextVar[Path | None] = ContextVar("settings file", default=None)


class TomlFile(PydanticBaseSettingsSource):
    """Settings from the file that ``--config`` or ``GOZEN_CONFIG`` names, else from ``./gozen.toml``."""

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:
        """Raise `NotImplementedError`: pydantic requires this method, but `__call__` reads the complete file."""
        raise NotImplementedError

    def __call__(self) -> dict[str, Any]:
        """Return the content of the file, empty without a file; raise `BadRequest` if it cannot be read."""
        path = config_file()
        if path is None:
            return {}
        try:
            return tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise BadRequest(
                f"cannot read the settings file {path}: {reason_of(error)}; correct it, or name another with --config"
            ) from error


def config_file() -> Path | None:
    """Return the path of the settings file that is used, or None."""
    named = _NAMED_FILE.get() or os.environ.get("GOZEN_CONFIG")
    path = Path(named) if named else Path("gozen.toml")
    return path if named or path.is_file() else None


@contextlib.contextmanager
def settings_file(path: Path | None) -> Iterator[None]:
    """Use a file as the settings file inside the context, instead of ``GOZEN_CONFIG``; None changes nothing."""
    token = _NAMED_FILE.set(path or _NAMED_FILE.get())
    try:
        yield
    finally:
        _NAMED_FILE.reset(token)
