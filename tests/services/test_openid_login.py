"""Log-in with an OpenID provider in a real browser; hub, provider and portal are processes of this machine.

Covered: the redirects to the provider and back, groups, users who may not log in, log-out, forged answers. Not covered:
labs, which need a cluster (tests/cluster/test_platform), and the other kinds of log-in (test_hub).
"""

from __future__ import annotations

import contextlib
import json
import logging
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import oidc_provider_mock
import pytest
from playwright.sync_api import Browser, Page
from tests.free_ports import free_port

from .chromium import chromium
from .hub_client import HubClient, answers, called

pytestmark = [pytest.mark.xdist_group("demo"), pytest.mark.timeout(300)]
START_S = 90
USERS = {"hoshi": ["observers"], "sora": ["visitors"], "Tsuki Yamada": ["observers"]}
CONFIG = """
from pathlib import Path
from gozen_hub.configure import configure
from gozen_hub.hub_settings import read_hub_settings

c = get_config()  # noqa
# Everything is configured as in a cluster, but proxy and labs are processes of this computer.
configure(c, read_hub_settings(Path({path!r})).model_copy(update={{"where": "machine"}}))
"""


@dataclass(frozen=True)
class OpenIdHub(HubClient):
    """A hub with a provider.

    Parameters
    ----------
    provider
        Address of the provider.
    log
        What the hub printed.
    """

    provider: str
    log: Path

    def begin(self, page: Page) -> None:
        """Open the hub; it sends the browser to the provider."""
        page.goto(f"{self.url}/hub/")
        page.wait_for_url(f"{self.provider}/**", timeout=30_000)

    def answer(self, page: Page, name: str) -> None:
        """Log in at the provider."""
        page.fill("input[name=sub]", name)
        page.locator("button[type=submit], input[type=submit]").first.click()


@pytest.fixture(scope="module")
def provider() -> Iterator[str]:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    users = [
        oidc_provider_mock.User(sub=name, claims={"preferred_username": name, "https://example.org/groups": groups})
        for name, groups in USERS.items()
    ]
    with oidc_provider_mock.run_server_in_thread(user_claims=users) as server:
        yield f"http://localhost:{server.server_port}"


@pytest.fixture(scope="module")
def hub(provider: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenIdHub]:
    folder = tmp_path_factory.mktemp("openid")
    port, log = free_port(), folder / "hub.log"
    (folder / "secret").write_text("secret-of-the-client\n")
    settings = {
        "public_url": f"http://localhost:{port}",
        "state": str(folder / "state"),
        "login": {"method": "openid", "openid": _openid(provider, folder / "secret"), "admins": ["hoshi"]},
        "archive": {"url": str(folder / "archive")},
    }
    (folder / "hub.yaml").write_text(json.dumps(settings))
    (folder / "config.py").write_text(CONFIG.format(path=str(folder / "hub.yaml")))
    command = [sys.executable, "-m", "jupyterhub", f"--config={folder / 'config.py'}"]
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=folder, stdout=output, stderr=subprocess.STDOUT)
    end = time.monotonic() + START_S
    try:
        while not answers(f"http://localhost:{port}/hub/health"):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.2)
        yield OpenIdHub(port, "", provider, log)
    finally:
        process.terminate()
        process.wait(60)


def _openid(provider: str, secret: Path) -> dict[str, object]:
    return {
        "client_id": "gozen",
        "client_secret_file": str(secret),
        "authorize_url": f"{provider}/oauth2/authorize",
        "token_url": f"{provider}/oauth2/token",
        "userdata_url": f"{provider}/userinfo",
        "logout_url": f"{provider}/.well-known/openid-configuration",
        "groups_claim": "https://example.org/groups",
        "allowed_groups": ["observers"],
    }


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as opened:
        yield opened


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(locale="en-GB")
    yield context.new_page()
    context.close()


def test_a_member_of_an_allowed_group_logs_in_and_out(hub: OpenIdHub, page: Page) -> None:
    hub.begin(page)
    hub.answer(page, "hoshi")
    page.wait_for_url("**/services/portal/**", timeout=60_000)
    assert "hoshi" in page.content()
    user = called(f"{hub.url}/hub/api/user", hub.token_of(page))
    assert (user["name"], user["groups"], user["admin"]) == ("hoshi", ["observers"], True)
    page.goto(f"{hub.url}/hub/")
    page.click("text=Log out")
    page.wait_for_url(f"{hub.provider}/**", timeout=30_000)
    hub.begin(page)  # nobody is logged in any more


def test_somebody_outside_the_allowed_groups_is_refused(hub: OpenIdHub, page: Page) -> None:
    hub.begin(page)
    hub.answer(page, "sora")
    page.wait_for_selector("text=403")
    assert "/hub/oauth_callback" in page.url


def test_a_name_of_the_provider_becomes_a_name_of_the_hub(hub: OpenIdHub, page: Page) -> None:
    hub.begin(page)
    hub.answer(page, "Tsuki Yamada")
    page.wait_for_url("**/services/portal/**", timeout=60_000)
    user = called(f"{hub.url}/hub/api/user", hub.token_of(page))
    assert (user["name"], user["admin"]) == ("tsuki yamada", False)


@pytest.mark.parametrize("answer", ["code=forged&state=forged", "code=forged", "error=access_denied"])
def test_a_forged_answer_of_the_provider_is_refused(hub: OpenIdHub, answer: str) -> None:
    with (
        pytest.raises(urllib.error.HTTPError) as refusal,
        contextlib.closing(urllib.request.urlopen(f"{hub.url}/hub/oauth_callback?{answer}", timeout=30)),
    ):
        pass
    assert refusal.value.code in (400, 403)


def test_the_secret_of_the_client_is_not_in_the_log(hub: OpenIdHub) -> None:
    assert "secret-of-the-client" not in hub.log.read_text()
