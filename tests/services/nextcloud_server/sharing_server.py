"""The complete server: files, shares, capabilities, and the log-in with app passwords."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gozen.sharing.account import Account

from .http import Refused, Request
from .login_service import LoginService
from .ocs_front import LinkApp, LoginApp, OcsApp
from .ocs_service import OcsService
from .people import People, Person, Rules
from .server import NextcloudServer
from .share_book import ShareBook


class SharingServer(NextcloudServer):
    """A Nextcloud for tests in which users share files.

    Parameters
    ----------
    persons
        Its users; each has an app password already.
    options
        As those of `NextcloudServer`.
    """

    def __init__(self, root: Path, persons: Sequence[Person], **options: Any) -> None:
        super().__init__(root, {one.id: one.new_app_password("a test") for one in persons}, **options)
        self.people, self.rules = People(list(persons)), Rules()
        self.book = ShareBook(self.people, self.rules, self._kind_of)
        self.login = LoginService(self.people)
        login = LoginApp(self.login, self.base)
        ocs = OcsApp(OcsService(self.people, self.rules, self.book), self.people, self.base)
        links = LinkApp(self.book)
        self.routes += [("/ocs/", ocs), ("/index.php/login/v2", login), ("/login/v2", login), ("/s/", links)]

    def account(self, user: str = "hoshi") -> Account:
        """Return the account of a user, with the first app password."""
        person = self.person(user)
        return Account(self.url, person.logins[0], next(iter(person.app_passwords)), person.id)

    def person(self, user: str) -> Person:
        """Return a user."""
        found = self.people.get(user)
        assert found is not None
        return found

    def put(self, user: str, path: str, content: bytes | None = b"x") -> None:
        """Give a user a file, or with None a folder."""
        place = self.state.file(user, path)
        if content is None:
            place.mkdir(parents=True, exist_ok=True)
        else:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)

    def user_of(self, request: Request) -> str:
        """Return who has sent a request about files."""
        person = self.people.log_in(*request.credentials())
        if person is None:
            raise Refused(401, "No public access to this resource., Username or password was incorrect")
        return person.id

    def _kind_of(self, user: str, path: str) -> str | None:
        place = self.state.file(user, path)
        if not self.state.is_known(place):
            return None
        return "folder" if place.is_dir() else "file" if place.is_file() else None
