"""``gozen watch``: reduce the files of a folder while a camera writes them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gozen.cli import reduction_options
from gozen.cli.console import messages, say
from gozen.cli.invocation import invocation
from gozen.errors import BadRequest

if TYPE_CHECKING:
    from gozen.archive.stores.open_store import Store


def watch(
    ctx: typer.Context,
    folder: Annotated[Path, typer.Argument(help="Folder into which the camera writes FITS files.")],
    once: Annotated[
        bool, typer.Option("--once", help="End when all files of the folder are handled and all work is done.")
    ] = False,
    keep: Annotated[
        bool, typer.Option("--keep", help="Copy the files into the archive instead of moving them.")
    ] = False,
    recipe: Annotated[
        list[Path] | None,
        typer.Option(
            help="YAML file with a recipe, or with resources of the kind Observation: it defines pipelines and "
            "priority of the targets that it names; may be repeated."
        ),
    ] = None,
    express: Annotated[
        list[str] | None, typer.Option(help="Names of objects to reduce first, such as 'GRB*'; may be repeated.")
    ] = None,
    pipelines: Annotated[
        str | None,
        typer.Option(
            help="Results to make, separated by commas: wcs (sky coordinates), stack (mean image), neo (moving "
            "objects), cube (calibrated frames). Default: those of the recipe for this object, else those of "
            "the FITS header, else those of the instrument profile."
        ),
    ] = None,
    status: Annotated[
        Path | None, typer.Option(help="File to which the state of the queue is written, as JSON.")
    ] = None,
    instrument: reduction_options.Instrument = None,
    reference: reduction_options.Reference = None,
    run_: reduction_options.Run = None,
    workers: reduction_options.Workers = None,
) -> int:
    """Reduce files as they arrive in a folder, and append the results to the light curves.

    Files are moved from the folder into the archive. Calibration is reduced first, then the objects of --express and
    those that --recipe marks as targets of opportunity. After a stop or a kill, start the command again to continue.
    """
    from gozen.archive.stores.open_store import open_archive
    from gozen.archive.stores.output_files import check_output
    from gozen.instrument.profile import load_profile
    from gozen.watch.messages import Reporter
    from gozen.watch.recipes_of_cubes import Orders
    from gozen.watch.watch_loop import WatchClock, run_watch

    more = {"watch": {"express": express}} if express else {}
    settings = invocation(ctx).settings(instrument=instrument, reference=reference, run=run_, workers=workers, **more)
    profile, store = load_profile(settings.instrument), open_archive(settings)
    _check_apart(folder, store)
    if status is not None:
        check_output(status, is_replaced=True)
    orders = Orders(profile, settings, recipe or [], reduction_options.pipeline_names(pipelines))
    clock = WatchClock()
    reporter = Reporter(say, settings.watch, store, status, clock.now())
    messages().print(f"watching {folder}; files are {'copied' if keep else 'moved'} into {store.url}; Ctrl-C ends it")
    return run_watch(folder, settings, orders, reporter, keep=keep, until_idle=once, clock=clock)


def _check_apart(folder: Path, store: Store) -> None:
    if not folder.is_dir():
        raise BadRequest(f"the folder {folder} does not exist; create it, or give another folder")
    root, watched = store.path(""), folder.resolve()
    if root is not None and (root.resolve().is_relative_to(watched) or watched.is_relative_to(root.resolve())):
        raise BadRequest(f"the archive {store.url} and the watched folder {folder} overlap; use separate folders")
