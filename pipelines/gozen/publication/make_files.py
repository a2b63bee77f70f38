"""Make the files of a publication in a folder: table part (Parquet, CSV), plots (PNG), summary (HTML)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gozen.archive.commit import SensorCommit
from gozen.archive.stores.open_store import Store
from gozen.catalog import open_catalog
from gozen.errors import BadRequest
from gozen.lightcurves.commit_selection import named_exposures, nights_with, selected_commits
from gozen.publication.summary_page import SummaryFacts, summary_page
from gozen.publication.table_part import TablePart, rows_of_stars, write_table_part
from gozen.version import code_version
from gozen.workflow.append_nights import AppendRequest

DRAWN = 6
"""Number of stars whose light curves are drawn."""


def make_files(
    store: Store, request: AppendRequest, table: str, name: str, folder: Path, most_rows: int
) -> Sequence[Path]:
    """Make the files for a selection that was appended to a table, and return their paths.

    Parameters
    ----------
    name
        The names of all files begin with it.
    folder
        An existing folder.
    most_rows
        Largest number of rows.

    Raises
    ------
    BadRequest
        Nothing of the selection is in the table, or too much.
    """
    commits = _commits(store, request)
    parquet, csv, curves, scatter, page = (
        folder / f"{name}{end}" for end in (".parquet", ".csv", "-light-curves.png", "-scatter.png", ".html")
    )
    part = write_table_part(store, open_catalog(store, table), commits, parquet, csv, most_rows)
    pictures = _draw(part, parquet, curves, scatter, name)
    facts = SummaryFacts(
        title=f"Light curves: {name}",
        selection=_in_words(request),
        nights=sorted({one.night for one in commits}),
        exposures=len({(one.night, exposure) for one in commits for exposure in named_exposures([one])}),
        files=[(parquet.name, "all rows as Parquet, with units"), (csv.name, "the same rows as text")],
        pictures=[one.name for one in pictures],
        software=code_version(),
    )
    page.write_text(summary_page(facts, part), encoding="utf-8")
    return [parquet, csv, *pictures, page]


def _commits(store: Store, request: AppendRequest) -> list[SensorCommit]:
    found = [
        commit
        for night in request.nights or nights_with(store, request.exposures)
        for commit in selected_commits(store, night, request.exposures, request.run, request.region, request.reach_deg)
    ]
    if not found:
        raise BadRequest(f"no selected exposure is reduced in {store.url}; run `gozen reduce` first")
    return found


def _draw(part: TablePart, parquet: Path, curves: Path, scatter: Path, name: str) -> list[Path]:
    from gozen.plots.light_curve_plot import draw_lightcurves
    from gozen.plots.scatter_plot import draw_scatter
    from gozen.plots.style import write_picture

    stars = part.stars
    chosen = stars.most_variable(DRAWN)
    if not chosen:  # no calibrated point
        return []
    rows = rows_of_stars(parquet, chosen)
    write_picture(draw_lightcurves(rows, title=f"{name}: largest scatter for their errors", most=DRAWN), curves)
    drawn = stars.comparable
    figure = draw_scatter(
        stars.source_id[drawn], stars.mag[drawn], stars.scatter[drawn], marked=frozenset(chosen), title=name
    )
    write_picture(figure, scatter)
    return [curves, scatter]


def _in_words(request: AppendRequest) -> str:
    parts = [f"nights {', '.join(request.nights)}"] if request.nights else []
    parts += [f"exposures {', '.join(request.exposures)}"] if request.exposures else []
    parts += (
        [f"sensors that overlap the circle {request.region} (RA, Dec, radius in degrees)"] if request.region else []
    )
    parts += [f"run {request.run}"] if request.run else []
    return "; ".join(parts) or "everything"
