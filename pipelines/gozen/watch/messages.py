"""The output of `gozen watch`: a line for each exposure, the backlog at intervals, the begin and end of warnings."""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from gozen.archive.commit import SensorCommit
from gozen.archive.stores.open_store import Store
from gozen.archive.stores.store import named_errors
from gozen.errors import GozenError
from gozen.reduction.sensor_masters import MasterResult
from gozen.settings import WatchSettings
from gozen.watch.pressure import Paces, Pressure, Warned, changes, duration, pressure_of, warnings_of
from gozen.watch.publish_rows import Published
from gozen.watch.waiting_cubes import QueuedCube, in_order

log = logging.getLogger(__name__)


class Reporter:
    """Reports results, errors and the backlog: to standard output, the log and a status file.

    Parameters
    ----------
    say
        Prints one line of the result.
    status
        File to which the present state is written as JSON; None for no file.
    start
        Time at which the watch began, s of its clock.
    """

    def __init__(
        self, say: Callable[[str], None], settings: WatchSettings, store: Store, status: Path | None, start: float
    ) -> None:
        self._say, self._settings, self._status = say, settings, status
        self._root = store.path("")
        self._paces = Paces(start)
        self._next = start
        self._warned: Sequence[Warned] = ()
        self._last_line = ""
        self._held: set[str] = set()
        self._told: set[str] = set()
        self._outcomes: dict[tuple[str, str], Counter[str]] = {}
        self._total: Counter[str] = Counter()

    def came(self, now: float, size: int, *, first: bool) -> None:
        """Count a new file of ``size`` bytes; ``first``: whether it is the first of its cube."""
        self._paces.came(now, size, first=first)

    def went(self, now: float, size: int) -> None:
        """Count a cube that was reduced, of ``size`` bytes."""
        self._paces.went(now, size)

    def refused(self, path: Path, error: GozenError) -> None:
        """Report that a file is left out, the reason, and its present path."""
        self._total["refused"] += 1
        log.warning("left out, %s: %s; the file is now at %s", error.name, error, path)

    def reduced(self, cube: QueuedCube, result: SensorCommit | Sequence[MasterResult]) -> None:
        """Count the results of a cube and log its rejections and warnings."""
        commits = [result] if isinstance(result, SensorCommit) else [one.commit for one in result if one.commit]
        counts = self._outcomes.setdefault(cube.name, Counter())
        for commit in commits:
            counts[commit.rejection.name if commit.rejection else commit.status] += 1
            self._total[commit.status] += 1
            for warning in commit.warnings:
                self._warn_once(warning)
            if commit.rejection is not None:
                log.info("rejected, %s: %s", commit.rejection.name, commit.rejection.message)
            elif cube.calibrates and commit.warnings:
                continue  # the warnings have already named the files that are not in a master
            elif commit.lacks(len(cube.keys)):
                log.warning(
                    "%s/%s: files arrived after it was reduced and are not in its result; reduce it under another "
                    "run to include them", cube.raw.exposure, cube.sensor,
                )  # fmt: skip

    def held(self, cube: QueuedCube, error: GozenError) -> None:
        """Report that a cube cannot be reduced; each reason is reported once."""
        if str(error) not in self._held:
            log.warning("held, %s: %s/%s: %s", error.name, cube.raw.exposure, cube.sensor, error)
        self._held.add(str(error))

    def _warn_once(self, warning: str) -> None:
        if warning not in self._told:
            log.warning("%s", warning)
        self._told.add(warning)

    def published(self, cubes: Sequence[QueuedCube], result: Published, now: float) -> None:
        """Report the exposures whose rows are now in the table."""
        seen: dict[tuple[str, str], QueuedCube] = {}
        for cube in in_order(cubes):
            seen.setdefault(cube.name, cube)
        for name, cube in seen.items():
            counts = self._outcomes.pop(name, Counter())
            what = ", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items())) or "nothing to do"
            raw, express = cube.raw, ", express" if cube.express else ""
            self._say(
                f"{raw.night} {raw.exposure}: {raw.data_type} {raw.object!r}{express}: sensors: {what}; "
                f"{duration(now - cube.seen)} after it arrived"
            )
        self._total["exposures"] += len(seen)
        self._total["rows"] += result.rows
        log.debug("published in %.2f s (table) and %.2f s (log)", result.append_s, result.log_s)

    def report(self, cubes: Collection[QueuedCube], unread: int, now: float, trouble: str = "") -> None:
        """Report the backlog if `report_s` seconds have passed since the last report."""
        if now >= self._next:
            self._next = now + self._settings.report_s
            self.tell(cubes, unread, now, trouble)

    def tell(self, cubes: Iterable[QueuedCube], unread: int, now: float, trouble: str = "") -> None:
        """Report the backlog now: a line, the status file, and warnings that began or ended."""
        free = self._free()
        if free is not None:
            self._paces.room(now, free)
        limit = self._settings.raw_limit_gb
        pressure = pressure_of(
            cubes, self._paces, now, unread=unread, free=free, limit=None if limit is None else limit * 1e9
        )
        warned = warnings_of(pressure, self._settings)
        begun, over = changes(self._warned, warned)
        for one in begun:
            log.warning("%s: %s", one.name, one.message)
        for name in over:
            log.info("%s is over", name)
        self._warned = warned
        line = pressure.line()
        if line != self._last_line and (pressure.unreduced or pressure.held):
            log.info("%s", line)
        self._last_line = line
        self._write(pressure, now, trouble)

    def _free(self) -> float | None:
        try:
            return None if self._root is None else float(shutil.disk_usage(self._root).free)
        except OSError:
            return None

    def _write(self, pressure: Pressure, now: float, trouble: str) -> None:
        if self._status is None:
            return
        content = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            **pressure.as_dict(),
            "warnings": [{"name": one.name, "message": one.message} for one in self._warned],
            "trouble": trouble,
            "done": dict(self._total),
        }
        partial = self._status.with_name(f".{self._status.name}.{os.getpid()}")
        try:
            with named_errors(str(self._status), "write"):
                partial.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
                partial.replace(self._status)
        except GozenError as error:
            log.warning("%s: %s; the reduction continues", error.name, error)
