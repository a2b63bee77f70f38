"""Files of the watched folder on their way to become cubes: which are whole, broken, or belong together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from gozen.archive.store import Store
from gozen.errors import CorruptFile, MissingObject, StorageUnavailable
from gozen.frames.arrivals import Arrival, group_arrivals
from gozen.instrument.header import night_of
from gozen.instrument.profile import Profile
from gozen.watch.folder import Entry, is_whole, look, look_at_spool, verdict
from gozen.watch.intake import header_of, read_arrival

Group = tuple[str, str, list[Arrival]]


@dataclass
class _Seen:
    entry: Entry
    since: float
    whole: bool | None = None
    over: bool = False


@dataclass(frozen=True)
class Refusal:
    """A file that is not taken, and why."""

    path: Path
    reason: CorruptFile


class Arriving:
    """What looks into one folder have seen so far.

    Parameters
    ----------
    patience_s
        Seconds without growth after which a short file counts as broken.
    """

    def __init__(self, folder: Path, store: Store, profile: Profile, patience_s: float) -> None:
        self._folder, self._store, self._profile, self._patience_s = folder, store, profile, patience_s
        self._seen: dict[str, _Seen] = {}
        self._spooled: set[str] = set()
        self._numberless: dict[str, list[Arrival]] = {}
        self.trouble: StorageUnavailable | None = None
        """Why a file could not be read at the last look; it is tried again at the next."""

    @property
    def unread(self) -> int:
        """Files that were seen but are not whole yet."""
        return sum(not one.over for one in self._seen.values())

    def spooled(self) -> tuple[list[Group], list[Refusal]]:
        """Return what an earlier watch left in its spool; each file once, those that could not be read again."""
        self.trouble = None
        entries = [entry for entry in look_at_spool(self._folder) if entry.name not in self._spooled]
        self._spooled |= {entry.name for entry in entries}
        return self._read(entries)

    def look(self, now: float) -> tuple[list[Group], list[Refusal]]:
        """Look once more and return what has come since, by exposure, and what is no raw file.

        Raises
        ------
        StorageUnavailable, MissingObject
            The folder cannot be read.
        """
        entries = {entry.name: entry for entry in look(self._folder)}
        self._seen = {name: one for name, one in self._seen.items() if name in entries}
        self.trouble = None
        ready = [entry for entry in entries.values() if self._is_ready(entry, now)]
        return self._read(ready)

    def _is_ready(self, entry: Entry, now: float) -> bool:
        seen = self._seen.get(entry.name)
        if seen is None or seen.entry != entry:
            self._seen[entry.name] = _Seen(entry, now)
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
        found = verdict(same=True, whole=seen.whole, quiet_s=now - seen.since, patience_s=self._patience_s)
        seen.over = found != "wait"
        return seen.over

    def _read(self, entries: Iterable[Entry]) -> tuple[list[Group], list[Refusal]]:
        arrivals, refused = [], []
        for entry in entries:
            try:
                arrivals.append(read_arrival(entry.path, self._profile))
            except CorruptFile as error:
                refused.append(Refusal(entry.path, error))
            except MissingObject:
                continue  # renamed or removed since the look
            except StorageUnavailable as error:
                self.trouble = error
                self._seen.pop(entry.name, None)
                self._spooled.discard(entry.name)
        return self._grouped(arrivals), refused

    def _grouped(self, arrivals: list[Arrival]) -> list[Group]:
        """Group what came; files without an exposure number together with those of their night that came before."""
        fresh = {one.path for one in arrivals}
        known = [one for one in arrivals if one.header.exposure_id is not None]
        for one in arrivals:
            if one.header.exposure_id is None:
                night = night_of(one.header.utc_start, self._profile.site)
                if night not in self._numberless:
                    self._numberless[night] = list(_numberless(self._store, night, self._profile))
                self._numberless[night].append(one)
                known += [before for before in self._numberless[night] if before not in known]
        groups = group_arrivals(known, self._profile)
        picked = ((name, [one for one in found if one.path in fresh]) for name, found in groups.items())
        return [(*name, found) for name, found in picked if found]


def _numberless(store: Store, night: str, profile: Profile) -> Iterator[Arrival]:
    """Return the raw files of a night in the archive that carry no exposure number."""
    for key in store.list(f"raw/{night}"):
        if key.endswith(".fits"):
            try:
                with store.open(key) as stream:
                    header = header_of(stream, profile, key.rsplit("/", 1)[1])
            except CorruptFile:
                continue
            if header.exposure_id is None:
                yield Arrival(Path(key), header)
