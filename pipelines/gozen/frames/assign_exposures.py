"""Assign incoming raw files to new or known exposures, give each a key, and refuse duplicates."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path

from gozen.archive import keys
from gozen.archive.raw.exposure_record import RawExposure
from gozen.errors import CorruptFile, MissingObject
from gozen.frames.archived_files import ArchivedExposures, Closed
from gozen.frames.duplicate_files import Doubles, Place
from gozen.frames.exposure_grouping import Exposures, FrameFacts, base_name, number_name, number_of, tolerance_deg
from gozen.frames.incoming_files import Arrival
from gozen.frames.rename_exposures import Loose, Moved, late_exposures
from gozen.instrument.read_header import night_of_mjd

ExposureName = tuple[str, str]


@dataclass(frozen=True)
class Placed:
    """A raw file, and its present or future key in the archive."""

    arrival: Arrival
    key: str


@dataclass(frozen=True)
class Refusal:
    """A raw file that is not copied into the archive, and the reason."""

    path: Path
    reason: CorruptFile


@dataclass
class Sorted:
    """The result of sorting: raw files by night and exposure, refused files, and changes in the archive."""

    groups: dict[ExposureName, list[Placed]] = field(default_factory=dict)
    refused: list[Refusal] = field(default_factory=list)
    moved: dict[str, list[Moved]] = field(default_factory=dict)
    """Archived files that were assigned again, by night; only nights in which one of them changes its exposure."""
    notes: list[str] = field(default_factory=list)
    """Messages about exposures that keep their names; if all files had come together, they would have other names."""


def sort_arrivals(held: ArchivedExposures, arrivals: Iterable[Arrival], closed: Closed | None = None) -> Sorted:
    """Assign raw files to exposures; archived files that are later than the new ones are assigned again.

    Parameters
    ----------
    held
        The exposures in the archive.
    closed
        Returns whether a sensor of an exposure is finished; by default, whether it has a commit.
    """
    nights: dict[str, list[Arrival]] = {}
    for one in sorted(arrivals, key=lambda one: (one.header.utc_start, len(one.path.name), str(one.path))):
        nights.setdefault(night_of_mjd(one.header.utc_start, held.profile.site), []).append(one)
    out = Sorted()
    for night, found in nights.items():
        _Night(held, night, found, closed or held.closed, out).sort(found)
    return out


def other_file(path: Path, key: str) -> CorruptFile:
    """Return the error for a raw file if another file has its key in the archive."""
    night, exposure, name = key.split("/")[-3:]
    return CorruptFile(
        f"{path.name}: the archive already contains {key}, a different file, which is not overwritten. If this file "
        f"replaces a damaged one, run `gozen archive forget {night} {exposure} {name}` (if a commit names the file, "
        f"delete {key} from the archive instead), give this file again, and reduce the exposure under another --run. "
        "If both files are needed, give this one another FRAME_ID or exposure number"
    )


@dataclass(frozen=True)
class _KnownFile:
    """A file that is in the archive or was assigned before."""

    place: Place
    exposure: str
    key: str


class _Night:
    """Assigns the files of one night to exposures, in order of time."""

    def __init__(
        self, held: ArchivedExposures, night: str, arrivals: list[Arrival], closed: Closed, out: Sorted
    ) -> None:
        self._held, self._night, self._out = held, night, out
        self._doubles = Doubles(held.store)
        known = held.for_files(night, [one.header.exposure_id for one in arrivals])
        is_closed = cache(partial(closed, night))

        def is_fixed(raw: RawExposure) -> bool:
            return self._is_retained(raw.exposure) or any(is_closed(raw.exposure, sensor) for sensor in raw.sensors)

        self._late = late_exposures(known, [one.frame for one in arrivals], held.profile.name, is_fixed)
        names = {one.exposure for one in self._late.loose}
        known = [raw for raw in known if raw.exposure not in names]
        self._exposures = Exposures(tolerance_deg(held.profile), known, is_closed)
        self._seen: dict[tuple[object, ...], list[_KnownFile]] = {}
        self._used: set[str] = set()
        for raw in known:
            self._note_known(raw)

    def sort(self, arrivals: list[Arrival]) -> None:
        """Assign each file to an exposure, or add the file to the refused ones."""
        waiting = deque(self._late.loose)
        moved: list[Moved] = []
        for one in arrivals:
            while waiting and waiting[0].frame.taken.mjd <= one.header.utc_start:
                moved.append(self._placed_again(waiting.popleft()))
            try:
                exposure, key = self._placed(one)
            except CorruptFile as error:
                self._out.refused.append(Refusal(one.path, error))
                continue
            self._out.groups.setdefault((self._night, exposure), []).append(Placed(one, key))
        moved += map(self._placed_again, waiting)
        if any(one.changes for one in moved):
            self._out.moved[self._night] = moved
        self._out.notes += filter(None, (self._note(base, raw) for base, raw in self._late.fixed))

    def _note(self, base: str, raw: RawExposure) -> str:
        """Return a note if earlier files arrived after the exposure was reduced or retained; otherwise ""."""
        later = {
            name
            for (night, name), placed in self._out.groups.items()
            if night == self._night and name != raw.exposure and number_of(name, base) > number_of(raw.exposure, base)
            if any(base_name(one.arrival.frame) == base and one.arrival.header.utc_start < raw.mjd for one in placed)
        }
        if not later:
            return ""
        return (
            f"{raw.exposure} of {self._night} keeps its name, because it is reduced or retained; files that were taken "
            f"earlier but arrived later are in {', '.join(sorted(later))}"
        )

    def _placed_again(self, file: Loose) -> Moved:
        """Assign a file in the archive to the exposure that it belongs to now."""
        frame = file.frame
        exposure, key = self._exposures.place(frame, file.key), file.key
        if exposure != file.exposure:
            key = keys.raw(self._night, exposure, keys.frame_id_of(key))
            number = 1
            while key in self._used or self._held.store.exists(key):
                number += 1
                key = keys.raw(self._night, exposure, f"{keys.frame_id_of(file.key)}-{number}")
        self._used.add(key)
        moment = _moment(frame.sensor, frame.taken.mjd, None)
        self._seen.setdefault(moment, []).append(_KnownFile(file.key, exposure, key))
        return Moved(file, exposure, key)

    def _is_retained(self, exposure: str) -> bool:
        return self._held.store.exists(keys.retain_marker(self._night, exposure))

    def _note_known(self, raw: RawExposure) -> None:
        self._used |= set(raw.taken)
        if raw.setup is None or raw.setup.camera != self._held.profile.name:
            return
        for sensor, files in raw.sensors.items():
            for key in files:
                if key in raw.taken:
                    moment = _moment(sensor, raw.taken[key].mjd, raw.setup.exposure_id)
                    self._seen.setdefault(moment, []).append(_KnownFile(key, raw.exposure, key))

    def _placed(self, one: Arrival) -> tuple[str, str]:
        frame = one.frame
        moment = _moment(frame.sensor, frame.taken.mjd, frame.setup.exposure_id)
        before = self._seen.get(moment, [])
        there = next((seen for seen in before if isinstance(seen.place, str) and _named(seen.key, one)), None)
        if there is not None:
            return there.exposure, there.key
        self._check_alone(one, frame, before)
        exposure = self._exposures.place(frame, one.path.name)
        key = self._free_key(one, exposure)
        self._used.add(key)
        self._seen.setdefault(moment, []).append(_KnownFile(one.path, exposure, key))
        return exposure, key

    def _check_alone(self, one: Arrival, frame: FrameFacts, before: list[_KnownFile]) -> None:
        """Refuse a file that is a copy of a known one under another name, or another frame with the same start."""
        for seen in before:
            if self._is_same(one.path, seen.place):
                raise CorruptFile(
                    f"{one.path.name}: it is the same frame as {_shown(seen.place)}, and each frame is archived once; "
                    "you can delete this copy"
                )
        if before and frame.data_type == "OBJECT":
            # Only science frames need distinct times.
            raise CorruptFile(
                f"{one.path.name}: the archive already contains {before[0].key}, a different file with the same sensor "
                "and start time. If both are real frames, one of them has a wrong time: correct it. Otherwise delete "
                "this file"
            )

    def _is_same(self, path: Path, other: Place) -> bool:
        try:
            return self._doubles.same(path, other)
        except MissingObject:
            return False  # expired, and cannot be compared any more

    def _free_key(self, one: Arrival, exposure: str) -> str:
        """Return a free key for a file; add a number to its name if needed, but refuse a file whose header names it."""
        key = keys.raw(self._night, exposure, one.frame_id)
        if one.header.frame_id is not None and key in self._used:
            # Refused here, not when it is copied: it must not be remembered, or later files would be compared with it.
            raise other_file(one.path, key)
        number = 1
        while one.header.frame_id is None and self._is_taken(key, one):
            number += 1
            key = keys.raw(self._night, exposure, f"{one.frame_id}-{number}")
        return key

    def _is_taken(self, key: str, one: Arrival) -> bool:
        if key in self._used:
            return True
        # A killed process may have left this same file there, without a record.
        return self._held.store.exists(key) and not self._is_same(one.path, key)


def _moment(sensor: str, mjd: float, exposure_id: str | None) -> tuple[object, ...]:
    return sensor, mjd, number_name(exposure_id) or exposure_id


def _named(key: str, one: Arrival) -> bool:
    """Return whether a key has a file's name, with or without the number that made it unique."""
    name = keys.frame_id_of(key)
    base, _, number = name.rpartition("-")
    return one.frame_id in (name, base if number.isdecimal() else name)


def _shown(place: Place) -> str:
    return place.name if isinstance(place, Path) else f"{place} in the archive"
