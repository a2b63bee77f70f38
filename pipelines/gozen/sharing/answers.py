"""Interpret the answers of Nextcloud: the server's words, and the named error with advice. No I/O.

WebDAV errors have ``s:exception`` and ``s:message``. Answers of the OCS interface have a part ``meta`` with a code that
counts even if the HTTP status is 200.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from defusedxml import ElementTree
from defusedxml.common import DefusedXmlException

from gozen.errors import (
    CloudConflict,
    CloudFailed,
    CloudFileLocked,
    CloudFull,
    CloudPathNotFound,
    CloudRefused,
    CloudUnavailable,
    LogInRefused,
    RedirectRefused,
    SharingError,
    UnexpectedAnswer,
    UnsuitableName,
)

_SABRE = "{http://sabredav.org/ns}"
_LONGEST_WORDS = 300
_Meaning: TypeAlias = tuple[type[SharingError], str, str]
"""The class of the error, a description of what has happened, and an advice."""
_OCS_DONE = frozenset({100, 200})
_OCS_STATUS = {996: 500, 997: 401, 998: 404, 999: 400}
"""Codes of the OCS interface that are not HTTP statuses."""
_LATER = "run again later"
_TRANSFERS = frozenset({"upload", "download", "resume the upload of"})
_NAME_REFUSED = "Exception\\InvalidPath"
_IN_MAINTENANCE = "maintenance mode"
_SURELY_RECEIVED = 227
"""Bytes of the longest file name that all servers accept; before Nextcloud 32, they add 28 bytes in uploads."""


@dataclass(frozen=True)
class Answer:
    """An answer of the server.

    Parameters
    ----------
    headers
        With names in lower case.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def is_good(self) -> bool:
        """Whether the server has carried out the request."""
        return 200 <= self.status < 300


def words_of(answer: Answer) -> str:
    """Return the server's own words in an error, empty if there are none."""
    body = answer.body.strip()
    words = ""
    if body.startswith(b"{"):
        words = str(_meta(body).get("message") or "")
    elif body.startswith(b"<") and not _is_page(body):
        words = _sabre_text(body, "message")
    return _one_line(words)


def error_of(answer: Answer, subject: str, doing: str, user: str = "") -> SharingError:
    """Return the error for an answer that is not good.

    Parameters
    ----------
    subject
        The file or share, as the user knows it.
    doing
        A verb, such as ``upload``.
    user
        The account's user.
    """
    words = words_of(answer)
    kind, meaning, advice = _of_name(answer, subject) or _meaning(answer, words, user)
    said = f' (the server says: "{words}")' if words else f" (status {answer.status})"
    return kind(f"cannot {doing} {subject}: {meaning}{said}; {advised(advice, doing)}")


def advised(advice: str, doing: str) -> str:
    """Return an advice; to run a transfer again, with what this costs."""
    is_repeated = doing in _TRANSFERS and ("run again" in advice)
    return f"{advice}: complete files are not transferred again" if is_repeated else advice


def ocs_data(answer: Answer, subject: str, doing: str, user: str = "") -> Any:
    """Return the data of an answer of the OCS interface, in JSON.

    Raises
    ------
    SharingError
        The status, or the code in ``meta``, means an error.
    UnexpectedAnswer
        The answer is not one of the OCS interface.
    """
    meta = _meta(answer.body)
    code = meta.get("statuscode")
    if not answer.is_good or (isinstance(code, int) and code not in _OCS_DONE):
        status = _OCS_STATUS.get(code, code) if isinstance(code, int) else answer.status
        raise error_of(
            Answer(answer.status if code is None else status, answer.headers, answer.body), subject, doing, user
        )
    if code is None:
        raise UnexpectedAnswer(
            f"cannot {doing} {subject}: the answer does not come from a Nextcloud server; check its address"
        )
    return json.loads(answer.body)["ocs"].get("data")


def _of_name(answer: Answer, path: str) -> _Meaning | None:
    """Return the meaning of an answer that refuses the name of a file; None for other answers."""
    if answer.status == 400 and _sabre_text(answer.body, "exception").endswith(_NAME_REFUSED):
        return UnsuitableName, "the server does not accept this name", "rename it and run again"
    if answer.status == 500 and len(path.rpartition("/")[2].encode()) > _SURELY_RECEIVED:
        return (
            UnsuitableName,
            f"the server failed, and the name has more than {_SURELY_RECEIVED} bytes, which servers before Nextcloud "
            "32 cannot receive",
            "give it a shorter name and run again",
        )
    return None


