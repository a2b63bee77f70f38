"""Everything that a site decides about its hub: a YAML file, which the chart writes from its values for the hub."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, ValidationError, field_validator, model_validator

from gozen.errors import BadRequest
from gozen.resources.yaml_document import parse
from gozen_hub.access_settings import AccessSettings, CredentialSettings, Group

VARIABLE = "GOZEN_HUB_SETTINGS"
"""Environment variable with the path of the file."""


def _name(name: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]*", name):
        raise ValueError(f"{name!r} is not a valid user name: write small letters, digits, '.', '_' and '-'")
    return name


Quantity = Annotated[str, Field(pattern=r"^\d+(\.\d+)?([KMGTP]i|[kMGTP])?$")]
"""A number of bytes as Kubernetes writes it, such as ``10Gi``."""


def _check_guarantee(least: str, most: str) -> None:
    """Raise `ValueError` if Kubernetes is to reserve more memory than the most: it would refuse each pod."""

    def size(memory: str) -> float:  # in units whose factor does not matter here: both sizes have the same
        return float(memory[:-1]) * 1000.0 ** "KMGT".index(memory[-1])

    if size(least) > size(most):
        raise ValueError(f"memory_guarantee ({least}) is more than memory ({most}): give a smaller memory_guarantee")


class OpenIdSettings(Group):
    """An OpenID Connect provider, such as Keycloak, Dex or the institute's own."""

    client_id: str = Field(description="Identifier of the hub at the provider")
    client_secret_file: Path = Field(description="File with the secret that the provider gave to the hub")
    authorize_url: str = Field(description="Page of the provider to which the browser is sent for log-in")
    token_url: str = Field(description="Address at which the hub exchanges the provider's code for a token")
    userdata_url: str = Field(description="Address at which the hub reads the user's claims")
    logout_url: str = Field("", description="Page to which the browser is sent after log-out; empty: the hub's own")
    label: str = Field("OpenID", description="Name of the provider on the log-in button")
    username_claim: str = Field("preferred_username", description="Claim that becomes the name of the user")
    groups_claim: str = Field("groups", description="Claim that lists the groups of the user")
    allowed_groups: frozenset[str] = Field(
        frozenset(), description="Groups whose members may log in; empty: everyone whom the provider knows"
    )
    scope: tuple[str, ...] = Field(("openid", "profile", "email"), description="Scopes that the hub requests")


class TestLoginSettings(Group):
    """Log-in with one shared password, for tests and demonstrations."""

    __test__ = False  # pytest would take it for a class of tests

    users: frozenset[Annotated[str, AfterValidator(_name)]] = Field(min_length=1, description="Names that may log in")
    password_file: Path = Field(description="File with the password of all users except admins, 8 characters or more")
    admin_password_file: Path | None = Field(
        None, description="File with the password of the admins, 32 characters or more"
    )


class LoginSettings(Group):
    """How people log in."""

    method: Literal["openid", "system", "test"] = Field(
        "openid",
        description="openid: a provider; system: accounts of this machine (PAM, without Kubernetes); "
        "test: one shared password",
    )
    openid: OpenIdSettings | None = Field(None, description="The provider; required for the method openid")
    test: TestLoginSettings | None = Field(None, description="Users and password; required for the method test")
    admins: frozenset[str] = Field(
        frozenset(), description="Users that may open the hub's admin page and the lab of every user"
    )

    @model_validator(mode="after")
    def _complete(self) -> LoginSettings:
        if self.method != "system" and getattr(self, self.method) is None:
            raise ValueError(f"the log-in method {self.method!r} needs the settings login.{self.method}")
        if self.method == "test" and self.admins and self.test and self.test.admin_password_file is None:
            raise ValueError("admins log in with a separate password: give test.admin_password_file, or no admins")
        return self


class Profile(Group):
    """A size of lab that users can choose."""

    title: str = Field(description="Name on the page")
    description: str = Field("", description="A sentence below the name")
    image: str | None = Field(None, description="Image; default: that of `lab`")
    cpu: float = Field(2.0, gt=0, description="Maximum number of processors of the lab")
    cpu_guarantee: float = Field(0.1, ge=0, description="Processors that Kubernetes reserves for the lab")
    memory: str = Field(
        "4G",
        pattern=r"^\d+(\.\d+)?[KMGT]$",
        description="Maximum memory of the lab: a number with K, M, G or T (powers of 1024)",
    )
    memory_guarantee: str = Field(
        "512M",
        pattern=r"^\d+(\.\d+)?[KMGT]$",
        description="Memory that Kubernetes reserves for the lab, in the same units",
    )

    @model_validator(mode="after")
    def _ordered(self) -> Profile:
        _check_guarantee(self.memory_guarantee, self.memory)
        return self


class HomeSettings(Group):
    """The home folder of each user, which outlives the lab."""

    size: Quantity = Field("10Gi", description="Size of the volume, as Kubernetes writes it: `Gi` is 1024³ bytes")
    storage_class: str | None = Field(None, description="StorageClass; default: that of the cluster")
    access_mode: Literal["ReadWriteOnce", "ReadWriteMany"] = Field(
        "ReadWriteOnce", description="ReadWriteOnce keeps all servers of a user on one node"
    )
    when_user_is_deleted: Literal["keep", "delete"] = Field(
        "keep", description="What happens to the volume of a user whom an administrator deletes"
    )


