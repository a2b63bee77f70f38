"""Settings of the operator (``GOZEN_OPERATOR_...``); settings of the data plane are in `gozen.settings`."""

from __future__ import annotations

import difflib
import os
import secrets
import socket
from collections.abc import Iterable, Iterator
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from gozen.errors import BadRequest, problem_of
from gozen.settings.read_settings import not_json

_PREFIX = "GOZEN_OPERATOR_"
_BELOW = "__"


class PodSettings(BaseModel):
    """Settings of the pods that reduce exposures and append rows."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    image: str = Field("gozen-pipeline:latest", description="Image of the pods")
    pull_policy: str = Field(
        "IfNotPresent", description="When Kubernetes pulls the image: Always, IfNotPresent or Never"
    )
    service_account: str = Field(
        "gozen-pipeline", description="Service account of the pods; its token is not mounted in them"
    )
    settings_map: str = Field(
        "gozen-settings", description="ConfigMap whose keys become environment variables of the pods"
    )
    profiles_map: str | None = Field(None, description="ConfigMap with additional instrument profiles")
    secret: str | None = Field(
        None, description="Secret whose key `credentials` contains the keys for S3, mounted at /etc/gozen/s3"
    )
    volume: dict[str, Any] | None = Field(
        None,
        description="Source of the volume with the archive, as in a pod: for example "
        '`{"persistentVolumeClaim": {"claimName": "archive"}}`; mounted at /archive',
    )
    requests: dict[str, str] = Field(
        {"cpu": "1", "memory": "2Gi"}, description="CPU and memory that Kubernetes reserves for a pod"
    )
    limits: dict[str, str] = Field({"memory": "4Gi"}, description="The most CPU and memory that a pod may use")
    scratch_limit: str = Field("8Gi", description="Size limit of a pod's folder for temporary files, /tmp")
    express_class: str = Field("gozen-express", description="Priority class of targets of opportunity")
    default_class: str = Field("gozen-default", description="Priority class of all other pods")
    queue: str | None = Field(None, description="Name of the LocalQueue, if the job queue Kueue is installed")


class PublishSettings(BaseModel):
    """Settings of the pods that publish light curves in a Nextcloud."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str | None = Field(None, description="Address of the Nextcloud; default: nothing is published")
    user: str | None = Field(None, description="Name with which the account of the observatory logs in")
    secret: str | None = Field(
        None,
        description="Secret whose key `password` is the app password of this account; its key `link-password`, if it "
        "exists, is the password of links",
    )
    ca_map: str | None = Field(
        None, description="ConfigMap whose key ca.pem has the certificates of the only authorities that are trusted"
    )
    service_account: str = Field("gozen-publish", description="Service account of the pods; its token is not mounted")
    archive_secret: str | None = Field(
        None, description="Secret with keys for S3 that can only read; default: `pods.secret`"
    )
    requests: dict[str, str] = Field({"cpu": "100m", "memory": "512Mi"}, description="As `pods.requests`")
    limits: dict[str, str] = Field({"memory": "2Gi"}, description="As `pods.limits`")
    retry_s: float = Field(
        60.0,
        gt=0,
        description="Seconds until the second attempt if Nextcloud cannot be reached; then twice as long each",
    )
    longest_retry_s: float = Field(
        3600.0,
        gt=0,
        description="Longest time between two attempts, seconds. All these times are up to a quarter longer or "
        "shorter, different for each LightCurveJob",
    )
    remove_patience_s: float = Field(
        3600.0,
        gt=0,
        description="Seconds for which the deletion of a LightCurveJob with `onDelete: Remove` waits for the removal "
        "of its files; then it is deleted, and the files are kept",
    )

    @property
    def is_configured(self) -> bool:
        """Whether light curves can be published."""
        return bool(self.url and self.user and self.secret)


def own_identity() -> str:
    """Return a name that no other process has, on this machine or another, now or later."""
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"


