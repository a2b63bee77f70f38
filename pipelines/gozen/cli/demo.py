"""``gozen demo``: simulate and reduce a night, and compare the result with the truth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gozen.cli import reduction_options
from gozen.cli.console import say
from gozen.cli.invocation import invocation
from gozen.cli.stage_bar import counted
from gozen.errors import ExitCode


def demo(
    ctx: typer.Context,
    folder: Annotated[Path, typer.Option(help="Output folder: new, empty, or that of an earlier demo.")] = Path(
        "gozen-demo"
    ),
    sensors: Annotated[int, typer.Option(min=1, help="Number of sensors to simulate.")] = 2,
    dithers: Annotated[int, typer.Option(min=1, max=4, help="Number of exposures of the field.")] = 2,
    nframe: Annotated[int, typer.Option(min=2, help="Number of frames in each exposure.")] = 18,
    seed: Annotated[int, typer.Option(help="Seed of the random numbers of the simulated sky.")] = 1,
    workers: reduction_options.Workers = None,
    report_only: Annotated[
        bool,
        typer.Option("--report-only", help="Only compare and report the data in the folder, without a new simulation."),
    ] = False,
) -> int:
    """Simulate a night, reduce it, compare the results with the true values, and write a report.

    The exit code is 70 if a result differs from its true value by more than its tolerance. You need no root rights.
    """
    from gozen.demo.demo_night import DemoPlan
    from gozen.demo.mover_pictures import in_words
    from gozen.demo.run_demo import run_demo

    plan = DemoPlan(sensors=sensors, dithers=dithers, nframe=nframe, seed=seed)
    settings = invocation(ctx).settings(workers=workers)
    done = run_demo(folder, plan, settings.workers, counted, report_only=report_only)
    for check in done.checks:
        verdict = "ok      " if check.passed else "OUTSIDE "
        say(f"{verdict} {check.name}: {check.recovered} ({check.allowed})")
    for row in done.movers:
        say(in_words(row))
    passed = sum(check.passed for check in done.checks)
    say(f"{passed} of {len(done.checks)} comparisons with the truth are within their tolerance")
    say(f"the report: {done.report.absolute()}")
    for command in done.commands:
        say(f"next, to {command.does}: {command.line}")
    return ExitCode.DONE if done.passed else ExitCode.BUG
