"""Everything that a site decides about its hub: a YAML file, which the chart writes from its values for the hub."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, ValidationError, field_validator, model_validator

from gozen.errors import BadRequest, problem_of, reason_of
from gozen.resources.yaml_document import parse
from gozen_hub.access_settings import AccessSettings, CredentialSettings
from gozen_hub.archive_settings import ArchiveAccess
from gozen_hub.lab_settings import IdleSettings, LabSettings, WorkersSettings
from gozen_hub.login_settings import LoginSettings
from gozen_hub.nextcloud_settings import NextcloudSettings
from gozen_hub.settings_group import Group, Quantity

VARIABLE = "GOZEN_HUB_SETTINGS"
"""Environment variable with the path of the file."""


class QuotaSettings(Group):
    """The most that the pods of one user may use together."""

    cpu: float = Field(8.0, gt=0, description="Sum of the processor limits of all pods")
    memory: Quantity = Field("32Gi", description="Sum of the memory limits of all pods")
    pods: int = Field(20, ge=1, description="Number of pods")
    storage: Quantity = Field(
        "50Gi", description="Sum of the sizes that all volume claims request, including that of the archive"
    )
    secrets: int = Field(10, ge=1, description="Number of Secrets")


class Binding(Group):
    """An account that gets a ClusterRole in each namespace of a user."""

    role: str = Field(description="Name of the ClusterRole")
    service_account: str = Field(description="Name of the service account")
    namespace: str = Field(description="Namespace of the service account")


class NamespaceSettings(Group):
    """Settings of the users' namespaces; the chart sets all of them except the quota."""

    prefix: str = Field("gozen-user", pattern=r"^[a-z]([a-z0-9-]{0,12}[a-z0-9])?$", description="Prefix of each name")
    service_url: str = Field("", description="Address of the service that makes namespaces; the chart sets it")
    hub_account: str = Field("", description="Account that may send requests to the service, as namespace/name")
    quota: QuotaSettings = QuotaSettings()
    policies: dict[str, dict[str, Any]] = Field(
        {}, description="NetworkPolicies of each namespace by name; all other connections are denied"
    )
    bindings: dict[str, Binding] = Field({}, description="Accounts that may act in each namespace, by name")


class HubSettings(Group):
    """Everything that a site decides about its hub."""

    public_url: str = Field(
        "http://localhost:8000", pattern=r"^https?://[^/]+/?$", description="Address that users type into the browser"
    )
    user_hosts: bool = Field(
        True,
        description="Each user's server has a separate host name below that of `public_url`: its pages cannot act in "
        "the name of other users",
    )
    where: Literal["cluster", "machine"] = Field("cluster", description="Labs are pods, or processes of this machine")
    bind: str = Field("127.0.0.1", description="Address at which a hub on one machine listens")
    hub_url: str = Field("", description="Address of the hub for labs in other namespaces; the chart sets it")
    proxy_api_url: str = Field("", description="Address at which the hub configures the proxy; the chart sets it")
    portal_url: str = Field(
        "",
        description="Address of the pod of the portal, which serves the first page; empty: the hub starts the portal "
        "itself",
    )
    state: Path = Field(Path("/srv/hub"), description="Folder of the hub's database and cookie secret")
    notebooks: Path = Field(Path("/opt/gozen/notebooks"), description="Folder of the notebooks that each user gets")
    login: LoginSettings
    lab: LabSettings = LabSettings()
    idle: IdleSettings = IdleSettings()
    namespaces: NamespaceSettings = NamespaceSettings()
    archive: ArchiveAccess = ArchiveAccess()
    access: AccessSettings = AccessSettings()
    credentials: CredentialSettings = CredentialSettings()
    workers: WorkersSettings = WorkersSettings()
    nextcloud: NextcloudSettings = NextcloudSettings()

    @field_validator("public_url")
    @classmethod
    def _as_browsers_write_it(cls, url: str) -> str:
        """Return the address in small letters and without the port that its scheme has by default."""
        parts = urlsplit(url.rstrip("/").lower())
        if parts.hostname is None or parts.username is not None:
            raise ValueError(f"{url!r} names no host: write an address such as https://sky.example.org")
        port = parts.port  # raises ValueError for one that cannot be
        default = {"http": 80, "https": 443}[parts.scheme]
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        return f"{parts.scheme}://{host}" + ("" if port in (None, default) else f":{port}")

    @model_validator(mode="after")
    def _possible(self) -> HubSettings:
        host = str(urlsplit(self.public_url).hostname)
        if self.user_hosts and re.fullmatch(r"[0-9.]+|.*:.*", host):
            raise ValueError(
                f"users cannot have host names below the IP address {host}: give public_url a host name, or set "
                "user_hosts: false"
            )
        if self.where == "machine" and self.login.method == "openid":
            raise ValueError(
                "a hub on one machine (where: machine) has no accounts for users of an OpenID provider: give "
                "login.method system, or use a cluster"
            )
        if self.where == "machine" and self.archive.mounted:
            raise ValueError(
                "archive.claim and archive.volume need a hub in a cluster: on one machine, give archive.url instead"
            )
        if self.archive.volume and not self.access.everyone:
            raise ValueError(
                "on a volume (archive.volume) each user can read the whole archive, so every user must be a member: "
                "write access.everyone: true. To hide tables from some users, put the archive on S3"
            )
        if self.where == "cluster" and self.login.method == "system":
            raise ValueError(
                "login.method system is only for where: machine, because a pod has no accounts of users: give openid"
            )
        return self


def read_hub_settings(path: Path) -> HubSettings:
    """Read the settings from a YAML file.

    Raises
    ------
    BadRequest
        The file cannot be read, or a setting is unknown, missing or out of range; the message names it.
    """
    try:
        documents = parse(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise BadRequest(f"{path}: the settings of the hub cannot be read: {reason_of(error)}") from error
    if len(documents) != 1:
        raise BadRequest(
            f"{path}: the settings of the hub must be one YAML document, but this file has {len(documents)}"
        )
    try:
        return HubSettings.model_validate(documents[0].value)
    except ValidationError as error:
        problems = (
            f"{'.'.join(map(str, one['loc'])) or 'settings'}: {problem_of(one['msg'])}" for one in error.errors()
        )
        raise BadRequest(f"{path}: {'; '.join(problems)}") from error
