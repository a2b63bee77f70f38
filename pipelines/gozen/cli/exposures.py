"""``gozen exposures``: search the observation log."""

from __future__ import annotations

import typer

from gozen.cli import log_options, table_output
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
    night: log_options.Night = None,
    exposure: log_options.Exposure = None,
    object_: log_options.Object = None,
    sensor: log_options.Sensor = None,
    data_type: log_options.DataType = None,
    filter_: log_options.Filter = None,
    project: log_options.Project = None,
    status: log_options.Status = None,
    reason: log_options.Reason = None,
    ra: log_options.Ra = None,
    dec: log_options.Dec = None,
    radius: log_options.Radius = None,
    csv: table_output.Csv = False,
    json: table_output.Json = False,
    parquet: table_output.Parquet = None,
) -> None:
    """Print the exposures that match the options. Each row is one sensor, with its results or why it was rejected."""
    from gozen.archive.log.search_log import search_exposures

    form = table_output.Form(csv, json, parquet)
    selection = log_options.selection(
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
    log_options.show_found(found, _COLUMNS, form, "sensor exposures", store=store, selection=selection)
