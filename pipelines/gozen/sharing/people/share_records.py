"""A share as a record: who sees which path, with which rights, until when. No I/O."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gozen.errors import UnexpectedAnswer
from gozen.sharing.ocs_answers import records
from gozen.sharing.people.rights import ALL, Rights

USER, GROUP, LINK = 0, 1, 3
_KINDS = {USER: "user", GROUP: "group", LINK: "link", 4: "e-mail", 6: "other cloud", 7: "team", 9: "other cloud"}
_ANYONE = "anyone with the link"


@dataclass(frozen=True)
class Share:
    """One share.

    Parameters
    ----------
    id
        The number by which the server knows it.
    kind
        ``user``, ``group``, ``link``, ``e-mail``, ``other cloud``, ``team`` or ``other``.
    path
        What is shared, from the top of the cloud.
    folder
        Whether `path` is a folder.
    who, name
        Identifier and displayed name of the receiver; of a link a phrase.
    rights
        What the receiver may do.
    by
        Identifier of the person who shared it.
    expires
        Day at whose beginning the share ends; None if it does not end.
    label
        The label of a link.
    url
        The address of a link; empty for other kinds.
    password
        Whether a link asks for a password.
    """

    id: str
    kind: str
    path: str
    folder: bool
    who: str
    name: str
    rights: Rights
    by: str = ""
    expires: dt.date | None = None
    label: str = ""
    url: str = ""
    password: bool = False


def read_shares(data: Any) -> list[Share]:
    """Return the shares in the data of an answer.

    Raises
    ------
    UnexpectedAnswer
        A share has no identifier, path, kind or rights.
    """
    return [_share(record) for record in records(data)]


def _share(record: Mapping[str, Any]) -> Share:
    try:
        number, path, kind = str(record["id"]), str(record["path"]).strip("/"), int(record["share_type"])
        rights = Rights(int(record["permissions"]) & ALL)
    except (KeyError, TypeError, ValueError) as error:
        raise UnexpectedAnswer(
            f"the server describes a share without {error}, so it may not be a Nextcloud server; check its address"
        ) from error
    link = kind == LINK
    if link:
        rights &= ~Rights.RESHARE  # some servers set it, so that a link can be added to another cloud
    who = _ANYONE if link else _text(record, "share_with")
    return Share(
        id=number,
        kind=_KINDS.get(kind, "other"),
        path=path,
        folder=record.get("item_type") == "folder",
        who=who,
        name=who if link else _text(record, "share_with_displayname") or who,
        rights=rights,
        by=_text(record, "uid_owner"),
        expires=_day(_text(record, "expiration")),
        label=_text(record, "label"),
        url=_text(record, "url"),
        # The server writes the digest of a link's password into the field of the receiver.
        password=link and bool(_text(record, "share_with") or _text(record, "password")),
    )


def _text(record: Mapping[str, Any], name: str) -> str:
    value = record.get(name)
    return "" if value is None or value is False else str(value)


def _day(text: str) -> dt.date | None:
    """Return the day of a moment such as ``2027-01-31 00:00:00``."""
    try:
        return dt.date.fromisoformat(text[:10])
    except ValueError:
        return None
