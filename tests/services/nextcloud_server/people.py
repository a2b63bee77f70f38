"""Users and groups of the Nextcloud server of the tests, their app passwords, and the rules of its administrator."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field


@dataclass
class Person:
    """A user.

    Parameters
    ----------
    id
        The identifier, which is in addresses and shares.
    password
        The password for the log-in page.
    login
        The name for logging in, if it is another one, such as an e-mail address.
    app_passwords
        The name of the device of each app password.
    """

    id: str
    password: str
    name: str = ""
    login: str = ""
    groups: tuple[str, ...] = ()
    quota: int = 10 * 2**30
    app_passwords: dict[str, str] = field(default_factory=dict)

    @property
    def logins(self) -> tuple[str, ...]:
        """The names with which this user can log in."""
        return (self.login or self.id, self.id)

    @property
    def displayed(self) -> str:
        """The name that others see."""
        return self.name or self.id

    def new_app_password(self, device: str) -> str:
        """Make an app password, as Nextcloud does: 72 letters and digits."""
        found = "".join(secrets.choice("ABCDEFGHJKLMNPQRSTabcdefghijkmnopqrst23456789") for _ in range(72))
        self.app_passwords[found] = device
        return found


@dataclass
class Rules:
    """What the administrator allows, and the version of the server."""

    major: int = 32
    sharing: bool = True
    links: bool = True
    groups: bool = True
    resharing: bool = True
    link_password: bool = False
    link_upload: bool = True
    expiry_days: int | None = None
    expiry_enforced: bool = False
    least_password: int = 10
    least_link_password: int | None = None
    """Since version 31: the rule for links, if it differs from that for accounts."""

    @property
    def version(self) -> str:
        """The version in words."""
        return f"{self.major}.0.2"


@dataclass
class People:
    """All users; the groups are those that a user names."""

    persons: list[Person] = field(default_factory=list)

    def get(self, name: str) -> Person | None:
        """Return the user with an identifier."""
        return next((one for one in self.persons if one.id == name), None)

    @property
    def groups(self) -> set[str]:
        """The names of all groups."""
        return {group for one in self.persons for group in one.groups}

    def log_in(self, login: str, password: str) -> Person | None:
        """Return the user who logs in with a password or an app password; None if it is wrong."""
        for one in self.persons:
            if login in one.logins and (password == one.password or password in one.app_passwords):
                return one
        return None
