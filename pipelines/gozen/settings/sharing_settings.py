"""Settings of the exchange of files with Nextcloud."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from gozen.settings.section import SettingsSection


class SharingSettings(SettingsSection):
    """The account at a Nextcloud server; its app password is not among the settings."""

    url: str | None = Field(
        None, description="Address of the Nextcloud server, with its path if it has one: https://example.org/cloud"
    )
    user: str | None = Field(None, description="Name with which the user logs in to Nextcloud")
    user_id: str | None = Field(
        None, description="The user's id in Nextcloud, if it differs from the name for logging in; default: this name"
    )
    password_file: Path | None = Field(
        None, description="File with the app password; the variable GOZEN_NEXTCLOUD_PASSWORD has priority"
    )
    insecure: bool = Field(
        False, description="true: allow an address without TLS on another machine; others may read the app password"
    )
    ca_file: Path | None = Field(
        None, description="File with the certificates of the only authorities that are trusted; default: the system's"
    )
    home_folder: str | None = Field(
        None, description="Path of the external storage in Nextcloud that shows the user's home; default: none does"
    )
    lab_folder: str = Field("Gozen", description="Folder in Nextcloud to which the dialog of JupyterLab sends files")
    connections: int = Field(8, ge=1, le=64, description="Number of requests at the same time")
    chunk_mb: float = Field(16.0, ge=5.25, le=5000, description="Size of the chunks in which larger files are sent, MB")
    connect_timeout_s: float = Field(10.0, gt=0, description="Timeout of a connection to the server, seconds")
    read_timeout_s: float = Field(60.0, gt=0, description="Timeout of a request that receives no bytes, seconds")
    patience_s: float = Field(
        300.0, ge=0, description="Longest time for which a request is tried again while the server cannot serve it, s"
    )
    publish_rows: int = Field(
        10_000_000, ge=1, description="Largest number of table rows that `gozen share publish` publishes at once"
    )
    state: Path = Field(Path("~/.local/state/gozen/sharing"), description="Folder with notes about transferred files")
