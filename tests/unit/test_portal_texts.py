"""Test the texts of the portal and of the hub's pages: each exists in both languages, and is used."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from string import Formatter
from types import SimpleNamespace
from typing import get_args, get_type_hints

import jinja2
import jupyterhub
import pytest
from jinja2 import nodes

from gozen.catalog.format.manifest import Kind
from gozen.portal.shell.preferences import LANGUAGES, THEMES
from gozen.portal.shell.render import PORTAL
from gozen.portal.shell.texts import TEXTS, Text
from gozen.portal.shell.value_texts import clock_text, night_text, size_text
from gozen.reduction.shared_inputs import ReferenceChoice
from gozen_hub.lab_start_errors import LabNotStarted

JAPANESE = re.compile(r"[\u3040-\u30ff\u4e00-\u9fff]")
SOURCES = {path: path.read_text(encoding="utf-8") for path in PORTAL.rglob("*") if path.suffix in (".html", ".py")}
STOCK = Path(jupyterhub.__file__).parents[4] / "share" / "jupyterhub" / "templates"
HUB_PAGES = sorted(path.name for path in (PORTAL / "hub_templates").glob("*.html"))
NOTICES = sorted(set(re.findall(r"""Notice\("(\w+)\"""", "".join(SOURCES.values()))))
BOTH = re.compile(r'both\("((?:[^"\\])*)", "((?:[^"\\])*)"\)')


def test_there_is_a_text_for_each_language() -> None:
    assert Text._fields == LANGUAGES


@pytest.mark.parametrize("key", TEXTS)
def test_each_text_says_the_same_in_both_languages(key: str) -> None:
    english, japanese = TEXTS[key]
    assert english.strip()
    assert JAPANESE.search(japanese)
    assert not JAPANESE.search(english)
    assert placeholders(english) == placeholders(japanese)


def placeholders(text: str) -> list[str]:
    """Return the placeholders of a text in the order of their names; the page fills them in."""
    found = [part for part in Formatter().parse(text) if part[1] is not None]
    assert all(name and name.isidentifier() and not form and not conversion for _, name, form, conversion in found)
    return sorted(str(name) for _, name, _, _ in found)


@dataclass(frozen=True)
class Asked:
    """A text that a template asks for: its name, with * for parts that it does not write out; and what it fills in."""

    name: str
    filled: frozenset[str]


def asked_by(source: str) -> Iterator[Asked]:
    """Yield the texts that a template asks for, from its calls of ``t``."""
    for call in jinja2.Environment(autoescape=True).parse(source).find_all(nodes.Call):
        if isinstance(call.node, nodes.Name) and call.node.name == "t":
            (wanted,) = call.args
            filled = frozenset(one.key for one in call.kwargs)
            either = [wanted.expr1, wanted.expr2] if isinstance(wanted, nodes.CondExpr) else [wanted]
            yield from (Asked(name_of(one), filled) for one in either)


def name_of(wanted: nodes.Node | None) -> str:
    if isinstance(wanted, nodes.Const):
        return str(wanted.value)
    assert isinstance(wanted, nodes.Concat), wanted
    return "".join(str(part.value) if isinstance(part, nodes.Const) else "*" for part in wanted.nodes)


ASKED = [one for path, text in SOURCES.items() if path.parent.name == "templates" for one in asked_by(text)]
WHOLE = {one.name for one in ASKED if "*" not in one.name}


def asked_for() -> set[str]:
    """Return the names of the texts that the pages ask for: written out, or put together from parts."""
    source = "".join(text for path, text in SOURCES.items() if path.name != "texts.py")
    errors = re.findall(r"""(?:ErrorPage\(\d+, |LoginFailed\(|40\d: )"(\w+)\"""", source)
    ends = ("title", "advice")
    return {
        *WHOLE,
        *(f"error_{key}_{end}" for key in [*errors, "bug"] for end in ends),
        *(f"{key}_{end}" for key in NOTICES for end in ends),
        *(f"theme_{theme}" for theme in THEMES),
        *(f"kind_{kind}" for kind in (*get_args(Kind), "reference")),
        *(f"reference_{where}" for where in get_args(get_type_hints(ReferenceChoice)["where"])),
    }


def test_the_texts_are_those_that_the_pages_ask_for() -> None:
    assert len(asked_for()) > 80
    assert set(TEXTS) - asked_for() == set()
    assert asked_for() - set(TEXTS) == set()


@pytest.mark.parametrize("asked", ASKED, ids=lambda one: one.name)
def test_a_page_fills_in_the_placeholders_of_each_text_and_no_others(asked: Asked) -> None:
    if "*" not in asked.name:
        assert set(placeholders(TEXTS[asked.name].en)) == asked.filled
        return
    found = [key for key in fnmatch.filter(TEXTS, asked.name) if key not in WHOLE]
    assert found
    assert all(set(placeholders(TEXTS[key].en)) <= asked.filled for key in found)


