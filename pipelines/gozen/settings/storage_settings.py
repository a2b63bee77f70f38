"""Settings of an archive on S3."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from gozen.settings.section import SettingsSection


class StorageSettings(SettingsSection):
    """Connection to an archive on S3; credentials come from the environment, as for every S3 client."""

    endpoint_url: str | None = Field(
        None, pattern=r"^https?://[^/@\s]+/?$", description="Address of the S3 server; without it Amazon's"
    )
    region: str | None = Field(
        None,
        description="Region of the bucket; without it what AWS_REGION says, then AWS_DEFAULT_REGION, then the profile",
    )
    addressing: Literal["auto", "path", "virtual"] = Field(
        "auto", description="Where the bucket's name stands: in the path, or before the host's name"
    )
    connect_timeout_s: float = Field(5.0, gt=0, description="Seconds until a server that does not answer is given up")
    read_timeout_s: float = Field(60.0, gt=0, description="Seconds without a byte that end a request")
    attempts: int = Field(5, ge=1, description="Times that a request is made before the storage counts as away")
