"""Settings of access to the archive: which users are members, and how labs get credentials for the object store.

Credentials and the first page follow the same settings.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from gozen.archive.access_levels import Members
from gozen_hub.settings_group import Group

_ARN = r"^arn:[\w+=,.@:/-]+$"


class AccessSettings(Group):
    """The members, who read all tables; all other users read only releases. No user reads raw data."""

    users: frozenset[str] = Field(frozenset(), description="Users who are members, by their names at the hub")
    groups: frozenset[str] = Field(frozenset(), description="Groups of the hub whose users are members")
    everyone: bool = Field(False, description="All users are members")
    contact: str = Field(
        "",
        description="Contact for users who are not members, such as an e-mail address; the first page shows it. Empty: "
        "the administrators",
    )

    @property
    def members(self) -> Members:
        """The members, in the form of the archive's rules."""
        return Members(self.users, self.groups, self.everyone)


class RoleSettings(Group):
    """The roles at the object store that members and all other users assume; both may be the same."""

    members: str = Field(pattern=_ARN, description="ARN of the role for members")
    others: str = Field(pattern=_ARN, description="ARN of the role for all other users")


class CredentialSettings(Group):
    """Where the credentials of labs come from: `gozen-credentials` writes them into each user's namespace."""

    method: Literal["none", "static", "sts"] = Field(
        "none",
        description="none: labs get no credentials; static: one key for all members and one for all other users; "
        "sts: short-lived credentials for each user (AssumeRole)",
    )
    roles: RoleSettings | None = Field(None, description="The roles, for the method sts")
    sts_url: str = Field("", description="Address of STS; empty: that of the object store")
    lifetime_s: int = Field(
        3600,
        ge=60,
        le=43200,
        description="Seconds after which short-lived credentials expire; they are renewed at half of this time",
    )
    keys: Path = Field(
        Path("/etc/gozen/keys"), description="Folder with the static keys: members/credentials, others/credentials"
    )
    check_s: int = Field(30, ge=1, description="Seconds between two checks of members, groups and static keys")

    @model_validator(mode="after")
    def _complete(self) -> CredentialSettings:
        if self.method == "sts" and self.roles is None:
            raise ValueError("the method sts requires roles.members and roles.others")
        return self
