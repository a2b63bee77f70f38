"""The portal as a separate process, in a real browser, with a fake hub.

Covered: start and end of the process, log-in, both languages, light and dark mode, narrow screens, contrast, the
keyboard, and attacks by pages of other origins. The content of the pages is tested in tests/unit; a real hub has its
own tests.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.error import URLError

import pytest
from playwright.sync_api import Browser, Page
from tests import portal_samples
from tests.fake_hub import FakeHub, fake_hub
from tests.portal_samples import PREFIX, sample_archive

from .chromium import CONTRAST, chromium

ROOT = Path(__file__).parents[2]
START_S = 60
pytestmark = pytest.mark.xdist_group("portal")  # the process is started once
NIGHTS = [f"202601{day:02}" for day in range(1, 31)]


def process_environment(hub: FakeHub, url: str, archive: Path) -> dict[str, str]:
    """Return the environment of the process of a portal."""
    ours = {
        **portal_samples.environment(url, url, hub.url),
        "GOZEN_ARCHIVE": str(archive),
        "GOZEN_NOTEBOOKS": str(ROOT / "notebooks"),
        "GOZEN_PORTAL_ACCESS": '{"users": ["hoshi"], "contact": "data-access@observatory.sky.example.org"}',
    }
    return {**{name: value for name, value in os.environ.items() if not name.startswith("GOZEN")}, **ours}


def free_url() -> str:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{one.getsockname()[1]}"


def wait_until_up(url: str, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + START_S
    while time.monotonic() < until and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{url}/healthz", timeout=5):
                return
        except (URLError, OSError):
            time.sleep(0.05)  # between two looks, within a time limit
    pytest.fail(f"the portal did not start: {process.poll()}")


@pytest.fixture(scope="module")
def hub() -> Iterator[FakeHub]:
    with fake_hub() as opened:
        yield opened


@pytest.fixture(scope="module")
def portal(hub: FakeHub, tmp_path_factory) -> Iterator[str]:
    """Run the portal; return the address of its first page."""
    folder, url = tmp_path_factory.mktemp("portal"), free_url()
    sample_archive(folder, NIGHTS)
    process = subprocess.Popen([sys.executable, "-m", "gozen.portal"], env=process_environment(hub, url, folder))
    try:
        wait_until_up(url, process)
        yield f"{url}{PREFIX}"
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) in (0, -signal.SIGTERM)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as opened:
        yield opened


@pytest.fixture
def opened(browser: Browser, portal: str) -> Iterator[Callable[..., Page]]:
    """Open the portal in a fresh context, and log in; the page keeps what it fetched and complained of."""

    def open_page(address: str = portal, **options: object) -> Page:
        page = browser.new_context(**options).new_page()  # type: ignore[arg-type] # options of Playwright
        page.fetched, page.complaints = [], []  # type: ignore[attr-defined] # notes for the tests
        page.on("request", lambda request: page.fetched.append(request.url))
        page.on("console", lambda message: page.complaints.append(message.text))
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        page.goto(address)
        return page

    yield open_page
    for context in browser.contexts:
        context.close()


def test_log_in_leads_to_the_page_and_nothing_is_fetched_from_elsewhere(opened, portal: str, hub: FakeHub) -> None:
    page = opened()
    assert page.url == portal
    assert page.title() == "What data are here – Gozen"
    assert page.complaints == []
    assert all(url.startswith((portal, hub.url)) for url in page.fetched)
    assert page.evaluate("document.cookie") == ""
    pictures = page.evaluate("[...document.images].map(i => i.complete && i.naturalWidth > 0)")
    assert pictures
    assert all(pictures)


def test_landmarks_and_names_for_those_who_do_not_see_the_page(opened) -> None:
    page = opened()
    for role in ("banner", "main", "contentinfo"):
        assert page.get_by_role(role).count() == 1
    assert page.get_by_role("heading", level=1).all_inner_texts() == ["What data are here"]
    named = "e => (e.getAttribute('aria-label') || e.textContent).trim().length > 0"
    assert all(page.locator("a, button").evaluate_all(f"all => all.map({named})"))
    labels = page.locator("[aria-labelledby]").evaluate_all("all => all.map(e => e.getAttribute('aria-labelledby'))")
    assert len(labels) > 5
    assert all(page.locator(f"#{label}").count() == 1 for label in labels)


@pytest.mark.parametrize("path", ["", "nothing"])
@pytest.mark.parametrize("language", ["en", "ja"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_has_enough_contrast(opened, portal: str, scheme: str, language: str, path: str) -> None:
    page = opened(color_scheme=scheme, locale=language)
    page.goto(f"{portal}{path}")
    assert page.evaluate(CONTRAST) == []


@pytest.mark.parametrize("language", ["en", "ja"])
@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_no_screen_is_too_narrow(opened, width: int, language: str) -> None:
    page = opened(viewport={"width": width, "height": 800}, locale=language)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    button = page.locator(".start .button").first.bounding_box()
    assert button
    assert button["x"] >= 0
    assert button["x"] + button["width"] <= width
    assert button["height"] >= 40


@pytest.mark.parametrize("language", ["en", "ja"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_user_who_is_not_a_member_reads_why_releases_alone_are_there(
    opened, hub: FakeHub, monkeypatch: pytest.MonkeyPatch, scheme: str, language: str
) -> None:
    monkeypatch.setattr(hub, "log_in_as", "guest")
    page = opened(color_scheme=scheme, locale=language, viewport={"width": 320, "height": 800})
    assert page.evaluate("document.scrollingElement.scrollWidth") <= 320
    assert page.evaluate(CONTRAST) == []
    assert page.locator(".caution").get_by_text("data-access@observatory.sky.example.org").is_visible()
    assert page.locator("main section").evaluate_all("all => all.map(e => e.getAttribute('aria-labelledby'))") == [
        "start",
        "releases",
    ]
    assert page.locator(".start a.button").count() == 1


def shade(page: Page) -> int:
    """Return the brightness of the page's background."""
    colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
    return sum(map(int, re.findall(r"\d+", colour)[:3]))


