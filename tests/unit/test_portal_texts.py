"""Texts of the portal and of the hub's pages: each is there in both languages, and is used."""

from __future__ import annotations

import re
from pathlib import Path

import jinja2
import jupyterhub
import pytest

from gozen.portal.shell.preferences import LANGUAGES
from gozen.portal.shell.render import PORTAL
from gozen.portal.shell.texts import TEXTS, Text
from gozen.portal.shell.value_texts import clock_text, night_text, size_text

JAPANESE = re.compile(r"[\u3040-\u30ff\u4e00-\u9fff]")
SOURCES = {path: path.read_text(encoding="utf-8") for path in PORTAL.rglob("*") if path.suffix in (".html", ".py")}
HUB_PAGES = sorted(path.name for path in (PORTAL / "hub_templates").glob("*.html"))
BOTH = re.compile(r'both\("((?:[^"\\])*)", "((?:[^"\\])*)"\)')


def test_there_is_a_text_for_each_language() -> None:
    assert Text._fields == LANGUAGES


@pytest.mark.parametrize("key", TEXTS)
def test_each_text_says_the_same_in_both_languages(key: str) -> None:
    english, japanese = TEXTS[key]
    assert JAPANESE.search(japanese)
    assert not JAPANESE.search(english)
    assert set(re.findall(r"{\w+}", english)) == set(re.findall(r"{\w+}", japanese))


@pytest.mark.parametrize("key", TEXTS)
def test_each_text_is_used(key: str) -> None:
    elsewhere = [text for path, text in SOURCES.items() if path.name != "texts.py"]
    by_name = [f't("{key}"', f"t('{key}'", f'"{key}" if ']
    stem, _, end = key.rpartition("_")
    error = re.fullmatch(r"error_(\w+)_(title|advice)", key)
    by_parts = [f'"{error[1]}"'] if error else [f'"{stem}_" ~', f"'{stem}_' ~", f'~ "_{end}"', "t(notice.key"]
    assert any(one in text for text in elsewhere for one in [*by_name, *by_parts])


def test_each_text_that_a_page_asks_for_exists() -> None:
    asked = {key for text in SOURCES.values() for key in re.findall(r"""\bt\(["'](\w+)["'][,)]""", text)}
    assert len(asked) > 50
    assert asked - set(TEXTS) == set()


@pytest.mark.parametrize("name", HUB_PAGES)
def test_a_page_of_the_hub_says_each_of_our_texts_in_both_languages(name: str) -> None:
    pairs = BOTH.findall((PORTAL / "hub_templates" / name).read_text(encoding="utf-8"))
    assert pairs or name == "both.html"
    for english, japanese in pairs:
        assert english
        assert not JAPANESE.search(english)
        assert JAPANESE.search(japanese)


@pytest.mark.parametrize("name", HUB_PAGES)
def test_a_page_of_the_hub_is_a_template_that_fits_this_jupyterhub(name: str) -> None:
    """Each block that we fill must exist in JupyterHub's page, or our text would be nowhere."""
    stock = Path(jupyterhub.__file__).parents[4] / "share" / "jupyterhub" / "templates"
    ours = jinja2.Environment(autoescape=True).parse((PORTAL / "hub_templates" / name).read_text(encoding="utf-8"))
    blocks = {block.name for block in ours.find_all(jinja2.nodes.Block)}
    if blocks:
        pages = ((stock / one).read_text(encoding="utf-8") for one in (name, "page.html"))
        assert blocks <= set(re.findall(r"{%-? block (\w+)", "".join(pages)))


@pytest.mark.parametrize(
    ("size", "said"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (99_949, "99.9 kB"), (99_950, "100 kB"), (999_499, "999 kB"),
     (999_500, "1.0 MB"), (250 * 10**9, "250 GB"), (10**18, "1000 PB")],
)  # fmt: skip
def test_sizes_have_three_digits(size: int, said: str) -> None:
    assert size_text(size) == said


def test_nights_and_times() -> None:
    assert night_text("20260115") == "2026-01-15"
    assert [clock_text(mjd) for mjd in (61054.0, 61054.5, 61054.9999, 61054.425)] == [
        "00:00",
        "12:00",
        "00:00",
        "10:12",
    ]
