"""Test the forms of the portal: language, theme, log-out; and forms that another site sends in a user's name."""

from __future__ import annotations

import html
import re

import pytest
from starlette.testclient import TestClient
from tests import portal_samples
from tests.portal_samples import ORIGIN, PREFIX, browser, log_in

from gozen.portal.shell.preferences import preferred_language

OURS = {"Origin": ORIGIN}
running_hub, running_portal, hub, visitor, client = portal_samples.FIXTURES


def token_of(page: str) -> str:
    (found,) = set(re.findall(r'name="form_token" value="(\w+)"', page))
    return found


def send(client: TestClient, path: str, headers=OURS, **fields: str):
    return client.post(f"{PREFIX}{path}", data=fields, headers=headers, follow_redirects=False)


@pytest.mark.parametrize("language", ["en", "ja"])
def test_a_language_that_was_chosen_is_remembered(client, language: str) -> None:
    token = token_of(client.get(PREFIX).text)
    assert send(client, "preferences", form_token=token, language=language).status_code == 303
    page = client.get(PREFIX, headers={"Accept-Language": "fr"})
    assert f'<html lang="{language}"' in page.text
    assert page.headers["content-language"] == language


def test_a_theme_that_was_chosen_is_remembered(client) -> None:
    token = token_of(client.get(PREFIX).text)
    send(client, "preferences", form_token=token, theme="dark")
    page = client.get(PREFIX).text
    assert 'data-theme="dark"' in page
    assert re.search(r'value="dark"[^>]*aria-pressed="true"', page)


@pytest.mark.parametrize("value", ["fr", "", '"><script>'])
def test_an_unknown_choice_changes_nothing(client, value: str) -> None:
    token = token_of(client.get(PREFIX).text)
    answer = send(client, "preferences", form_token=token, language=value, theme=value)
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    "here",
    [
        "",
        "https://evil.test/",
        f"https://evil.test{PREFIX}",
        "//evil.test",
        f"//evil.test{PREFIX}",
        "/\\evil.test",
        "javascript:alert(1)",
        "/hub/home",
        "/services/portal-of-mallory/",
        f"{PREFIX}../../user/mallory/",
        f"{PREFIX}%2e%2e/%2E%2E/user/mallory/",
        f"{PREFIX}.\t./user/mallory/",
        f"{PREFIX}/evil.test",
        f"{PREFIX}\\evil.test",
        f"{PREFIX}\r\nSet-Cookie: a=b",
    ],
)
def test_a_form_leads_to_no_other_page(client, here: str) -> None:
    token = token_of(client.get(PREFIX).text)
    answer = send(client, "preferences", form_token=token, here=here)
    assert answer.status_code == 303
    assert answer.headers["location"] == PREFIX


@pytest.mark.parametrize("query", ["", "?page=2", "?page=2&next=//x&%E5%A4%A9"])
def test_a_form_leads_back_to_the_page_on_which_it_is(client, query: str) -> None:
    page = client.get(f"{PREFIX}{query}").text
    (here,) = re.findall(r'name="here" value="([^"]*)"', page)
    answer = send(client, "preferences", form_token=token_of(page), theme="dark", here=html.unescape(here))
    assert answer.headers["location"] == f"{PREFIX}{query}"


@pytest.mark.parametrize("path", ["preferences", "logout"])
@pytest.mark.parametrize(
    "origin",
    [
        "http://user.portal.test",
        "http://portal.test.evil.test",
        "http://portal.test@evil.test",
        "http://portal.test:8000",
        "http://portal.test:443",
        "http://portal.test:port",
        "http://[portal.test",
        "https://portal.test",
        "portal.test",
        "null",
        "",
        None,
    ],
)
def test_a_form_of_another_page_is_refused(client, path: str, origin: str | None) -> None:
    token = token_of(client.get(PREFIX).text)
    headers = {} if origin is None else {"Origin": origin}
    answer = send(client, path, headers, form_token=token, language="ja")
    assert answer.status_code == 403
    assert "nothing was changed" in answer.text
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    ("public", "origin"),
    [
        ("http://Portal.Test", "http://portal.test"),
        ("http://portal.test:80", "http://portal.test"),
        ("HTTPS://portal.test:443", "https://portal.test"),
        ("https://portal.test", "https://portal.test:443"),
        ("http://portal.test:8000", "http://portal.test:8000"),
        ("http://[2001:DB8::1]", "http://[2001:db8::1]"),
    ],
)
def test_an_address_that_is_written_in_another_way_is_the_same_origin(hub, tmp_path, public: str, origin: str) -> None:
    with browser(hub, tmp_path, public_url=f"{public}{PREFIX}") as client:
        log_in(client, hub)
        token = token_of(client.get(PREFIX).text)
        answer = send(client, "preferences", {"Origin": origin}, form_token=token, language="ja")
        assert answer.status_code == 303
        assert all(("Secure" in one) == origin.startswith("https:") for one in answer.headers.get_list("set-cookie"))