def _meaning(answer: Answer, words: str, user: str) -> _Meaning:
    status, headers = answer.status, answer.headers
    if 300 <= status < 400:
        return _redirect(headers.get("location", ""))
    if status == 400 and _is_page(answer.body):
        return (
            UnexpectedAnswer,
            "the server does not serve this address",
            "check the address, or ask its administrator to add it to trusted_domains of Nextcloud",
        )
    # The part of the server that serves files says it in words only.
    if status == 503 and (headers.get("x-nextcloud-maintenance-mode") or _IN_MAINTENANCE in words.lower()):
        return CloudUnavailable, "the server is in maintenance", _LATER
    if status in (429, 503) and headers.get("retry-after"):
        when = f"after {headers['retry-after']}" + (" seconds" if headers["retry-after"].isdecimal() else "")
        return CloudUnavailable, f"the server is overloaded and asks to try again {when}", _LATER
    if status == 401:
        return (
            LogInRefused,
            f"the server does not accept the app password{f' of {user}' if user else ''}: it is wrong or was revoked",
            "log in again with `gozen share login`, then run again",
        )
    found = _MEANINGS.get(status)
    if found is not None:
        return found
    if status >= 500:
        kind = CloudUnavailable if status == 503 else CloudFailed
        return kind, "the server, or a proxy in front of it, failed", _LATER
    if status >= 400:
        return CloudRefused, "the server refuses the request", "ask its administrator if the reason is not clear"
    return UnexpectedAnswer, "the answer does not come from a Nextcloud server", "check the address of the server"


_MEANINGS: dict[int, _Meaning] = {
    403: (
        CloudRefused,
        "the server does not permit it",
        "ask the owner of the folder, or the administrator, for the permission; or use another name or folder",
    ),
    404: (CloudPathNotFound, "it does not exist in Nextcloud", "check the name; `gozen share ls` lists what exists"),
    405: (CloudConflict, "the name is in use, or this part of the server is read-only", "use another name or folder"),
    409: (CloudPathNotFound, "the folder above it does not exist", "create the folder first"),
    412: (
        CloudConflict,
        "the file in Nextcloud has changed meanwhile, and is not overwritten",
        "fetch the new file under another name, compare the two, then run again",
    ),
    413: (CloudRefused, "a request is too large for the server", "set a smaller sharing.chunk_mb"),
    423: (
        CloudFileLocked,
        "another client or an editor has locked the file",
        "close it there, or wait, then run again",
    ),
    429: (CloudUnavailable, "the server is overloaded, or had too many wrong passwords from this address", _LATER),
    507: (
        CloudFull,
        "the quota of the account is used up, or the server has no space",
        "free some space in Nextcloud, for example by emptying its deleted files, then run again",
    ),
}


def _redirect(location: str) -> _Meaning:
    if "/login" in location:
        return LogInRefused, "the server asks for a log-in", "log in again with `gozen share login`"
    return (
        RedirectRefused,
        f"the server redirects to {location or 'another address'}, and the app password was not sent there",
        "if this is the right server, log in again with that address",
    )


def _is_page(body: bytes) -> bool:
    return b"<html" in body[:2000].lower()


def _sabre_text(body: bytes, name: str) -> str:
    """Return the text of an element in an error of WebDAV, empty if there is none."""
    try:
        tree = ElementTree.fromstring(body)
    except (ElementTree.ParseError, DefusedXmlException, ValueError):
        return ""
    return tree.findtext(f".//{_SABRE}{name}") or tree.findtext(f".//{name}") or ""


def _meta(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)["ocs"]["meta"]
    except (ValueError, KeyError, TypeError):
        return {}
    return found if isinstance(found, dict) else {}


def _one_line(words: str) -> str:
    line = re.sub(r"\s+", " ", "".join(one if one.isprintable() else " " for one in words)).strip()
    return line if len(line) <= _LONGEST_WORDS else f"{line[:_LONGEST_WORDS]}..."
