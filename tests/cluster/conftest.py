"""The cluster's fixtures: each starts a real thing once in a session, and ends it."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from .api_server import ApiServer
from .guarded import Guarded, guarded
from .node import Node
from .tools import ToolMissingError


def cannot_run(reason: str) -> None:
    """End a test that cannot run here: in CI it fails, on a developer's machine it is skipped."""
    if os.environ.get("CI"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def api_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """Return a real API server on the loopback, without a node: nothing runs pods, nothing collects garbage."""
    try:
        server = ApiServer(tmp_path_factory.mktemp("api-server"))
    except ToolMissingError as missing:
        cannot_run(str(missing))
        raise
    yield server
    server.stop()


@pytest.fixture(scope="session")
def root() -> None:
    """Require root, as namespaces, mounts and images do."""
    if os.geteuid() != 0:
        cannot_run("a Kubernetes node needs root: run the tests as root")


@pytest.fixture(scope="session")
def node(root: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """Return a real Kubernetes node that runs pods."""
    try:
        node = Node(tmp_path_factory.mktemp("node"))
    except ToolMissingError as missing:
        cannot_run(str(missing))
        raise
    yield node
    node.stop()


@pytest.fixture(scope="session")
def gozen_guarded(node: Node, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """Return Gozen on the node where its NetworkPolicies are enforced, with intruders."""
    with guarded(node, tmp_path_factory.mktemp("guarded")) as place:
        yield place
