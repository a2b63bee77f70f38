"""``gozen archive``: contents, verification and retention of the archive."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.table import Table

from gozen.cli import bucket
from gozen.cli.console import results
from gozen.cli.invocation import invocation
from gozen.cli.table_output import Json, write_json
from gozen.errors import BadRequest, ExitCode

app = typer.Typer(help="Inspect and verify the archive, and delete raw files that have expired.", no_args_is_help=True)

Nights = Annotated[list[str] | None, typer.Argument(metavar="[NIGHT]...", help="Nights YYYYMMDD; default: all.")]


@app.command()
def info(ctx: typer.Context, json: Json = False) -> None:
    """Print the number and size of the files in each folder of the archive."""
    from gozen.archive.inventory import inventory

    store = invocation(ctx).store()
    held = inventory(store)
    if json:
        write_json({"archive": store.url, "folders": {h.folder: {"objects": h.objects, "bytes": h.size} for h in held}})
        return
    table = Table("folder", title=store.url, title_justify="left")
    table.add_column("objects", justify="right")
    table.add_column("MB", justify="right")
    for holding in held:
        table.add_row(holding.folder, str(holding.objects), f"{holding.size / 1e6:.1f}")
    results().print(table)


@app.command()
def verify(ctx: typer.Context, nights: Nights = None, json: Json = False) -> None:
    """Check that products are complete and unchanged, and that all raw files that must still be reduced are present.

    Each product is compared with the commit that names it. The exit code is 65 if there is a problem.
    """
    from gozen.archive.inventory import require_nights, require_objects
    from gozen.archive.inventory import verify as check

    store = invocation(ctx).store()
    require_nights(store, nights or [])
    found = check(store, nights or None)
    if not found.commits:
        require_objects(store)
    if json:
        write_json({**vars(found), "problems": list(found.problems), "unnamed": list(found.unnamed)})
    else:
        _print_lines(found.problems)
        _print_lines(
            f"{store.url_of(key)}: no commit names it; it is harmless: a reduction that committed nothing has left it"
            for key in found.unnamed
        )
        wrong = f"{len(found.problems)} problems" if found.problems else "all as committed"
        _print_lines([f"{found.commits} commits, {found.products} products, {found.size / 1e6:.1f} MB: {wrong}"])
    if found.problems:
        raise typer.Exit(ExitCode.UNREADABLE_INPUT)


@app.command()
def sweep(ctx: typer.Context) -> None:
    """Delete incomplete files of killed processes; files of other machines only after a day."""
    from gozen.archive.inventory import sweep as clean

    _print_lines([f"{clean(invocation(ctx).store())} half-written files removed"])


@app.command()
def expire(
    ctx: typer.Context,
    keep_days: Annotated[
        float | None,
        typer.Option(min=0, help="Days to keep raw files after their night; default: the setting keep_raw_days."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print which files would be deleted.")] = False,
) -> None:
    """Delete raw files that are reduced and older than keep_raw_days (or --keep-days).

    Files that `archive retain` or `reduce --retain-raw` protects are kept.
    """
    from gozen.archive.raw.expiry import expire as expire_raw

    settings = invocation(ctx).settings(keep_raw_days=keep_days)
    found = expire_raw(
        invocation(ctx).store(), now=datetime.now(UTC), keep_days=settings.keep_raw_days, dry_run=dry_run
    )
    went = "would be deleted" if dry_run else "deleted"
    _print_lines(f"{one.key}: {went}" for one in found if one.fate == "expired")
    for fate, said in (
        ("expired", went),
        ("not yet", "kept: not older than keep_raw_days"),
        ("retained", "kept: retained"),
        ("not reduced", "kept: older than keep_raw_days, but no commit names them"),
    ):
        of_fate = [one.size for one in found if one.fate == fate]
        if of_fate:
            _print_lines([f"{_raw_files(len(of_fate))}, {sum(of_fate) / 1e6:.1f} MB: {said}"])
    if not found:
        _print_lines(["no raw files"])


@app.command()
def retain(
    ctx: typer.Context,
    night: Annotated[str, typer.Argument(help="Night YYYYMMDD.")],
    exposure: Annotated[str, typer.Argument(help="Name of the exposure, such as 00000003.")],
    undo: Annotated[bool, typer.Option("--undo", help="End the protection: the raw files may expire again.")] = False,
) -> None:
    """Protect the raw files of an exposure, so they do not expire."""
    from gozen.archive.raw.retain import raw_files, release
    from gozen.archive.raw.retain import retain as keep

    store = invocation(ctx).store()
    if not raw_files(store, night, exposure):
        raise BadRequest(f"{store.url} has no raw files of the exposure {exposure} of {night}; see `gozen exposures`")
    if undo:
        _print_lines([f"{_raw_files(release(store, night, exposure))} may expire again"])
        return
    found = keep(store, night, exposure)
    _print_lines(f"{key}: already deleted" for key in found.gone)
    if not found.kept:
        raise BadRequest(
            f"the raw files of the exposure {exposure} of {night} cannot be protected: they expired during this "
            "command, and are deleted"
        )
    _print_lines([f"{_raw_files(found.kept)} retained"])


@app.command()
def forget(
    ctx: typer.Context,
    night: Annotated[str, typer.Argument(help="Night YYYYMMDD.")],
    exposure: Annotated[str, typer.Argument(help="Name of the exposure, such as 00000003.")],
    files: Annotated[
        list[str] | None,
        typer.Argument(metavar="[FILE]...", help="Names of raw files; default: all raw files of the exposure."),
    ] = None,
    why: Annotated[str, typer.Option(help="Reason; Gozen writes it to the record of the exposure.")] = "",
) -> None:
    """Delete raw files of an exposure from the archive, unless a reduction has used one of them.

    The record of the exposure keeps the names and checksums of the deleted files.
    """
    from gozen.archive.raw.forget import forget as take_out

    found = take_out(invocation(ctx).store(), night, exposure, files or [], now=datetime.now(UTC), why=why)
    _print_lines(f"{one.key}: deleted" for one in found)


@app.command()
def rebuild(ctx: typer.Context, nights: Nights = None) -> None:
    """Compute the tables of the observation log again, from the records of the reductions (commits)."""
    from gozen.archive.inventory import nights_of_commits, require_commits
    from gozen.archive.log.observation_log import rebuild_night

    store = invocation(ctx).store()
    require_commits(store, nights or [])
    for night in nights or nights_of_commits(store):
        _print_lines([f"{night}: {rebuild_night(store, night)} sensor exposures"])


app.command()(bucket.tag)
app.command()(bucket.lifecycle)
app.command()(bucket.policy)


def _raw_files(count: int) -> str:
    return "1 raw file" if count == 1 else f"{count} raw files"


def _print_lines(lines: Iterable[str]) -> None:
    for line in lines:
        typer.echo(line)
