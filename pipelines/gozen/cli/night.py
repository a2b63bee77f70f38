"""``gozen night``: what is done with a night as a whole."""

from __future__ import annotations

from typing import Annotated

import typer

from gozen.cli import reducing
from gozen.cli.console import say
from gozen.cli.invocation import invocation

app = typer.Typer(help="A night as a whole: append its detections to the light-curve table.", no_args_is_help=True)


@app.command("append")
def append(
    ctx: typer.Context,
    nights: Annotated[list[str], typer.Argument(help="YYYYMMDD, one or more.")],
) -> None:
    """Append the calibrated detections of nights to the light-curve table; run again, it changes nothing."""
    from gozen.lightcurves.night import append as append_one
    from gozen.lightcurves.night import staged_commits

    store = invocation(ctx).store()
    reducing.sweep(store)
    for night in nights:
        with reducing.counted(f"appending {night}", len(staged_commits(store, night))) as step:
            report = append_one(store, night, progress=step)
        replaced = f", {report.rows_replaced:,} replaced" if report.rows_replaced else ""
        say(
            f"{night}: {report.rows_added:,} rows added{replaced}, {report.new_objects:,} new objects; "
            f"the table lightcurves is at version {report.version}"
        )
    say("next: gozen lightcurve --ra RA --dec DEC --radius ARCSEC")
