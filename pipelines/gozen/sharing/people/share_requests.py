"""Make the form data of requests that share files; refuse invalid requests before they are sent. No I/O."""

from __future__ import annotations

import datetime as dt
import re
import secrets
import string
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from gozen.errors import BadRequest
from gozen.sharing.people.rights import Rights
from gozen.sharing.people.share_records import GROUP, LINK, USER

SHARES = "apps/files_sharing/api/v1/shares"
SHAREES = "apps/files_sharing/api/v1/sharees"
MOST_DAYS = 36_500
_LONGEST_LABEL = 255
_SPECIAL = "-.+=_"
_PASSWORD_LENGTH = 20


@dataclass(frozen=True)
class LinkWish:
    """The wanted properties of a public link.

    Parameters
    ----------
    password
        Its password; empty for none.
    expires
        Day at whose beginning it ends; None for the rule of the server.
    label
        A name, which only its owner sees.
    upload
        Whether visitors may also put files into the folder, change and delete them.
    """

    password: str = ""
    expires: dt.date | None = None
    label: str = ""
    upload: bool = False


def receivers(users: Iterable[str], groups: Iterable[str], me: str) -> list[tuple[str, str]]:
    """Return the kind and the name of each receiver, each once.

    Raises
    ------
    BadRequest
        No receiver is given, a name is empty, or it is the user's own.
    """
    found = list(dict.fromkeys([("user", one) for one in _names(users)] + [("group", one) for one in _names(groups)]))
    if not found:
        raise BadRequest("name at least one user or group to share with")
    for kind, name in found:
        if not name.strip():
            raise BadRequest(f"the name of a {kind} is empty; give the {kind} name, not the displayed name")
        if kind == "user" and name == me:
            raise BadRequest(f"{name} is your own account: name another user")
    return found


def _names(names: Iterable[str]) -> list[str]:
    return [names] if isinstance(names, str) else list(names)


def receiver_form(path: str, kind: str, name: str, rights: Rights) -> Mapping[str, str]:
    """Return the form data of a request that shares a path with a user or a group."""
    number = USER if kind == "user" else GROUP
    return {"path": path, "shareType": str(number), "shareWith": name, "permissions": str(int(rights))}


def link_form(path: str, wish: LinkWish) -> Mapping[str, str]:
    """Return the form data of a request that makes a public link."""
    found = {"path": path, "shareType": str(LINK), "label": wish.label, "password": wish.password}
    found["expireDate"] = wish.expires.isoformat() if wish.expires else ""
    found["publicUpload"] = "true" if wish.upload else ""
    return {name: value for name, value in found.items() if value}


def check_link(wish: LinkWish, today: dt.date) -> LinkWish:
    """Return the wish; raise `BadRequest` if its day is in the past, or its label is too long."""
    if wish.expires is not None and wish.expires <= today:
        raise BadRequest(
            f"the link cannot expire on {wish.expires}: today is {today}, and a link ends at the beginning of its "
            "day; give a later day"
        )
    if (size := len(wish.label.encode())) > _LONGEST_LABEL:
        raise BadRequest(f"the label has {size} bytes; Nextcloud keeps at most {_LONGEST_LABEL}: give a shorter one")
    return wish


def expiry_day(expires: dt.date | int | str | None, today: dt.date) -> dt.date | None:
    """Return the day on which a link ends.

    Parameters
    ----------
    expires
        A day, a number of days from today, or either as text: ``2027-01-31``, ``30`` or ``30d``.

    Raises
    ------
    BadRequest
        The text is neither a day nor a number of days.
    """
    if isinstance(expires, str):
        days = re.fullmatch(r"(\d{1,6})d?", expires.strip())
        expires = int(days[1]) if days else _date(expires)
    if isinstance(expires, dt.datetime):
        return expires.date()
    if expires is None or isinstance(expires, dt.date):
        return expires
    if expires > MOST_DAYS:
        raise BadRequest(f"a link cannot last {expires} days: give at most {MOST_DAYS}")
    return today + dt.timedelta(days=expires)


def _date(text: str) -> dt.date:
    try:
        return dt.date.fromisoformat(text.strip())
    except ValueError as error:
        raise BadRequest(
            f"{text!r} is neither a day such as 2027-01-31 nor a number of days such as 30d: give one of these"
        ) from error


def new_password(least: int = 0) -> str:
    """Return a random password with letters of both cases, digits and special characters, which usual rules require.

    Parameters
    ----------
    least
        Least number of characters that the server accepts.
    """
    kinds = (string.ascii_lowercase, string.ascii_uppercase, string.digits, _SPECIAL)
    length = max(_PASSWORD_LENGTH, least)
    while True:
        found = "".join(secrets.choice("".join(kinds)) for _ in range(length))
        if all(set(kind) & set(found) for kind in kinds):
            return found
