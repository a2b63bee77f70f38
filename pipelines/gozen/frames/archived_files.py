"""Read the exposures and raw files of a night that are already in the archive."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import PurePosixPath

from gozen.archive import keys
from gozen.archive.raw.exposure_record import is_of_record, listed_record, raw_folders, read_record
from gozen.archive.raw.raw_exposure import RawExposure, Setup, Taken, by_sensor, merge_records
from gozen.archive.stores.open_store import Store
from gozen.errors import CorruptFile, MissingObject, UnreadableInput
from gozen.frames.exposure_grouping import FrameFacts, number_name
from gozen.frames.move_raw_files import finish_renaming
from gozen.frames.raw import read_words
from gozen.instrument.profile import Profile
from gozen.instrument.read_header import RawHeader, read_header

Closed = Callable[[str, str, str], bool]
"""Returns, for a night, an exposure and a sensor, whether the sensor is finished, so that no file is added to it."""
_NIGHTS = 2
_EXPOSURES = 1000


class ArchivedExposures:
    """The exposures of nights in an archive, read once for each night and kept up to date by `remember`."""

    def __init__(self, store: Store, profile: Profile) -> None:
        self.store, self.profile = store, profile
        self._whole: dict[str, dict[str, RawExposure]] = {}
        self._single: dict[tuple[str, str], RawExposure | None] = {}
        self._ahead: dict[str, list[RawExposure]] = {}

    def for_files(self, night: str, numbers: Iterable[str | None]) -> list[RawExposure]:
        """Return the exposures to which files of a night may belong.

        Parameters
        ----------
        numbers
            The exposure number of each file; the complete night is read only if a file has no number.
        """
        names = {number_name(number) for number in numbers}
        if None not in names and night not in self._whole:
            found = [self._of_number(night, name) for name in names if name is not None]
            if all(one is None or one.setup is None or one.setup.camera == self.profile.name for one in found):
                return [one for one in found if one is not None]
        return list(self._night(night).values())

    def remember(self, fresh: RawExposure) -> None:
        """Add to the cache the files that will be recorded in an exposure; drop the oldest entries of the cache."""
        whole, name = self._whole.get(fresh.night), (fresh.night, fresh.exposure)
        if whole is not None:
            whole[fresh.exposure] = merge_records(whole.get(fresh.exposure), fresh)
        elif fresh.night in self._ahead:
            self._ahead[fresh.night].append(fresh)
        if name in self._single:
            self._single[name] = merge_records(self._single.pop(name), fresh)
        for night in sorted(self._whole)[:-_NIGHTS]:
            del self._whole[night]
        while len(self._single) > _EXPOSURES:
            del self._single[next(iter(self._single))]

    def forget(self, night: str, ahead: Iterable[RawExposure] = ()) -> None:
        """Drop a night from the cache, so that it is read again when it is next needed.

        Parameters
        ----------
        ahead
            Exposures of the night that are not in the archive yet, but will be recorded there.
        """
        self._whole.pop(night, None)
        self._ahead[night] = list(ahead)

    def closed(self, night: str, exposure: str, sensor: str) -> bool:
        """Return whether a sensor of an exposure has a commit."""
        found = map(keys.parse_commit, self.store.list(f"{keys.commits(night)}/{exposure}"))
        return any(one is not None and one.sensor == sensor for one in found)

    def _of_number(self, night: str, name: str) -> RawExposure | None:
        if (night, name) not in self._single:
            try:
                found = read_record(self.store, night, name)
            except UnreadableInput:  # it is reported when files of this exposure are recorded
                found = RawExposure(night, name, "", "", 0.0)
            if found is not None and (found.setup is None or len(found.taken) < sum(map(len, found.sensors.values()))):
                # The record was written without some of the facts that are needed now.
                found = _completed(self.store, night, name, self.store.list(keys.raw_folder(night, name)), self.profile)
            self._single[night, name] = found
        return self._single[night, name]

    def _night(self, night: str) -> dict[str, RawExposure]:
        if night not in self._whole:
            finish_renaming(self.store, night)
            found = {one.exposure: one for one in held_exposures(self.store, night, self.profile)}
            for one in self._ahead.pop(night, ()):
                found[one.exposure] = merge_records(found.get(one.exposure), one)
            self._whole[night] = found
        return self._whole[night]


def held_exposures(store: Store, night: str, profile: Profile) -> list[RawExposure]:
    """Return the exposures of a night; files that the records do not describe are read and added.

    Files whose headers cannot be read are left out. An exposure without any readable file is returned with its name
    only.
    """
    folders = raw_folders(store, night)
    completed = [_completed(store, night, exposure, found, profile) for exposure, found in folders.items()]
    # If all files of an exposure were moved to others, only its record is left: it does not exist, its name is free.
    return [one for one in completed if not one.says_nothing or not all(map(is_of_record, folders[one.exposure]))]


def _completed(store: Store, night: str, exposure: str, found: list[str], profile: Profile) -> RawExposure:
    empty = RawExposure(night, exposure, "", "", 0.0)
    try:
        record = listed_record(store, night, exposure, found) or empty
    except UnreadableInput:
        return empty
    if record.setup is not None and record.setup.camera != profile.name:
        return record
    known = {*record.taken, *record.gone}
    unknown = [key for key in found if keys.is_raw_file(key) and key not in known]
    return described(record, read_frames(store, unknown, profile)[0])


def described(record: RawExposure, frames: dict[str, FrameFacts]) -> RawExposure:
    """Return a record to which files are added; `frames` has the facts of each file by key, as from `read_frames`."""
    if not frames:
        return record
    sensors = {name: set(files) for name, files in record.sensors.items()}
    for key, frame in frames.items():
        sensors.setdefault(frame.sensor, set()).add(key)
    first = min(frames.values(), key=lambda frame: frame.taken.mjd)
    if not record.object and not record.data_type:
        record = replace(record, object=first.object, data_type=first.data_type, mjd=first.taken.mjd)
    return replace(
        record,
        sensors=by_sensor(sensors),
        setup=record.setup or first.setup,
        taken={**record.taken, **{key: frame.taken for key, frame in frames.items()}},
    )


def read_frames(
    store: Store, found: Iterable[str], profile: Profile
) -> tuple[dict[str, FrameFacts], list[CorruptFile]]:
    """Read the headers of raw files in an archive; return the facts of each by key, and the errors of others."""
    frames: dict[str, FrameFacts] = {}
    refused: list[CorruptFile] = []
    for key in found:
        try:
            with store.open(key) as stream:
                words, shape = read_words(stream, profile.hdu)
            header = read_header(words, profile, PurePosixPath(key).name)
            frames[key] = frame_of(header, profile, shape)
        except CorruptFile as error:
            refused.append(error)
        except MissingObject:
            continue  # expired or forgotten since the folder was listed
    return frames, refused


def frame_of(header: RawHeader, profile: Profile, shape: tuple[int, ...]) -> FrameFacts:
    """Return the properties of a raw file that decide to which exposure it belongs.

    Parameters
    ----------
    shape
        Shape of its image: (rows, columns) or (frames, rows, columns).
    """
    count = shape[0] if len(shape) == 3 else 1
    cube_s = count * header.frame_time_s if profile.raw == "cube" or count > 1 else None
    setup = Setup(
        profile.name, header.filter, header.exposure_s, header.gain, header.binning, header.window, header.exposure_id
    )
    return FrameFacts(
        header.object, header.data_type, header.sensor, setup, Taken(header.utc_start, header.ra, header.dec, cube_s)
    )