def test_the_theme_follows_the_system_until_one_is_chosen(opened) -> None:
    light, dark = opened(color_scheme="light"), opened(color_scheme="dark")
    assert shade(light) > 600
    assert shade(dark) < 150
    dark.get_by_role("button", name="Light").click()
    dark.wait_for_selector('html[data-theme="light"]')
    assert shade(dark) > 600
    dark.reload()
    assert shade(dark) > 600
    dark.get_by_role("button", name="Automatic").click()
    dark.wait_for_selector('html[data-theme="auto"]')
    assert shade(dark) < 150


def test_the_language_follows_the_browser_until_one_is_chosen(opened) -> None:
    page = opened(locale="ja-JP")
    assert page.title() == "利用できるデータ – Gozen"
    page.get_by_role("button", name="English").click()
    page.wait_for_function("document.title.startsWith('What data')")
    page.get_by_role("link", name="Older nights").click()
    page.wait_for_function("document.documentElement.lang === 'en' && location.search === '?page=2'")


def test_the_page_is_used_by_keyboard(opened) -> None:
    page = opened()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"
    page.keyboard.press("Tab")
    focused = page.evaluate(
        "(() => { const e = document.activeElement, s = getComputedStyle(e);"
        " return [e.textContent.trim(), s.outlineStyle, parseInt(s.outlineWidth)]; })()"
    )
    assert focused == ["Open the first notebook", "solid", 3]


def test_buttons_lead_to_the_lab_and_log_out_to_the_hub(opened, hub: FakeHub) -> None:
    page = opened()
    page.get_by_role("link", name="Open the first notebook").click()
    page.wait_for_url(f"{hub.url}/hub/user-redirect/lab/tree/notebooks/light-curve.ipynb")
    page.go_back()
    page.get_by_role("link", name="All variable stars of a night").click()
    page.wait_for_url(f"{hub.url}/hub/user-redirect/lab/tree/notebooks/variable-stars.ipynb")
    page.go_back()
    page.get_by_role("button", name="Log out").click()
    page.wait_for_url(f"{hub.url}/hub/logout")
    assert page.context.cookies() == []


def test_a_page_of_a_users_server_cannot_post_to_the_portal(opened, portal: str, hub: FakeHub) -> None:
    """Another port is another origin of the same site: the browser sends the cookie, so only the portal can refuse."""
    page = opened()
    page.goto(f"{hub.url}/user/mallory/page")
    page.set_content(f'<form method="post" action="{portal}preferences"><input name="theme" value="dark"></form>')
    with page.expect_navigation() as answered:
        page.evaluate("document.forms[0].submit()")
    assert answered.value.status == 403
    page.goto(portal)
    assert page.get_attribute("html", "data-theme") == "auto"


def test_a_page_of_a_users_server_cannot_read_or_frame_the_portal(opened, portal: str, hub: FakeHub) -> None:
    page = opened()
    page.goto(f"{hub.url}/user/mallory/page")
    read = "url => fetch(url, {credentials: 'include'}).then(r => r.text(), () => 'refused')"
    assert page.evaluate(read, portal) == "refused"
    page.set_content(f'<iframe src="{portal}" onload="document.title=\'loaded\'"></iframe>')
    page.wait_for_function("document.title === 'loaded'")
    frame = page.frames[1]
    assert "What data" not in frame.content()


def test_a_missing_variable_ends_the_process_with_a_sentence(hub: FakeHub, tmp_path) -> None:
    given = process_environment(hub, free_url(), tmp_path)
    del given["JUPYTERHUB_API_TOKEN"]
    command = [sys.executable, "-m", "gozen.portal"]
    ended = subprocess.run(command, env=given, capture_output=True, text=True, check=False)
    assert ended.returncode == 64
    assert "JUPYTERHUB_API_TOKEN is not set" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_portal_whose_archive_hangs_ends_at_a_signal(hub: FakeHub, tmp_path, name: str) -> None:
    """As process 1 of a pod it is not killed by SIGTERM: like at SIGINT, the interpreter must come to its end."""
    url = free_url()
    with socket.create_server(("127.0.0.1", 0)) as never_answers:
        s3 = {
            "GOZEN_ARCHIVE": "s3://bucket/archive",
            "GOZEN_STORAGE__ENDPOINT_URL": f"http://127.0.0.1:{never_answers.getsockname()[1]}",
            "GOZEN_STORAGE__READ_TIMEOUT_S": "3600",
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
        }
        given = {**process_environment(hub, url, tmp_path), **s3}
        process = subprocess.Popen([sys.executable, "-m", "gozen.portal"], env=given)
        try:
            wait_until_up(url, process)
            with urllib.request.build_opener(urllib.request.HTTPCookieProcessor()).open(f"{url}{PREFIX}") as answer:
                assert "The archive is slow" in answer.read().decode()
            process.send_signal(signal.Signals[name])
            assert process.wait(20) in (0, -signal.SIGTERM)
        finally:
            process.kill()
            process.wait()
