"""Define the base class of all sections of the settings."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class SettingsSection(BaseModel):
    """A named group of settings; an unknown name in it is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)
