"""Settings of sharing through Nextcloud."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from gozen.settings.section import SettingsSection


class SharingSettings(SettingsSection):
    """The Nextcloud of the user; its app password comes from `gozen share login`, never from the settings."""

    url: str = Field("", description="Address of the Nextcloud at which `gozen share login` logs in without an address")
    ca_file: Path | None = Field(
        None, description="Certificates of the only authorities that are trusted; default: those of the system"
    )
    insecure: bool = Field(False, description="Allow an address without TLS on another machine")
