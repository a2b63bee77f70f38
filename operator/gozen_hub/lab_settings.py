"""Settings of labs and of the workers that users start from them: sizes, homes, and when they end."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from gozen_hub.settings_group import Group, Quantity


def _check_guarantee(least: str, most: str) -> None:
    """Raise `ValueError` if the guarantee is more than the maximum: Kubernetes would refuse each pod."""

    def size(memory: str) -> float:  # in units whose factor does not matter here: both sizes have the same
        return float(memory[:-1]) * 1000.0 ** "KMGT".index(memory[-1])

    if size(least) > size(most):
        raise ValueError(f"memory_guarantee ({least}) is more than memory ({most}): give a smaller memory_guarantee")


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
        (),
        description="Names of Secrets with access to the registry; the hub does not make them: create each in the "
        "namespace of each user",
    )
    profiles: tuple[Profile, ...] = Field(
        (Profile(title="Standard"),), min_length=1, description="Sizes to choose from; the first is the default"
    )
    start_timeout_s: int = Field(300, ge=10, description="Seconds after which an incomplete start counts as failed")
    environment: dict[str, str] = Field({}, description="Further environment variables of labs")
    home: HomeSettings = HomeSettings()
    node_selector: dict[str, str] = Field({}, description="Labels of the nodes that run labs")


class IdleSettings(Group):
    """When the hub ends an idle server: no request, no busy kernel, no running command, no connection."""

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
