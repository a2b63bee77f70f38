"""``gozen run``: a recipe or an Observation, from raw data to calibrated rows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from zoneinfo import ZoneInfo

import typer

from gozen.cli import reducing
from gozen.cli.console import messages
from gozen.cli.invocation import invocation
from gozen.errors import BadRequest, ExitCode, worst

if TYPE_CHECKING:
    from gozen.archive.raw.exposure_record import RawExposure
    from gozen.observing.raw_for_steps import Answered
    from gozen.resources.observation import Observation


def run(
    ctx: typer.Context,
    recipe: Annotated[Path, typer.Argument(help="A recipe in the observatory's form, or Observations in YAML.")],
    raw: Annotated[
        list[Path] | None, typer.Option(help="FITS files, or folders of them, to take in first; may be repeated.")
    ] = None,
    night: Annotated[str | None, typer.Option(help="YYYYMMDD; default: the night of the raw data.")] = None,
    instrument: reducing.Instrument = None,
    reference: reducing.Reference = None,
    run_: reducing.Run = None,
    workers: reducing.Workers = None,
) -> int:
    """Reduce what a recipe asks for; run again, it finishes the rest and redoes nothing."""
    from gozen.archive.stores.open_store import open_archive
    from gozen.instrument.profile import load_profile
    from gozen.observing.observation_plan import exposures_of
    from gozen.observing.raw_for_steps import PointingReach, assign_raw_to_steps, works_of
    from gozen.resources.observatory_recipe import load_observations

    settings = invocation(ctx).settings(instrument=instrument, reference=reference, run=run_, workers=workers)
    profile, store = load_profile(settings.instrument), open_archive(settings)
    text = _read(recipe)
    taken = reducing.take_in_files(store, profile, raw) if raw else []
    chosen = reducing.only_night(store, night or _common_night([one.night for one in taken]))
    observations = load_observations(
        text, recipe.name, night=reducing.date_of(chosen), zone=ZoneInfo(profile.site.time_zone)
    )
    exposures = reducing.exposures_of_night(store, profile, chosen)
    planned = [
        exposures_of(
            observation,
            instrument=profile.name,
            run=settings.run,
            default_pipelines=profile.default_pipelines,
            default_gain=profile.default_gain,
        )
        for observation in observations
    ]
    answers, unasked = assign_raw_to_steps(planned, exposures, PointingReach.of(profile))
    codes, works = [_not_asked_for(unasked)], []
    for observation, answered in zip(observations, answers, strict=True):
        codes.append(_missing(observation, answered, exposures))
        if answered.calibrations and profile.masters:
            codes.append(reducing.make_and_report(answered.calibrations, settings, profile))
        works += works_of(observation, answered, settings.run)
    if ExitCode.STORAGE in codes:
        # Without its masters the sky would fail for a reason that is not the right one.
        messages().print("the sky is not reduced before its masters are made; run again when they can be")
        return worst(codes)
    codes.append(reducing.reduce_and_report(works, settings))
    return worst(codes)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadRequest(f"cannot read the recipe {path}: {error}") from error


def _common_night(nights: list[str]) -> str | None:
    if len(set(nights)) > 1:
        raise BadRequest(
            f"the raw files are of {len(set(nights))} nights; choose one with --night: {sorted(set(nights))}"
        )
    return nights[0] if nights else None


def _missing(observation: Observation, answered: Answered, exposures: list[RawExposure]) -> ExitCode:
    """Say which exposures have no raw data, and what the night has instead."""
    for step in answered.missing:
        spec, place = step.exposure.spec, step.pointing
        where = "" if place is None or spec.data_type != "OBJECT" else _at((place.ra, place.dec))
        same = sorted({f"{one.object}{_at(one.pointing)}" for one in exposures if one.object == spec.object})
        found = ", ".join(same or sorted({one.object for one in exposures}))
        messages().print(
            f"MissingObject: {observation.metadata.name} step {step.step}: no raw {spec.data_type} exposure of "
            f"{spec.object!r}{where} that no other step has; the night has {found}"
        )
    return ExitCode.UNREADABLE_INPUT if answered.missing else ExitCode.DONE


def _not_asked_for(unasked: list[RawExposure]) -> ExitCode:
    """Say which exposures of the sky no step asks for."""
    for one in unasked:
        messages().print(
            f"not asked for: {one.night} {one.exposure}: no step of the recipe asks for {one.object!r}"
            f"{_at(one.pointing)}; `gozen reduce {one.night} {one.exposure}` reduces it"
        )
    return ExitCode.NOT_ASKED_FOR if unasked else ExitCode.DONE


def _at(place: tuple[float, float] | None) -> str:
    return "" if place is None else f" at ra {place[0]:.4f}, dec {place[1]:+.4f} deg"
