"""Fixtures of the cluster tests: each starts a real component once for a session or module, and stops it."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page
from tests.services.chromium import chromium
from tests.services.made_once import made_once
from tests.services.small_demo import demo_folder, started

from .api_server import ApiServer
from .developer_platform import SURVEY, DeveloperPlatform, developer_platform
from .guarded import Guarded, guarded
from .node import Node, programs_of_a_node
from .platform_people import answer_of_a_laptop, opened, people
from .platform_release import Platform
from .running_operator import Running
from .tools import ToolMissingError, tool


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Wait for the programs that are being built before the time of a test begins to run."""
    with contextlib.suppress(ToolMissingError):  # the fixtures say so
        for name in ("kube-apiserver", "kubectl"):
            tool(name)
        if item.get_closest_marker("node"):
            programs_of_a_node()
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add to what a failed test says the log of its operator, which outlives the test and is not shown otherwise."""
    report = yield
    if report.failed:
        running = [one for one in getattr(item, "funcargs", {}).values() if isinstance(one, Running)]
        report.sections += [("log of the operator", one.tail()) for one in running]
    return report


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


@pytest.fixture(scope="session")
def sky(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an archive as ``make platform`` has it, of a night and a survey; not to be changed."""

    def make(folder: Path) -> None:
        shutil.copytree(demo_folder(tmp_path_factory) / "archive", folder / "archive")
        started("simulate", "objects", *SURVEY, cwd=folder)

    return made_once(tmp_path_factory, "sky", make) / "archive"


@pytest.fixture(scope="session")
def for_developers(node: Node, sky: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DeveloperPlatform]:
    """Return what ``make platform`` installs."""
    with developer_platform(node, tmp_path_factory.mktemp("platform"), sky) as place:
        yield place


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Return a browser for the pages of a module."""
    with chromium() as opened_browser:
        yield opened_browser


@pytest.fixture(scope="module")
def pages(gozen_platform: Platform, browser: Browser) -> Iterator[dict[str, Page]]:
    """Return a page of each of two users of the science platform, who have logged in."""
    with people(gozen_platform, browser) as found:
        yield found


@pytest.fixture(scope="module")
def tokens(gozen_platform: Platform, pages: dict[str, Page]) -> dict[str, str]:
    """Return a token of each of the two users, whose labs run."""
    return opened(gozen_platform, pages)


@pytest.fixture(scope="session")
def answer(sky: Path) -> str:
    """Return what the functions of `platform_people` give on this computer, to the bit."""
    return answer_of_a_laptop(sky)


@pytest.fixture(scope="session")
def gozen_platform(for_developers: DeveloperPlatform) -> Platform:
    """Return the science platform on the node, with the archive of the demo."""
    return for_developers.release
