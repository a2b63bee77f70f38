"""Test the portal's log-in with the hub: who can log in, and who cannot.

A fake hub answers over HTTP. Attacks: log-ins that somebody else began, used codes, forged cookies, and tokens that the
hub no longer knows. A real hub is in tests/services.
"""

from __future__ import annotations

import hashlib
import time
from urllib.parse import parse_qs, urljoin, urlsplit

import pytest
from starlette.testclient import TestClient
from tests import portal_samples
from tests.fake_hub import FakeHub
from tests.portal_samples import ORIGIN, PREFIX, browser, log_in

from gozen.portal.shell import hub_login

running_hub, running_portal, hub, client, logged_in = portal_samples.FIXTURES


def begun(client: TestClient, hub: FakeHub, path: str = PREFIX) -> str:
    """Return the address to which the hub sends the browser after a log-in that it began."""
    return hub.begin(client.get(path, follow_redirects=False).headers["location"])


def state(address: str) -> str:
    return parse_qs(urlsplit(address).query)["state"][0]


def inside(client: TestClient) -> bool:
    return client.get(PREFIX, follow_redirects=False).status_code == 200


def test_after_log_in_the_page_that_was_asked_for_greets_the_user(client, hub) -> None:
    assert log_in(client, hub, f"{PREFIX}?page=2") == f"{PREFIX}?page=2"
    assert "hoshi" in client.get(PREFIX).text


def test_without_log_in_the_browser_is_sent_to_the_hub(client, hub) -> None:
    answer = client.get(PREFIX, follow_redirects=False)
    assert answer.status_code == 303
    assert answer.headers["location"].startswith(f"{hub.url}/hub/api/oauth2/authorize?")
    assert "What data" not in answer.text


def test_the_token_is_in_no_address_and_hidden_from_scripts(client, hub) -> None:
    answer = client.get(begun(client, hub), follow_redirects=False)
    (token,) = hub.users
    assert token not in answer.headers["location"]
    (cookie,) = (one for one in answer.headers.get_list("set-cookie") if token in one)
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert f"Path={PREFIX}" in cookie


def test_over_tls_on_a_host_of_its_own_no_sister_host_can_set_the_cookie(hub, tmp_path) -> None:
    with browser(hub, tmp_path, public_url=f"https://portal.test{PREFIX}") as client:
        answer = client.get(begun(client, hub), follow_redirects=False)
        (cookie,) = (one for one in answer.headers.get_list("set-cookie") if "token-" in one)
        assert cookie.startswith("__Host-service-portal=")
        assert "Secure" in cookie
        assert "Path=/;" in cookie
        assert inside(client)


@pytest.mark.parametrize(
    ("hubs", "redirect"),
    [
        ("https://hub.test", f"{PREFIX}oauth_callback"),
        ("https://Hub.test:443", f"{PREFIX}oauth_callback"),
        ("https://hub.test:8443", f"https://hub.test{PREFIX}oauth_callback"),  # cookies are for all ports
    ],
)
def test_on_the_hubs_host_the_cookie_is_not_sent_to_users_servers(hub, tmp_path, hubs: str, redirect: str) -> None:
    own = f"https://hub.test{PREFIX}"
    with browser(hub, tmp_path, public_url=own, hub_url=f"{hubs}/hub/") as client:
        answer = client.get(PREFIX, follow_redirects=False)
        asked = parse_qs(urlsplit(answer.headers["location"]).query)
        assert asked["redirect_uri"] == [redirect]
        assert all(f"Path={PREFIX}" in one for one in answer.headers.get_list("set-cookie"))


@pytest.mark.parametrize("changed", ["", "another", "日本"])
def test_a_wrong_state_is_refused(client, hub, changed: str) -> None:
    address = begun(client, hub)
    answer = client.get(address.replace(state(address), changed), follow_redirects=False)
    assert answer.status_code == 403
    assert "The log-in was not completed" in answer.text
    assert hub.users == {}


def test_a_log_in_that_another_browser_began_is_refused(client, hub) -> None:
    address = begun(client, hub)
    client.cookies.clear()
    assert client.get(address, follow_redirects=False).status_code == 403
    assert hub.users == {}


def test_the_state_of_another_log_in_is_refused(client, hub) -> None:
    mine = begun(client, hub)
    cookies = dict(client.cookies)
    client.cookies.clear()
    theirs = begun(client, hub)
    client.cookies.clear()
    (mine_signed,) = cookies.values()
    name = f"service-portal-oauth-state-{hashlib.sha256(state(theirs).encode()).hexdigest()[:8]}"
    client.cookies.set(name, mine_signed)
    for address in (mine, theirs):
        assert "The log-in was not completed" in client.get(address).text
    assert hub.users == {}


def test_a_log_in_that_took_too_long_is_refused(client, hub, monkeypatch) -> None:
    address = begun(client, hub)
    monkeypatch.setattr(hub_login, "STATE_S", -1)
    assert client.get(address, follow_redirects=False).status_code == 403
    assert hub.users == {}


def test_a_code_is_accepted_once(client, hub) -> None:
    address = begun(client, hub)
    cookies = dict(client.cookies)
    assert client.get(address, follow_redirects=False).status_code == 303
    client.cookies.clear()
    client.cookies.update(cookies)
    answer = client.get(address, follow_redirects=False)
    assert answer.status_code == 403
    assert "The hub did not accept the log-in" in answer.text


def test_a_log_in_that_the_hub_refuses_is_explained(client) -> None:
    answer = client.get(f"{PREFIX}oauth_callback?error=access_denied")
    assert answer.status_code == 403
    assert "The hub did not confirm the log-in" in answer.text


