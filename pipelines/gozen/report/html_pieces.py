"""Build HTML tables, figures and lists from plain values, with all text escaped."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from gozen.report.report_model import Command, Film, Headline, Picture


@dataclass(frozen=True)
class Cell:
    """One cell of a table.

    Parameters
    ----------
    text
        The text of the cell.
    value
        The number by which the column is sorted; None for a text.
    note
        Small text below the value.
    state
        ``good`` or ``bad`` colours the text; empty for none.
    """

    text: str
    value: float | None = None
    note: str = ""
    state: str = ""


def table(columns: Sequence[str], rows: Iterable[Sequence[Cell]], caption: str) -> str:
    """Return a table that the reader can sort; the first cell of each row is its heading.

    If a cell of a column has a `Cell.value`, the column is formatted as numbers.
    """
    cells = [list(row) for row in rows]
    numeric = [any(row[index].value is not None for row in cells) for index in range(len(columns))]
    head = "".join(
        f'<th scope="col"{_class(number)}>{escape(name)}</th>' for name, number in zip(columns, numeric, strict=True)
    )
    body = "".join(f"<tr>{_row(row, numeric)}</tr>" for row in cells)
    label = escape(caption, quote=True)
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{label}">'
        f'<table class="sortable" aria-label="{label}"><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def figures(pictures: Iterable[Picture]) -> str:
    """Return pictures with their captions, embedded as data URLs."""
    return f'<div class="pictures">{"".join(_figure(one) for one in pictures)}</div>'


def films(strips: Iterable[Film]) -> str:
    """Return films that play automatically; the page's script adds a pause button and a slider."""
    return f'<div class="films">{"".join(_film(one) for one in strips)}</div>'


def headlines(numbers: Iterable[Headline]) -> str:
    """Return the main numbers of the page with their labels, as entries of an HTML list."""
    return "".join(f"<div><dt>{escape(one.label)}</dt><dd>{escape(one.value)}</dd></div>" for one in numbers)


def pairs(entries: Iterable[tuple[str, str]]) -> str:
    """Return a list of names and values."""
    body = "".join(f"<dt>{escape(name)}</dt><dd><code>{escape(value)}</code></dd>" for name, value in entries)
    return f'<dl class="made">{body}</dl>'


def commands(lines: Iterable[Command]) -> str:
    """Return a list of commands, each with its description."""
    body = "".join(f"<li><code>{escape(one.line)}</code><span>{escape(one.does)}</span></li>" for one in lines)
    return f'<ul class="commands">{body}</ul>'


def number(value: float | None, form: str = ".3g", error: float | None = None) -> Cell:
    """Return a cell for a number and its error; a dash if there is no number."""
    if value is None or not math.isfinite(value):
        return Cell("–")
    note = "" if error is None or not math.isfinite(error) else f"± {error:{form}}"
    return Cell(f"{value:{form}}".replace("-", "−"), value, note)


def _row(row: Sequence[Cell], numeric: Sequence[bool]) -> str:
    first, *rest = zip(row, numeric, strict=True)
    name, is_number = first
    return f'<th scope="row"{_class(is_number)}{_value(name)}>{_content(name)}</th>' + "".join(
        f"<td{_class(is_number)}{_value(cell)}>{_content(cell)}</td>" for cell, is_number in rest
    )


def _content(cell: Cell) -> str:
    text = escape(cell.text)
    if cell.state:
        text = f'<span class="tag {cell.state}">{text}</span>'
    return text + (f"<small>{escape(cell.note)}</small>" if cell.note else "")


def _value(cell: Cell) -> str:
    return "" if cell.value is None else f' data-value="{cell.value!r}"'


def _class(is_number: bool) -> str:
    return ' class="number"' if is_number else ""


def _figure(one: Picture) -> str:
    alt = escape(one.alt, quote=True)
    image = f'<img src="{_data(one.light, one.kind)}" alt="{alt}">'
    if one.dark is not None:
        # For the screen only: pages are printed on white paper.
        source = f'<source media="screen and (prefers-color-scheme: dark)" srcset="{_data(one.dark, one.kind)}">'
        image = f"<picture>{source}{image}</picture>"
    caption = f"<figcaption>{escape(one.caption)}</figcaption>" if one.caption else ""
    width = ' class="wide"' if one.wide else ""
    return f"<figure{width}><h3>{escape(one.title)}</h3>{image}{caption}</figure>"


def _film(one: Film) -> str:
    alt, labels = escape(one.alt, quote=True), escape("|".join(one.labels), quote=True)
    image = f'<img src="{_data(one.strip, "image/png")}" alt="{alt}">'
    caption = f"<figcaption>{escape(one.caption)}</figcaption>" if one.caption else ""
    return (
        f'<figure class="film" style="--frames: {len(one.labels)}" data-labels="{labels}">'
        f'<h3>{escape(one.title)}</h3><div class="screen">{image}</div>{caption}</figure>'
    )


def _data(content: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
