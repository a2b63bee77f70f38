"""Print a summary of a step: exposures archived, files left out, masters made, sensors reduced."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from gozen.cli.console import messages, say

if TYPE_CHECKING:
    from gozen.archive.raw.exposure_record import RawExposure
    from gozen.errors import CorruptFile
    from gozen.reduction.sensor_masters import MasterResult
    from gozen.reduction.sensor_work import SensorResult

_NAMED_SENSORS = 4


def say_taken_in(exposures: Iterable[RawExposure]) -> None:
    """Print a line for each exposure, with the numbers of its sensors and files in the archive."""
    for one in exposures:
        count = sum(len(found) for found in one.sensors.values())
        say(f"{one.night} {one.exposure}: {one.data_type} {one.object!r}, {len(one.sensors)} sensors, {count} files")


def say_left_out(refused: Sequence[CorruptFile]) -> None:
    """Print each reason once, with the files that it applies to: a wrong profile refuses all files of a night alike."""
    reasons: dict[str, list[str]] = {}
    for error in refused:
        name, _, reason = str(error).partition(": ")
        reasons.setdefault(reason, []).append(name)
    for reason, names in reasons.items():
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        messages().print(f"left out, CorruptFile: {names[0]}{more}: {reason}")


def say_master(made: MasterResult) -> None:
    """Print the masters of one calibration exposure and sensor, or why there is none."""
    if made.problem is not None or made.commit is None:
        messages().print(f"no {made.kind} master of sensor {made.sensor} from {made.exposure}: {made.problem}")
        return
    for kind, key in made.made:
        say(f"{kind} master of sensor {made.sensor}: {key}")
    for warning in made.commit.warnings:
        messages().print(f"warning: {made.exposure}, sensor {made.sensor}: {warning}")


def say_reduced(found: Sequence[SensorResult]) -> None:
    """Print how many sensors were reduced, rejected and failed, each reason once, and what to do next."""
    say(_totals(found))
    _print_warnings(found)
    for (what, name), several in sorted(_reasons(found).items()):
        # A cloud over 84 sensors must give one message, not 84.
        say(f"{what}, {name}: {_places([_place(one) for one in several])}: {_message(several[0])}")
    nights = sorted({one.work.processing.night for one in found if one.commit and "staging" in one.commit.products})
    if nights:
        say(f"next: gozen night append {' '.join(nights)}")


def _totals(found: Iterable[SensorResult]) -> str:
    counts: Counter[str] = Counter()
    for result in found:
        counts[result.commit.status if result.commit else "failed"] += 1
        counts["done before"] += bool(result.commit and result.skipped)
    total = ", ".join(f"{counts[name]} {name}" for name in ("reduced", "rejected", "failed"))
    before = f" ({counts['done before']} of them done before)" if counts["done before"] else ""
    return f"sensors: {total}{before}"


def _reasons(found: Iterable[SensorResult]) -> dict[tuple[str, str], list[SensorResult]]:
    """Return the results to report, grouped by outcome and reason."""
    reasons: dict[tuple[str, str], list[SensorResult]] = {}
    for result in found:
        if result.commit is None:
            assert result.error is not None
            reasons.setdefault(("failed", result.error.name), []).append(result)
            continue
        if result.skipped and result.commit.lacks(len(result.work.raw)):
            reasons.setdefault(("came later", "files are not in the result"), []).append(result)
        if result.commit.rejection is not None:
            reasons.setdefault(("rejected", result.commit.rejection.name), []).append(result)
    return reasons


def _print_warnings(found: Iterable[SensorResult]) -> None:
    """Print each warning once, with its sensors; warnings of sensors that were done before are not repeated."""
    warned: dict[str, list[str]] = {}
    for one in found:
        if one.commit is not None and not one.skipped:
            for warning in one.commit.warnings:
                warned.setdefault(warning, []).append(_place(one))
    for warning, places in warned.items():
        messages().print(f"warning: {_places(places)}: {warning}")


def _place(result: SensorResult) -> str:
    return f"{result.work.processing.exposure}/{result.work.sensor}"


def _places(places: Sequence[str]) -> str:
    more = f" and {len(places) - _NAMED_SENSORS} more" if len(places) > _NAMED_SENSORS else ""
    return f"{', '.join(places[:_NAMED_SENSORS])}{more}"


def _message(result: SensorResult) -> str:
    if result.commit is not None and result.commit.lacks(len(result.work.raw)):
        return "it was reduced before they arrived; run again with another --run to reduce it with them"
    if result.commit is not None and result.commit.rejection is not None:
        return result.commit.rejection.message
    return str(result.error)
