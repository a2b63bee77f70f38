"""``gozen masters``: dark, bias and flat masters from calibration exposures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gozen.cli import reducing
from gozen.cli.console import say
from gozen.cli.invocation import invocation
from gozen.errors import BadRequest


def masters(
    ctx: typer.Context,
    files: Annotated[
        list[Path] | None, typer.Argument(help="FITS files, or folders of them, to take in; default: the archive's.")
    ] = None,
    night: Annotated[str | None, typer.Option(help="YYYYMMDD, where no files are named.")] = None,
    exposure: Annotated[list[str] | None, typer.Option(help="Only this exposure; may be repeated.")] = None,
    sensor: Annotated[list[str] | None, typer.Option(help="Only this sensor; may be repeated.")] = None,
    instrument: reducing.Instrument = None,
    workers: reducing.Workers = None,
    part: reducing.Part = None,
    part_size: reducing.PartSize = 7,
    raw_url: reducing.RawURL = None,
) -> int:
    """Make dark, bias and flat masters; each exposure then uses the last ones before it that fit."""
    from gozen.archive.stores.open_store import open_archive
    from gozen.instrument.profile import load_profile

    settings = invocation(ctx).settings(instrument=instrument, workers=workers)
    profile, store = load_profile(settings.instrument), open_archive(settings)
    if files:
        exposures = reducing.take_in_files(store, profile, files)
    elif raw_url is not None:
        if night is None:
            raise BadRequest(f"--raw-url {raw_url} needs --night as well, as its headers are not asked")
        exposures = [reducing.exposure_at(settings, profile, night, exposure or [], raw_url)]
    else:
        exposures = reducing.exposures_of_night(store, profile, reducing.only_night(store, night), exposure)
    wanted = [one for one in exposures if not exposure or one.exposure in exposure]
    if exposure and not wanted:
        raise BadRequest(f"no exposure {', '.join(exposure)}; there are {', '.join(one.exposure for one in exposures)}")
    if part is not None:
        sensor = reducing.part_of(sensor or [one.id for one in profile.sensors], part, part_size)
    code = reducing.make_and_report(wanted, settings, profile, sensor or (), log=part is None)
    say("next: gozen run RECIPE, or gozen reduce NIGHT")
    return code
