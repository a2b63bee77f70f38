"""The science platform on a real node, in a real browser: two people, their labs, and what each cannot reach.

Network policies are enforced. Rights of accounts are in test_chart.py and test_user_namespaces.py, the pages in
tests/services, a hub without Kubernetes in tests/services/test_hub.py.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page
from playwright.sync_api import TimeoutError as BrowserTimeout
from tests.services.chromium import chromium
from tests.services.hub_client import answers, called, run_all, status, wait_for_end

from .guarded import LOOKS, METADATA, OUTSIDE
from .platform_release import Platform
from .processes import wait_until

pytestmark = [pytest.mark.node, pytest.mark.xdist_group("node"), pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as opened:
        yield opened


@pytest.fixture(scope="module")
def pages(gozen_platform: Platform, browser: Browser) -> Iterator[dict[str, Page]]:
    """Return a page of each of two users who have logged in."""
    found = {}
    for name in ("hoshi", "sora"):
        page = browser.new_context(locale="en-GB").new_page()
        gozen_platform.log_in(page, name)
        page.wait_for_url("**/services/portal/**", timeout=60_000)
        found[name] = page
    yield found
    for page in found.values():
        page.context.close()


@pytest.fixture(scope="module")
def tokens(gozen_platform: Platform, pages: dict[str, Page]) -> dict[str, str]:
    """Return a token of each user, whose labs run."""
    found = {}
    for name, page in pages.items():
        try:
            gozen_platform.open_notebook(page, "light-curve.ipynb")
        except BrowserTimeout as error:
            raise AssertionError(gozen_platform.told_of(name)) from error
        found[name] = gozen_platform.token_of(page)
    return found


def test_a_user_runs_the_first_notebook_on_the_archive(
    gozen_platform: Platform, pages: dict[str, Page], tokens: dict[str, str]
) -> None:
    page = pages["hoshi"]
    gozen_platform.open_notebook(page, "light-curve.ipynb")
    run_all(page)


def test_a_lab_is_a_restricted_pod_without_a_token(gozen_platform: Platform, tokens: dict[str, str]) -> None:
    spec = gozen_platform.lab("hoshi")["spec"]
    assert spec["automountServiceAccountToken"] is False
    assert all("serviceAccountToken" not in json.dumps(volume) for volume in spec["volumes"])
    found = gozen_platform.in_lab("hoshi", "import os; print(os.getuid(), os.path.exists('/var/run/secrets'))")
    assert found.split() == ["10001", "False"]


def test_a_lab_reaches_what_it_needs_and_nothing_else(gozen_platform: Platform, tokens: dict[str, str]) -> None:
    node, own, other = gozen_platform.node, gozen_platform.lab("hoshi"), gozen_platform.lab("sora")
    store = int(gozen_platform.store.endpoint.rpartition(":")[2])
    targets = [
        ("names", "tcp", "10.96.0.10", 53),
        ("store", "tcp", node.host_address, store),
        ("hub", "tcp", address_of(gozen_platform, "hub"), 8081),
        ("own lab", "tcp", own["status"]["podIP"], 8888),
        ("another lab", "tcp", other["status"]["podIP"], 8888),
        ("proxy", "tcp", address_of(gozen_platform, "proxy"), 8000),
        ("orders of the proxy", "tcp", address_of(gozen_platform, "proxy"), 8001),
        ("service for namespaces", "tcp", address_of(gozen_platform, "namespaces"), 8080),
        ("portal", "tcp", address_of(gozen_platform, "portal"), 8080),
        ("API server", "tcp", "10.96.0.1", 443),
        ("API server on the node", "tcp", node.address, 6443),
        ("kubelet", "tcp", node.address, 10250),
        ("metadata", "tcp", METADATA, 80),
        ("outside", "tcp", OUTSIDE, 443),
    ]
    found = set(json.loads(gozen_platform.in_lab("hoshi", LOOKS, json.dumps(targets))))
    assert found == {"names", "store", "hub", "own lab"}


def address_of(platform: Platform, component: str) -> str:
    words = ("get", "pods", f"--selector=app.kubernetes.io/component={component}", "--output=json")
    (pod,) = json.loads(platform.kubectl(*words, check=True).stdout)["items"]
    return str(pod["status"]["podIP"])


def test_a_token_opens_nothing_of_another_user(gozen_platform: Platform, tokens: dict[str, str]) -> None:
    url = gozen_platform.url
    assert status(f"{gozen_platform.user_url('hoshi')}/api/contents", tokens["hoshi"]) == 200
    assert status(f"{gozen_platform.user_url('hoshi')}/api/contents", tokens["sora"]) == 403
    assert status(f"{url}/hub/api/users/hoshi", tokens["sora"]) == 404
    assert status(f"{url}/hub/api/users", tokens["sora"]) == 403
    assert status(f"{url}/hub/api/user", "f" * 32) == 403


def test_a_user_has_a_quota_and_a_home(gozen_platform: Platform, tokens: dict[str, str]) -> None:
    words = ("get", "resourcequota/user", "networkpolicy/deny", "limitrange/user", "pvc/home", "--output=name")
    assert len(gozen_platform.of_user("hoshi", *words, check=True).stdout.split()) == 4
    refused = gozen_platform.of_user("hoshi", "create", "-f", "-", stdin=json.dumps(PRIVILEGED))
    assert "violates PodSecurity" in refused.stderr


PRIVILEGED = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "privileged"},
    "spec": {"containers": [{"name": "a", "image": "a", "securityContext": {"privileged": True}}]},
}


def test_labs_outlive_a_crash_of_the_hub(gozen_platform: Platform, tokens: dict[str, str]) -> None:
    uid = gozen_platform.lab("hoshi")["metadata"]["uid"]
    words = ("get", "pods", "--selector=app.kubernetes.io/component=hub", "--output=json")
    (pod,) = json.loads(gozen_platform.kubectl(*words, check=True).stdout)["items"]
    (container,) = pod["status"]["containerStatuses"]
    gozen_platform.node.crash_container(container["containerID"].removeprefix("containerd://"))
    lab = f"{gozen_platform.user_url('hoshi')}/api/contents"
    wait_until(lambda: restarts(gozen_platform) == container["restartCount"] + 1, "a restart of the hub", 120)
    wait_until(lambda: answers(f"{gozen_platform.url}/hub/health"), "the hub", 120)
    wait_until(lambda: status(lab, tokens["hoshi"]) == 200, "the lab", 60)
    assert gozen_platform.lab("hoshi")["metadata"]["uid"] == uid


def restarts(platform: Platform) -> int:
    words = ("get", "pods", "--selector=app.kubernetes.io/component=hub", "--output=json")
    (pod,) = json.loads(platform.kubectl(*words, check=True).stdout)["items"]
    return int(pod["status"]["containerStatuses"][0]["restartCount"])


def test_files_of_a_home_outlive_the_lab(gozen_platform: Platform, tokens: dict[str, str]) -> None:
    gozen_platform.in_lab("sora", "open('/home/gozen/mine.txt', 'w').write('kept')")
    server = f"{gozen_platform.url}/hub/api/users/sora/server"
    called(server, tokens["sora"], "DELETE")
    wait_for_end(gozen_platform, "sora", tokens["sora"], 90)
    called(server, tokens["sora"], "POST")
    lab = f"{gozen_platform.user_url('sora')}/api/contents"
    wait_until(lambda: status(lab, tokens["sora"]) == 200, "the lab of sora", 180)
    assert gozen_platform.in_lab("sora", "print(open('/home/gozen/mine.txt').read())").strip() == "kept"
