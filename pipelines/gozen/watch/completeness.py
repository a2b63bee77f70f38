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
from gozen.watch.frames_in_turn import RecentFrames
from gozen.watch.scan_folder import FolderEntry, fits_files_below, is_whole, look_at_spool, verdict
from gozen.watch.spool import read_arrival

log = logging.getLogger(__name__)
_UNIX_MJD = 40587.0


@dataclass(frozen=True)
class FileGroup:
    """New files of one exposure; the last of them came at the time `last`, s of the watch's clock."""

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
    """Changes the exposures of files, after `Arriving` has returned these files."""

    def rename(self, night: str, moved: Sequence[Moved]) -> None:
        """Move files of a night to other exposures."""

    def promised(self, night: str) -> Iterable[RawExposure]:
        """Return records of a night's files that `Arriving` has returned and that are not in the archive yet."""


class _OfArchive:
    """Renames exposures whose files are all in the archive."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def rename(self, night: str, moved: Sequence[Moved]) -> None:
        rearrange(self._store, night, moved)

    def promised(self, night: str) -> Iterable[RawExposure]:
        return ()


class Arriving:
    """The files of one folder, as known from all scans so far; it returns those of complete exposures.

    Parameters
    ----------
    patience_s
        Seconds without growth after which an incomplete file counts as broken.
    settle_s
        Seconds without another file after which an exposure without a number is complete.
    closed
        Tells whether a sensor of an exposure accepts no more files; by default if it has a commit.
    renaming
        Changes the exposures of files that were returned before; the default works if all of them are in the archive.
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
        self._seen: dict[str, _EntryHistory] = {}
        self._spooled: set[str] = set()
        self._waiting: dict[Path, tuple[Arrival, float]] = {}
        self._unsorted = False
        self._stale: set[str] = set()
        self._said: set[str] = set()
        self._recent = RecentFrames(tolerance_deg(profile))
        self._places: dict[ExposureName, list[Placed]] = {}
        self._left: set[Path] = set()
        self.trouble: StorageUnavailable | None = None
        """The error with which a file could not be read at the last scan; it is read again at the next one."""

    @property
    def unread(self) -> int:
        """Number of files that are not complete yet, or whose exposure is not."""
        return sum(not one.over for one in self._seen.values()) + len(self._waiting)

    def spooled(self) -> tuple[list[FileGroup], list[Refusal]]:
        """Return the files that an earlier watch left in its spool; the next call tries unreadable files again."""
        self.trouble = None
        entries = [entry for entry in look_at_spool(self._folder) if entry.name not in self._spooled]
        self._spooled |= {entry.name for entry in entries}
        return self._read(entries, -math.inf)

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
        entries = {entry.name: entry for entry in fits_files_below(self._folder, left)}
        self._name_left(left)
        self._seen = {name: one for name, one in self._seen.items() if name in entries}
        self.trouble = None
        ready = [entry for entry in entries.values() if self._is_ready(entry, now)]
        return self._read(ready, now)

    def _name_left(self, links: list[Path]) -> None:
        for link in links:
            if link not in self._left:
                what = "a folder; watch that, or link its files" if link.is_dir() else "nothing that is there"
                log.warning("left where it is: %s is a link to %s", link, what)
        self._left = set(links)

    def _is_ready(self, entry: FolderEntry, now: float) -> bool:
        seen = self._seen.get(entry.name)
        if seen is None or seen.entry != entry:
            self._seen[entry.name] = _EntryHistory(entry, now)
            return False
        if seen.over:
            return False
        if seen.whole is None:
            try:
                seen.whole = is_whole(entry.path, entry.size)
            except MissingObject:
                return False
            except StorageUnavailable as error:
                self.trouble = error
                return False
        # Measured with the watch's clock: if the camera's clock is ahead, its files would seem to be still in use.
        found = verdict(same=True, whole=seen.whole, quiet_s=now - seen.since, patience_s=self._patience_s)
        seen.over = found != "wait"
        return seen.over

    def _read(self, entries: Iterable[FolderEntry], now: float) -> tuple[list[FileGroup], list[Refusal]]:
        arrivals, refused = [], []
        for entry in entries:
            try:
                arrivals.append(read_arrival(entry.path, self._profile))
            except CorruptFile as error:
                refused.append(Refusal(entry.path, error))
            except MissingObject:
                continue  # renamed or removed since the scan
            except StorageUnavailable as error:
                self.trouble = error
                # Forgotten, so that the next scan reads the file again: after one failed read it would be ignored.
                self._seen.pop(entry.name, None)
                self._spooled.discard(entry.name)
        # Stored before they are sorted: if the archive fails while they are sorted, the next scan sorts them again.
        self._waiting.update({one.path: (one, now) for one in arrivals})
        self._unsorted = self._unsorted or bool(arrivals)
        try:
            groups, left_out = self._sorted(now)
        except StorageUnavailable as error:
            self.trouble = error
            return [], refused
        return groups, refused + left_out

    def _sorted(self, now: float) -> tuple[list[FileGroup], list[Refusal]]:
        """Assign waiting files to exposures, and return the complete exposures and the files that are left out.

        Files without an exposure number wait until no more files come for their exposure. So the exposures and their
        names do not depend on the order in which the files arrive.
        """
        refused = self._sort_again() if self._unsorted else []
        self._recent.see(self._places)
        whole = [self._group(name, placed) for name, placed in self._places.items()]
        whole = [one for one in whole if self._is_whole(one, now)]
        for group in whole:
            self._give_out(group)
        return whole, refused

    def _sort_again(self) -> list[Refusal]:
        """Assign files to exposures: those that wait, and earlier ones that may still change; return rejected files."""
        self._read_anew()
        found = sort_arrivals(self._held, [one for one, _ in self._waiting.values()], self._closed)
        for night, moved in found.moved.items():
            self._stale.add(night)
            self._renaming.rename(night, moved)
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
        del self._places[group.night, group.exposure]
        for one in group.files:
            del self._waiting[one.arrival.path]
        self._held.remember(record_of(group.night, group.exposure, group.files))
        frames, closed = [one.arrival.frame for one in group.files], self._closed or self._held.closed
        warning = self._recent.given_out(
            group.exposure, frames, lambda before: closed(group.night, before, frames[-1].sensor)
        )
        if warning:
            log.warning("%s", warning)
