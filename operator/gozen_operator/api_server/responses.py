"""Interpret answers of the API server: success, a refusal, or an answer that is not understood. No I/O.

The status is read before the body: a load balancer, a proxy or a server that is starting can answer with an empty body
or with HTML, under any content type. A refusal can contain the time to wait before a retry.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from gozen.errors import ClusterUnavailable

_SENSELESS = (HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY)
_LONGEST_RETRY_S = 300.0
_MOST_SHOWN = 200


class RefusedError(ClusterUnavailable):
    """The API server answered, and refused.

    Parameters
    ----------
    code
        HTTP status of the answer.
    retry_after_s
        Seconds to wait before a retry (``Retry-After``); 0 without that header.
    in_words
        Whether the refusal is a Status of Kubernetes, and not the page of a proxy in between.
    """

    def __init__(self, message: str, code: int, retry_after_s: float = 0.0, *, in_words: bool = True) -> None:
        super().__init__(message)
        self.code, self.retry_after_s, self.in_words = code, retry_after_s, in_words

    @property
    def name(self) -> str:
        """The stable name of the error."""
        return ClusterUnavailable.__name__

    @property
    def is_final(self) -> bool:
        """Whether the API server itself rejects the request as invalid, so that a retry cannot succeed."""
        return self.in_words and self.code in _SENSELESS

    def advised(self, advice: str) -> RefusedError:
        """Return the same refusal, whose message says what to do."""
        return RefusedError(f"{self}; {advice}", self.code, self.retry_after_s, in_words=self.in_words)


def checked_answer(
    what: str, status: int, headers: Mapping[str, str], body: bytes, *, wants_json: bool = True
) -> dict[str, Any]:
    """Return the content of an answer; it is under the key ``text`` if no JSON was requested.

    Parameters
    ----------
    what
        Description of the request, for messages.

    Raises
    ------
    RefusedError
        The API server refuses; `RefusedError.code` is the HTTP status.
    ClusterUnavailable
        The answer is not from an API server.
    """
    found = _json_object(body) if wants_json or not 200 <= status < 300 else None
    if not 200 <= status < 300:
        said = (found or {}).get("message") or _shown(body)
        message = f"{what}: the API server says {status}: {said}"
        code = HTTPStatus.CONFLICT if _is_of_another(found) else status
        in_words = found is not None and found.get("kind") == "Status"
        raise RefusedError(message, code, _retry_after_s(headers), in_words=in_words)
    if not wants_json:
        return {"text": body.decode(errors="replace")}
    if found is None:
        raise ClusterUnavailable(
            f"{what}: the answer {_shown(body)} is not a JSON object; check whether a proxy answers instead of the "
            "API server"
        )
    return found


def retry_after_s(error: BaseException) -> float:
    """Return the seconds to wait before a retry, from the error's ``Retry-After``; 0 if it has none."""
    return error.retry_after_s if isinstance(error, RefusedError) else 0.0


def _json_object(body: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _is_of_another(found: Mapping[str, Any] | None) -> bool:
    """Tell whether a request failed (422) because it names the uid of an earlier object with the same name."""
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
    # NaN passes min and max, and a sleep of NaN seconds raises.
    return min(max(asked, 0.0), _LONGEST_RETRY_S) if asked == asked else 0.0
