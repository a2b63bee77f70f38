"""Run the demo from an empty folder to its report and verdict."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

from gozen.archive.stores.open_store import Store, open_archive
from gozen.archive.stores.output_files import writing
from gozen.demo.compare_movers import compare_movers
from gozen.demo.compare_stars import compare
from gozen.demo.demo_night import FIELD, NIGHT, DemoPlan, make_night
from gozen.demo.demo_results import Findings, gather
from gozen.demo.mover_pictures import field_pictures, films, mover_rows
from gozen.demo.report_pictures import comparison_pictures, lightcurve_pictures, quality_pictures, stack_pictures
from gozen.errors import BadRequest, reason_of
from gozen.instrument.profile import load_profile
from gozen.report.render_page import render
from gozen.report.report_model import Check, Command, DemoReport, Headline, MoverRow
from gozen.settings import Settings
from gozen.version import code_version
from gozen.workflow.stage_progress import StageProgress

REPORT = "report.html"
PLAN = "demo.json"
ARCHIVE = "archive"
INSTRUMENT = "tomoe"


@dataclass(frozen=True)
class DemoResult:
    """The results of the demo.

    Parameters
    ----------
    report
        The path of the report.
    commands
        Commands to try next.
    """

    report: Path
    checks: tuple[Check, ...]
    movers: tuple[MoverRow, ...]
    commands: tuple[Command, ...]

    @property
    def passed(self) -> bool:
        """Whether there are checks and all are within their tolerance."""
        return bool(self.checks) and all(check.passed for check in self.checks)


def run_demo(
    folder: Path, plan: DemoPlan, workers: int, progress: StageProgress, *, report_only: bool = False
) -> DemoResult:
    """Make the demo's night in a folder, compare it with the injected values, and write the report.

    Parameters
    ----------
    folder
        A new or empty folder, or the folder of an earlier demo, whose archive is deleted first.
    workers
        Number of processes.
    progress
        Shows the progress of each stage.
    report_only
        Compare and report the night that is already in the folder.

    Raises
    ------
    BadRequest
        The folder has other contents, or no earlier demo for `report_only`.
    """
    settings = Settings(archive=str(folder / ARCHIVE), instrument=INSTRUMENT, reference=None, run="r1", workers=workers)
    if report_only:
        plan = _earlier_plan(folder)
    else:
        _check_sensors(plan)
        _prepare(folder, plan)
        make_night(plan, settings, progress)
    store, profile = open_archive(settings), load_profile(settings.instrument)
    with progress("comparing", 2) as step:
        found = gather(store, profile, NIGHT)
        step()
        checks = checks_of(found)
        commands = commands_of(folder, found)
        page = render(report_of(store, found, checks, commands, plan))
        step()
    report = folder / REPORT
    with writing(report):
        report.write_text(page, encoding="utf-8")
    return DemoResult(report, checks, mover_rows(found.movers), commands)


def checks_of(found: Findings) -> tuple[Check, ...]:
    """Return all checks: of stars, moving objects and look-ups."""
    compared = compare(
        found.rows,
        found.truths,
        found.events,
        found.commits,
        diameter_px=found.diameter_px,
        shape=found.profile.active_shape,
    )
    wanted = sum(one.expected for one in found.looked_up)
    got = sum(len(one.own) for one in found.looked_up)
    names = ", ".join(one.name for one in found.looked_up)
    moving = compare_movers(found.movers)
    return (
        *compared,
        *moving,
        Check("look-ups, rows found", got, wanted, "", "at least", f"by id and by position: {names}"),
    )


def commands_of(folder: Path, found: Findings) -> tuple[Command, ...]:
    """Return commands to try next."""
    at = f"--archive {folder / ARCHIVE}"
    by_name = {one.name: one for one in found.looked_up}
    commands = []
    if "flare" in by_name:
        one = by_name["flare"]
        commands.append(Command(f"gozen lightcurve --id {one.source_id} {at} --plot flare.svg", "draw the flare"))
    if "quiet star" in by_name:
        one = by_name["quiet star"]
        place = f"--ra {one.ra:.5f} --dec {one.dec:.5f} --radius 30"
        commands.append(Command(f"gozen lightcurve {place} {at}", "look up all sources within 30″ of a star"))
    commands.append(Command(f"gozen tracklets {at}", "list what moves"))
    longest = max(mover_rows(found.movers), key=lambda row: row.frames or 0, default=None)
    if longest is not None and longest.tracklet is not None:
        line = f"gozen tracklets {longest.tracklet} --points {at}"
        commands.append(Command(line, f"see every point of the {longest.name}"))
    return (
        *commands,
        Command(f"gozen quality {at}", "see what the gates measured, frame by frame"),
        Command(f"gozen exposures {at}", "search the observation log"),
    )


def report_of(
    store: Store, found: Findings, checks: tuple[Check, ...], commands: tuple[Command, ...], plan: DemoPlan
) -> DemoReport:
    """Return the report of the demo: checks, figures, pictures of stacks and light curves, moving objects, commands."""
    sources = sum(one.summary.n_sources or 0 for one in found.commits)
    summary = (
        f"{plan.sensors} sensors of a simulated Tomo-e Gozen camera took {plan.dithers} dithered exposures of "
        f"{plan.nframe} frames at RA {FIELD.ra}°, Dec {FIELD.dec:+}°. The raw cubes were calibrated, solved, measured "
        "and appended to the light-curve table; moving objects were searched for on their frames. Then the results "
        "were compared with the injected values."
    )
    headlines = (
        Headline(f"{sum(check.passed for check in checks)} of {len(checks)}", "checks passed"),
        Headline(f"{sum(one.status == 'reduced' for one in found.commits)}", "sensor exposures reduced"),
        Headline(f"{sources:,}", "sources on the stacks"),
        Headline(f"{sum(one.found is not None for one in found.movers.pairs)}", "tracklets of moving objects"),
        Headline(f"{len(found.rows):,}", "measurements in the table"),
    )
    return DemoReport(
        title="Gozen demo",
        summary=summary,
        checks=checks,
        headlines=headlines,
        stacks=stack_pictures(store, found),
        lightcurves=lightcurve_pictures(found),
        movers=mover_rows(found.movers),
        fields=field_pictures(found),
        films=films(store, found),
        quality=quality_pictures(found),
        comparisons=comparison_pictures(found),
        commits=found.commits,
        made_with=_made_with(found, plan),
        commands=commands,
    )


def _made_with(found: Findings, plan: DemoPlan) -> tuple[tuple[str, str], ...]:
    pairs = [
        (
            "Command",
            f"gozen demo --sensors {plan.sensors} --dithers {plan.dithers} --nframe {plan.nframe} --seed {plan.seed}",
        ),
        ("Version", f"gozen {code_version()}"),
        ("Night", found.night),
        ("Instrument", found.profile.name),
        ("Events", ", ".join(found.events["name"].to_pylist())),
    ]
    if found.commits:
        used = found.commits[0].provenance
        pairs.append(("Pipelines", ", ".join(found.commits[0].pipelines)))
        pairs += [(f"{kind.capitalize()} master", one.key) for kind, one in sorted(used.calibration.items())]
        if used.reference:
            pairs.append(("Reference catalogue", f"{used.reference.name}, SHA-256 {used.reference.sha256[:16]}…"))
        pairs += [
            (f"Raw data, first: {name}", f"SHA-256 {digest[:16]}…") for name, digest in sorted(used.inputs.items())
        ]
    return tuple(pairs)


def _check_sensors(plan: DemoPlan) -> None:
    known = len(load_profile(INSTRUMENT).sensors)
    if plan.sensors > known:
        raise BadRequest(f"--sensors {plan.sensors}: the camera of the demo has {known} sensors; give 1 to {known}")


def _prepare(folder: Path, plan: DemoPlan) -> None:
    """Delete the results of an earlier demo and write the plan; the plan's file marks the folder as a demo's."""
    marker = folder / PLAN
    with writing(folder):
        if folder.exists() and any(folder.iterdir()) and not marker.exists():
            raise BadRequest(
                f"{folder} is not empty and is not the folder of an earlier demo: choose another with --folder"
            )
        shutil.rmtree(folder / ARCHIVE, ignore_errors=True)
        (folder / REPORT).unlink(missing_ok=True)
        folder.mkdir(parents=True, exist_ok=True)
        marker.write_text(json.dumps(asdict(plan), indent=1) + "\n", encoding="utf-8")


def _earlier_plan(folder: Path) -> DemoPlan:
    try:
        return DemoPlan(**json.loads((folder / PLAN).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise BadRequest(
            f"{folder} is not the folder of an earlier demo ({reason_of(error)}): run `gozen demo` without "
            "--report-only"
        ) from error
