"""Regroup archived exposures that are not reduced yet, if files that arrive late belong before or into them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from gozen.archive.raw.raw_exposure import RawExposure
from gozen.archive.raw.record_note import RecordChange
from gozen.archive.stores.open_store import Store
from gozen.frames.archived_files import described
from gozen.frames.exposure_grouping import FrameFacts, base_name, number_of
from gozen.frames.move_raw_files import Renaming, rename


@dataclass(frozen=True)
class Loose:
    """A raw file in the archive that may still be moved to another exposure."""

    key: str
    exposure: str
    frame: FrameFacts


@dataclass(frozen=True)
class Moved:
    """The exposure and key that a loose file has after it was assigned again."""

    file: Loose
    exposure: str
    key: str

    @property
    def changes(self) -> bool:
        """Whether the file belongs to another exposure than before."""
        return self.exposure != self.file.exposure


@dataclass(frozen=True)
class Late:
    """The archived exposures that late files may change: they contain frames that were taken after such a file.

    Parameters
    ----------
    loose
        Files of the exposures that may still change, in order of time.
    fixed
        Exposures that must not change, each with its base name (without a number).
    """

    loose: list[Loose]
    fixed: list[tuple[str, RawExposure]]


def late_exposures(
    known: Iterable[RawExposure], fresh: Sequence[FrameFacts], camera: str, is_fixed: Callable[[RawExposure], bool]
) -> Late:
    """Return the exposures that arriving files may change: the ones of the same name with a frame taken later.

    Files that arrive in order of time change nothing in the archive.

    Parameters
    ----------
    fresh
        Facts of the arriving files.
    is_fixed
        Returns whether an exposure must not change: one of its sensors is finished, or it is retained.
    """
    arriving = [(base_name(frame), frame.taken.mjd) for frame in fresh if frame.setup.exposure_id is None]
    if not arriving:
        return Late([], [])
    own = [(base, raw) for raw in known if (base := _base_of(raw, camera))]
    roots = _roots({base for base, _ in (*arriving, *own)})
    first: dict[str, float] = {}
    for base, mjd in arriving:
        first[roots[base]] = min(mjd, first.get(roots[base], mjd))
    family = [(base, raw) for base, raw in own if roots[base] in first]
    late = {roots[base] for base, raw in family if max(one.mjd for one in raw.taken.values()) > first[roots[base]]}
    family = [(base, raw) for base, raw in family if roots[base] in late]
    fixed = [(base, raw) for base, raw in family if is_fixed(raw)]
    names = {raw.exposure for _, raw in fixed}
    found = [file for _, raw in family if raw.exposure not in names for file in _files(raw)]
    return Late(sorted(found, key=lambda one: (one.frame.taken.mjd, one.key)), fixed)


def _roots(bases: set[str]) -> dict[str, str]:
    """Return for each base name the shortest base name from which numbering can make it.

    This is `m-67` for `m-67-2`, because the second exposure of `m-67` has the name `m-67-2`.
    """
    roots = {}
    for base in bases:
        root = base
        while (shorter := root.rpartition("-"))[2].isdecimal() and shorter[0] in bases:
            root = shorter[0]
        roots[base] = root
    return roots


def _base_of(raw: RawExposure, camera: str) -> str:
    """Return the name of an exposure without its number; empty if Gozen did not choose it, or for another camera."""
    if raw.setup is None or raw.setup.camera != camera or raw.setup.exposure_id is not None:
        return ""
    keys = [key for files in raw.sensors.values() for key in files]
    if not keys or any(key not in raw.taken for key in keys):
        return ""
    base = base_name(FrameFacts(raw.object, raw.data_type, "", raw.setup, raw.taken[keys[0]]))
    return base if number_of(raw.exposure, base) else ""


def _files(raw: RawExposure) -> list[Loose]:
    if raw.setup is None:
        return []
    return [
        Loose(key, raw.exposure, FrameFacts(raw.object, raw.data_type, sensor, raw.setup, raw.taken[key]))
        for sensor, files in raw.sensors.items()
        for key in files
        if key in raw.taken
    ]


def rearrange(store: Store, night: str, moved: Sequence[Moved]) -> list[RawExposure]:
    """Move loose files in the archive to the exposures that they belong to; return the new records of these exposures.

    Parameters
    ----------
    moved
        All files of the exposures that change, including those that are not moved.

    Raises
    ------
    StorageUnavailable
        As in `gozen.frames.move_raw_files.rename`.
    """
    names = sorted({one.exposure for one in moved} | {one.file.exposure for one in moved})
    changes = {name: _change(night, name, moved) for name in names}
    return rename(store, Renaming(night, {one.file.key: one.key for one in moved if one.changes}, changes))


def _change(night: str, name: str, moved: Sequence[Moved]) -> RecordChange:
    """Return the change of an exposure's record: it is rebuilt from the files that belong to the exposure now."""
    own = {one.key: one.file.frame for one in moved if one.exposure == name}
    known = {*own, *(one.file.key for one in moved if one.file.exposure == name)}
    fresh = described(RawExposure(night, name, "", "", 0.0), own)
    return RecordChange(leave=tuple(sorted(known)), add=fresh if own else None)
