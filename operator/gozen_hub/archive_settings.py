"""Settings of how labs reach the archive: its address, or a volume that they mount."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from pydantic import Field, field_validator, model_validator

from gozen_hub.settings_group import Group

SOURCES = ("nfs", "csi", "hostPath")
"""Sources of a PersistentVolume of which there may be several volumes with the same content."""


class ArchiveVolume(Group):
    """A volume with the archive; each user's namespace gets one."""

    source: dict[str, dict[str, Any]] = Field(
        description="Source of a PersistentVolume as Kubernetes writes it: nfs, csi or hostPath; in csi.volumeHandle, "
        "{namespace} stands for the namespace of the user"
    )
    mount_options: tuple[str, ...] = Field((), description="Mount options for nfs and csi, such as nfsvers=4.2")

    @field_validator("source")
    @classmethod
    def _one(cls, source: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        if len(source) != 1 or not source.keys() <= set(SOURCES):
            raise ValueError(f"give exactly one of {', '.join(SOURCES)}; given: {', '.join(source) or 'none'}")
        return source

    @model_validator(mode="after")
    def _mountable(self) -> ArchiveVolume:
        if self.mount_options and "hostPath" in self.source:
            raise ValueError("a folder of the nodes (hostPath) has no mount_options: remove them")
        return self

    @property
    def claim(self) -> str:
        """Name of the claims; it depends on the source, because volumes and claims cannot be changed."""
        text = json.dumps([self.source, self.mount_options], sort_keys=True)
        return f"archive-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


class ArchiveAccess(Group):
    """How labs reach the archive, only for reading."""

    url: str = Field("", description="The archive: a folder, or s3://bucket/prefix")
    environment: dict[str, str] = Field({}, description="Settings of the archive as environment variables of labs")
    volume: ArchiveVolume | None = Field(
        None,
        description="A volume with the archive: each user's namespace gets a PersistentVolume and a claim for it; labs "
        "and workers mount it read-only at /data",
    )
    claim: str = Field(
        "",
        description="Name of a PersistentVolumeClaim with the archive, which you make in each user's namespace; labs "
        "and workers mount it read-only at /data",
    )

    @property
    def mounted(self) -> str:
        """Name of the claim that labs mount; empty if there is no volume."""
        return self.volume.claim if self.volume else self.claim

    @model_validator(mode="after")
    def _one_claim(self) -> ArchiveAccess:
        if self.volume and self.claim:
            raise ValueError("archive.claim names a claim that you make, archive.volume one that Gozen makes: give one")
        return self