class LabSettings(Group):
    """The lab of each user."""

    image: str = Field("ghcr.io/gozen-project/gozen-lab:latest", description="Image of the lab")
    pull_policy: Literal["Always", "IfNotPresent", "Never"] = Field(
        "IfNotPresent", description="When Kubernetes pulls the image"
    )
    pull_secrets: tuple[str, ...] = Field(
        (), description="Names of Secrets with access to the registry; each must exist in the namespace of each user"
    )
    profiles: tuple[Profile, ...] = Field(
        (Profile(title="Standard"),), min_length=1, description="Sizes to choose from; the first is the default"
    )
    start_timeout_s: int = Field(300, ge=10, description="Seconds after which an incomplete start counts as failed")
    environment: dict[str, str] = Field({}, description="Further environment variables of labs")
    home: HomeSettings = HomeSettings()
    node_selector: dict[str, str] = Field({}, description="Labels of the nodes that run labs")


class IdleSettings(Group):
    """When a server that nobody uses ends: no request, no busy kernel, no running command, no connection."""

    lab_s: int = Field(3600, ge=0, description="Seconds without activity after which a lab ends; 0: never")
    check_s: int = Field(300, ge=1, description="Seconds between two checks")

    @model_validator(mode="after")
    def _longer_than_a_report(self) -> IdleSettings:
        # A lab reports its activity once in this time: a shorter one would end labs that are used.
        if 0 < self.lab_s < 2 * self.check_s:
            raise ValueError(
                f"lab_s = {self.lab_s} is too short for check_s = {self.check_s}: give at least {2 * self.check_s}, or "
                "a smaller check_s"
            )
        return self


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
    """The namespaces of users; the chart writes all but the quota."""

    prefix: str = Field("gozen-user", pattern=r"^[a-z]([a-z0-9-]{0,12}[a-z0-9])?$", description="Prefix of each name")
    service_url: str = Field("", description="Address of the service that makes namespaces; the chart sets it")
    hub_account: str = Field("", description="Account that may send requests to the service, as namespace/name")
    quota: QuotaSettings = QuotaSettings()
    policies: dict[str, dict[str, Any]] = Field(
        {}, description="NetworkPolicies of each namespace by name; all other connections are denied"
    )
    bindings: dict[str, Binding] = Field({}, description="Accounts that may act in each namespace, by name")


class ArchiveAccess(Group):
    """How labs reach the archive, only for reading."""

    url: str = Field("", description="The archive: a folder, or s3://bucket/prefix")
    environment: dict[str, str] = Field({}, description="Settings of the archive as environment variables of labs")
    claim: str = Field(
        "",
        description="Name of a PersistentVolumeClaim with the archive, which you make in each user's namespace; labs "
        "mount it read-only at /data",
    )


class WorkersSettings(Group):
    """The Dask workers that users start from their labs, each in the namespace and the quota of its user."""

    url: str = Field(
        "", description="Address of the service for workers; empty: users have no workers; the chart sets it"
    )
    least: int = Field(
        1,
        ge=1,
        description="Number of workers that remain while no job of QuickDB runs, until idle_s seconds are over",
    )
    most: int = Field(4, ge=1, description="Maximum number of workers of a user")
    cpu: float = Field(1.0, gt=0, description="Maximum number of processors of a worker")
    cpu_guarantee: float = Field(0.1, ge=0, description="Processors that Kubernetes reserves for each worker")
    memory: str = Field(
        "4G",
        pattern=r"^\d+(\.\d+)?[MGT]$",
        description="Maximum memory of a worker: a number with M, G or T (powers of 1000)",
    )
    memory_guarantee: str = Field(
        "512M",
        pattern=r"^\d+(\.\d+)?[MGT]$",
        description="Memory that Kubernetes reserves for each worker, in the same units",
    )
    scheduler_memory: str = Field(
        "1G", pattern=r"^\d+(\.\d+)?[MGT]$", description="Maximum memory of the scheduler of Dask, in the same units"
    )
    scratch: Quantity = Field(
        "8Gi", description="Maximum space of a worker in /tmp, as Kubernetes writes it: `Gi` is 1024³ bytes"
    )
    idle_s: int = Field(600, ge=30, description="Seconds without work after which scheduler and workers end")

    @model_validator(mode="after")
    def _ordered(self) -> WorkersSettings:
        if self.least > self.most:
            raise ValueError(
                f"least ({self.least}) is more than most ({self.most}): give a smaller least or a larger most"
            )
        _check_guarantee(self.memory_guarantee, self.memory)
        return self


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
    portal_url: str = Field("", description="Address of the portal's pod; empty: the hub starts the portal itself")
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
        if self.where == "machine" and self.archive.claim:
            raise ValueError("archive.claim names a volume of a cluster: on one machine, give archive.url instead")
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
        raise BadRequest(f"{path}: the settings of the hub cannot be read: {error}") from error
    if len(documents) != 1:
        raise BadRequest(f"{path}: the settings of the hub are one YAML document; this file has {len(documents)}")
    try:
        return HubSettings.model_validate(documents[0].value)
    except ValidationError as error:
        problems = (f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        raise BadRequest(f"{path}: {'; '.join(problems)}") from error
