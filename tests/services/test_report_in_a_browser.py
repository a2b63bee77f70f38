"""The demo's report in a real browser: complete, without errors, readable in light and dark, on any screen.

Covered: pictures, films that play and stop, tables that sort, requests, the console, contrast, overflow, the keyboard,
print. The numbers on the page are tested in tests/unit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from .chromium import CONTRAST, chromium

pytestmark = pytest.mark.xdist_group("demo")  # the demo is made once for all tests that look at it


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as opened:
        yield opened


@pytest.fixture
def opened(browser: Browser, demo: Path) -> Iterator[Callable[..., Page]]:
    """Open the report in a fresh context; what the browser fetches and complains of is kept on the page.

    A page that a test has left open would go on playing its films, on a core of its own.
    """

    def open_report(**options: object) -> Page:
        page = browser.new_context(**options).new_page()  # type: ignore[arg-type] # options of Playwright
        page.fetched, page.complaints = [], []  # type: ignore[attr-defined] # notes for the tests
        page.on("request", lambda request: page.fetched.append(request.url))
        page.on("console", lambda message: page.complaints.append(message.text))
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        page.goto((demo / "report.html").as_uri())
        page.wait_for_load_state("load")
        return page

    yield open_report
    for context in browser.contexts:
        context.close()


def test_it_is_whole_and_quiet(opened, demo: Path) -> None:
    page = opened()
    outside = [url for url in page.fetched if not url.startswith("data:")]
    assert outside == [(demo / "report.html").as_uri()]
    assert page.complaints == []
    assert page.title() == "Gozen demo: What was injected was recovered"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_picture_is_loaded_and_described(opened, scheme: str) -> None:
    page = opened(color_scheme=scheme)
    pictures = page.locator("img").evaluate_all("all => all.map(i => [i.complete, i.naturalWidth, i.alt])")
    assert len(pictures) >= 10
    for complete, width, alt in pictures:
        assert complete
        assert width > 100
        assert len(alt) > 20


def test_pictures_follow_the_scheme(opened) -> None:
    shown = [
        opened(color_scheme=scheme).locator("#lightcurves img").first.evaluate("i => i.currentSrc")
        for scheme in ("light", "dark")
    ]
    assert shown[0] != shown[1]


PLACE = "i => new DOMMatrix(getComputedStyle(i).transform).m41 / i.parentElement.clientWidth"
"""By how many frames a film's strip is shifted."""
STATE = "i => i.getAnimations()[0].playState"


def test_films_play_stop_and_are_stepped_through_by_hand(opened) -> None:
    page = opened()
    film = page.locator(".film").first
    label, image = film.locator(".controls span"), film.locator("img")
    film.scroll_into_view_if_needed()
    seen = label.inner_text()
    page.wait_for_function("([e, text]) => e.textContent !== text", arg=[label.element_handle(), seen])
    film.get_by_role("button", name="Pause").click()
    assert image.evaluate(STATE) == "paused"
    slider = film.get_by_role("slider")
    for frame in (0, 5, 11):
        slider.fill(str(frame))
        assert label.inner_text() == f"frame {frame + 1} of 12"
        assert image.evaluate(PLACE) == pytest.approx(-frame, abs=0.01)
    slider.focus()
    page.keyboard.press("ArrowLeft")
    assert label.inner_text() == "frame 11 of 12"
    film.get_by_role("button", name="Play").click()
    page.wait_for_function("e => e.textContent === 'frame 2 of 12'", arg=label.element_handle())
    slider.fill("7")
    assert (image.evaluate(STATE), label.inner_text()) == ("paused", "frame 8 of 12")


def test_a_frame_of_a_film_fills_its_screen(opened) -> None:
    page = opened()
    for film in page.locator(".film").all():
        image, screen = film.locator("img").bounding_box(), film.locator(".screen").bounding_box()
        assert image["width"] == pytest.approx(12 * screen["width"], rel=1e-3)
        assert image["height"] == pytest.approx(screen["height"], rel=1e-3)
        assert screen["width"] == pytest.approx(screen["height"], rel=1e-2)


def test_films_stand_still_for_those_who_want_no_motion(opened) -> None:
    page = opened(reduced_motion="reduce")
    film = page.locator(".film").first
    image = film.locator("img")
    assert (image.evaluate(STATE), image.evaluate(PLACE)) == ("paused", 0)
    film.get_by_role("button", name="Play").click()
    page.wait_for_function(
        "e => e.textContent === 'frame 3 of 12'", arg=film.locator(".controls span").element_handle()
    )


def test_films_play_without_the_script(opened) -> None:
    page = opened(java_script_enabled=False)
    assert page.locator(".controls").count() == 0
    assert [image.evaluate(STATE) for image in page.locator(".film img").all()] == ["running"] * 3


def test_print_shows_all_frames_of_a_film(opened) -> None:
    page = opened()
    page.emulate_media(media="print")
    film = page.locator(".film").first
    image, screen = film.locator("img").bounding_box(), film.locator(".screen").bounding_box()
    assert image["width"] == pytest.approx(screen["width"], rel=1e-3)
    assert not film.locator(".controls").is_visible()


def test_tables_sort_by_number_and_back(opened) -> None:
    page = opened()
    table = page.locator("table.sortable").first
    header = table.get_by_role("columnheader", name="recovered")

    def values() -> list[float]:
        cells = table.locator("tbody tr td:nth-child(2)")
        return list(map(float, cells.evaluate_all("all => all.map(c => c.dataset.value)")))

    as_written = values()
    header.get_by_role("button").click()
    assert values() == sorted(as_written) != as_written
    assert header.get_attribute("aria-sort") == "ascending"
    header.get_by_role("button").click()
    assert values() == sorted(as_written, reverse=True)
    table.get_by_role("columnheader", name="comparison").get_by_role("button").click()
    names = table.locator("tbody th").all_inner_texts()
    assert [name.lower() for name in names] == sorted(name.lower() for name in names)
    assert header.get_attribute("aria-sort") is None


def test_the_keyboard_sorts_too(opened) -> None:
    page = opened()
    header = page.locator("table.sortable").first.get_by_role("columnheader", name="verdict")
    header.get_by_role("button").focus()
    page.keyboard.press("Enter")
    assert header.get_attribute("aria-sort") == "ascending"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_it_is_readable(opened, scheme: str, width: int) -> None:
    page = opened(color_scheme=scheme, viewport={"width": width, "height": 900})
    assert page.evaluate(CONTRAST) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("h1").bounding_box()["width"] <= width


def test_on_a_narrow_screen_the_verdicts_are_in_view(opened) -> None:
    page = opened(viewport={"width": 390, "height": 900})
    box = page.locator(".checks tbody tr").first.locator("td").last.bounding_box()
    assert box["x"] + box["width"] <= 390


def test_sections_are_reached_from_the_top(opened) -> None:
    page = opened()
    for link in page.locator("nav a").all():
        target = str(link.get_attribute("href"))
        assert page.locator(target).count() == 1
    headings = page.locator("h1, h2").all_inner_texts()
    assert headings[0] == "Gozen demo"
    assert {"The sky", "Light curves", "What moves", "Quality", "Recovered against injected", "How it was made"} <= set(
        headings
    )


def test_it_prints_in_black_on_white(opened) -> None:
    page = opened(color_scheme="dark")
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
    light = opened(color_scheme="light").locator("#lightcurves img").first.evaluate("i => i.currentSrc")
    assert page.locator("#lightcurves img").first.evaluate("i => i.currentSrc") == light
