"""Move complete files from the folder into the archive, and queue them as cubes for reduction."""

from __future__ import annotations

import contextlib
import logging
import math
from collections import defaultdict, deque
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from gozen.archive.raw.exposure_record import record_exposure
from gozen.archive.stores.directory_store import DirectoryStore
from gozen.errors import CorruptFile, MissingObject, StorageUnavailable, UnreadableInput
from gozen.frames.archived_files import ArchivedExposures
from gozen.frames.assign_exposures import Placed, Refusal
from gozen.frames.take_in import record_of
from gozen.reduction.sensor_work import SharedInputs
from gozen.watch.completeness import Arriving, FileGroup
from gozen.watch.rename_cubes import Arrivals, CubeRenaming
from gozen.watch.spool import Intake
from gozen.watch.waiting_cubes import CubeName, QueuedCube, State, next_to_take
from gozen.watch.watch_context import WatchContext

log = logging.getLogger(__name__)


class Inbound:
    """Moves files that arrive in the folder into the archive.

    Parameters
    ----------
    folder
        Folder into which the camera writes.
    keep
        Whether to copy the files and leave them in the folder.
    """

    def __init__(
        self,
        folder: Path,
        shared: SharedInputs,
        context: WatchContext,
        *,
        keep: bool,
    ) -> None:
        settings = context.settings
        self._folder, self._store, self._settings, self._cubes = folder, shared.store, settings, context.cubes
        self._orders, self._reporter = context.orders, context.reporter
        self._intake = Intake(folder, shared.store, keep=keep)
        self._held = ArchivedExposures(shared.store, shared.profile)
        settle_s = settings.settle_s if shared.profile.raw == "frames" else 0.0
        self._arrivals: Arrivals = defaultdict(deque)
        self._renaming = CubeRenaming(shared.store, context.orders, context.cubes, self._arrivals)
        self._arriving = Arriving(
            folder, shared.store, shared.profile, settings.patience_s, settle_s, self._is_closed, self._renaming
        )
        self._given: deque[tuple[FileGroup, Placed]] = deque()
        self._refusals: deque[Refusal] = deque()
        self._to_finish: deque[Path] = deque()
        self._claimed, self._resuming = False, not keep
        self._looks, self._next_look = 0, 0.0

    @property
    def unread(self) -> int:
        """Number of files that are incomplete, belong to an incomplete exposure, or will be moved to ``refused``."""
        return self._arriving.unread + len(self._given) + len(self._refusals)

    @property
    def has_looked(self) -> bool:
        """Whether the folder was scanned twice: a file is accepted after two scans have seen the same size and time."""
        return self._looks >= 2

    @property
    def is_idle(self) -> bool:
        """Whether all files that the scans have found in the folder are handled."""
        return self.has_looked and not self._resuming and not self.unread and not self._to_finish

    def close(self) -> None:
        """Remove half-written files of workers that have ended, and release the folder for another watch."""
        with contextlib.suppress(StorageUnavailable):  # the next watch removes them
            self._sweep()
        self._intake.release()

    def step(self, now: float) -> None:
        """Scan the folder if `interval_s` seconds have passed, and move the files of one cube into the archive.

        Raises
        ------
        StorageUnavailable
            Folder or archive cannot be read or written now; the next step continues where this one stopped.
        BadRequest
            Another watch is using the folder.
        """
        if not self._claimed:
            self._intake.claim()
            self._claimed = True
            self._sweep()
        self._scan(now)
        self._clear()
        # Again, because a scan may have begun a renaming: no file may be taken under its old name.
        self._renaming.finish()
        cube = self.next()
        if cube is not None:
            self._take(cube)
        if self._arriving.trouble is not None:
            raise self._arriving.trouble

    def next(self) -> QueuedCube | None:
        """Return the cube whose files are moved into the archive next, or None."""
        decided = [cube for name, cube in self._cubes.items() if self._renaming.is_decided(name)]
        return next_to_take(decided, self._settings.queue_length)

    def has_more(self, name: CubeName) -> bool:
        """Tell whether a cube has files that are not in the archive yet."""
        return bool(self._arrivals.get(name))

    def finish(self, cubes: Iterable[QueuedCube]) -> None:
        """Remove the files of finished cubes from the spool, at the next step."""
        for cube in cubes:
            self._to_finish += cube.files
            self._arrivals.pop(cube.key, None)

    def _sweep(self) -> None:
        if isinstance(self._store, DirectoryStore):
            self._store.sweep()

    def _scan(self, now: float) -> None:
        """Scan the spool of an earlier watch until it is read, and the folder every `interval_s` seconds."""
        self._continue(now)
        if self._resuming:
            self._accept(*self._arriving.spooled(), now)
            self._resuming = self._arriving.spool_trouble is not None
            self._continue(now)
        if now >= self._next_look:
            self._next_look = now + self._settings.interval_s
            self._look(now)

    def _continue(self, now: float) -> None:
        """Complete moves that an error has interrupted; the next scan needs the final names of the files."""
        self._renaming.finish()
        self._queue(now)

    def _look(self, now: float) -> None:
        try:
            found = self._arriving.look(now)
        except MissingObject as error:
            raise StorageUnavailable(
                f"the folder {self._folder} does not exist; check whether its disk is mounted"
            ) from error
        self._looks += 1
        self._accept(*found, now)
        for name in self._arriving.awaited():
            if name in self._cubes:
                self._cubes[name].last = now  # it waits for files that have come, but whose exposure is not complete

    def _clear(self) -> None:
        """Remove finished files from the spool, and move refused files aside."""
        # Here and below an entry is removed after its work is done, so that the next step repeats it after an error.
        while self._to_finish:
            self._intake.finish(self._to_finish[0])
            self._to_finish.popleft()
        while self._refusals:
            one = self._refusals[0]
            self._reporter.refused(self._intake.refuse(one.path), one.reason)
            self._refusals.popleft()

    def _accept(self, groups: Iterable[FileGroup], refused: Iterable[Refusal], now: float) -> None:
        self._refusals += refused
        self._given += [(group, one) for group in groups for one in group.files]
        self._queue(now)

    def _queue(self, now: float) -> None:
        """Add files of complete exposures to their cubes."""
        while self._given:
            group, one = self._given[0]
            self._add(group.night, group.exposure, one, group.last if math.isfinite(group.last) else now, now)
            self._given.popleft()

    def _is_closed(self, night: str, exposure: str, sensor: str) -> bool:
        """Tell whether a sensor of an exposure has been reduced, or is being reduced."""
        cube = self._cubes.get((night, exposure, sensor))
        under_way = cube is not None and cube.state in (State.RUNNING, State.DONE)
        return under_way or self._held.closed(night, exposure, sensor)

    def _add(self, night: str, exposure: str, one: Placed, last: float, now: float) -> None:
        name = (night, exposure, one.arrival.header.sensor)
        first = name not in self._cubes
        if first:
            self._cubes[name] = self._new_cube(name, one, now)
        cube = self._cubes[name]
        cube.last = last
        # If the cube is being reduced, `Outbound` calls `has_more` when the worker has finished.
        if cube.state != State.RUNNING:
            cube.state = State.IN_FOLDER
        size = _size(one.arrival.path)
        cube.size += size
        self._arrivals[name].append(one)
        self._reporter.came(now, size, first=first)

    def _new_cube(self, name: CubeName, one: Placed, now: float) -> QueuedCube:
        night, exposure, sensor = name
        raw = record_of(night, exposure, [one])
        express = self._orders.is_express(raw)
        return QueuedCube(replace(raw, sensors={}, taken={}), sensor, express=express, seen=now, last=now)

    def _take(self, cube: QueuedCube) -> None:
        """Move the files of one cube into the archive and record its exposure."""
        waiting = self._arrivals[cube.key]
        while waiting:
            try:
                one = waiting[0] = replace(waiting[0], arrival=self._intake.collect(waiting[0].arrival))
                cube.files[self._intake.take(one.arrival, one.key)] = one.key
                cube.keys = tuple(sorted({*cube.keys, one.key}))
                taken = one.arrival.frame.taken
                begin = min(cube.raw.mjd, taken.mjd)
                cube.raw = replace(cube.raw, mjd=begin, taken={**cube.raw.taken, one.key: taken})
            except CorruptFile as error:
                self._refusals.append(Refusal(waiting[0].arrival.path, error))
            except MissingObject as error:
                log.warning("not added to the archive: %s", error)
            waiting.popleft()
        if not cube.keys:
            del self._cubes[cube.key]
            return
        try:
            # If the watch is killed before this, the files are in spool or folder, and the next watch starts again.
            cube.raw = record_exposure(self._store, cube.raw_exposure)
            cube.state = State.WAITING
        except UnreadableInput as error:
            self._reporter.held(cube, error)
            cube.hold(error)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0  # deleted since the scan; the move into the archive will report it
