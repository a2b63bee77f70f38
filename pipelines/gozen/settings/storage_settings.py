"""Settings of an archive on S3."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from gozen.settings.section import SettingsSection


class StorageSettings(SettingsSection):
    """Connection to an archive on S3; credentials come from the environment, as for every S3 client."""

    endpoint_url: str | None = Field(
        None, pattern=r"^https?://[^/@\s]+/?$", description="Address of the S3 server; default: Amazon's"
    )
    region: str | None = Field(
        None,
        description="Region of the bucket; default: AWS_REGION, then AWS_DEFAULT_REGION, then the AWS profile's",
    )
    addressing: Literal["auto", "path", "virtual"] = Field(
        "auto", description="Position of the bucket's name in addresses: in the path, or before the host name"
    )
    connect_timeout_s: float = Field(5.0, gt=0, description="Timeout of a connection to a server, seconds")
    read_timeout_s: float = Field(60.0, gt=0, description="Timeout of a request that receives no bytes, seconds")
    attempts: int = Field(
        5, ge=1, description="Number of attempts at a request before the storage counts as unavailable"
    )
