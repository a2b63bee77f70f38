"""Test the page of a report: its content, and that it is self-contained, well-formed and always the same.

Covered: verdicts, tables, pictures, escaping, empty sections. The page in a browser is tested in tests/services.
"""

from __future__ import annotations

import base64
import re
from html.parser import HTMLParser

import pytest

from gozen.archive.commit import FrameRecord, Rejection, SensorCommit, Summary
from gozen.archive.provenance import Provenance
from gozen.report.render_page import render
from gozen.report.report_model import Check, Command, DemoReport, Film, Headline, MoverRow, Picture

GOOD = Check("magnitudes, bias", -0.00026, 0.01, "mag", "within", "140 stars")
BAD = Check("times, largest error", 4.2, 1.0, "ms")
PICTURE = Picture("Flare", "A flare, 18 points", b"<svg/>", b"<svg >", caption="G = 14 & red")
FILM = Film("Fast mover", "A film of 2 frames", b"png", ("frame 1 of 3", "frame 3 of 3"), "g1: 590″/min")
FAST = MoverRow(
    "fast mover", "00000003", "111", "found", "g1", 17, 18, 590.84, 0.34, 590.93, 293.9, 294.0, 0.06, 13.99, 14.0, 58.0
)
VOID = {"meta", "link", "img", "source", "br"}


def commit(**changes) -> SensorCommit:
    facts = {
        "night": "20260115",
        "exposure": "00000003",
        "run": "r1",
        "sensor": "111",
        "frame_id": "f",
        "object": "field <1>",
        "data_type": "OBJECT",
        "nframe": 18,
        "status": "reduced",
        "summary": Summary(
            seeing_px=4.0, pixel_scale_arcsec=1.189, zero_point=24.7, zero_point_err=0.002, n_sources=12, n_matched=11
        ),
        "provenance": Provenance(code_version="1"),
    }
    return SensorCommit(**{**facts, **changes})


def report(*checks: Check, **parts) -> DemoReport:
    return DemoReport(title="Demo", summary="What was done.", checks=checks, **parts)


