"""Decide which files in the watched folder are complete or broken, and which belong to one exposure."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from gozen.archive.raw.raw_exposure import RawExposure
from gozen.archive.stores.open_store import Store
from gozen.errors import CorruptFile, MissingObject, StorageUnavailable
from gozen.frames.archived_files import ArchivedExposures, Closed
from gozen.frames.assign_exposures import ExposureName, Placed, Refusal, sort_arrivals
from gozen.frames.exposure_grouping import tolerance_deg
from gozen.frames.incoming_files import Arrival
from gozen.frames.rename_exposures import Moved, rearrange
from gozen.frames.take_in import record_of
from gozen.instrument.profile import Profile
from gozen.watch.backoff import waiting_for_repair
from gozen.watch.frames_in_turn import RecentFrames
from gozen.watch.scan_folder import FolderEntry, fits_files_below, is_whole, look_at_spool, verdict
from gozen.watch.spool import read_arrival

log = logging.getLogger(__name__)
_UNIX_MJD = 40587.0


@dataclass(frozen=True)
class FileGroup:
    """New files of one exposure; the last of them arrived at the time `last`, seconds on the watch's clock."""

    night: str
    exposure: str
    files: list[Placed]
    last: float


@dataclass
class _EntryHistory:
    entry: FolderEntry
    since: float
    whole: bool | None = None
    over: bool = False


class RenamesExposures(Protocol):
    """Assigns files to other exposures, after `Arriving` has returned these files."""

    def rename(self, night: str, moved: Sequence[Moved]) -> None:
        """Move files of a night to other exposures, which are not reduced until `release`."""

    def release(self) -> None:
        """Allow the reduction of the renamed exposures, because every file now has its exposure."""

    def promised(self, night: str) -> Iterable[RawExposure]:
        """Return records of a night's exposures; they include files of `Arriving` that are not in the archive yet."""


