"""``gozen night append``: append reduced nights to a light-curve table."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gozen.cli.console import say
from gozen.cli.invocation import Invocation, invocation
from gozen.cli.stage_bar import counted
from gozen.errors import BadRequest

if TYPE_CHECKING:
    from gozen.resources.sky_circle import SkyCircle
    from gozen.workflow.append_nights import AppendedNight

app = typer.Typer(help="Append the measurements of nights to a light-curve table.", no_args_is_help=True)


@app.command("append")
def append(
    ctx: typer.Context,
    nights: Annotated[
        list[str] | None,
        typer.Argument(
            help="Nights YYYYMMDD. With --exposure or --region they are optional; default: all nights with such data."
        ),
    ] = None,
    exposure: Annotated[
        list[str] | None, typer.Option(help="Only this exposure, such as 00000003; may be repeated.")
    ] = None,
    region: Annotated[
        str | None, typer.Option(help="Only sensors that overlap this circle: RA,DEC,RADIUS in degrees.")
    ] = None,
    run_: Annotated[
        str | None,
        typer.Option(
            "--run", help="Only this run (the name of a processing); default: for each exposure, the most complete run."
        ),
    ] = None,
    table: Annotated[str, typer.Option(help="Name of the table.")] = "lightcurves",
    result: Annotated[
        Path | None,
        typer.Option(help="Write the number of exposures and rows and the version of the table to this file, as JSON."),
    ] = None,
) -> None:
    """Append the measurements of nights to a light-curve table.

    Measurements that the table already contains are skipped. Rows of the same exposure from another run are replaced.
    """
    from gozen.archive.stores.output_files import check_output
    from gozen.workflow.append_nights import AppendRequest, append_nights

    if result is not None:
        check_output(result)
    called = invocation(ctx)
    store, (circle, reach_deg) = called.store(), selected_circle(called, region)
    if not (nights or exposure or region):
        raise BadRequest("nothing is selected to append; give at least one night, --exposure or --region")
    request = AppendRequest(tuple(nights or ()), tuple(exposure or ()), run_, circle, reach_deg)
    done = append_nights(store, request, table, progress=counted, finished=lambda one: _say_appended(one, table))
    if result is not None:
        _write_result(result, done)
    say("next: gozen lightcurve --ra RA --dec DEC --radius ARCSEC")


def selected_circle(called: Invocation, region: str | None) -> tuple[SkyCircle | None, float]:
    """Return the requested circle, and the radius of a sensor's field, deg."""
    from gozen.instrument.profile import load_profile
    from gozen.lightcurves.commit_selection import reach_of
    from gozen.resources.sky_circle import SkyCircle

    if region is None:
        return None, 0.0
    profile = load_profile(called.settings().instrument)
    return SkyCircle.read(region), reach_of(profile)


def _say_appended(one: AppendedNight, table: str) -> None:
    report = one.report
    replaced = f", {report.rows_replaced:,} replaced" if report.rows_replaced else ""
    say(
        f"{one.night}: {report.rows_added:,} rows added{replaced}, {report.new_objects:,} new objects; "
        f"the table {table} is at version {report.version}"
    )


def _write_result(path: Path, done: Sequence[AppendedNight]) -> None:
    """Write the counts that a pod reports to the operator."""
    from gozen.archive.stores.output_files import writing

    counts = {
        "exposures": sum(len(one.exposures) for one in done),
        "rows": sum(one.report.rows_added for one in done),
        "manifest": done[-1].report.version,
    }
    with writing(path):
        path.write_text(json.dumps(counts))
