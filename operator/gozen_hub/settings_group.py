"""The base class of all groups of the hub's settings."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Quantity = Annotated[str, Field(pattern=r"^\d+(\.\d+)?([KMGTP]i|[kMGTP])?$")]
"""A number of bytes as Kubernetes writes it, such as ``10Gi``."""


class Group(BaseModel):
    """A group of settings: unknown names are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)