class Page(HTMLParser):
    """Collects elements and text, and fails where elements are not nested."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        assert self._open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        if self._open and self._open[-1] not in ("style", "script"):
            self.words.append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


def test_a_number_within_its_tolerance_passes_and_is_shown_with_it():
    page = Page(render(report(GOOD)))
    assert "What was injected was recovered" in page.text
    assert "−0.0003 mag ± 0.01 mag ✓ within" in page.text
    assert "140 stars" in page.text


def test_one_number_outside_fails_the_whole_and_is_named_at_the_top():
    page = Page(render(report(GOOD, BAD)))
    assert "Not all that was injected was recovered" in page.text
    assert "Outside the stated tolerance: times, largest error." in page.text
    assert "4.20 ms ≤ 1 ms ✗ outside" in page.text


@pytest.mark.parametrize(
    ("check", "passed", "recovered", "allowed"),
    [
        (Check("a", 0.0103, 0.01, "mag", "within"), False, "0.0103 mag", "± 0.01 mag"),
        (Check("a", -0.0103, 0.01, "mag", "within"), False, "−0.0103 mag", "± 0.01 mag"),
        (Check("a", -3.0, 0.05), True, "−3.0000", "≤ 0.05"),
        (Check("a", 0.96, 0.97, sense="at least"), False, "0.960", "≥ 0.97"),
        (Check("a", 1.0, 0.97, sense="at least"), True, "1.000", "≥ 0.97"),
        (Check("a", 108, 108, sense="at least"), True, "108", "≥ 108"),
        (Check("a", 1512, 1600, sense="at least"), False, "1,512", "≥ 1,600"),
        (Check("a", float("nan"), 0.05), False, "nothing measured", "≤ 0.05"),
        (Check("a", float("nan"), 0.05, sense="at least"), False, "nothing measured", "≥ 0.05"),
        (Check("a", -1e-9, 0.1, "s", "within"), True, "0.000 s", "± 0.1 s"),
    ],
)
def test_checks_decide_and_write_their_numbers(check, passed, recovered, allowed):
    assert (check.passed, check.recovered, check.allowed) == (passed, recovered, allowed)


def test_without_checks_nothing_has_passed():
    assert not report().passed
    assert "nothing was compared" in Page(render(report())).text


def test_pictures_are_embedded_with_their_words():
    page = Page(render(report(GOOD, lightcurves=(PICTURE,))))
    (image,) = page.all("img")
    assert base64.b64decode(str(image["src"]).removeprefix("data:image/svg+xml;base64,")) == b"<svg/>"
    assert image["alt"] == "A flare, 18 points"
    (dark,) = page.all("source")
    assert "dark" in str(dark["media"])
    assert "G = 14 & red" in page.text


def test_a_mover_has_a_row_with_what_was_found_and_injected():
    page = Page(render(report(GOOD, movers=(FAST,))))
    assert "What moves" in page.text
    assert (
        "fast mover exposure 00000003, sensor 111 ✓ found g1 17 of 18 590.8 ± 0.3, injected 590.9 293.9 injected 294.0 "
        "0.06 13.99 injected 14.00 58" in page.text
    )


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (
            MoverRow("slow", "3", "111", "missed", true_frames=18, true_rate=61.8),
            "✗ missed – – of 18 – injected 61.8 –",
        ),
        (MoverRow("slow", "3", "111", "too slow", true_frames=12), "– too slow – – of 12 – – –"),
        (MoverRow("false", "3", "111", "false", "g9", 7, rate=1234.5), "✗ false g9 7 1,234.5 – –"),
    ],
)
def test_what_was_missed_or_false_says_so(row, words):
    assert words in Page(render(report(GOOD, movers=(row,)))).text


def test_a_film_is_embedded_with_the_number_and_the_words_of_its_frames():
    page = Page(render(report(GOOD, films=(FILM,))))
    (image,) = page.all("img")
    assert base64.b64decode(str(image["src"]).removeprefix("data:image/png;base64,")) == b"png"
    assert image["alt"] == "A film of 2 frames"
    (figure,) = page.all("figure")
    assert (figure["style"], figure["data-labels"]) == ("--frames: 2", "frame 1 of 3|frame 3 of 3")
    assert "g1: 590″/min" in page.text


def test_nothing_is_fetched():
    page = Page(
        render(report(GOOD, stacks=(PICTURE,), films=(FILM,), commits=(commit(),), commands=(Command("gozen x", "y"),)))
    )
    for tag, attributes in page.elements:
        for name in ("src", "href", "srcset"):
            value = str(attributes.get(name, "data:"))
            assert value.startswith(("data:", "#")), (tag, value)
    text = render(report(GOOD))
    assert not re.search(r"url\(|@import|https?://", text)
    assert "default-src 'none'" in text


def test_texts_are_escaped():
    hostile = '<script>alert("1")</script>'
    page = render(
        DemoReport(
            title=hostile,
            summary=hostile,
            checks=(Check(hostile, 1, 2, hostile, basis=hostile),),
            headlines=(Headline(hostile, hostile),),
            lightcurves=(Picture(hostile, hostile, b"", caption=hostile),),
            movers=(MoverRow(hostile, hostile, hostile, "found", hostile),),
            films=(Film('"' + hostile, '"' + hostile, b"", ('"' + hostile,), hostile),),
            commits=(commit(object=hostile),),
            made_with=((hostile, hostile),),
            commands=(Command(hostile, hostile),),
        )
    )
    assert "<script>alert" not in page
    assert page.count("<script>") == 1
    Page(page)


def test_every_sensor_has_a_row_with_what_was_reached():
    page = Page(render(report(GOOD, commits=(commit(), commit(sensor="112")))))
    assert "00000003 field <1> 111 ✓ reduced 18 of 18 4.76 – 11 of 12 24.700 ± 0.002" in page.text
    assert "112" in page.text


def test_refusals_stand_with_their_reasons():
    cloud = Rejection(name="AstrometryFailed", message="no star fits")
    noisy = FrameRecord(frame=0, rejected=Rejection(name="NoisyFrame", message="noise"))
    page = Page(
        render(
            report(
                GOOD, commits=(commit(status="rejected", rejection=cloud), commit(frames=(noisy, FrameRecord(frame=1))))
            )
        )
    )
    assert "✗ AstrometryFailed no star fits" in page.text
    assert "17 of 18 1 NoisyFrame" in page.text


def test_sections_without_content_are_left_out_of_the_page_and_the_contents():
    page = Page(render(report(GOOD)))
    assert "Light curves" not in page.text
    targets = {str(link["href"]).removeprefix("#") for link in page.all("a")}
    assert targets <= {str(attributes.get("id")) for _, attributes in page.elements}


def test_how_to_go_on_is_said():
    page = Page(
        render(report(GOOD, made_with=(("Version", "gozen 9"),), commands=(Command("gozen exposures", "search"),)))
    )
    assert "gozen 9" in page.text
    assert "gozen exposures search" in page.text


def test_a_greeting_in_japanese_is_marked_as_such():
    page = Page(render(report(GOOD)))
    assert any(attributes.get("lang") == "ja" for attributes in page.all("p"))
    assert "ようこそ" in page.text


def test_the_same_report_is_the_same_page():
    assert render(report(GOOD, stacks=(PICTURE,))) == render(report(GOOD, stacks=(PICTURE,)))
