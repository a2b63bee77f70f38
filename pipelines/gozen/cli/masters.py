"""``gozen masters``: make dark, bias and flat masters."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gozen.cli import reduction_options
from gozen.cli.console import say
from gozen.cli.invocation import invocation
from gozen.cli.raw_intake import take_in_and_say
from gozen.cli.stage_bar import counted
from gozen.cli.work_summary import say_left_out, say_master
from gozen.errors import BadRequest, ExitCode, worst

if TYPE_CHECKING:
    from gozen.archive.raw.exposure_record import RawExposure
    from gozen.archive.stores.open_store import Store
    from gozen.instrument.profile import Profile
    from gozen.settings import Settings


def masters(
    ctx: typer.Context,
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            help="FITS files or folders; they are first copied into the archive. Default: raw data in the archive."
        ),
    ] = None,
    night: Annotated[
        str | None, typer.Option(help="Night YYYYMMDD; default: that of the files, or the only one.")
    ] = None,
    exposure: Annotated[
        list[str] | None, typer.Option(help="Only this exposure, such as 00000003; may be repeated.")
    ] = None,
    sensor: Annotated[list[str] | None, typer.Option(help="Only this sensor; may be repeated.")] = None,
    instrument: reduction_options.Instrument = None,
    workers: reduction_options.Workers = None,
    part: reduction_options.Part = None,
    part_size: reduction_options.PartSize = 7,
    raw_url: reduction_options.RawURL = None,
) -> int:
    """Make dark, bias and flat masters. Each exposure of the sky then uses the last matching masters before it."""
    from gozen.archive.stores.open_store import open_archive
    from gozen.instrument.profile import load_profile
    from gozen.workflow.night_exposures import (
        check_sensors,
        chosen_exposures,
        exposure_at,
        exposures_of_night,
        only_night,
        part_of,
    )

    settings = invocation(ctx).settings(instrument=instrument, workers=workers)
    profile, store = load_profile(settings.instrument), open_archive(settings)
    check_sensors(sensor or [], profile)
    if files:
        exposures = take_in_and_say(store, profile, files)
    elif raw_url is not None:
        if night is None:
            raise BadRequest(
                f"--raw-url {raw_url} needs --night too, because the night is not read from the headers of these files"
            )
        exposures = [exposure_at(settings, profile, night, exposure or [], raw_url)]
    else:
        exposures = exposures_of_night(store, profile, only_night(store, night), exposure, left_out=say_left_out)
    wanted = chosen_exposures(exposures, exposure or [])
    sensors = sensor or []
    if part is not None:
        sensors = part_of(sensors, profile, part, part_size)
    return _make(store, settings, profile, wanted, sensors, divided=part is not None)


def _make(
    store: Store,
    settings: Settings,
    profile: Profile,
    exposures: Sequence[RawExposure],
    sensors: Sequence[str],
    *,
    divided: bool,
) -> ExitCode:
    from gozen.workflow.make_night_masters import make_night_masters

    made = make_night_masters(
        store, settings, profile, exposures, sensors, divided=divided, progress=counted, finished=say_master
    )
    say("next: gozen run RECIPE, or gozen reduce NIGHT")
    return worst([one.exit_code for one in made])