@pytest.mark.parametrize(
    "key", sorted(key for key in TEXTS if re.fullmatch(rf"(error_\w+|{'|'.join(NOTICES)})_title", key))
)
def test_what_users_see_when_something_is_wrong_is_explained_to_administrators(key: str) -> None:
    page = (PORTAL.parents[2] / "docs" / "operations" / "run-the-platform.md").read_text(encoding="utf-8")
    table = page.split("\n## What users see when something is wrong\n")[1].split("\n## ")[0]
    assert f"| {TEXTS[key].en} |" in table


@pytest.mark.parametrize("name", HUB_PAGES)
def test_a_page_of_the_hub_says_each_of_our_texts_in_both_languages(name: str) -> None:
    source = (PORTAL / "hub_templates" / name).read_text(encoding="utf-8")
    pairs = BOTH.findall(source)
    assert pairs or name == "both.html"
    assert len(pairs) == len(re.findall(r"{{ *both\(", source))
    for english, japanese in pairs:
        assert english.strip()
        assert not JAPANESE.search(english)
        assert JAPANESE.search(japanese)


@pytest.mark.parametrize("name", HUB_PAGES)
def test_a_page_of_the_hub_is_a_template_that_fits_this_jupyterhub(name: str) -> None:
    """Each block that we fill must exist in JupyterHub's page, or our text would be nowhere."""
    ours = jinja2.Environment(autoescape=True).parse((PORTAL / "hub_templates" / name).read_text(encoding="utf-8"))
    blocks = {block.name for block in ours.find_all(jinja2.nodes.Block)}
    if blocks:
        pages = ((STOCK / one).read_text(encoding="utf-8") for one in (name, "page.html"))
        assert blocks <= set(re.findall(r"{%-? block (\w+)", "".join(pages)))


def page_of_the_hub(name: str, **values: object) -> str:
    """Return a page of the hub."""
    ours, stock = jinja2.FileSystemLoader(PORTAL / "hub_templates"), jinja2.FileSystemLoader(STOCK)
    icon = jinja2.FileSystemLoader(PORTAL / "static")
    loader = jinja2.ChoiceLoader([ours, icon, jinja2.PrefixLoader({"templates": stock}), stock])
    common = {"static_url": lambda *_, **__: "", "base_url": "/hub/", "gozen_portal": "/services/portal/", "xsrf": ""}
    return jinja2.Environment(autoescape=True, loader=loader).get_template(name).render(common | values)


def error_of_the_hub(**values: object) -> str:
    return page_of_the_hub("error.html", **values)


def test_the_hub_does_not_call_each_page_that_is_away_a_lab() -> None:
    """Its proxy shows this page for a lab that has ended, and for the portal while it restarts."""
    away = error_of_the_hub(status_code=503, message_html="Your server appears to be down")
    assert "This page does not answer" in away
    assert "The lab is not running" not in away
    assert "Your server appears" not in away
    assert "no room" in error_of_the_hub(status_code=503, message="no room", exception=ValueError())
    assert "The lab is not running" in error_of_the_hub(status_code=424)


def test_a_lab_that_did_not_start_says_why_on_each_page_that_shows_it() -> None:
    """At once on the page for errors; on the page that waits; and on the page that a person opens later."""
    spawner = SimpleNamespace(name="", options_form="")
    user, why = SimpleNamespace(name="hoshi", escaped_name="hoshi", spawner=spawner), "no node has <room>"
    at_once = error_of_the_hub(status_code=503, message=why, exception=LabNotStarted(why, "waited"))
    later = page_of_the_hub(
        "not_running.html", failed=True, failed_message=why, spawn_url="/hub/spawn/hoshi", user=user
    )
    for page in (at_once, later):
        assert "The lab did not start" in page
        assert "no node has &lt;room&gt;" in page
        assert "This page does not answer" not in page
    waits = page_of_the_hub("spawn_pending.html", user=user, spawner=spawner, progress_url="/p")
    assert 'href="/hub/spawn/hoshi/"' in waits
    rule = "body:has(#progress-bar.bg-danger) .gozen-failed { display: block; }"
    assert rule in waits
    assert "addClass('bg-danger')" in waits, "the page's script does not mark a failed start as the style sheet expects"
    unknown = page_of_the_hub("not_running.html", failed=True, spawn_url="/hub/spawn/hoshi", user=user)
    assert "tell the administrators" in unknown
    assert "The lab is not running" in page_of_the_hub("not_running.html", spawn_url="/hub/spawn/hoshi", user=user)


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
