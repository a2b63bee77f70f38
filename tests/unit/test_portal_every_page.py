"""Test what all pages of the portal have in common: headers, error pages, probes, metrics, static files."""

from __future__ import annotations

import re

import pytest
from tests import portal_samples
from tests.fake_hub import SECRET
from tests.portal_samples import ORIGIN, PREFIX, browser, environment, log_in

from gozen.errors import BadRequest
from gozen.portal.data_page import DataPage
from gozen.portal.shell.portal_settings import PortalSettings

running_hub, running_portal, hub, client, logged_in = portal_samples.FIXTURES
PATHS = [
    PREFIX,
    PREFIX.rstrip("/"),
    f"{PREFIX}nothing",
    f"{PREFIX}static/portal.css",
    f"{PREFIX}static/nothing.css",
    f"{PREFIX}oauth_callback",
    f"{PREFIX}logout",
    "/healthz",
    "/metrics",
    "/",
]


def protected(answer) -> None:
    """Assert that the browser runs nothing that is not ours, and shows the page in no frame."""
    policy = dict(one.split(" ", 1) for one in answer.headers["content-security-policy"].split("; "))
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert policy["style-src"] == policy["form-action"] == "'self'"
    assert "unsafe" not in str(policy)
    assert "script-src" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["referrer-policy"] == "same-origin"
    assert "server" not in answer.headers


@pytest.mark.parametrize("who", ["nobody", "hoshi"])
@pytest.mark.parametrize("path", PATHS)
def test_every_answer_is_protected(client, hub, path: str, who: str) -> None:
    if who == "hoshi":
        log_in(client, hub)
    protected(client.get(path, follow_redirects=False))


def test_pages_have_neither_scripts_nor_styles_in_them(client, hub) -> None:
    log_in(client, hub)
    for path in (PREFIX, f"{PREFIX}nothing"):
        assert not re.search(r"<script|<style|\sstyle=|\son\w+=|javascript:", client.get(path).text)


def test_pages_are_not_kept_by_caches_and_static_files_are(client, hub) -> None:
    log_in(client, hub)
    assert client.get(PREFIX).headers["cache-control"] == "no-store"
    css = re.search(r'href="([^"]+\.css\?[^"]*)"', client.get(PREFIX).text)
    assert css
    assert client.get(css[1]).headers["cache-control"].startswith("public")


@pytest.mark.parametrize("path", [f"{PREFIX}nothing", f"{PREFIX}static/../app.py", f"{PREFIX}static/%2e%2e/app.py"])
@pytest.mark.parametrize(("language", "said"), [("en", "There is no such page"), ("ja", "ページが見つかりません")])
def test_a_page_that_does_not_exist(client, path: str, language: str, said: str) -> None:
    answer = client.get(path, headers={"Accept-Language": language})
    assert answer.status_code == 404
    assert said in answer.text


def test_an_error_of_our_own_is_admitted_without_details(hub, tmp_path, monkeypatch) -> None:
    async def fails(self, page):
        raise ZeroDivisionError("a secret detail")

    monkeypatch.setattr(DataPage, "values", fails)
    with browser(hub, tmp_path) as client:
        log_in(client, hub)
        answer = client.get(PREFIX)
        assert answer.status_code == 500
        assert "Something went wrong here" in answer.text
        assert "secret" not in answer.text
        protected(answer)
        assert 'status="500"' in client.get("/metrics").text


def test_probes_and_metrics_need_no_log_in(hub, tmp_path) -> None:
    with browser(hub, tmp_path) as client:
        assert client.get("/healthz").text == "ok\n"
        log_in(client, hub)
        client.get(PREFIX)
        client.get(f"{PREFIX}nothing-{hub.url}")
        found = client.get("/metrics").text
    assert f'gozen_portal_requests_total{{route="{PREFIX}",status="200"}} 1.0' in found
    assert f'gozen_portal_requests_total{{route="{PREFIX}",status="303"}} 1.0' in found
    assert 'gozen_portal_requests_total{route="none",status="404"} 1.0' in found
    assert f'gozen_portal_request_seconds_count{{route="{PREFIX}"}} 2.0' in found
    assert "nothing-" not in found


