"""``gozen exposures``: search the observation log."""

from __future__ import annotations

import typer

from gozen.cli import output, selecting
from gozen.cli.invocation import invocation

_COLUMNS = (
    "night",
    "exposure",
    "sensor",
    "object",
    "data_type",
    "mjd_start",
    "nframe",
    "n_rejected_frames",
    "status",
    "reason",
    "n_sources",
    "zero_point",
    "limiting_magnitude",
)


def exposures(
    ctx: typer.Context,
    night: selecting.Night = None,
    exposure: selecting.Exposure = None,
    object_: selecting.Object = None,
    sensor: selecting.Sensor = None,
    data_type: selecting.DataType = None,
    filter_: selecting.Filter = None,
    project: selecting.Project = None,
    status: selecting.Status = None,
    reason: selecting.Reason = None,
    ra: selecting.Ra = None,
    dec: selecting.Dec = None,
    radius: selecting.Radius = 1.0,
    csv: output.Csv = False,
    json: output.Json = False,
    parquet: output.Parquet = None,
) -> None:
    """Search the exposures: one row for each sensor, the refused ones with the reason."""
    from gozen.archive.search import search_exposures

    form = output.Form(csv, json, parquet)
    selection = selecting.selection(
        night,
        ra,
        dec,
        radius,
        exposure=exposure,
        object=object_,
        sensor=sensor,
        data_type=data_type,
        filter=filter_,
        project=project,
        status=status,
        reason=reason,
    )
    store = invocation(ctx).store()
    found = search_exposures(store, selection)
    output.show(found, _COLUMNS, form, selecting.title("sensor exposures", len(found), store))
