"""``gozen hub`` on one machine in a real browser: two users log in, and each gets only their own lab with the archive.

A second hub has a settings file: it names the members, and soon ends idle labs. The hub of a cluster is in
tests/cluster/test_platform.py.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page
from tests.free_ports import free_port
from tests.portal_samples import sample_archive

from gozen.errors import ClusterUnavailable
from gozen_hub.credentials.credentials_main import TOKEN as CREDENTIALS_TOKEN
from gozen_hub.credentials.user_groups import HubGroups

from .chromium import chromium
from .hub_client import HubClient, answers, called, executed, run_all, status

GOZEN = Path(sys.executable).parent / "gozen"
START_S = 90
OF_ADMINS = secrets.token_hex(32)
OF_CREDENTIALS = secrets.token_hex(32)
"""Token of the service that gives labs their credentials."""
pytestmark = [pytest.mark.xdist_group("demo"), pytest.mark.timeout(600)]


@dataclass(frozen=True)
class Hub(HubClient):
    """A hub that runs on this computer."""

    process: subprocess.Popen[bytes]


def started(folder: Path, archive: Path, *words: str, port: int | None = None) -> Hub:
    port, log = port or free_port(), folder / "hub.log"
    command = [GOZEN, "--archive", archive, "hub", "--port", str(port), "--state", folder / "state", *words]
    with log.open("wb") as output:
        # Started from a background job of a shell, a process ignores Ctrl-C.
        process = subprocess.Popen(
            list(map(str, command)),
            stdout=output,
            stderr=subprocess.STDOUT,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            start_new_session=True,
        )
    end = time.monotonic() + START_S
    while not answers(f"http://localhost:{port}/hub/health"):
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < end, log.read_text()
        time.sleep(0.2)
    return Hub(port, (folder / "state" / "password").read_text().strip(), process)


def stopped(hub: Hub) -> list[int]:
    """Send Ctrl-C, wait, and return the processes that are left of its session."""
    hub.process.send_signal(signal.SIGINT)
    hub.process.wait(60)
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                if os.getsid(int(folder.name)) == hub.process.pid:
                    found.append(int(folder.name))
            except ProcessLookupError:
                continue
    return found


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as opened:
        yield opened


@pytest.fixture(scope="module")
def hub(demo: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(CREDENTIALS_TOKEN, OF_CREDENTIALS)
        hub = started(tmp_path_factory.mktemp("hub"), demo / "archive", "--test-login", "hoshi", "--test-login", "sora")
    yield hub
    assert stopped(hub) == []


def test_a_wrong_password_and_an_unknown_user_do_not_get_in(hub: Hub, browser: Browser) -> None:
    for name, password in (("hoshi", "not-the-password"), ("tsuki", hub.password)):
        page = browser.new_context().new_page()
        hub.log_in(page, name, password)
        page.wait_for_selector("text=Invalid username or password")
        page.context.close()


@pytest.mark.parametrize("page", [200, 1], ids=["one page", "a page for each user"])
def test_the_service_for_credentials_learns_groups_and_may_do_nothing_else(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, page: int
) -> None:
    monkeypatch.setattr("gozen_hub.hub_users.PAGE", page)
    assert HubGroups(hub.url, OF_CREDENTIALS).read() == {"hoshi": frozenset(), "sora": frozenset()}
    with pytest.raises(ClusterUnavailable, match="the hub answers 403"):
        HubGroups(hub.url, "another").read()
    for path, method in (
        ("users/hoshi/server", "POST"),
        ("users/hoshi/tokens", "POST"),
        ("groups/survey", "POST"),
        ("services", "GET"),
    ):
        headers = {"Authorization": f"token {OF_CREDENTIALS}"}
        asked = urllib.request.Request(
            f"{hub.url}/hub/api/{path}", b"{}" if method == "POST" else None, headers, method=method
        )
        with pytest.raises(urllib.error.HTTPError) as refusal:
            urllib.request.urlopen(asked, timeout=30)
        assert refusal.value.code in (403, 404), path


def test_a_user_lands_on_the_data_and_runs_the_first_notebook(hub: Hub, browser: Browser) -> None:
    page = browser.new_context(locale="en-GB").new_page()
    hub.log_in(page, "hoshi")
    page.wait_for_url("**/services/portal/**")
    hub.open_notebook(page, "light-curve.ipynb")
    assert page.url.startswith(hub.user_url("hoshi"))
    assert page.locator("text=Jupyter news").count() == 0
    assert page.locator(".jp-FileBrowser-toolbar [data-command='gozen-share:open']").count() == 1
    run_all(page)
    page.context.close()


def open_lab(hub: Hub, browser: Browser, name: str) -> None:
    """Start the lab of a user, if it is not running, and wait for it."""
    page = browser.new_context().new_page()
    hub.log_in(page, name)
    page.wait_for_url("**/services/portal/**")
    page.goto(f"{hub.url}/hub/user-redirect/api/status")
    page.wait_for_url(f"{hub.user_url(name)}/api/status**", timeout=60_000)
    page.context.close()


def test_a_user_cannot_reach_the_lab_of_another(hub: Hub, browser: Browser) -> None:
    open_lab(hub, browser, "hoshi")
    page = browser.new_context().new_page()
    hub.log_in(page, "sora")
    page.wait_for_url("**/services/portal/**")
    token = hub.token_of(page)
    assert status(f"{hub.url}/hub/api/user", token) == 200
    assert status(f"{hub.user_url('hoshi')}/api/contents", token) == 403
    assert status(f"{hub.user_url('hoshi')}/gozen/share/account", token) == 403
    assert status(f"{hub.url}/hub/api/users/hoshi", token) == 404
    assert status(f"{hub.user_url('hoshi')}/api/contents", "f" * 32) == 403
    page.goto(f"{hub.user_url('hoshi')}/lab")
    assert "403" in page.content()
    page.context.close()


def test_a_page_of_a_lab_cannot_act_as_its_visitor_at_the_hub(hub: Hub, browser: Browser) -> None:
    open_lab(hub, browser, "hoshi")
    page = browser.new_context().new_page()
    hub.log_in(page, "hoshi")
    page.wait_for_url("**/services/portal/**")
    page.goto(f"{hub.url}/hub/token")
    secret = page.evaluate("window.jhdata.xsrf_token")
    tokens = f"{hub.url}/hub/api/users/hoshi/tokens"
    # The same requests work on the hub's own page; even with the secret of that page they do not work elsewhere.
    assert page.evaluate(SEND, [f"{hub.url}/hub/api/user", "GET", secret]) == 200
    assert page.evaluate(SEND, [tokens, "POST", secret]) == 201
    page.goto(f"{hub.user_url('hoshi')}/api/status")
    assert page.evaluate(SEND, [f"{hub.url}/hub/api/user", "GET", secret]) == "blocked"
    assert page.evaluate(SEND, [tokens, "POST", secret]) == "blocked"
    page.context.close()


SEND = """
async ([url, method, secret]) => {
  const headers = {"X-XSRFToken": secret, "Content-Type": "application/json"};
  const body = method === "POST" ? "{}" : undefined;
  try { return (await fetch(url, {method, headers, body, credentials: "include"})).status } catch { return "blocked" }
}
"""
IDLE_S = 20


@pytest.fixture(scope="module")
def with_settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """Return a hub whose members are a group, and that ends a lab after a few seconds without activity."""
    folder = tmp_path_factory.mktemp("settings")
    (folder / "state").mkdir()
    password, of_admins = folder / "state" / "password", folder / "state" / "of-admins"
    password.write_text("correct-horse\n")
    of_admins.write_text(OF_ADMINS)
    sample_archive(folder / "archive")
    port = free_port()
    test = {"users": ["hoshi", "sora"], "password_file": str(password), "admin_password_file": str(of_admins)}
    content = {
        "public_url": f"http://localhost:{port}",
        "where": "machine",
        "state": str(folder / "state"),
        "login": {"method": "test", "test": test, "admins": ["tsuki"]},
        "archive": {"url": str(folder / "archive")},
        "access": {"groups": ["survey"], "contact": "data@sky.example.org"},
        "idle": {"lab_s": IDLE_S, "check_s": 1},
    }
    (folder / "hub.yaml").write_text(json.dumps(content))
    hub = started(folder, folder / "archive", "--settings", str(folder / "hub.yaml"), port=port)
    yield hub
    assert stopped(hub) == []


def first_page(hub: Hub, browser: Browser, name: str) -> Page:
    """Log in; return the first page."""
    page = browser.new_context(locale="en-GB").new_page()
    hub.log_in(page, name)
    page.wait_for_url("**/services/portal/**")
    return page


def sections_for(hub: Hub, browser: Browser, name: str) -> set[str]:
    """Return the headings of the first page for a user, and the sentence for users who are not members."""
    page = first_page(hub, browser, name)
    found = page.locator("h2, .caution").all_inner_texts()
    page.context.close()
    return set(found)


def test_the_groups_of_the_hub_decide_who_sees_more_than_releases(with_settings: Hub, browser: Browser) -> None:
    releases = {
        "Start",
        "Releases",
        "You see only releases, because only members see all tables and nights: to become a member, ask "
        "data@sky.example.org.",
    }
    for name in ("hoshi", "sora"):
        assert sections_for(with_settings, browser, name) == releases
    page = browser.new_context().new_page()
    with_settings.log_in(page, "tsuki", OF_ADMINS)
    page.wait_for_url("**/services/portal/**")
    token = with_settings.token_of(page)
    page.context.close()
    group = f"{with_settings.url}/hub/api/groups/survey"
    called(group, token, "POST")
    called(f"{group}/users", token, "POST", {"users": ["sora"]})
    assert sections_for(with_settings, browser, "hoshi") == releases
    assert {"Live tables", "Releases", "Nights", "Reference catalogue"} < sections_for(with_settings, browser, "sora")
    called(f"{group}/users", token, "DELETE", {"users": ["sora"]})
    assert sections_for(with_settings, browser, "sora") == releases


def test_a_lab_ends_when_it_is_idle_and_not_while_a_silent_cell_computes(with_settings: Hub, browser: Browser) -> None:
    page = first_page(with_settings, browser, "hoshi")
    token = with_settings.token_of(page)
    page.goto(f"{with_settings.url}/hub/user-redirect/api/status")
    page.wait_for_url(f"{with_settings.user_url('hoshi')}/api/status**", timeout=60_000)
    page.context.close()
    lab = f"{with_settings.user_url('hoshi')}/api"
    kernel = called(f"{lab}/kernels", token, "POST", {"name": "python3"})["id"]
    silent = f"import time; time.sleep({1.5 * IDLE_S})"
    assert executed(f"{lab}/kernels/{kernel}/channels", token, silent) == "ok"
    end = time.monotonic() + 120
    while called(f"{with_settings.url}/hub/api/users/hoshi", token)["server"]:
        assert time.monotonic() < end, "an idle lab goes on"
        time.sleep(0.5)