def test_probes_are_not_below_the_address_that_people_reach(client) -> None:
    for path in ("healthz", "metrics"):
        assert client.get(f"{PREFIX}{path}").status_code == 404


def test_the_documentation_of_the_framework_is_off(client) -> None:
    for path in ("/docs", "/redoc", "/openapi.json"):
        assert client.get(path).status_code == 404


def test_a_host_that_a_client_makes_up_is_in_no_address(client, hub) -> None:
    headers = {"Host": "evil.test", "X-Forwarded-Host": "evil.test", "X-Forwarded-Proto": "https"}
    answer = client.get(PREFIX, headers=headers, follow_redirects=False)
    assert "evil" not in answer.headers["location"]
    assert "evil" not in str(answer.headers)
    log_in(client, hub)
    assert "evil" not in client.get(PREFIX, headers=headers).text


@pytest.mark.parametrize("who", ["nobody", "hoshi"])
@pytest.mark.parametrize("path", [*PATHS, f"{PREFIX}static", f"{PREFIX}logout/", f"{PREFIX}preferences/", "/healthz/"])
def test_no_address_leads_to_a_host_that_a_client_makes_up(client, hub, path: str, who: str) -> None:
    if who == "hoshi":
        log_in(client, hub)
    answer = client.get(path, headers={"Host": "evil.test"}, follow_redirects=False)
    assert "evil.test" not in f"{answer.headers} {answer.text}"


def test_the_portal_without_its_final_slash_is_its_first_page(client, hub) -> None:
    log_in(client, hub)
    answer = client.get(PREFIX.rstrip("/"))
    assert answer.status_code == 200
    assert answer.url.path == PREFIX


def test_the_settings_come_from_the_hubs_environment() -> None:
    found = PortalSettings.of_environment(environment())
    assert (found.listen_host, found.listen_port) == ("0.0.0.0", 8010)
    assert found.prefix == PREFIX
    assert found.public_url == f"{ORIGIN}{PREFIX}"
    assert found.redirect_uri == f"{ORIGIN}{PREFIX}oauth_callback"
    assert SECRET not in repr(found)


@pytest.mark.parametrize("path", ["/", "/services/portal", "/a-b/services/my.portal_2~/"])
def test_paths_and_names_that_fit_into_cookies_are_accepted(path: str) -> None:
    given = {"JUPYTERHUB_PUBLIC_URL": f"{ORIGIN}{path}", "JUPYTERHUB_SERVICE_NAME": "my.portal_2~"}
    found = PortalSettings.of_environment({**environment(), **given})
    assert found.prefix == f"{path.rstrip('/')}/"
    assert found.client_id == "service-my.portal_2~"


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"JUPYTERHUB_API_TOKEN": ""}, "JUPYTERHUB_API_TOKEN"),
        ({"JUPYTERHUB_PUBLIC_URL": "portal"}, "'portal'"),
        ({"JUPYTERHUB_CLIENT_ID": "service-my portal"}, "JUPYTERHUB_CLIENT_ID = 'service-my portal' cannot be"),
        ({"JUPYTERHUB_SERVICE_NAME": "a;b"}, "'service-a;b'"),
        ({"JUPYTERHUB_SERVICE_NAME": "天"}, "'service-天'"),
        ({"JUPYTERHUB_PUBLIC_URL": "http://portal.test/a;Domain=test/"}, "'http://portal.test/a;Domain=test/' cannot"),
        ({"JUPYTERHUB_PUBLIC_URL": "http://portal.test/{path}/"}, "'http://portal.test/{path}/' cannot"),
        ({"JUPYTERHUB_PUBLIC_URL": "http://portal.test/?a"}, "without a query"),
        ({"JUPYTERHUB_PUBLIC_URL": "http://portal.test:port/"}, "JUPYTERHUB_PUBLIC_URL = 'http://portal.test:port/'"),
    ],
)
def test_a_setting_that_is_missing_or_not_valid_is_named(changed: dict[str, str], named: str) -> None:
    with pytest.raises(BadRequest, match=re.escape(named)):
        PortalSettings.of_environment({**environment(), **changed})
