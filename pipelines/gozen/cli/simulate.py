"""``gozen simulate``: simulated raw data with known truth, or object tables of a survey.

``gozen simulate [RECIPE]`` is ``gozen simulate night [RECIPE]``.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from gozen.cli import reduction_options, survey
from gozen.cli.console import say
from gozen.cli.invocation import invocation
from gozen.cli.stage_bar import counted
from gozen.errors import BadRequest

if TYPE_CHECKING:
    from gozen.instrument.profile import Profile

_DITHERS = ((0.0, 0.0), (0.0, 1440.0), (-1980.0, 1440.0), (-1980.0, 0.0))
"""Offsets towards east and north, arcsec: the four exposures of a survey field."""


class _NightUnlessNamed(TyperGroup):
    """A command group in which the subcommand ``night`` may be left out."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Insert ``night`` as first argument, unless that is a subcommand or a help option."""
        named = bool(args) and (args[0] in self.commands or args[0] in ctx.help_option_names)
        return super().parse_args(ctx, args if named else ["night", *args])


app = typer.Typer(
    cls=_NightUnlessNamed,
    help="Simulate raw exposures of a night, or the tables of a survey. `night` is the default.",
)
app.command("objects")(survey.objects)


@app.command("night")
def simulate(
    ctx: typer.Context,
    recipe: Annotated[
        Path | None, typer.Argument(help="Recipe whose exposures are simulated; default: one field, at --ra and --dec.")
    ] = None,
    night: Annotated[str, typer.Option(help="Night YYYYMMDD: the local date on which it begins.")] = "20260115",
    ra: Annotated[float, typer.Option(min=0, max=360, help="Right ascension of the field, degrees.")] = 19.75,
    dec: Annotated[float, typer.Option(min=-90, max=90, help="Declination of the field, degrees.")] = 29.71,
    dithers: Annotated[
        int, typer.Option(min=1, max=4, help="Number of exposures of the field; the telescope moves between them.")
    ] = 1,
    sensors: Annotated[
        str, typer.Option(help="Names of sensors, separated by commas; or a number of sensors; or `all`.")
    ] = "2",
    nframe: Annotated[int, typer.Option(min=1, max=10000, help="Number of frames in each exposure.")] = 18,
    seed: Annotated[int, typer.Option(help="Seed of the random numbers of the sky; an archive has only one seed.")] = 1,
    events: Annotated[
        bool, typer.Option(help="Also simulate a flare, an eclipse, a flash, moving objects and a cloud.")
    ] = True,
    instrument: reduction_options.Instrument = None,
    workers: reduction_options.Workers = None,
) -> None:
    """Simulate raw exposures of the sky, a dark and a flat; write true positions, fluxes and shifts to truth/."""
    from gozen.archive.keys import date_of
    from gozen.archive.stores.open_store import open_archive
    from gozen.instrument.profile import load_profile
    from gozen.resources.sky_circle import position_fault
    from gozen.simulator.simulate_night import SimulatedNight, Target
    from gozen.workflow.simulate_raw import fields_of_recipe, simulate_raw

    date_of(night)
    fault = position_fault(ra, dec)
    if fault is not None:
        raise BadRequest(f"--ra {ra:g} --dec {dec:g}: {fault}")
    settings = invocation(ctx).settings(instrument=instrument, workers=workers)
    profile, store = load_profile(settings.instrument), open_archive(settings)
    targets, frames = [Target("field", ra, dec)], nframe
    if recipe is not None:
        targets, frames = fields_of_recipe(recipe, night, profile)
    simulated = SimulatedNight(
        night=night,
        targets=targets,
        dithers=_DITHERS[:dithers] if recipe is None else _DITHERS[:1],
        sensors=_sensors(sensors, profile),
        nframe=frames,
        seed=seed,
        events=None if events else [],
    )
    made = simulate_raw(store, profile, simulated, settings.workers, progress=counted)
    for one in made.exposures:
        say(f"{one.exposure_id:08d}: {one.data_type} {one.object!r}, {one.nframe} frames")
    say(f"{len(made.raw)} raw files in {store.url}; the true values are in truth/")
    say(f"next: gozen masters --night {night}, then gozen {'run ' + str(recipe) if recipe else 'reduce ' + night}")


def _sensors(text: str, profile: Profile) -> list[str]:
    known = [sensor.id for sensor in profile.sensors]
    if text == "all":
        return known
    asked = [name.strip() for name in text.split(",") if name.strip()]
    if len(asked) == 1 and asked[0].isdigit() and asked[0] not in known and 0 < int(asked[0]) <= len(known):
        return known[: int(asked[0])]
    unknown = [name for name in asked if name not in known]
    if unknown or not asked:
        raise BadRequest(f"the profile {profile.name} has no sensor {', '.join(unknown)}; it has {', '.join(known)}")
    return asked
