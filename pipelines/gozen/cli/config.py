"""``gozen config``: show every setting with its value and source."""

from __future__ import annotations

import typer
from rich.table import Table

from gozen.cli.console import results
from gozen.cli.invocation import invocation
from gozen.cli.table_output import Json, write_json


def config(ctx: typer.Context, json: Json = False) -> None:
    """Print all settings, each with its value, its source (flag, environment, file or default) and its meaning."""
    from gozen.settings import explain_settings, settings_file

    call = invocation(ctx)
    with settings_file(call.config):
        found = explain_settings(**call.flags())
    if json:
        write_json([vars(setting) for setting in found])
        return
    table = Table("setting", "value", "from", "what it means", title="Settings", title_justify="left")
    for setting in found:
        table.add_row(
            setting.name, "" if setting.value is None else str(setting.value), setting.source, setting.meaning
        )
    results().print(table)