class _OfArchive:
    """Renames exposures whose files are all in the archive."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def rename(self, night: str, moved: Sequence[Moved]) -> None:
        rearrange(self._store, night, moved)

    def release(self) -> None:
        """Do nothing, because these exposures are reduced only after all files are sorted."""

    def promised(self, night: str) -> Iterable[RawExposure]:
        return ()


class Arriving:
    """The files of one folder, as known from all scans so far; `look` returns the files of complete exposures.

    Parameters
    ----------
    patience_s
        Seconds without growth after which an incomplete file counts as broken.
    settle_s
        Seconds without a new file after which an exposure without a number is complete.
    closed
        Tells whether a sensor of an exposure accepts no more files; by default, whether the sensor has a commit.
    renaming
        Moves files that were returned before to other exposures. The default can do this only for files that are in the
        archive.
    utc_s
        Returns the present time, seconds since 1970.
    """

    def __init__(
        self,
        folder: Path,
        store: Store,
        profile: Profile,
        patience_s: float,
        settle_s: float = 0.0,
        closed: Closed | None = None,
        renaming: RenamesExposures | None = None,
        utc_s: Callable[[], float] = time.time,
    ) -> None:
        self._folder, self._profile, self._patience_s = folder, profile, patience_s
        self._settle_s, self._closed, self._utc_s = settle_s, closed, utc_s
        self._renaming = renaming or _OfArchive(store)
        self._held = ArchivedExposures(store, profile)
        self._seen: dict[Path, _EntryHistory] = {}
        self._spooled: set[Path] = set()
        self._waiting: dict[Path, tuple[Arrival, float]] = {}
        self._unsorted = False
        self._stale: set[str] = set()
        self._said: set[str] = set()
        self._recent = RecentFrames(tolerance_deg(profile))
        self._places: dict[ExposureName, list[Placed]] = {}
        self._left: set[Path] = set()
        self.spool_trouble: StorageUnavailable | None = None
        """The error for which `spooled` has to be called again."""
        self._trouble: StorageUnavailable | None = None

    @property
    def trouble(self) -> StorageUnavailable | None:
        """The error at the last scan of folder or spool, or None; after an error the next scan continues."""
        return self._trouble or self.spool_trouble

    @property
    def unread(self) -> int:
        """Number of files that are incomplete, or belong to an incomplete exposure."""
        return sum(not one.over for one in self._seen.values()) + len(self._waiting)

    def spooled(self) -> tuple[list[FileGroup], list[Refusal]]:
        """Return the files that an earlier watch left in its spool; the next call tries unreadable files again."""
        entries = [entry for entry in look_at_spool(self._folder) if entry.path not in self._spooled]
        self._spooled |= {entry.path for entry in entries}
        self._trouble = None
        found = self._read(entries, -math.inf)
        self.spool_trouble = self._trouble
        return found

    def awaited(self) -> set[tuple[str, str, str]]:
        """Return night, exposure and sensor of the files that wait until their exposure is complete."""
        return {(*name, one.arrival.frame.sensor) for name, placed in self._places.items() for one in placed}

    def look(self, now: float) -> tuple[list[FileGroup], list[Refusal]]:
        """Scan the folder; return the new files of complete exposures, and the files that are not valid raw files.

        Raises
        ------
        StorageUnavailable, MissingObject
            The folder cannot be read.
        """
        left: list[Path] = []
        entries = {entry.path: entry for entry in fits_files_below(self._folder, left)}
        self._name_left(left)
        self._seen = {path: one for path, one in self._seen.items() if path in entries}
        self._trouble = None
        ready = [entry for entry in entries.values() if self._is_ready(entry, now)]
        return self._read(ready, now)

    def _name_left(self, links: list[Path]) -> None:
        for link in links:
            if link not in self._left:
                what = (
                    "a folder; watch that folder, or link its files"
                    if link.is_dir()
                    else ("a path that does not exist")
                )
                log.warning("%s is ignored, because it is a link to %s", link, what)
        self._left = set(links)

    def _is_ready(self, entry: FolderEntry, now: float) -> bool:
        seen = self._seen.get(entry.path)
        if seen is None or seen.entry != entry:
            self._seen[entry.path] = _EntryHistory(entry, now)
            return False
        if seen.over:
            return False
        if seen.whole is None:
            try:
                seen.whole = is_whole(entry.path, entry.size)
            except MissingObject:
                return False
            except StorageUnavailable as error:
                self._trouble = error
                return False
        # Measured with the watch's clock: if the camera's clock is ahead, its files would seem to be still in use.
        found = verdict(same=True, whole=seen.whole, quiet_s=now - seen.since, patience_s=self._patience_s)
        seen.over = found != "wait"
        return seen.over

    def _read(self, entries: Iterable[FolderEntry], now: float) -> tuple[list[FileGroup], list[Refusal]]:
        """Read new files, and return the complete exposures and the files that are left out.

        If storage fails, files that are not returned are kept here, and a later scan returns them; see `trouble`.
        """
        refused = self._read_headers(entries, now)
        try:
            with waiting_for_repair():
                refused += self._sort_again() if self._unsorted else []
        except StorageUnavailable as error:
            self._trouble = error
            return [], refused
        return self._complete(now), refused

    def _read_headers(self, entries: Iterable[FolderEntry], now: float) -> list[Refusal]:
        """Add files to the list that waits for complete exposures; return the files that are not raw files."""
        refused = []
        for entry in entries:
            try:
                arrival = read_arrival(entry.path, self._profile)
            except CorruptFile as error:
                refused.append(Refusal(entry.path, error))
            except MissingObject:
                self._forget(entry)  # renamed or removed since the scan; it may come back
            except StorageUnavailable as error:
                self._trouble = error
                self._forget(entry)
            else:
                # Stored before it is sorted: if the archive fails meanwhile, the next scan sorts it again.
                self._waiting[arrival.path] = arrival, now
                self._unsorted = True
        return refused

    def _forget(self, entry: FolderEntry) -> None:
        """Make the next scan read a file again; otherwise a file that could not be read would be ignored."""
        self._seen.pop(entry.path, None)
        self._spooled.discard(entry.path)

    def _complete(self, now: float) -> list[FileGroup]:
        """Return the complete exposures and stop waiting for them.

        Files without an exposure number wait until no more files come for their exposure. So the exposures and their
        names do not depend on the order in which the files arrive.
        """
        self._recent.see(self._places)
        found = [self._group(name, placed) for name, placed in self._places.items()]
        complete = []
        for group in [one for one in found if self._is_whole(one, now)]:
            try:
                self._give_out(group)
            except StorageUnavailable as error:
                self._trouble = error
                break  # those before it are returned now, the others at a later scan
            complete.append(group)
        return complete

    def _sort_again(self) -> list[Refusal]:
        """Assign waiting files to exposures; reassign files whose exposure may still change; return rejected ones."""
        self._read_anew()
        found = sort_arrivals(self._held, [one for one, _ in self._waiting.values()], self._closed)
        for night, moved in found.moved.items():
            self._stale.add(night)
            self._renaming.rename(night, moved)
        # Only now: after an error above, the next scan assigns all files again.
        self._renaming.release()
        self._read_anew()
        for note in found.notes:
            if note not in self._said:
                log.warning("%s", note)
        self._said.update(found.notes)
        self._places, self._unsorted = found.groups, False
        for one in found.refused:
            del self._waiting[one.path]
        return found.refused

    def _read_anew(self) -> None:
        while self._stale:
            night = self._stale.pop()
            self._held.forget(night, self._renaming.promised(night))

    def _group(self, name: ExposureName, placed: list[Placed]) -> FileGroup:
        return FileGroup(*name, placed, max(self._waiting[one.arrival.path][1] for one in placed))

    def _is_whole(self, group: FileGroup, now: float) -> bool:
        """Tell whether an exposure is complete: it has a number or is a cube, or no further frame is expected."""
        frame = group.files[-1].arrival.frame
        if frame.setup.exposure_id is not None or frame.taken.cube_s is not None:
            return True
        utc_mjd = _UNIX_MJD + self._utc_s() / 86400
        goes_on = math.isfinite(group.last) and self._recent.may_come_again(group.exposure, frame, utc_mjd)
        return group.last <= now - self._settle_s and not goes_on

    def _give_out(self, group: FileGroup) -> None:
        """Stop waiting for an exposure, and log a warning if it was treated as complete too early."""
        frames, closed = [one.arrival.frame for one in group.files], self._closed or self._held.closed
        # First, because it alone reads the archive: after an error the exposure waits as before.
        warning = self._recent.given_out(
            group.exposure, frames, lambda before: closed(group.night, before, frames[-1].sensor)
        )
        if warning:
            log.warning("%s", warning)
        del self._places[group.night, group.exposure]
        for one in group.files:
            del self._waiting[one.arrival.path]
        self._held.remember(record_of(group.night, group.exposure, group.files))
