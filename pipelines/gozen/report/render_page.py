"""Render the report page from its model with the template in this folder."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from html import escape
from importlib.resources import files
from string import Template

from gozen.archive.commit import SensorCommit, Summary
from gozen.report import html_pieces
from gozen.report.html_pieces import Cell
from gozen.report.report_model import Check, DemoReport, MoverRow

_QUALITY = (
    "exposure",
    "sensor",
    "status",
    "frames",
    "seeing [″]",
    "WCS rms [″]",
    "matched",
    "zero point",
    "colour term",
    "limit [mag]",
)
_MOVERS = (
    "object",
    "verdict",
    "tracklet",
    "frames",
    "rate [″/min]",
    "direction [°]",
    "rms [″]",
    "magnitude",
    "S/N",
)


def render(report: DemoReport) -> str:
    """Return the page as one self-contained HTML text; the same report gives the same text."""
    sections = _sections(report)
    contents = [("verdict", "Verdict"), *((name, title) for name, title, _, _ in sections)]
    failed = [check.name for check in report.checks if not check.passed]
    explanation = (
        "Every number below is within its stated tolerance of what was injected."
        if report.passed
        else f"Outside the stated tolerance: {'; '.join(failed) or 'nothing was compared'}."
    )
    return Template(_part("report.html")).substitute(
        title=escape(report.title),
        summary=escape(report.summary),
        style=_part("report.css"),
        script=_part("report.js"),
        state="good" if report.passed else "bad",
        sign="✓" if report.passed else "✗",
        verdict="What was injected was recovered" if report.passed else "Not all that was injected was recovered",
        explanation=escape(explanation),
        contents="".join(f'<a href="#{name}">{escape(title)}</a>' for name, title in contents),
        headlines=html_pieces.headlines(report.headlines),
        checks=_checks(report.checks),
        sections="\n".join(_section(*one) for one in sections),
    )


def _sections(report: DemoReport) -> list[tuple[str, str, str, str]]:
    """Return name, title, introduction and content of each section that is not empty."""
    made = html_pieces.pairs(report.made_with)
    next_ = html_pieces.commands(report.commands) if report.commands else ""
    found = [
        (
            "stacks",
            "The sky",
            "The mean of an exposure's frames, and what was found on it. Circles are stars of the reference catalogue.",
            html_pieces.figures(report.stacks) if report.stacks else "",
        ),
        (
            "lightcurves",
            "Light curves",
            "Found in the table by id, or by position on the sky.",
            html_pieces.figures(report.lightcurves) if report.lightcurves else "",
        ),
        (
            "movers",
            "What moves",
            "Tracklets, found among the frames of each cube, next to the objects that were injected. Each film is cut "
            "out around its object, and the sky without the object is subtracted.",
            _movers(report) if report.movers or report.films or report.fields else "",
        ),
        (
            "quality",
            "Quality",
            "One row for each sensor and exposure. Data that a gate rejected are listed with the reason.",
            _quality(report) if report.commits else "",
        ),
        (
            "recovered",
            "Recovered against injected",
            "The stars behind the numbers above.",
            html_pieces.figures(report.comparisons) if report.comparisons else "",
        ),
        ("made", "How it was made", "The same command gives the same numbers.", made + next_),
    ]
    return [one for one in found if one[3]]


def _section(name: str, title: str, introduction: str, content: str) -> str:
    return (
        f'<section id="{name}" aria-labelledby="{name}-title"><h2 id="{name}-title">{escape(title)}</h2>'
        f"<p>{escape(introduction)}</p>{content}</section>"
    )


def _checks(checks: tuple[Check, ...]) -> str:
    rows = []
    for check in checks:
        verdict = Cell("✓ within", 1, state="good") if check.passed else Cell("✗ outside", 0, state="bad")
        shown = Cell(check.recovered, check.measured), Cell(check.allowed, check.tolerance)
        rows.append((Cell(check.name, note=check.basis), *shown, verdict))
    return html_pieces.table(("comparison", "recovered", "tolerance", "verdict"), rows, "Recovered against injected")


def _movers(report: DemoReport) -> str:
    rows = [_mover_row(one) for one in report.movers]
    table = html_pieces.table(_MOVERS, rows, "Tracklets found and movers injected") if rows else ""
    fields = html_pieces.figures(report.fields) if report.fields else ""
    return table + fields + (html_pieces.films(report.films) if report.films else "")


def _mover_row(one: MoverRow) -> tuple[Cell, ...]:
    states = {
        "found": Cell("✓ found", 1, state="good"),
        "missed": Cell("✗ missed", 0, state="bad"),
        "false": Cell("✗ false", 0, state="bad"),
        "too slow": Cell("– too slow", 0.5),
    }
    return (
        Cell(one.name, note=f"exposure {one.exposure}, sensor {one.sensor}"),
        states[one.state],
        Cell(one.tracklet or "–"),
        _beside(html_pieces.number(one.frames, "d"), one.true_frames, "d", "of"),
        _beside(html_pieces.number(one.rate, ",.1f", one.rate_err), one.true_rate, ",.1f"),
        _beside(html_pieces.number(one.direction, ".1f"), one.true_direction, ".1f"),
        html_pieces.number(one.rms, ".2f"),
        _beside(html_pieces.number(one.mag, ".2f"), one.true_mag, ".2f"),
        html_pieces.number(one.snr, ".0f"),
    )


def _beside(cell: Cell, injected: float | None, form: str, word: str = "injected") -> Cell:
    """Add the injected value in the note below the measured one."""
    if injected is None:
        return cell
    return replace(cell, note=f"{cell.note}, {word} {injected:{form}}".removeprefix(", "))


def _quality(report: DemoReport) -> str:
    rows = [_quality_row(commit) for commit in report.commits]
    table = html_pieces.table(_QUALITY, rows, "Quality of each sensor and exposure")
    return html_pieces.figures(report.quality) + table if report.quality else table


def _quality_row(commit: SensorCommit) -> tuple[Cell, ...]:
    one = commit.summary
    scale = one.pixel_scale_arcsec
    seeing = one.seeing_px * scale if one.seeing_px is not None and scale is not None else None
    return (
        Cell(commit.exposure, note=commit.object),
        Cell(commit.sensor),
        _status(commit),
        _frames(commit),
        html_pieces.number(seeing, ".2f"),
        html_pieces.number(one.wcs_rms_arcsec, ".3f"),
        _matched(one.n_matched, one.n_sources),
        _zero_point(one),
        html_pieces.number(one.colour_term, ".3f", one.colour_term_err),
        html_pieces.number(one.limiting_magnitude, ".2f"),
    )


def _status(commit: SensorCommit) -> Cell:
    if commit.rejection is None:
        return Cell("✓ reduced", state="good")
    return Cell(f"✗ {commit.rejection.name}", note=commit.rejection.message, state="bad")


def _frames(commit: SensorCommit) -> Cell:
    refused = Counter(frame.rejected.name for frame in commit.frames if frame.rejected is not None)
    kept = commit.nframe - refused.total()
    note = ", ".join(f"{count} {name}" for name, count in sorted(refused.items()))
    return Cell(f"{kept} of {commit.nframe}", kept, note=note)


def _matched(matched: int | None, sources: int | None) -> Cell:
    return Cell("–") if matched is None or sources is None else Cell(f"{matched:,}", matched, note=f"of {sources:,}")


def _zero_point(one: Summary) -> Cell:
    cell = html_pieces.number(one.zero_point, ".3f", one.zero_point_err)
    return cell if one.n_calibrators is None else replace(cell, note=f"{cell.note}, {one.n_calibrators:,} stars")


def _part(name: str) -> str:
    return files("gozen.report").joinpath(name).read_text(encoding="utf-8")
