"""The shares of the Nextcloud server of the tests: created, changed, listed and deleted as documented."""

from __future__ import annotations

import datetime as dt
import itertools
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .people import People, Person, Rules

USER, GROUP, LINK = 0, 1, 3
READ, UPDATE, CREATE, DELETE, SHARE = 1, 2, 4, 8, 16
_OF_FILES = READ | UPDATE | SHARE
_MISSING, _FORBIDDEN, _BAD = 404, 403, 400


class RefusedError(Exception):
    """OCS refuses a request, with a code and a message."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


@dataclass
class SharedItem:
    """A share."""

    id: str
    kind: int
    owner: str
    by: str
    path: str
    folder: bool
    permissions: int
    receiver: str = ""
    token: str = ""
    password: str = ""
    label: str = ""
    expires: dt.date | None = None


@dataclass
class ShareBook:
    """All shares of the server.

    Parameters
    ----------
    kind_of
        Returns ``file``, ``folder`` or None for a user and a path that begins with a slash.
    """

    people: People
    rules: Rules
    kind_of: Callable[[str, str], str | None]
    today: Callable[[], dt.date] = dt.date.today
    items: list[SharedItem] = field(default_factory=list)
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def make(self, me: Person, form: Mapping[str, str]) -> SharedItem:
        """Make a share from the form of a request."""
        path, folder = self._node(me, form.get("path"))
        kind = int(form.get("shareType", "-1"))
        if kind not in (USER, GROUP, LINK):
            raise RefusedError(_BAD, "Unknown share type")
        allowed = int(form.get("permissions") or (READ if kind == LINK else READ | UPDATE | CREATE | DELETE | SHARE))
        found = SharedItem(str(next(self._numbers)), kind, me.id, me.id, path, folder, allowed | READ)
        if kind == LINK:
            self._fill_link(found, form)
        else:
            self._fill_receiver(found, me, form.get("shareWith", ""))
        if not folder:
            found.permissions &= _OF_FILES
        self.items.append(found)
        return found

    def change(self, me: Person, number: str, form: Mapping[str, str]) -> SharedItem:
        """Change one property of a share."""
        item = self._mine(me, number)
        if not form:
            raise RefusedError(_BAD, "Wrong or no update parameter given")
        if "permissions" in form:
            wanted = int(form["permissions"])
            if not item.folder and wanted & ~_OF_FILES:
                raise RefusedError(_BAD, "Files cannot be shared with create permissions")
            item.permissions = wanted
        if "expireDate" in form:
            item.expires = self._expiry(form["expireDate"])
        if "password" in form:
            item.password = self._password(form["password"])
        return item

    def delete(self, me: Person, number: str) -> None:
        """Delete a share."""
        item = self._mine(me, number)
        self.items.remove(item)

    def one(self, me: Person, number: str) -> SharedItem:
        """Return a share of this user."""
        return self._mine(me, number)

    def listed(self, me: Person, query: Mapping[str, str]) -> list[SharedItem]:
        """Return the shares of this user: all, or those of a path."""
        mine = [one for one in self._valid() if me.id in (one.by, one.owner)]
        if not query.get("path"):
            return [one for one in mine if one.by == me.id]
        path, folder = self._node(me, query["path"])
        if query.get("subfiles") == "true":
            if not folder:
                raise RefusedError(_BAD, "Not a directory")
            return [one for one in mine if one.path.rpartition("/")[0] == path.rstrip("/")]
        return [one for one in mine if one.path == path and (query.get("reshares") == "true" or one.by == me.id)]

    def _valid(self) -> list[SharedItem]:
        self.items = [one for one in self.items if one.expires is None or one.expires > self.today()]
        return self.items

    def _mine(self, me: Person, number: str) -> SharedItem:
        for one in self._valid():
            if one.id == number and me.id in (one.by, one.owner):
                return one
        raise RefusedError(_MISSING, "Wrong share ID, share does not exist")

    def _node(self, me: Person, path: str | None) -> tuple[str, bool]:
        if path is None:
            raise RefusedError(_MISSING, "Please specify a file or folder path")
        whole = "/" + path.strip("/")
        kind = self.kind_of(me.id, whole)
        if kind is None:
            raise RefusedError(_MISSING, "Wrong path, file/folder does not exist")
        if not self.rules.sharing:
            raise RefusedError(_MISSING, "Share API is disabled")
        return whole, kind == "folder"

    def _fill_receiver(self, item: SharedItem, me: Person, receiver: str) -> None:
        kind = "user" if item.kind == USER else "group"
        if kind == "group" and not self.rules.groups:
            raise RefusedError(_MISSING, "Group sharing is disabled by the administrator")
        known = self.people.get(receiver) if kind == "user" else receiver in self.people.groups
        if not known:
            valid = "account" if kind == "user" and self.rules.major >= 29 else kind
            raise RefusedError(_MISSING, f"Please specify a valid {valid} to share with")
        if kind == "user" and receiver == me.id:
            raise RefusedError(_FORBIDDEN, "Cannot share with yourself")
        if any((one.path, one.kind, one.receiver) == (item.path, item.kind, receiver) for one in self._valid()):
            name = item.path.rpartition("/")[2]
            old = "Path is already shared with this " + kind
            new = f"Sharing {name} failed, because this item is already shared with the account {receiver}"
            raise RefusedError(_FORBIDDEN, new if self.rules.major >= 29 else old)
        item.receiver = receiver

    def _fill_link(self, item: SharedItem, form: Mapping[str, str]) -> None:
        if not self.rules.links:
            raise RefusedError(_MISSING, "Public link sharing is disabled by the administrator")
        item.permissions = READ | SHARE  # unless sharing with other clouds is switched off
        if form.get("publicUpload") == "true":
            if not self.rules.link_upload:
                raise RefusedError(_FORBIDDEN, "Public upload disabled by the administrator")
            if not item.folder:
                code = _BAD if self.rules.major >= 31 else _MISSING
                raise RefusedError(code, "Public upload is only possible for publicly shared folders")
            item.permissions |= UPDATE | CREATE | DELETE
        item.password = self._password(form.get("password", ""))
        item.expires = self._expiry(form.get("expireDate", ""))
        item.label = form.get("label", "")
        if len(item.label.encode()) > 255:
            raise RefusedError(_BAD, "Maximum label length is 255")
        item.token = secrets.token_hex(8)[:15]

    def _password(self, password: str) -> str:
        if not password and self.rules.link_password:
            raise RefusedError(_FORBIDDEN, "Passwords are enforced for link and mail shares")
        least = self.rules.least_link_password or self.rules.least_password
        if password and len(password) < least:
            raise RefusedError(_BAD, f"Password needs to be at least {least} characters long.")
        return password

    def _expiry(self, text: str) -> dt.date | None:
        days = self.rules.expiry_days
        if not text:
            return None if days is None else self.today() + dt.timedelta(days)
        try:
            day = dt.date.fromisoformat(text)
        except ValueError:
            raise RefusedError(_MISSING, "Invalid date. Format must be YYYY-MM-DD") from None
        if day <= self.today():
            raise RefusedError(_MISSING, "Expiration date is in the past")
        if self.rules.expiry_enforced and days is not None and day > self.today() + dt.timedelta(days):
            raise RefusedError(_MISSING, f"Cannot set expiration date more than {days} days in the future")
        return day


def as_record(item: SharedItem, people: People, address: str) -> dict[str, Any]:
    """Return a share as OCS describes it, without the fields that are about storage."""

    def name(who: str) -> str:
        person = people.get(who)
        return person.displayed if person else who

    digest = "3|$argon2id$digest" if item.password else None
    link = item.kind == LINK
    found = {
        "id": item.id,
        "share_type": item.kind,
        "uid_owner": item.by,
        "displayname_owner": name(item.by),
        "permissions": item.permissions,
        "can_edit": True,
        "can_delete": True,
        "stime": 1800000000,
        "parent": None,
        "expiration": f"{item.expires} 00:00:00" if item.expires else None,
        "token": item.token or None,
        "uid_file_owner": item.owner,
        "displayname_file_owner": name(item.owner),
        "note": "",
        "label": item.label,
        "path": item.path,
        "item_type": "folder" if item.folder else "file",
        "share_with": digest if link else item.receiver,
        "share_with_displayname": "(Shared link)" if link else name(item.receiver),
        "mail_send": 0,
        "hide_download": 0,
    }
    return {**found, "password": digest, "url": f"{address}/s/{item.token}"} if link else found
