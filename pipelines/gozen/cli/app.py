"""Assemble the command: each subcommand is one line, grouped by task."""

from __future__ import annotations

import functools
from importlib import metadata
from pathlib import Path
from typing import Annotated

import typer
from typer.core import TyperGroup

from gozen.cli import (
    archive,
    catalog,
    config,
    demo,
    doctor,
    exposures,
    instrument,
    lightcurve,
    masters,
    night,
    quality,
    reduce,
    run,
    share,
    simulate,
    sql,
    tracklets,
    watch,
)
from gozen.cli.console import results, set_up_log
from gozen.cli.invocation import Invocation
from gozen.errors import BadRequest
from gozen.version import code_version

OBSERVE = "Observe and simulate"
REDUCE = "Reduce"
LOOK_UP = "Look up"
SHARE = "Share"
MAINTAIN = "Maintain"
CLUSTER = "On a cluster"
GROUP = "For a group of people"
MORE = "From other packages"
PLUGINS = "gozen.commands"
"""Entry-point group in which other packages register a `typer.Typer` or a function as a subcommand."""

_EPILOG = "You may write --archive, --config and --debug anywhere in the command."


@functools.cache
def command() -> TyperGroup:
    """Return the command as the parser needs it.

    Each process makes it only once, because making it takes longer than parsing the arguments.
    """
    return typer.main.get_group(build_app())


def build_app() -> typer.Typer:
    """Return the command with all its subcommands, including those of other packages."""
    app = typer.Typer(
        name="gozen",
        help="Make light curves from the raw frames of a camera that films the sky, and search them in tables.",
        epilog=_EPILOG,
        add_completion=True,
        rich_markup_mode="rich",
        pretty_exceptions_enable=False,
    )
    app.callback(invoke_without_command=True)(_global_options)
    app.command("demo", rich_help_panel=OBSERVE)(demo.demo)
    app.add_typer(simulate.app, name="simulate", rich_help_panel=OBSERVE)
    app.command("run", rich_help_panel=REDUCE)(run.run)
    app.command("watch", rich_help_panel=REDUCE)(watch.watch)
    app.command("masters", rich_help_panel=REDUCE)(masters.masters)
    app.command("reduce", rich_help_panel=REDUCE)(reduce.reduce)
    app.add_typer(night.app, name="night", rich_help_panel=REDUCE)
    app.command("lightcurve", rich_help_panel=LOOK_UP)(lightcurve.lightcurve)
    app.command("sql", rich_help_panel=LOOK_UP)(sql.sql)
    app.command("tracklets", rich_help_panel=LOOK_UP)(tracklets.tracklets)
    app.command("exposures", rich_help_panel=LOOK_UP)(exposures.exposures)
    app.command("quality", rich_help_panel=LOOK_UP)(quality.quality)
    app.add_typer(share.app, name="share", rich_help_panel=SHARE)
    app.add_typer(instrument.app, name="instrument", rich_help_panel=MAINTAIN)
    app.add_typer(archive.app, name="archive", rich_help_panel=MAINTAIN)
    app.add_typer(catalog.app, name="catalog", rich_help_panel=MAINTAIN)
    app.command("config", rich_help_panel=MAINTAIN)(config.config)
    app.command("doctor", rich_help_panel=MAINTAIN)(doctor.doctor)
    _add_plugins(app)
    return app


def _global_options(
    ctx: typer.Context,
    archive: Annotated[
        str | None, typer.Option(help="Root of the archive: a folder, or an address such as s3://bucket/folder.")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="Settings file to use instead of gozen.toml.")] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Print more messages, and the traceback of an error.")] = False,
    version: Annotated[bool, typer.Option("--version", help="Print the version and end.")] = False,
) -> None:
    if version:
        typer.echo(f"gozen {code_version()}")
        raise typer.Exit
    if ctx.invoked_subcommand is None:
        for option, value in (("--archive", archive), ("--config", config)):
            if value is not None:
                raise BadRequest(
                    f"the command has no verb (such as reduce), because {str(value)!r} is read as the value of "
                    f"{option}; add a verb"
                )
        results().print(ctx.get_help())
        raise typer.Exit
    set_up_log(debug=debug)
    ctx.obj = Invocation(archive=archive, config=config, debug=debug)


def _add_plugins(app: typer.Typer) -> None:
    for entry in sorted(metadata.entry_points(group=PLUGINS), key=lambda entry: _panel(entry) == MORE):
        try:
            verb = entry.load()
        except Exception:  # a broken plugin must not disable the other subcommands
            typer.echo(
                (
                    f"gozen: the verb {entry.name!r} of {entry.value} cannot be loaded and is left out; install its "
                    "package again"
                ),
                err=True,
            )
            continue
        panel = _panel(entry)
        if isinstance(verb, typer.Typer):
            app.add_typer(verb, name=entry.name, rich_help_panel=panel)
        else:
            app.command(entry.name, rich_help_panel=panel)(verb)


def _panel(entry: metadata.EntryPoint) -> str:
    return {"gozen_operator": CLUSTER, "gozen_hub": GROUP}.get(entry.module.partition(".")[0], MORE)
