"""``gozen reduce``: sensors of named exposures; what a pod runs."""

from __future__ import annotations

from typing import Annotated

import typer

from gozen.cli import reducing
from gozen.cli.console import say
from gozen.cli.invocation import invocation
from gozen.errors import BadRequest, ExitCode


def reduce(
    ctx: typer.Context,
    night: Annotated[str, typer.Argument(help="YYYYMMDD, the local date on which the night began.")],
    exposure: Annotated[list[str] | None, typer.Argument(help="Exposures; default: all of the sky.")] = None,
    sensor: Annotated[list[str] | None, typer.Option(help="Only this sensor; may be repeated.")] = None,
    pipelines: Annotated[
        str | None, typer.Option(help="wcs, stack, neo, cube, joined by commas; default: what the headers say.")
    ] = None,
    instrument: reducing.Instrument = None,
    reference: reducing.Reference = None,
    run_: reducing.Run = None,
    workers: reducing.Workers = None,
    retain_raw: Annotated[bool, typer.Option("--retain-raw", help="The raw files do not expire.")] = False,
    part: reducing.Part = None,
    part_size: reducing.PartSize = 7,
    raw_url: reducing.RawURL = None,
) -> int:
    """Reduce exposures of the archive's raw data, sensor by sensor."""
    from gozen.archive.stores.open_store import open_archive
    from gozen.instrument.profile import load_profile
    from gozen.observing.raw_for_steps import works_of_exposures

    settings = invocation(ctx).settings(instrument=instrument, reference=reference, run=run_, workers=workers)
    profile, store = load_profile(settings.instrument), open_archive(settings)
    names = reducing.pipeline_names(pipelines)
    known = [one.id for one in profile.sensors]
    _known_sensors(sensor or [], known)
    if part is not None:
        sensor = reducing.part_of(sensor or known, part, part_size)
    if raw_url is not None:
        exposures = [reducing.exposure_at(settings, profile, night, exposure or [], raw_url)]
    else:
        exposures = reducing.exposures_of_night(store, profile, night, exposure)
    wanted = [one for one in exposures if not exposure or one.exposure in exposure]
    absent = sorted(set(exposure or []) - {one.exposure for one in wanted})
    if absent:
        have = ", ".join(one.exposure for one in exposures)
        raise BadRequest(f"the night {night} has no exposure {', '.join(absent)}; it has {have}")
    works = works_of_exposures(wanted, sensor or [], names, settings.run, retain_raw=retain_raw)
    if not works and part is not None and any(one.data_type == "OBJECT" for one in wanted):
        say(f"nothing to reduce: no raw data of the sensors {', '.join(sensor or [])}")
        return ExitCode.DONE
    if not works:
        raise BadRequest(f"nothing to reduce: no exposure of the sky among {', '.join(one.exposure for one in wanted)}")
    # Pods that share a night do not each rebuild its log: the append does that.
    return reducing.reduce_and_report(works, settings, log=part is None)


def _known_sensors(asked: list[str], known: list[str]) -> None:
    unknown = [name for name in asked if name not in known]
    if unknown:
        raise BadRequest(f"the profile has no sensor {', '.join(unknown)}; it has {', '.join(known)}")
