"""``gozen doctor``: show what is installed, what is missing and how to get it."""

from __future__ import annotations

import typer
from rich.table import Table

from gozen.cli.console import results
from gozen.cli.invocation import invocation
from gozen.cli.table_output import Json, write_json
from gozen.errors import ExitCode

_STYLES = {"ok": "green", "optional": "yellow", "missing": "bold red"}


def doctor(ctx: typer.Context, json: Json = False) -> None:
    """Check this machine: print what is installed, what is missing and how to get it.

    The exit code is 65 if Gozen cannot reduce data on this machine.
    """
    from gozen.preflight.examine_machine import examine

    found = examine(invocation(ctx).settings())
    missing = [finding for finding in found if finding.state == "missing"]
    if json:
        write_json([vars(finding) for finding in found])
    else:
        table = Table("what", "state", "found", "how to get it", title="This machine", title_justify="left")
        for finding in found:
            table.add_row(finding.name, finding.state, finding.found, finding.hint, style=_STYLES[finding.state])
        results().print(table)
        names = ", ".join(finding.name for finding in missing)
        typer.echo(f"missing: {names}" if missing else "ready: Gozen can reduce data")
    if missing:
        raise typer.Exit(ExitCode.UNREADABLE_INPUT)
