"""The summary of published light curves as a page for the browser. No I/O."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gozen.publication.table_part import TablePart

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse}td,th{text-align:left;padding:.2rem .8rem .2rem 0;vertical-align:top}"
    "img{max-width:100%}"
)


@dataclass(frozen=True)
class SummaryFacts:
    """The content of a summary in addition to the table part.

    Parameters
    ----------
    title
        Heading of the page.
    selection
        What was selected, in words.
    nights, exposures
        Nights, and number of exposures.
    files
        Names of the other files and what they are.
    pictures
        Names of the files that are pictures.
    software
        Version of Gozen.
    """

    title: str
    selection: str
    nights: Sequence[str]
    exposures: int
    files: Sequence[tuple[str, str]]
    pictures: Sequence[str]
    software: str


def summary_page(facts: SummaryFacts, part: TablePart) -> str:
    """Return the page; equal data give equal text, so that it is not sent again."""
    stars = len(set(part.stars.source_id.tolist()))
    about = [
        ("Selection", facts.selection),
        ("Nights", ", ".join(facts.nights)),
        ("Exposures", f"{facts.exposures:,}"),
        ("Rows", f"{part.rows:,}"),
        ("Stars with good points", f"{stars:,}"),
        ("Filters", ", ".join(part.filters) or "unknown"),
        ("Times", f"MJD {part.first_mjd:.6f} to {part.last_mjd:.6f} (UTC)"),
        ("Table", f"{part.table}, version {part.version}"),
        ("Software", f"Gozen {facts.software}"),
    ]
    columns = [
        (one.name, _of(one.metadata, "unit"), _of(one.metadata, "description").replace("`", "")) for one in part.schema
    ]
    pictures = "".join(f'<p><img src="{html.escape(one)}" alt="{html.escape(one)}"></p>' for one in facts.pictures)
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{html.escape(facts.title)}</title>'
        f"<style>{_STYLE}</style></head><body><h1>{html.escape(facts.title)}</h1>"
        f"{_table(about)}{pictures}<h2>Files</h2>{_table(facts.files)}"
        f"<h2>Columns</h2>{_table(columns, ('column', 'unit', 'meaning'))}</body></html>\n"
    )


def _table(rows: Iterable[Sequence[str]], head: Sequence[str] = ()) -> str:
    top = "".join(f'<th scope="col">{one}</th>' for one in head)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table>{f'<thead><tr>{top}</tr></thead>' if head else ''}<tbody>{body}</tbody></table>"


def _of(metadata: dict[bytes, bytes] | None, name: str) -> str:
    return (metadata or {}).get(name.encode(), b"").decode()