@pytest.mark.parametrize("path", ["preferences", "logout"])
@pytest.mark.parametrize("fields", [{}, {"form_token": ""}, {"form_token": "0" * 64}, {"form_token": "日本"}])
def test_a_form_without_its_token_is_refused(client, path: str, fields: dict[str, str]) -> None:
    assert send(client, path, **fields, language="ja").status_code == 403


def test_a_token_of_another_log_in_is_refused(client, hub) -> None:
    old = token_of(client.get(PREFIX).text)
    client.cookies.delete("service-portal")
    log_in(client, hub)
    assert send(client, "preferences", form_token=old, language="ja").status_code == 403


def test_a_form_that_is_too_long_is_refused(client) -> None:
    token = token_of(client.get(PREFIX).text)
    assert send(client, "preferences", form_token=token, language="ja", more="x" * 5000).status_code == 403


@pytest.mark.parametrize("path", ["preferences", "logout"])
def test_a_form_without_log_in_is_refused_and_explained(client, path: str) -> None:
    client.cookies.clear()
    answer = send(client, path)
    assert answer.status_code == 401
    assert "You are not logged in" in answer.text


def test_log_out_ends_the_log_in_here_and_at_the_hub(client, hub) -> None:
    token = token_of(client.get(PREFIX).text)
    answer = send(client, "logout", form_token=token)
    assert f'content="0; url={hub.url}/hub/logout"' in answer.text
    assert "service-portal" not in client.cookies
    assert client.get(PREFIX, follow_redirects=False).status_code == 303


@pytest.mark.parametrize("language", ["en", "ja"])
def test_log_out_ends_the_log_in_here_also_when_the_hub_does_not_answer(client, hub, language: str) -> None:
    token = token_of(client.get(PREFIX).text)
    hub.broken = True
    answer = send(client, "logout", {**OURS, "Accept-Language": language}, form_token=token)
    assert answer.status_code == 200
    assert {"en": "the hub cannot be asked now", "ja": "現在ハブに問い合わせできない"}[language] in answer.text
    assert "http-equiv" not in answer.text
    assert f'href="{hub.url}/hub/logout"' in answer.text
    assert "service-portal" not in client.cookies


def test_one_who_may_not_use_the_portal_any_more_logs_out(client, hub) -> None:
    token = token_of(client.get(PREFIX).text)
    hub.scopes = []
    assert f'content="0; url={hub.url}/hub/logout"' in send(client, "logout", form_token=token).text
    assert "service-portal" not in client.cookies


@pytest.mark.parametrize("path", ["preferences", "logout"])
def test_an_address_alone_changes_nothing(client, path: str) -> None:
    answer = client.get(f"{PREFIX}{path}?theme=dark", follow_redirects=False)
    assert answer.status_code == 405
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("", "en"),
        ("ja", "ja"),
        ("ja-JP,ja;q=0.9,en;q=0.8", "ja"),
        ("en-GB,en;q=0.9,ja;q=0.8", "en"),
        ("en;q=0.3, JA;q=0.5", "ja"),
        ("fr,de;q=0.5", "en"),
        ("ja;q=0", "en"),
        ("ja;q=much", "en"),
        (";;;,,", "en"),
    ],
)
def test_the_language_that_the_browser_prefers(header: str, language: str) -> None:
    assert preferred_language(header) == language
