"""``gozen night``: what is done with a night as a whole."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gozen.cli import reducing
from gozen.cli.console import say
from gozen.cli.invocation import Invocation, invocation
from gozen.errors import BadRequest

if TYPE_CHECKING:
    from gozen.resources.sky_circle import SkyCircle

app = typer.Typer(help="A night as a whole: append its detections to the light-curve table.", no_args_is_help=True)


@app.command("append")
def append(
    ctx: typer.Context,
    nights: Annotated[
        list[str] | None, typer.Argument(help="YYYYMMDD, one or more; default: those of the exposures or the region.")
    ] = None,
    exposure: Annotated[list[str] | None, typer.Option(help="Only this exposure; may be repeated.")] = None,
    region: Annotated[str | None, typer.Option(help="Only sensors that touch RA,DEC,RADIUS, degrees.")] = None,
    run_: Annotated[str | None, typer.Option("--run", help="Only this processing; default: the last of each.")] = None,
    table: Annotated[str, typer.Option(help="The table that the rows go to.")] = "lightcurves",
    result: Annotated[Path | None, typer.Option(help="Write counts and the table's version to this file.")] = None,
) -> None:
    """Append the calibrated detections of nights to a light-curve table; run again, it changes nothing."""
    from gozen.archive.log.observation_log import rebuild_night
    from gozen.archive.stores.store import named_errors
    from gozen.lightcurves.append_night import append_commits
    from gozen.lightcurves.commit_selection import named_exposures, nights_with, selected_commits

    called = invocation(ctx)
    store, circle = called.store(), _circle(called, region)
    if not (nights or exposure or region):
        raise BadRequest("nothing is selected: name nights, --exposure or --region")
    reducing.sweep(store)
    done = {"exposures": 0, "rows": 0, "manifest": 0}
    for night in nights or nights_with(store, exposure or ()):
        commits = selected_commits(store, night, exposure or (), run_, *circle)
        if not commits:
            if nights:
                which = " that is selected" if exposure or region or run_ else ""
                raise BadRequest(f"nothing of the night {night}{which} is reduced in {store.url}; reduce it first")
            continue
        with reducing.counted(f"appending {night}", len(commits)) as step:
            report = append_commits(store, night, commits, table, step)
        rebuild_night(store, night)
        replaced = f", {report.rows_replaced:,} replaced" if report.rows_replaced else ""
        say(
            f"{night}: {report.rows_added:,} rows added{replaced}, {report.new_objects:,} new objects; "
            f"the table {table} is at version {report.version}"
        )
        done["exposures"] += len(named_exposures(commits))
        done["rows"] += report.rows_added
        done["manifest"] = report.version
    if not done["exposures"]:
        raise BadRequest(f"nothing that is selected is reduced in {store.url}; reduce it first")
    if result is not None:
        with named_errors(str(result), "write"):
            result.write_text(json.dumps(done))
    say("next: gozen lightcurve --ra RA --dec DEC --radius ARCSEC")


def _circle(called: Invocation, region: str | None) -> tuple[SkyCircle | None, float]:
    """Return the circle that was asked for, and how far a sensor's field reaches from its centre, deg."""
    from gozen.instrument.profile import load_profile
    from gozen.resources.sky_circle import SkyCircle

    if region is None:
        return None, 0.0
    profile = load_profile(called.settings().instrument)
    return SkyCircle.read(region), math.hypot(*profile.active_shape) / 2 * profile.pixel_scale_arcsec / 3600
