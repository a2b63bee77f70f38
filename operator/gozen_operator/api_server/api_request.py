"""A request to the API server as plain data. Imports no client library."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gozen.resources.metadata import API_VERSION
from gozen_operator.crds import KINDS

PAGE = 200
"""Objects per page of a list."""
JSON, MERGE_PATCH, APPLY_PATCH = "application/json", "application/merge-patch+json", "application/apply-patch+yaml"
_GROUPS = {"Job": "/apis/batch/v1", "Pod": "/api/v1", "Lease": "/apis/coordination.k8s.io/v1"}
_PLURALS = {"Job": "jobs", "Pod": "pods", "Lease": "leases"} | {kind.name: kind.plural for kind in KINDS}


@dataclass(frozen=True)
class ApiRequest:
    """One request.

    Parameters
    ----------
    body
        Sent as JSON; None sends no body.
    content, accept
        Content types of the body and of the answer.
    what
        Description of the request for messages; if it is empty, messages give method and path.
    """

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    content: str = JSON
    accept: str = JSON
    what: str = ""

    def __str__(self) -> str:
        return self.what or f"{self.method} {self.path}"


def path_of(kind: str, namespace: str, name: str | None = None) -> str:
    """Return the path of the objects of a kind in a namespace, or of one of them."""
    path = f"{_GROUPS.get(kind, f'/apis/{API_VERSION}')}/namespaces/{namespace}/{_PLURALS[kind]}"
    return path if name is None else f"{path}/{name}"
