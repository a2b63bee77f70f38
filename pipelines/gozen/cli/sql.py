"""``gozen sql``: query the tables in SQL."""

from __future__ import annotations

from typing import Annotated

import typer

from gozen.cli import table_output
from gozen.cli.console import say
from gozen.cli.invocation import invocation


def sql(
    ctx: typer.Context,
    query: Annotated[
        str,
        typer.Argument(
            help="One SELECT in DuckDB's SQL; within(ra, dec, 83.8, -5.4, 10) selects rows within 10 arcsec of RA "
            "83.8, Dec -5.4 degrees."
        ),
    ],
    rerun: Annotated[
        str | None,
        typer.Option(
            help="Name of the release (rerun) to query. Default: the setting quickdb.rerun; if it is not set, the live "
            "tables."
        ),
    ] = None,
    trusted: Annotated[
        bool,
        typer.Option(
            "--trusted", help="Allow the query to open files, for example with read_csv; only for your own queries."
        ),
    ] = False,
    rows: Annotated[int, typer.Option(min=0, help="Maximum number of rows on the terminal; 0 prints all.")] = 40,
    csv: table_output.Csv = False,
    json: table_output.Json = False,
    parquet: table_output.Parquet = None,
) -> None:
    """Query the tables in SQL.

    With within(...) in the WHERE clause, only the parts of the table near the circle are read.
    """
    from gozen.quickdb.connecting import connect

    form = table_output.Form(csv, json, parquet)
    invocation(ctx).store()  # an archive that does not exist is not an empty one
    with connect(settings=invocation(ctx).settings(), workers=0) as api:
        found = api.sql(query, rerun=rerun, trusted=trusted)
    shown = found.slice(0, rows) if rows and form == table_output.Form() else found
    table_output.show(shown, found.column_names, form, "")
    if len(shown) < len(found):
        say(
            f"{len(found) - len(shown):,} more rows: --rows 0 shows all, --csv or --parquet FILE gives them to programs"
        )
