"""What can become of a call of the API server: an answer, a refusal in its own words, or nothing that is understood.

Everything that goes wrong is a `ClusterUnavailable`, so that it is tried again: a name of another kind would end the
Observation, with the exposure that is running.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from gozen.errors import ClusterUnavailable

SENSELESS, ABSENT, CONFLICT = (400, 422), 404, 409
_NO_RIGHT = (401, 403)


class CallRefusedError(ClusterUnavailable):
    """The API server answered, and refused.

    Parameters
    ----------
    code
        HTTP status.
    in_words
        Whether the refusal is a Status of Kubernetes, and not the page of a proxy in between.
    """

    def __init__(self, message: str, code: int, *, in_words: bool) -> None:
        super().__init__(message)
        self.code, self.in_words = code, in_words

    @property
    def name(self) -> str:
        """The stable name."""
        return ClusterUnavailable.__name__


@contextmanager
def understood(what: str) -> Iterator[None]:
    """Give whatever goes wrong in a call, or with the reading of its answer, a name of ours.

    Raises
    ------
    ClusterUnavailable
        Always this; `CallRefusedError` where the API server answered.
    """
    from kubernetes.client.exceptions import ApiException
    from urllib3.exceptions import HTTPError

    try:
        yield
    except ClusterUnavailable:
        raise
    except ApiException as error:
        if not error.status:  # the client's word for a TLS connection that failed
            raise ClusterUnavailable(f"{what}: the API server does not answer: {error.reason}") from error
        status = _status(error.body)
        said = status.get("message") or error.reason
        hint = "; give the observer's service account the right" if error.status in _NO_RIGHT else ""
        message = f"{what}: the API server says {error.status}: {said}{hint}"
        raise CallRefusedError(message, error.status, in_words=bool(status)) from error
    except (HTTPError, OSError) as error:
        raise ClusterUnavailable(f"{what}: the API server does not answer: {error}") from error
    except Exception as error:
        # A page of a proxy, half an answer, credentials that cannot be read, an object of a later version.
        said = f"{type(error).__name__}: {error}"
        raise ClusterUnavailable(f"{what}: the answer is not understood: {said}") from error


def _status(body: object) -> Mapping[str, Any]:
    try:
        found = json.loads(body) if isinstance(body, str | bytes) else None
    except ValueError:
        found = None
    return found if isinstance(found, dict) and found.get("kind") == "Status" else {}
