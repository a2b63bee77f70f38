"""What an answer of the API server says: what was asked for, or which error of ours. Pure.

Its status is looked at before its body: a load balancer, a proxy or a server that is starting may answer with an empty
body or with HTML, whatever content type it names.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from gozen.errors import BadRequest, ClusterUnavailable

_SENSELESS = (HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY)
_LONGEST_RETRY_S = 300.0
_MOST_SHOWN = 200


class RefusedError(ClusterUnavailable):
    """The API server answered, and refused.

    Parameters
    ----------
    code
        Its HTTP status.
    retry_after_s
        How long it asks us to wait before we try again; 0 where it does not say.
    """

    def __init__(self, message: str, code: int, retry_after_s: float = 0.0) -> None:
        super().__init__(message)
        self.code = code
        self.retry_after_s = retry_after_s


def checked_answer(
    what: str, status: int, headers: Mapping[str, str], body: bytes, *, wants_json: bool = True
) -> dict[str, Any]:
    """Return what an answer holds; text under ``text`` where JSON was not asked for.

    Parameters
    ----------
    what
        What was asked, for messages.

    Raises
    ------
    BadRequest
        It refuses what was asked as such: asking again will not help.
    RefusedError
        It refuses; `RefusedError.code` says how.
    ClusterUnavailable
        It is not an answer of an API server.
    """
    found = _json_object(body) if wants_json or not 200 <= status < 300 else None
    if not 200 <= status < 300:
        message = f"{what}: {_message(found, status, body)}"
        if _is_of_another(found):
            raise RefusedError(message, HTTPStatus.CONFLICT)
        if status in _SENSELESS and found is not None:
            raise BadRequest(message)
        raise RefusedError(message, status, _retry_after_s(headers))
    if not wants_json:
        return {"text": body.decode(errors="replace")}
    if found is None:
        raise ClusterUnavailable(
            f"{what}: the answer {status} is not JSON but {_shown(body)}; is a proxy between here and the API server?"
        )
    return found


def retry_after_s(error: BaseException) -> float:
    """Return how long an error asks us to wait before we try again."""
    return error.retry_after_s if isinstance(error, RefusedError) else 0.0


def _json_object(body: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _message(found: Mapping[str, Any] | None, status: int, body: bytes) -> str:
    said = (found or {}).get("message")
    return str(said) if said else f"the API server says {status}: {_shown(body)}"


def _is_of_another(found: Mapping[str, Any] | None) -> bool:
    """Tell whether a change names the uid of an earlier object of its name, which is said to be an invalid change."""
    details = (found or {}).get("details")
    causes = details.get("causes") if isinstance(details, dict) else None
    return any(isinstance(one, dict) and one.get("field") == "metadata.uid" for one in causes or ())


def _shown(body: bytes) -> str:
    text = " ".join(body[: 4 * _MOST_SHOWN].decode(errors="replace").split())
    return repr(text[:_MOST_SHOWN]) if text else "an empty body"


def _retry_after_s(headers: Mapping[str, str]) -> float:
    try:
        asked = float(headers.get("Retry-After", 0.0))
    except (TypeError, ValueError):  # it may be a date, which the clocks of two machines would have to share
        return 0.0
    return min(max(asked, 0.0), _LONGEST_RETRY_S) if asked == asked else 0.0
