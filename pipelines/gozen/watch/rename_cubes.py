"""Move files of waiting cubes to other cubes when later files show that they belong to another exposure."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from gozen.archive.raw.exposure_record import RawExposure, read_record
from gozen.archive.stores.open_store import Store
from gozen.errors import UnreadableInput
from gozen.frames.assign_exposures import Placed
from gozen.frames.move_raw_files import finish_renaming
from gozen.frames.rename_exposures import Moved, rearrange
from gozen.frames.take_in import record_of
from gozen.watch.backoff import waiting_for_repair
from gozen.watch.recipes_of_cubes import Orders
from gozen.watch.waiting_cubes import CubeName, Cubes, QueuedCube, State

Arrivals = defaultdict[CubeName, deque[Placed]]


class CubeRenaming:
    """Moves files of cubes that are not being reduced yet to other cubes.

    Parameters
    ----------
    cubes
        All cubes of the watch; changed in place.
    arrivals
        Files of cubes that are not in the archive yet; changed in place.
    """

    def __init__(self, store: Store, orders: Orders, cubes: Cubes, arrivals: Arrivals) -> None:
        self._store, self._orders, self._cubes, self._arrivals = store, orders, cubes, arrivals
        self._begun: tuple[str, Sequence[Moved]] | None = None
        self._undecided: set[CubeName] = set()
        self._unsettled: set[CubeName] = set()

    def rename(self, night: str, moved: Sequence[Moved]) -> None:
        """Move files of a night to other exposures.

        Raises
        ------
        StorageUnavailable
            The archive cannot be read or written now, or a record is damaged. If the archive has the plan of the move,
            `finish` completes it later; else the caller has to assign the files again.
        """
        self._begun = night, moved
        names = _names(night, moved)
        # None is reduced until `release`: the archive may contain half of the change, or have refused it, and then the
        # files would be reduced under their old names before they are assigned again.
        self._undecided |= names
        self._unsettled -= names
        for name in names & set(self._cubes):
            self._cubes[name].state = State.IN_FOLDER
        ahead = self._ahead(moved)
        archived = [one for one in moved if one.file.key not in ahead]
        if any(one.changes for one in archived):
            with waiting_for_repair():
                rearrange(self._store, night, archived)
        self.finish()

    def release(self) -> None:
        """Allow the reduction of all renamed cubes; call it when each file is recorded under its new exposure.

        Raises
        ------
        StorageUnavailable
            The archive cannot be read now; a later `finish` updates the cubes that this call did not reach.
        """
        self._unsettled |= self._undecided
        self._undecided.clear()
        self.finish()

    def is_decided(self, name: CubeName) -> bool:
        """Tell whether the files of a cube may be taken into the archive: no renaming of its exposure is unfinished."""
        return name not in self._undecided

    def finish(self) -> None:
        """Complete a move that was begun: files that the archive has under their new keys go to their new cubes."""
        if self._begun is not None:
            self._move(*self._begun)
            # Before the cubes are updated: if the archive fails then, the files must not be moved a second time.
            self._begun = None
        while self._unsettled:
            name = min(self._unsettled)
            if name in self._cubes:
                self._settle(name)
            self._unsettled.discard(name)

    def _move(self, night: str, moved: Sequence[Moved]) -> None:
        with waiting_for_repair():
            finish_renaming(self._store, night)
        ahead = self._ahead(moved)
        # The archive decides: if it refused the renaming, the files still have their old keys and cubes.
        done = [one for one in moved if one.changes and (one.file.key in ahead or self._store.exists(one.key))]
        # All files are removed from their cubes before one is added: two exposures may exchange their names.
        parts = [self._taken_out(night, one) for one in done]
        for one, part in zip(done, parts, strict=True):
            if part is not None:
                self._put_in(_name(night, one.exposure, one), one.key, part)
        self._orders.forget(night)

    def promised(self, night: str) -> list[RawExposure]:
        """Return records of the exposures of a night, with arrived files that are not in the archive yet."""
        return [
            record_of(night, name[1], waiting)
            for name, waiting in self._arrivals.items()
            if waiting and name[0] == night
        ]

    def _ahead(self, moved: Iterable[Moved]) -> set[str]:
        """Return old keys of queued files that are not in the archive; after a kill, a file may be in both places."""
        waiting = {placed.key for found in self._arrivals.values() for placed in found}
        return {key for one in moved if (key := one.file.key) in waiting and not self._store.exists(key)}

    def _taken_out(self, night: str, one: Moved) -> _CubeShare | None:
        name, key = _name(night, one.file.exposure, one), one.file.key
        cube = self._cubes.get(name)
        if cube is None:
            return None  # another command moved it into the archive
        waiting = self._arrivals[name]
        own = [placed for placed in waiting if placed.key == key]
        self._arrivals[name] = deque(placed for placed in waiting if placed.key != key)
        paths = [path for path, of in cube.files.items() if of == key]
        is_archived = key in cube.keys
        cube.keys = tuple(other for other in cube.keys if other != key)
        cube.files = {path: of for path, of in cube.files.items() if of != key}
        size = sum(_size(path) for path in (*paths, *(placed.arrival.path for placed in own)))
        cube.size -= size
        return _CubeShare(cube, own, paths, size, is_archived=is_archived)

    def _put_in(self, name: CubeName, key: str, part: _CubeShare) -> None:
        cube = self._cubes.get(name)
        if cube is None:
            raw = replace(part.cube.raw, exposure=name[1], sensors={}, taken={})
            cube = self._cubes[name] = replace(part.cube, raw=raw, size=0, files={}, keys=(), error=None)
        cube.size += part.size
        cube.last = max(cube.last, part.cube.last)
        cube.files |= dict.fromkeys(part.paths, key)
        if part.is_archived:
            cube.keys = tuple(sorted({*cube.keys, key}))
        self._arrivals[name] += [replace(placed, key=key) for placed in part.waiting]

    def _settle(self, name: CubeName) -> None:
        """Update a cube after its files have changed; remove it if it has no files any more."""
        cube = self._cubes[name]
        waiting = self._arrivals[name]
        if not cube.keys and not waiting:
            del self._cubes[name]
            return
        try:
            record = read_record(self._store, *cube.name) if cube.keys else None
        except UnreadableInput:
            record = None  # `Inbound` reports it when it records the files of this cube
        is_recorded = record is not None and set(cube.keys) <= set(record.sensors.get(cube.sensor, ()))
        if record is not None and is_recorded:
            cube.raw = record
        elif not cube.keys:
            cube.raw = replace(record_of(*cube.name, waiting), sensors={}, taken={})
        cube.express = self._orders.is_express(cube.raw)
        cube.state, cube.error = (State.WAITING if is_recorded and not waiting else State.IN_FOLDER), None


@dataclass(frozen=True)
class _CubeShare:
    """The part of a cube that belongs to one raw file."""

    cube: QueuedCube
    waiting: list[Placed]
    paths: Iterable[Path]
    size: int
    is_archived: bool


def _name(night: str, exposure: str, one: Moved) -> CubeName:
    return night, exposure, one.file.frame.sensor


def _names(night: str, moved: Iterable[Moved]) -> set[CubeName]:
    return {_name(night, name, one) for one in moved for name in (one.exposure, one.file.exposure)}


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
