"""Settings of the log-in: an OpenID provider, accounts of the machine, or one shared password for tests."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from gozen_hub.settings_group import Group


def _name(name: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]*", name):
        raise ValueError(f"{name!r} is not a valid user name: write small letters, digits, '.', '_' and '-'")
    return name


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
        None,
        description="File with the password of the admins, 32 characters or more; required if login.admins lists users",
    )


class LoginSettings(Group):
    """How people log in."""

    method: Literal["openid", "system", "test"] = Field(
        "openid",
        description="openid: a provider; system: accounts of this machine (PAM, without Kubernetes); "
        "test: one password for all users and another one for admins, only for tests",
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
