"""``gozen tracklets``: search moving objects, and export them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gozen.cli import log_options, table_output
from gozen.cli.console import say
from gozen.cli.invocation import invocation
from gozen.errors import BadRequest

if TYPE_CHECKING:
    import pyarrow as pa

    from gozen.movers.ades_report import Station

_COLUMNS = (
    "night",
    "exposure",
    "sensor",
    "tracklet",
    "kind",
    "n_frames",
    "ra_mid",
    "dec_mid",
    "rate_arcsec_min",
    "position_angle_deg",
    "mag_mean",
    "snr",
    "significance",
)
_POINTS = ("tracklet", "kind", "frame", "end", "mjd", "ra", "dec", "position_err_arcsec", "flux", "mag", "mag_err")
_PANEL = "ADES"

Kind = Annotated[
    str | None,
    typer.Option(
        "--kind",
        help="Kind: mover, streak (a trail within a frame) or cosmic (narrower than a star: probably a cosmic ray).",
        rich_help_panel="Selection",
    ),
]
Rate = Annotated[
    str | None,
    typer.Option(
        "--rate",
        help="Rate on the sky, arcsec/min, as MIN:MAX; either end may be omitted.",
        rich_help_panel="Selection",
    ),
]
Significance = Annotated[
    float,
    typer.Option(
        "--significance",
        min=0,
        help="Minimum significance. Example: 3 means that chance alone would produce 0.001 equally good tracklets in "
        "one exposure of one sensor.",
        rich_help_panel="Selection",
    ),
]
Ades = Annotated[
    Path | None,
    typer.Option(
        "--ades",
        metavar="FILE",
        help="Write a report for the Minor Planet Center, in its format ADES.",
        rich_help_panel="Output",
    ),
]


def tracklets(
    ctx: typer.Context,
    name: Annotated[str | None, typer.Argument(help="Name of one tracklet.")] = None,
    night: log_options.Night = None,
    exposure: log_options.Exposure = None,
    object_: log_options.Object = None,
    sensor: log_options.Sensor = None,
    kind: Kind = None,
    rate: Rate = None,
    significance: Significance = 0.0,
    ra: log_options.Ra = None,
    dec: log_options.Dec = None,
    radius: log_options.Radius = None,
    points: Annotated[
        bool, typer.Option("--points", help="Print one row for each position instead of one for each tracklet.")
    ] = False,
    csv: table_output.Csv = False,
    json: table_output.Json = False,
    parquet: table_output.Parquet = None,
    ades: Ades = None,
    station: Annotated[
        str,
        typer.Option(help="Code of your observatory at the Minor Planet Center, such as 381.", rich_help_panel=_PANEL),
    ] = "",
    submitter: Annotated[
        str, typer.Option(help="Name of the submitter, such as 'A. Observer'.", rich_help_panel=_PANEL)
    ] = "",
    observer: Annotated[
        list[str] | None,
        typer.Option(help="Name of an observer; may be repeated; default: the submitter.", rich_help_panel=_PANEL),
    ] = None,
    mode: Annotated[
        str, typer.Option(help="Type of sensor: CMO (CMOS), CCD or VID (video).", rich_help_panel=_PANEL)
    ] = "CMO",
    design: Annotated[str, typer.Option(help="Design of the telescope.", rich_help_panel=_PANEL)] = "Schmidt",
    aperture: Annotated[float, typer.Option(help="Diameter of the telescope, m.", rich_help_panel=_PANEL)] = 1.05,
) -> None:
    """Print the moving objects that the reduction found, or export them for the Minor Planet Center."""
    from gozen.archive.log.search_log import search_tracklets
    from gozen.archive.stores.output_files import check_output

    form = table_output.Form(csv, json, parquet)
    if ades is not None and (csv or json or parquet is not None):
        raise BadRequest("give only one of --ades, --csv, --json and --parquet")
    if ades is not None:
        check_output(ades)
    selection = log_options.selection(night, ra, dec, radius, exposure=exposure, object=object_, sensor=sensor)
    store = invocation(ctx).store()
    found = search_tracklets(
        store,
        selection,
        tracklet=name,
        kind=_known_kind(kind),
        rate=_rate(rate),
        significance=significance,
        points=points or ades is not None,
    )
    what = "points" if points else "tracklets"
    more = {"": name, "--kind": kind, "--rate": rate, "--significance": significance or None}
    if ades is not None and not len(found):
        raise BadRequest(log_options.nothing_found(what, store, selection, more))
    if ades is not None:
        from gozen.movers.ades_report import Station

        names = tuple(observer or ([submitter] if submitter else []))
        detector = "CMOS" if mode == "CMO" else mode
        who = Station(station, submitter, names, names, design, aperture, detector, mode=mode)
        _write_ades(found, ades, who)
        return
    columns = _POINTS if points else _COLUMNS
    log_options.show_found(found, columns, form, what, store=store, selection=selection, more=more)


def _write_ades(found: pa.Table, path: Path, station: Station) -> None:
    from gozen.archive.stores.output_files import writing
    from gozen.movers.ades_report import ades

    text = ades(found.to_pylist(), station)
    with writing(path):
        path.write_text(text, encoding="utf-8")
    say(f"{path}: {len(set(found['tracklet'].to_pylist()))} tracklets for station {station.code}")


def _known_kind(kind: str | None) -> str | None:
    if kind not in (None, "mover", "streak", "cosmic"):
        raise BadRequest(f"--kind {kind!r} is not known; the kinds are mover, streak and cosmic")
    return kind


def _rate(text: str | None) -> tuple[float, float]:
    if text is None:
        return 0.0, float("inf")
    low, colon, high = text.partition(":")
    try:
        lowest = float(low) if low else 0.0
        highest = float(high) if high else float("inf") if colon else lowest
    except ValueError as error:
        raise BadRequest(f"--rate {text!r} is not a range of arcsec/min such as 0.5:30") from error
    if not colon or not 0 <= lowest <= highest:
        raise BadRequest(f"--rate {text!r} is not a range of arcsec/min such as 0.5:30")
    return lowest, highest
