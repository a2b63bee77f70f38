"""``gozen share put``, ``get`` and ``ls``: send files to Nextcloud, fetch and list them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from gozen.cli.console import messages, results, say
from gozen.cli.invocation import invocation
from gozen.cli.table_output import Json, write_json
from gozen.cli.transfer_bar import transfer_bar

if TYPE_CHECKING:
    from gozen.sharing.cloud import Cloud
    from gozen.sharing.transfers.outcomes import FileOutcome, Transfers

_NAMED = 10
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Also overwrite files that have changed at the destination.")
]


def put(
    ctx: typer.Context,
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Files and folders on this machine.")],
    to: Annotated[
        str, typer.Option(help="Folder in Nextcloud, made if it does not exist; default: the top of your files.")
    ] = "",
    overwrite: Overwrite = False,
    json: Json = False,
) -> None:
    """Send files and folders to Nextcloud.

    Equal files are not sent. Files that have changed in Nextcloud since the last transfer are not overwritten. If the
    command is interrupted, run it again: it continues.
    """
    with _cloud(ctx) as cloud, transfer_bar("sending") as bar:
        done = cloud.put(paths, to, overwrite=overwrite, progress=bar, check=False)
    _report(done, json=json)


def get(
    ctx: typer.Context,
    paths: Annotated[list[str], typer.Argument(metavar="PATH...", help="Files and folders in Nextcloud.")],
    to: Annotated[Path, typer.Option(help="Folder on this machine; it is made if it does not exist.")] = Path(),
    overwrite: Overwrite = False,
    json: Json = False,
) -> None:
    """Fetch files and folders from Nextcloud.

    Equal files are not fetched. Files that have changed on this machine since the last transfer are not overwritten.
    If the command is interrupted, run it again: it continues.
    """
    with _cloud(ctx) as cloud, transfer_bar("fetching") as bar:
        done = cloud.get(paths, to, overwrite=overwrite, progress=bar, check=False)
    _report(done, json=json)


def ls(
    ctx: typer.Context,
    folder: Annotated[str, typer.Argument(help="Folder in Nextcloud; default: the user's own.")] = "",
    json: Json = False,
) -> None:
    """List a folder in Nextcloud."""
    from gozen.sharing.cloud import shown_name, when_text
    from gozen.sharing.html_table import size_text

    with _cloud(ctx) as cloud:
        found = cloud.list(folder)
    if json:
        write_json([{**vars(one), "name": one.name} for one in found])
        return
    table = Table("name", title=found.folder or None, title_justify="left")
    table.add_column("size", justify="right")
    table.add_column("changed (UTC)")
    for one in found:
        table.add_row(shown_name(one), "" if one.is_folder else size_text(one.size), when_text(one))
    results().print(table)


def _cloud(ctx: typer.Context) -> Cloud:
    from gozen.sharing.cloud import connect

    return connect(settings=invocation(ctx).settings().sharing)


def _report(done: Transfers, *, json: bool) -> None:
    """Print the outcome of the files; if a file failed, raise its error."""
    if json:
        write_json({"files": [_as_json(one) for one in done], "ended_by": str(done.fatal) if done.fatal else None})
    else:
        for one in done:
            if one.remark:
                messages().print(f"{one.path}: {one.state}, {one.remark}")
        say(done.counts())
    failed = [one.error for one in done.failed if one.error is not None]
    if done.fatal is not None or len(failed) <= 1:
        for error in (done.fatal, *failed):
            if error is not None:
                raise error
        return
    for error in failed[:_NAMED]:
        messages().print(f"failed, {error.name}: {error}")
    more = f"; --json lists all {len(failed)}" if len(failed) > _NAMED else ""
    raise done.worst(f"{len(failed)} of {len(done)} files failed, and the lines above say why{more}")


def _as_json(outcome: FileOutcome) -> dict[str, object]:
    error = outcome.error
    return {
        "path": outcome.path,
        "state": str(outcome.state),
        "size": outcome.size,
        "remark": outcome.remark,
        "error": error.name if error else None,
        "message": str(error) if error else None,
    }
