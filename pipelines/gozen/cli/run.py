"""``gozen run``: reduce what a recipe or Observation requests, from raw data to staged rows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gozen.cli import reduction_options
from gozen.cli.console import messages
from gozen.cli.invocation import invocation
from gozen.cli.raw_intake import take_in_and_say
from gozen.cli.stage_bar import counted
from gozen.cli.work_summary import say_left_out, say_master, say_reduced

if TYPE_CHECKING:
    from gozen.archive.raw.exposure_record import RawExposure
    from gozen.archive.stores.open_store import Store
    from gozen.errors import ExitCode
    from gozen.instrument.profile import Profile
    from gozen.observing.raw_for_steps import Answered
    from gozen.resources.observation import Observation
    from gozen.settings import Settings


def run(
    ctx: typer.Context,
    recipe: Annotated[
        Path, typer.Argument(help="YAML file: a recipe in the form of the Kiso observatory, or Observations.")
    ],
    raw: Annotated[
        list[Path] | None,
        typer.Option(help="FITS files or folders; they are first copied into the archive. May be repeated."),
    ] = None,
    night: Annotated[str | None, typer.Option(help="Night YYYYMMDD; default: the night of the raw data.")] = None,
    instrument: reduction_options.Instrument = None,
    reference: reduction_options.Reference = None,
    run_: reduction_options.Run = None,
    workers: reduction_options.Workers = None,
) -> int:
    """Reduce the exposures that a recipe requests. After an interruption, run it again to continue."""
    from gozen.archive.stores.open_store import open_archive
    from gozen.instrument.profile import load_profile
    from gozen.observing.recipe_of_night import observations_of, read_recipe
    from gozen.workflow.night_exposures import common_night, exposures_of_night, only_night

    settings = invocation(ctx).settings(instrument=instrument, reference=reference, run=run_, workers=workers)
    profile, store = load_profile(settings.instrument), open_archive(settings)
    text = read_recipe(recipe)
    taken = take_in_and_say(store, profile, raw) if raw else []
    chosen = only_night(store, night or common_night(taken))
    observations = observations_of(text, recipe.name, chosen, profile)
    exposures = exposures_of_night(store, profile, chosen, left_out=say_left_out)
    return _carry_out(store, settings, profile, observations, exposures)


def _carry_out(
    store: Store,
    settings: Settings,
    profile: Profile,
    observations: Sequence[Observation],
    exposures: Sequence[RawExposure],
) -> ExitCode:
    from gozen.workflow.run_recipe import plan_recipe, run_recipe

    plan = plan_recipe(observations, exposures, profile, settings.run)
    _say_unasked(plan.unasked)
    result = run_recipe(
        store,
        settings,
        profile,
        plan,
        progress=counted,
        begun=lambda observation, answered: _say_missing(observation, answered, plan.exposures),
        master_finished=say_master,
    )
    if result.sensors is None:
        messages().print(
            "exposures of the sky are not reduced, because their masters cannot be made; run again after you have "
            "corrected that"
        )
    else:
        say_reduced(result.sensors)
    return result.exit_code


def _say_missing(observation: Observation, answered: Answered, exposures: Sequence[RawExposure]) -> None:
    """Print which planned exposures have no raw data, and which exposures the night has."""
    for step in answered.missing:
        spec, place = step.exposure.spec, step.pointing
        where = "" if place is None or spec.data_type != "OBJECT" else _at((place.ra, place.dec))
        same = sorted({f"{one.object}{_at(one.pointing)}" for one in exposures if one.object == spec.object})
        found = ", ".join(same or sorted({one.object for one in exposures}))
        messages().print(
            f"MissingObject: {observation.metadata.name} step {step.step}: no raw {spec.data_type} exposure of "
            f"{spec.object!r}{where} that no other step uses; the night has {found}"
        )


def _say_unasked(unasked: Sequence[RawExposure]) -> None:
    """Print the science exposures that no step requests."""
    for one in unasked:
        messages().print(
            f"not requested: {one.night} {one.exposure}: no step of the recipe requests {one.object!r}"
            f"{_at(one.pointing)}; `gozen reduce {one.night} {one.exposure}` reduces it"
        )


def _at(place: tuple[float, float] | None) -> str:
    return "" if place is None else f" at ra {place[0]:.4f}, dec {place[1]:+.4f} deg"
