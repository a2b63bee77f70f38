"""Possible outcomes of an observer's request: success, Kubernetes' refusal, or an answer that is not understood.

Every error becomes a `ClusterUnavailable`, so that the request is tried again: an error of another kind would end the
Observation, with the running exposure.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus

from gozen.errors import ClusterUnavailable
from gozen_operator.api_server.responses import RefusedError

_NO_RIGHT = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)


@contextmanager
def understood(what: str) -> Iterator[None]:
    """Raise any error of a request, or of the reading of its answer, as an error of Gozen.

    Raises
    ------
    ClusterUnavailable
        Any error occurred; `RefusedError` if the API server refused the request.
    """
    try:
        yield
    except RefusedError as refusal:
        if refusal.code in _NO_RIGHT:
            raise refusal.advised("give the observer's service account the permission for this request") from refusal
        raise
    except ClusterUnavailable:
        raise
    except Exception as error:
        # Half an answer, credentials that cannot be read, an object of a later version.
        said = f"{type(error).__name__}: {error}"
        raise ClusterUnavailable(
            f"{what}: the request failed, or its answer cannot be read: {said}; the observer tries again"
        ) from error
