"""``gozen masters``: dark, bias and flat masters from calibration exposures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gozen.cli import reducing
from gozen.cli.console import messages, results
from gozen.cli.invocation import invocation
from gozen.errors import ExitCode


def masters(
    ctx: typer.Context,
    files: Annotated[
        list[Path] | None, typer.Argument(help="FITS files, or folders of them, to take in; default: the archive's.")
    ] = None,
    night: Annotated[str | None, typer.Option(help="YYYYMMDD, where no files are named.")] = None,
    instrument: reducing.Instrument = None,
    run_: reducing.Run = None,
) -> int:
    """Make dark, bias and flat masters; each exposure then uses the last one before it."""
    from gozen.archive.store import open_store
    from gozen.instrument.profile import load_profile
    from gozen.reduction.masters import make_masters, masters_wanted
    from gozen.reduction.work import Bench

    settings = invocation(ctx).settings(instrument=instrument, run=run_)
    profile, store = load_profile(settings.instrument), open_store(settings.archive)
    if files:
        exposures = reducing.take_in_files(store, profile, files)
    else:
        exposures = reducing.exposures_of_night(store, profile, reducing.only_night(store, night))
    bench = Bench(store, profile, settings)
    refused = 0
    with reducing.counted("making masters", len(masters_wanted(exposures, bench))) as step:
        for made in make_masters(exposures, bench, step):
            if made.refusal is not None:
                refused += 1
                messages().print(f"{made.refusal.name}: {made.exposure.exposure}/{made.sensor}: {made.refusal}")
            else:
                results().print(f"{made.kind} master of sensor {made.sensor}: {made.key}")
    results().print("next: gozen run RECIPE, or gozen reduce NIGHT")
    return ExitCode.UNREADABLE_INPUT if refused else ExitCode.DONE
