"""``gozen simulate objects``: the object tables of a simulated survey in five bands, as a release."""

from __future__ import annotations

from typing import Annotated

import typer

from gozen.cli.console import say
from gozen.cli.invocation import invocation
from gozen.cli.stage_bar import counted


def objects(
    ctx: typer.Context,
    name: Annotated[
        str, typer.Option(help="Name of the release; the names of its tables begin with it.")
    ] = "s20a_wide",
    count: Annotated[int, typer.Option("--objects", min=1, help="Number of objects in each table.")] = 2_000_000,
    seed: Annotated[int, typer.Option(help="Seed of the random numbers of the simulated sky.")] = 1,
) -> None:
    """Write the tables of a simulated survey: `meas` (shapes of objects), `forced` (fluxes at known positions).

    After an interruption, run the command again to continue.
    """
    from gozen.simulator.objects.survey_release import simulate_objects, steps

    store = invocation(ctx).store(may_be_new=True)
    with counted("simulating", steps(seed, count)) as step:
        made = simulate_objects(store, name, count, seed=seed, progress=step)
    for word, table in made.tables.items():
        say(f"{word}: {table.rows:,} rows in {len(table.partitions)} partitions, catalogs/{table.name}")
    say(f"the release {name} is in {store.url}; {made.pairs:,} true pairs are in {made.pairs_key}")
    say(f'next: in Python, gozen.quickdb.connect().columns("{name}")')
