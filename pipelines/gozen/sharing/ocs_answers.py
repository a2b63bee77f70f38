"""Parts of answers of Nextcloud's OCS interface: a refusal with the server's words, records, and values. No I/O.

PHP writes an empty object as an empty list, and some calls answer with a list that has one record.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gozen.sharing.answers import Answer, words_of

_FIRST_VERSION_OK = 100
_MISSING = (404, 998)
_LOGGED_OUT = (401, 997)


@dataclass(frozen=True)
class OcsRefusal:
    """The server refuses a request.

    Parameters
    ----------
    code
        The status code of `meta`.
    words
        The message of the server, in the language of its user; may be empty.
    """

    code: int
    words: str = ""

    @property
    def is_missing(self) -> bool:
        """Whether the server does not know the file, share, user or group of the request."""
        return self.code in _MISSING

    @property
    def is_logged_out(self) -> bool:
        """Whether the server does not accept the log-in."""
        return self.code in _LOGGED_OUT

    @property
    def said(self) -> str:
        """The server's words as the end of a sentence."""
        return f'the server says: "{self.words}"' if self.words else f"the server answers {self.code} without words"


def refusal_of(answer: Answer) -> OcsRefusal | None:
    """Return the refusal in an answer of OCS; None if the request was carried out, or the answer is not one of OCS.

    The code in `meta` counts, because the first version of OCS answers with HTTP 200 even if it refuses.
    """
    try:
        code = int(json.loads(answer.body)["ocs"]["meta"]["statuscode"])
    except (ValueError, KeyError, TypeError):
        return None
    done = code == _FIRST_VERSION_OK or 200 <= code < 300
    return None if done else OcsRefusal(code, words_of(answer))


def records(data: Any) -> list[Mapping[str, Any]]:
    """Return the records of an answer: of a list, of a list with one element, or of a single record without a list."""
    if isinstance(data, Mapping):
        return [data] if data else []
    return [one for one in data if isinstance(one, Mapping)] if isinstance(data, list) else []


def value_at(data: Any, *names: str) -> Any:
    """Return the value at a path of names; None if there is none, or if PHP wrote an empty group as a list."""
    for name in names:
        data = data.get(name) if isinstance(data, Mapping) else None
    return data
