"""Shared by the verbs that reduce: taking files in, the progress bar, and the summary that a person reads."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from gozen.cli.console import messages, say
from gozen.errors import BadRequest, ExitCode, worst

if TYPE_CHECKING:
    from gozen.archive.raw.exposure_record import RawExposure
    from gozen.archive.stores.open_store import Store
    from gozen.errors import CorruptFile
    from gozen.instrument.profile import Profile
    from gozen.reduction.sensor_work import SensorResult, SensorWork
    from gozen.settings import Settings

Instrument = Annotated[str | None, typer.Option(help="Instrument profile: a name that ships, or a path.")]
Reference = Annotated[str | None, typer.Option(help="Reference catalogue: a table file, or a collection's name.")]
Run = Annotated[str | None, typer.Option("--run", help="Name of this processing.")]
Part = Annotated[
    int | None, typer.Option(min=0, help="Only this group of the sensors, counted from 0: what a pod does.")
]
RawURL = Annotated[
    str | None, typer.Option("--raw-url", help="Folder of the exposure's raw data, where that is not the archive.")
]
PartSize = Annotated[int, typer.Option(min=1, help="Sensors in a group.")]
Workers = Annotated[int | None, typer.Option(help="Worker processes; default: one a core.")]


def progress_bar() -> Progress:
    """Return a progress bar on standard error; on a file or pipe it prints nothing."""
    console = messages()
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    )


def counted(title: str, total: int) -> AbstractContextManager[Callable[[], None]]:
    """Return a context that shows a bar and gives the function to call after each step."""
    return _Counted(title, total)


class _Counted(AbstractContextManager[Callable[[], None]]):
    def __init__(self, title: str, total: int) -> None:
        self._bar, self._title, self._total = progress_bar(), title, total

    def __enter__(self) -> Callable[[], None]:
        self._bar.start()
        task = self._bar.add_task(self._title, total=self._total)
        return partial(self._bar.advance, task)

    def __exit__(self, *_: object) -> None:
        self._bar.stop()


def take_in_files(store: Store, profile: Profile, paths: Sequence[Path]) -> list[RawExposure]:
    """Copy raw files into the archive, say what came and what could not be read, and return the exposures.

    Raises
    ------
    BadRequest
        No file could be read.
    """
    from gozen.frames.incoming_files import fits_files, read_arrivals
    from gozen.frames.take_in import take_in

    files = fits_files(paths)
    with counted("reading headers", len(files)) as step:
        arrivals, refused = read_arrivals(files, profile, step)
    _say_left_out(refused)
    if not arrivals:
        raise BadRequest(
            f"none of the {len(files)} files can be read with the profile {profile.name}; is it their camera's? "
            f"`gozen instrument check {profile.name} {files[0]}` shows what it reads"
        )
    with counted("taking in", len(arrivals)) as step:
        exposures, refused = take_in(store, profile, arrivals, step)
    _say_left_out(refused)
    for one in exposures:
        count = sum(len(found) for found in one.sensors.values())
        say(f"{one.night} {one.exposure}: {one.data_type} {one.object!r}, {len(one.sensors)} sensors, {count} files")
    return exposures


def _say_left_out(refused: Sequence[CorruptFile]) -> None:
    """Say each reason once, with the files that it holds for: a wrong profile refuses a whole night alike."""
    reasons: dict[str, list[str]] = {}
    for error in refused:
        name, _, reason = str(error).partition(": ")
        reasons.setdefault(reason, []).append(name)
    for reason, names in reasons.items():
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        messages().print(f"left out, CorruptFile: {names[0]}{more}: {reason}")


def exposures_of_night(
    store: Store, profile: Profile, night: str, names: Sequence[str] | None = None
) -> list[RawExposure]:
    """Return a night's exposures of one camera; those that came without a record get one now.

    Parameters
    ----------
    names
        Those that matter: where all of them have records, nobody looks at the rest of the night.

    Raises
    ------
    BadRequest
        The archive has no raw data of this night and camera.
    """
    from gozen.archive.raw.exposure_record import raw_exposures, read_record
    from gozen.frames.take_in import record_missing

    date_of(night)
    records = [read_record(store, night, name) for name in names or ()]
    known = [one for one in records if one is not None]
    if records and len(known) == len(records):
        return known
    _say_left_out(record_missing(store, night, profile))
    found = raw_exposures(store, night)
    if not found:
        raise BadRequest(f"{store.url} has no raw data of the night {night}; `gozen archive info` says what it has")
    own = [one for one in found if one.setup is None or one.setup.camera == profile.name]
    if not own:
        others = ", ".join(sorted({one.setup.camera for one in found if one.setup}))
        raise BadRequest(f"the raw data of the night {night} are of {others}, not of {profile.name}; see --instrument")
    return own


def exposure_at(settings: Settings, profile: Profile, night: str, names: Sequence[str], url: str) -> RawExposure:
    """Return the one exposure whose raw data lie in a folder outside the archive.

    Raises
    ------
    BadRequest
        Not one exposure is named, or the settings do not allow the folder.
    """
    from gozen.archive.raw.external_raw import open_outside
    from gozen.frames.take_in import exposure_outside

    date_of(night)
    if len(names) != 1:
        raise BadRequest(f"--raw-url {url} is the folder of one exposure; name it, and no other")
    return replace(exposure_outside(open_outside(url, settings), night, names[0], profile), root=url)


def part_of(sensors: Sequence[str], part: int, size: int) -> list[str]:
    """Return one group of sensors; `BadRequest` when there are not so many groups."""
    chosen = list(sensors[part * size : (part + 1) * size])
    if not chosen:
        raise BadRequest(f"--part {part}: {len(sensors)} sensors in groups of {size} have no such group")
    return chosen


def date_of(night: str) -> dt.date:
    """Return the date of a night; `BadRequest` when it is no ``YYYYMMDD``."""
    from gozen.archive.keys import checked_night

    try:
        return dt.datetime.strptime(checked_night(night), "%Y%m%d").date()
    except ValueError as error:
        raise BadRequest(f"night {night!r} is no date: {error}") from error


def only_night(store: Store, named: str | None) -> str:
    """Return the night that was named, or the only one that the archive has raw data of.

    Raises
    ------
    BadRequest
        There is none, or more than one.
    """
    if named is not None:
        return named
    nights = sorted({key.split("/")[1] for key in store.list("raw")})
    if len(nights) == 1:
        return nights[0]
    if not nights:
        raise BadRequest(f"{store.url} has no raw data; name files with --raw, or make some with `gozen simulate`")
    raise BadRequest(f"{store.url} has raw data of {len(nights)} nights: choose one with --night: {', '.join(nights)}")


def pipeline_names(text: str | None) -> list[str]:
    """Return pipelines that were named on the line; `BadRequest` for one that there is not."""
    names = [name.strip() for name in (text or "").split(",") if name.strip()]
    unknown = [name for name in names if name not in ("wcs", "stack", "neo", "cube")]
    if unknown:
        raise BadRequest(f"unknown pipeline {', '.join(unknown)}; there are wcs, stack, neo, cube")
    return names


def make_and_report(
    exposures: Sequence[RawExposure],
    settings: Settings,
    profile: Profile,
    sensors: Sequence[str] = (),
    *,
    log: bool = True,
) -> ExitCode:
    """Make the masters of exposures with a progress bar, bring the log up to date, say what was made."""
    from gozen.archive.log.observation_log import rebuild_night
    from gozen.archive.stores.open_store import open_archive
    from gozen.reduction.night_masters import make_masters, masters_wanted
    from gozen.reduction.shared_inputs import open_bench

    works = [
        one for one in masters_wanted(exposures, profile.masters, profile.name) if not sensors or one.sensor in sensors
    ]
    codes = []
    with counted("making masters", sum(len(work.wanted) for work in works)) as step:
        for made in make_masters(works, partial(open_bench, settings), settings.workers):
            step()
            if made.problem is None and made.commit is not None:
                for kind, key in made.made:
                    say(f"{kind} master of sensor {made.sensor}: {key}")
                for warning in made.commit.warnings:
                    messages().print(f"warning: {made.exposure}, sensor {made.sensor}: {warning}")
            else:
                messages().print(f"no {made.kind} master of sensor {made.sensor} from {made.exposure}: {made.problem}")
            codes.append(made.error.exit_code if made.error else ExitCode.DONE)
    for night in sorted({one.night for one in exposures}) if log else ():
        rebuild_night(open_archive(settings), night)
    return worst(codes)


def reduce_and_report(works: Sequence[SensorWork], settings: Settings, *, log: bool = True) -> ExitCode:
    """Reduce with a progress bar, bring the observation log up to date, print a summary, and return the exit code.

    Parameters
    ----------
    log
        Whether the log of the nights is rebuilt.
    """
    from gozen.archive.log.observation_log import rebuild_night
    from gozen.archive.stores.open_store import open_archive
    from gozen.reduction.reduce_all import reduce_all
    from gozen.reduction.shared_inputs import open_bench

    store = open_archive(settings)
    sweep(store)
    found = []
    with counted("reducing", len(works)) as step:
        for result in reduce_all(works, partial(open_bench, settings), settings.workers):
            found.append(result)
            step()
    sweep(store)  # a worker may have been lost
    for night in sorted({work.processing.night for work in works}) if log else ():
        rebuild_night(store, night)
    _print_summary(found)
    nights = sorted({one.work.processing.night for one in found if one.commit and "staging" in one.commit.products})
    if nights:
        say(f"next: gozen night append {' '.join(nights)}")
    return worst([result.exit_code for result in found])


def sweep(store: Store) -> None:
    """Remove what killed processes of this machine left half-written."""
    from gozen.archive.stores.directory_store import DirectoryStore

    if isinstance(store, DirectoryStore):
        store.sweep()


def _print_summary(found: Sequence[SensorResult]) -> None:
    counts: Counter[str] = Counter()
    reasons: dict[tuple[str, str], list[SensorResult]] = {}
    for result in found:
        if result.commit is None:
            assert result.error is not None
            counts["failed"] += 1
            reasons.setdefault(("failed", result.error.name), []).append(result)
        else:
            counts[result.commit.status] += 1
            counts["done before"] += result.skipped
            if result.skipped and result.commit.lacks(len(result.work.raw)):
                reasons.setdefault(("came later", "files are not in the result"), []).append(result)
            if result.commit.rejection is not None:
                reasons.setdefault(("rejected", result.commit.rejection.name), []).append(result)
    total = ", ".join(f"{counts[name]} {name}" for name in ("reduced", "rejected", "failed"))
    before = f" ({counts['done before']} of them done before)" if counts["done before"] else ""
    say(f"sensors: {total}{before}")
    _print_warnings(found)
    for (what, name), several in sorted(reasons.items()):
        # One cloud over 84 sensors is one message, not 84.
        where = ", ".join(f"{one.work.processing.exposure}/{one.work.sensor}" for one in several[:4])
        more = f" and {len(several) - 4} more" if len(several) > 4 else ""
        say(f"{what}, {name}: {where}{more}: {_message(several[0])}")


def _print_warnings(found: Iterable[SensorResult]) -> None:
    """Print each warning once, with the sensors that it holds for; those done before were told then."""
    warned: dict[str, list[str]] = {}
    for one in found:
        if one.commit is not None and not one.skipped:
            for warning in one.commit.warnings:
                warned.setdefault(warning, []).append(f"{one.work.processing.exposure}/{one.work.sensor}")
    for warning, where in warned.items():
        more = f" and {len(where) - 4} more" if len(where) > 4 else ""
        messages().print(f"warning: {', '.join(where[:4])}{more}: {warning}")


def _message(result: SensorResult) -> str:
    if result.commit is not None and result.commit.lacks(len(result.work.raw)):
        return "it was reduced before they came; give another run's name (--run) to reduce it with them"
    if result.commit is not None and result.commit.rejection is not None:
        return result.commit.rejection.message
    return str(result.error)
