"""``gozen quality``: search the measurements of frames and gates."""

from __future__ import annotations

from typing import Annotated

import typer

from gozen.cli import log_options, table_output
from gozen.cli.invocation import invocation
from gozen.errors import BadRequest

_FRAMES = (
    "night",
    "exposure",
    "sensor",
    "frame",
    "mjd",
    "background_adu",
    "noise_adu",
    "seeing_px",
    "shift_x_px",
    "shift_y_px",
    "rotation_deg",
    "shift_residual_px",
    "zero_point",
    "passed",
    "reason",
)
_GATES = ("night", "exposure", "sensor", "frame", "gate", "value", "limit", "unit", "passed", "reason", "message")


def quality(
    ctx: typer.Context,
    night: log_options.Night = None,
    exposure: log_options.Exposure = None,
    object_: log_options.Object = None,
    sensor: log_options.Sensor = None,
    data_type: log_options.DataType = None,
    reason: log_options.Reason = None,
    gates: Annotated[
        bool, typer.Option("--gates", help="Print the gates (checks of the data), with value and limit.")
    ] = False,
    frames: Annotated[
        bool, typer.Option("--frames", help="Print the measurements of each frame (the default).")
    ] = False,
    refused: Annotated[bool, typer.Option("--refused", help="Print only data that a gate rejected.")] = False,
    csv: table_output.Csv = False,
    json: table_output.Json = False,
    parquet: table_output.Parquet = None,
) -> None:
    """Print the quality of frames: shift, sky, seeing. With --gates, print the values and limits of all checks."""
    from gozen.archive.log.search_log import search_quality

    if gates and frames:
        raise BadRequest("give only one of --gates and --frames, because they have different columns")
    form = table_output.Form(csv, json, parquet)
    selection = log_options.selection(
        night, exposure=exposure, object=object_, sensor=sensor, data_type=data_type, reason=reason
    )
    store = invocation(ctx).store()
    found = search_quality(store, selection, frames=not gates, gates=gates, refused_only=refused)
    columns, what = (_GATES, "gates") if gates else (_FRAMES, "frames")
    more = {"--refused": refused}
    log_options.show_found(found, columns, form, what, store=store, selection=selection, more=more)
