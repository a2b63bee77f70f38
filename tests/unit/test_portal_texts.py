"""Texts of the portal and of the hub's pages: each is there in both languages, and is used."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args, get_type_hints

import jinja2
import jupyterhub
import pytest

from gozen.catalog.format.manifest import Kind
from gozen.portal.shell.preferences import LANGUAGES, THEMES
from gozen.portal.shell.render import PORTAL
from gozen.portal.shell.texts import TEXTS, Text
from gozen.portal.shell.value_texts import clock_text, night_text, size_text
from gozen.reduction.shared_inputs import ReferenceChoice

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


def asked_for() -> set[str]:
    """Return the names of the texts that the pages ask for: written out, or put together from parts."""
    source = "".join(text for path, text in SOURCES.items() if path.name != "texts.py")
    whole = re.findall(r"""\bt\(["'](\w+)["'][,)]""", source)
    either = re.findall(r"""\bt\("(\w+)" if [\w.]+ else "(\w+)"\)""", source)
    errors = re.findall(r"""(?:ErrorPage\(\d+, |LoginFailed\(|40\d: )"(\w+)\"""", source)
    notices = re.findall(r"""Notice\("(\w+)\"""", source)
    ends = ("title", "advice")
    return {
        *whole,
        *(key for pair in either for key in pair),
        *(f"error_{key}_{end}" for key in [*errors, "bug"] for end in ends),
        *(f"{key}_{end}" for key in notices for end in ends),
        *(f"theme_{theme}" for theme in THEMES),
        *(f"kind_{kind}" for kind in (*get_args(Kind), "reference")),
        *(f"reference_{where}" for where in get_args(get_type_hints(ReferenceChoice)["where"])),
    }


def test_the_texts_are_those_that_the_pages_ask_for() -> None:
    assert len(asked_for()) > 80
    assert set(TEXTS) - asked_for() == set()
    assert asked_for() - set(TEXTS) == set()


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
