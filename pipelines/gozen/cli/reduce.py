"""``gozen reduce``: reduce sensors of named exposures; pods run this."""

from __future__ import annotations

from typing import Annotated

import typer

from gozen.cli import reduction_options
from gozen.cli.console import say
from gozen.cli.invocation import invocation
from gozen.cli.stage_bar import counted
from gozen.cli.work_summary import say_left_out, say_reduced
from gozen.errors import ExitCode, worst


def reduce(
    ctx: typer.Context,
    night: Annotated[str, typer.Argument(help="Night YYYYMMDD: the local date on which it began.")],
    exposure: Annotated[
        list[str] | None,
        typer.Argument(help="Names of exposures, such as 00000003; default: all exposures of the sky."),
    ] = None,
    sensor: Annotated[list[str] | None, typer.Option(help="Only this sensor; may be repeated.")] = None,
    pipelines: Annotated[
        str | None,
        typer.Option(
            help="Results to make, separated by commas: wcs (sky coordinates), stack (mean image), neo (moving "
            "objects), cube (calibrated frames). Default: those of the FITS header, else those of the "
            "instrument profile."
        ),
    ] = None,
    instrument: reduction_options.Instrument = None,
    reference: reduction_options.Reference = None,
    run_: reduction_options.Run = None,
    workers: reduction_options.Workers = None,
    retain_raw: Annotated[
        bool, typer.Option("--retain-raw", help="Protect the raw files, so they do not expire.")
    ] = False,
    part: reduction_options.Part = None,
    part_size: reduction_options.PartSize = 7,
    raw_url: reduction_options.RawURL = None,
) -> int:
    """Reduce exposures of a night from raw data in the archive, sensor by sensor."""
    from gozen.archive.stores.open_store import open_archive
    from gozen.instrument.profile import load_profile
    from gozen.workflow.night_exposures import check_sensors, exposure_at, exposures_of_night, part_of
    from gozen.workflow.reduce_exposures import reduce_exposures, works_of_night

    settings = invocation(ctx).settings(instrument=instrument, reference=reference, run=run_, workers=workers)
    profile, store = load_profile(settings.instrument), open_archive(settings)
    names, sensors, divided = reduction_options.pipeline_names(pipelines), sensor or [], part is not None
    check_sensors(sensors, profile)
    if part is not None:
        sensors = part_of(sensors, profile, part, part_size)
    if raw_url is not None:
        exposures = [exposure_at(settings, profile, night, exposure or [], raw_url)]
    else:
        exposures = exposures_of_night(store, profile, night, exposure, left_out=say_left_out)
    works = works_of_night(
        exposures,
        exposure or [],
        run=settings.run,
        sensors=sensors,
        pipelines=names,
        retain_raw=retain_raw,
        divided=divided,
    )
    if not works:
        say(f"nothing to reduce: no raw data of the sensors {', '.join(sensors)}")
        return ExitCode.DONE
    results = reduce_exposures(store, settings, works, divided=divided, progress=counted)
    say_reduced(results)
    return worst([one.exit_code for one in results])