def test_two_tabs_log_in_at_the_same_time(client, hub) -> None:
    first, second = begun(client, hub), begun(client, hub, f"{PREFIX}?page=2")
    assert client.get(first, follow_redirects=False).headers["location"] == PREFIX
    assert client.get(second, follow_redirects=False).headers["location"] == f"{PREFIX}?page=2"


def test_log_ins_that_were_never_finished_do_not_pile_up(client) -> None:
    for _ in range(30):
        client.get(PREFIX, follow_redirects=False)
    assert len(client.cookies) <= 10


def test_cookies_with_odd_names_do_not_prevent_the_log_in(client, hub) -> None:
    """A page of a sister host can set cookies for this one."""
    odd = "; ".join(f"service-portal-oauth-state-({number}=x" for number in range(9))
    answer = client.get(PREFIX, headers={"Cookie": odd}, follow_redirects=False)
    assert answer.status_code == 303
    assert hub.url in answer.headers["location"]


@pytest.mark.parametrize("cookie", ["made-up", "", "a b", "x" * 5000, "../../etc", '"a\\015\\012X-Y: 1"'])
def test_a_forged_cookie_is_no_log_in(client, hub, cookie: str) -> None:
    client.cookies.set("service-portal", cookie)
    answer = client.get(PREFIX, follow_redirects=False)
    assert answer.status_code == 303
    assert "oauth2/authorize" in answer.headers["location"]


def test_a_token_that_the_hub_has_revoked_ends_the_log_in(client, hub, monkeypatch) -> None:
    log_in(client, hub)
    assert inside(client)
    hub.users.clear()
    clock = time.monotonic
    monkeypatch.setattr("jupyterhub.services.auth.time.monotonic", lambda: clock() + 61)
    assert not inside(client)


@pytest.mark.parametrize("place", ["query", "header"])
def test_a_token_outside_the_cookie_is_ignored(client, hub, place: str) -> None:
    hub.users["valid"] = "hoshi"
    if place == "query":
        answer = client.get(f"{PREFIX}?token=valid", follow_redirects=False)
    else:
        answer = client.get(PREFIX, headers={"Authorization": "token valid"}, follow_redirects=False)
    assert answer.status_code == 303
    assert "/hub/api/user" not in hub.asked


def test_a_user_without_the_scope_is_told_so(client, hub) -> None:
    hub.scopes = ["access:services!service=another"]
    answer = client.get(begun(client, hub), follow_redirects=False)
    assert answer.status_code == 403
    assert "You may not open this portal" in answer.text
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    "path", [f"{PREFIX}/evil.test", f"{PREFIX}..//evil.test", f"{PREFIX}\\evil.test", "//evil.test"]
)
def test_a_foreign_address_begins_no_log_in(client, path: str) -> None:
    answer = client.get(f"http://portal.test{path}", follow_redirects=False)
    assert answer.status_code == 404
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    "query",
    ["next=https://evil.test/", "next=//evil.test", "//evil.test", "@evil.test", "page=2#@evil.test", "url=\\\\x"],
)
@pytest.mark.parametrize("host", ["portal.test", "evil.test"])
def test_no_log_in_leads_to_a_foreign_page(client, hub, query: str, host: str) -> None:
    asked = client.get(f"{PREFIX}?{query}", headers={"Host": host}, follow_redirects=False)
    assert asked.status_code == 303
    assert asked.headers["location"].startswith(f"{hub.url}/")
    back = client.get(hub.begin(asked.headers["location"]), headers={"Host": host}, follow_redirects=False)
    assert back.status_code == 303
    assert urljoin(f"{ORIGIN}{PREFIX}oauth_callback", back.headers["location"]).startswith(f"{ORIGIN}{PREFIX}?")


@pytest.mark.parametrize("how", ["an error", "nothing"])
def test_a_hub_that_is_away_is_explained(client, hub, tmp_path, how: str) -> None:
    log_in(client, hub)
    away = hub if how == "an error" else FakeHub(url="http://127.0.0.1:9")
    hub.broken = True
    with browser(away, tmp_path) as fresh:
        fresh.cookies.set("service-portal", "token0")
        answer = fresh.get(PREFIX)
    assert answer.status_code == 503
    assert "The hub cannot be asked now" in answer.text
    assert answer.headers["retry-after"]


@pytest.mark.parametrize("how", ["an error", "nothing"])
def test_a_hub_that_goes_away_during_the_log_in_is_explained(hub, tmp_path, how: str) -> None:
    changed = {"api_url": "http://127.0.0.1:9/hub/api"} if how == "nothing" else {}
    with browser(hub, tmp_path, **changed) as client:
        address = begun(client, hub)
        hub.broken = True
        assert client.get(address).status_code == 503


@pytest.mark.parametrize("path", ["/hub/api", "/another"])
def test_an_answer_that_is_not_one_of_a_hub_is_no_error_of_the_portal(hub, tmp_path, path: str) -> None:
    hub.replaced, hub.users["token0"] = path == "/hub/api", "hoshi"
    with browser(hub, tmp_path, api_url=f"{hub.url}{path}") as client:
        client.cookies.set("service-portal", "token0")
        answer = client.get(PREFIX)
        assert answer.status_code == 503
        assert "The hub cannot be asked now" in answer.text
        assert "reports an error" in answer.text
        client.cookies.clear()
        assert client.get(begun(client, hub)).status_code == 503


def test_a_log_in_that_was_completed_already_is_named_as_a_cause(client, hub) -> None:
    address = begun(client, hub)
    assert client.get(address, follow_redirects=False).status_code == 303
    assert "It may be completed already" in client.get(address, follow_redirects=False).text