class OperatorSettings(BaseSettings):
    """Settings of the operator, from the environment variables ``GOZEN_OPERATOR_...``."""

    model_config = SettingsConfigDict(env_prefix=_PREFIX, env_nested_delimiter=_BELOW, extra="forbid", frozen=True)

    namespaces: tuple[str, ...] = Field(("default",), description="Namespaces whose resources the operator reconciles")
    lease_namespace: str | None = Field(
        None,
        description="Namespace of the Lease. The chart sets the namespace of the release; default: the first "
        "of `namespaces`",
    )
    identity: str = Field(
        default_factory=own_identity,
        min_length=1,
        description="Name of this process in the Lease, which must be unique; default: host, process number, "
        "random token",
    )
    max_active_jobs: int = Field(
        8,
        ge=1,
        description="Largest number of Jobs of Exposures at one time in each namespace; targets of opportunity "
        "start first",
    )
    raw_patience_s: float = Field(
        3600.0,
        gt=0,
        description="Seconds that an Exposure waits for its raw data, from its creation; then data that have not "
        "arrived count as missing",
    )
    calibration_patience_s: float = Field(
        3600.0,
        ge=0,
        description="Seconds that an Exposure waits for the DARKs and FLATs of its night; then it is reduced "
        "with the masters that are in the archive",
    )
    look_s: float = Field(
        10.0, gt=0, description="Seconds between two checks whether the raw data of an Exposure are in the archive"
    )
    resync_s: float = Field(
        300.0, gt=0, description="Seconds after which every resource that is not complete is reconciled again"
    )
    exposure_ttl_s: float = Field(
        3600.0, ge=0, description="Seconds after which a finished Exposure is deleted from the API server"
    )
    observation_ttl_s: float | None = Field(
        None,
        ge=0,
        description="Seconds after which a finished Observation is deleted from the API server; default: never",
    )
    job_ttl_s: int = Field(
        5400, ge=0, description="Seconds after which a finished Job is deleted if its resource is kept longer"
    )
    job_deadline_s: int = Field(
        7200, ge=60, description="Longest duration of a Job, seconds; a Job that takes longer fails"
    )
    retries: int = Field(
        3,
        ge=0,
        description="How many more pods Kubernetes starts for the work of one pod (a group of sensors, or one append) "
        "after a storage error, or if the pod was killed",
    )
    port: int = Field(8080, ge=0, le=65535, description="Port of `/healthz` and `/metrics`")
    silence_s: float = Field(
        900.0,
        gt=0,
        description="If neither an event of the API server nor a resync occurred for this number of seconds, "
        "`/healthz` answers 503",
    )
    stuck_s: float = Field(
        900.0, gt=0, description="Longest duration of one reconcile, seconds; above it `/healthz` answers 503"
    )
    pods: PodSettings = PodSettings()
    publish: PublishSettings = PublishSettings()


def load_operator_settings(**given: Any) -> OperatorSettings:
    """Read the settings.

    Raises
    ------
    BadRequest
        A setting is unknown or out of range; the message names it.
    """
    unknown = unknown_variables(os.environ)
    if unknown:
        raise BadRequest("; ".join(f"{name} is not a setting: {_advice(name)}" for name in unknown))
    try:
        return OperatorSettings(**given)
    except ValidationError as error:
        problems = (f"{_variable(one['loc'])} = {one['input']!r}: {problem_of(one['msg'])}" for one in error.errors())
        raise BadRequest("; ".join(problems)) from error
    except SettingsError as error:
        raise BadRequest(not_json(error, _PREFIX)) from error


def unknown_variables(names: Iterable[str]) -> list[str]:
    """Return the environment variables that have the prefix of the operator's settings but are not settings.

    Parameters
    ----------
    names
        Names of all environment variables; upper and lower case are equal.
    """
    known = set(_variables(OperatorSettings))
    tables = tuple(f"{one}{_BELOW}" for one in _variables(OperatorSettings, tables_only=True))
    mine = (one for one in names if one.upper().startswith(_PREFIX))
    return sorted(one for one in mine if one.upper() not in known and not one.upper().startswith(tables))


def _variables(model: type[BaseModel], prefix: str = _PREFIX, *, tables_only: bool = False) -> Iterator[str]:
    """Yield the variable of each setting and group; each entry of a table, such as ``pods.limits``, has one too."""
    for name, field in model.model_fields.items():
        variable, kind = f"{prefix}{name}".upper(), field.annotation
        if not tables_only or any(get_origin(one) is dict for one in (kind, *get_args(kind))):
            yield variable
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from _variables(kind, f"{variable}{_BELOW}", tables_only=tables_only)


def _advice(name: str) -> str:
    known = (one.removeprefix(_PREFIX) for one in _variables(OperatorSettings))
    near = difflib.get_close_matches(name.upper().removeprefix(_PREFIX), known, n=1)
    meant = f"write {_PREFIX}{near[0]}" if near else "docs/reference/operator.md lists all of them"
    return f"{meant}, or remove it from the environment"


def _variable(path: Iterable[int | str]) -> str:
    return f"{_PREFIX}{_BELOW.join(map(str, path)).upper()}"
