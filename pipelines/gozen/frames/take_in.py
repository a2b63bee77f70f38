"""Copy raw files into the archive, and record them with their exposures."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from pathlib import Path

from gozen.archive.exp_ids import is_reserved
from gozen.archive.keys import is_raw_file
from gozen.archive.raw.exposure_record import RawExposure, listed_record, raw_folders, read_record, record_exposure
from gozen.archive.raw.external_raw import files_of_sensors
from gozen.archive.stores.directory_store import unchanged
from gozen.archive.stores.open_store import Store
from gozen.archive.stores.store import named_errors
from gozen.errors import CorruptFile, StorageUnavailable, UnreadableInput
from gozen.frames.archived_files import ArchivedExposures, described, read_frames
from gozen.frames.assign_exposures import Placed, other_file, sort_arrivals
from gozen.frames.fits_images import unpacked
from gozen.frames.incoming_files import Arrival, stamp_of
from gozen.frames.move_raw_files import finish_renaming
from gozen.frames.raw import read_words
from gozen.frames.rename_exposures import rearrange
from gozen.instrument.profile import Profile
from gozen.instrument.read_header import read_header

log = logging.getLogger(__name__)


def take_in(
    store: Store,
    profile: Profile,
    arrivals: Iterable[Arrival],
    progress: Callable[[], None] = lambda: None,
) -> tuple[list[RawExposure], list[CorruptFile]]:
    """Copy raw files into the archive and record each exposure; files that are already there are not changed.

    Parameters
    ----------
    progress
        Called after each file.

    Returns
    -------
    The exposures in order of time, each with all its files in the archive; and the errors of files that are left out:
    they cannot be unpacked, are in the archive under another name, or their key belongs to another file.

    Raises
    ------
    StorageUnavailable
        The archive cannot be written, or a file changes while it is copied.
    """
    held = ArchivedExposures(store, profile)
    found = sort_arrivals(held, arrivals)
    for note in found.notes:
        log.warning("%s", note)
    refused = [one.reason for one in found.refused]
    changed = (one for night, moved in found.moved.items() for one in rearrange(store, night, moved))
    taken = {(one.night, one.exposure): one for one in changed}
    for (night, exposure), placed in found.groups.items():
        copied = []
        for one in placed:
            try:
                _copy(store, one.key, one.arrival)
                copied.append(one)
            except CorruptFile as error:
                refused.append(error)
            progress()
        if copied:
            # Files found in the archive may come from a process that was killed before they were synced to disk.
            store.settle(one.key for one in copied)
            taken[night, exposure] = record_exposure(store, record_of(night, exposure, copied))
        elif (known := read_record(store, night, exposure)) is not None:
            taken[night, exposure] = known
    return sorted(taken.values(), key=lambda one: (one.mjd, one.exposure)), refused


def record_of(night: str, exposure: str, placed: Iterable[Placed]) -> RawExposure:
    """Return the record of an exposure's files."""
    return described(RawExposure(night, exposure, "", "", 0.0), {one.key: one.arrival.frame for one in placed})


def record_missing(store: Store, night: str, profile: Profile) -> list[CorruptFile]:
    """Record raw files of a night that no record names, for example if a camera writes into the archive.

    Returns
    -------
    The errors of files that are left out: their headers cannot be read, so their sensors are unknown.
    """
    refused: list[CorruptFile] = []
    # A killed renaming leaves files under two keys: if they were recorded now, they would count in two exposures.
    finish_renaming(store, night)
    for exposure, found in raw_folders(store, night).items():
        recorded = listed_record(store, night, exposure, found)
        # `forget` records a file as gone before it deletes it: if it was killed in between, the file is not a new one.
        known = {*recorded.gone, *(key for files in recorded.sensors.values() for key in files)} if recorded else set()
        # Other objects, such as the marker that retains an exposure, are not data.
        fresh = [key for key in found if is_raw_file(key) and key not in known]
        # Files that a camera is writing for the observer, or has left unfinished, count once the observer records them.
        if fresh and not is_reserved(store, night, exposure):
            refused += _record_raw(store, night, exposure, fresh, profile)
    return refused


def _record_raw(store: Store, night: str, exposure: str, raw: Iterable[str], profile: Profile) -> list[CorruptFile]:
    frames, refused = read_frames(store, raw, profile)
    if frames:
        record_exposure(store, described(RawExposure(night, exposure, "", "", 0.0), frames))
    return refused


def exposure_outside(folder: Store, night: str, exposure: str, profile: Profile) -> RawExposure:
    """Return the record of an exposure whose raw files are outside the archive; it is not written.

    Raises
    ------
    UnreadableInput
        No file name matches the profile, or no file is readable.
    """
    sensors = files_of_sensors(folder, profile)
    if not sensors:
        pattern = profile.raw_names or "*"
        raise UnreadableInput(
            f"{folder.url} has no raw files of {profile.name}: no file name matches {pattern}; check the folder, and "
            "`raw_names` of the profile"
        )
    problem: CorruptFile | None = None
    for key in (files[0] for files in sensors.values()):
        try:
            with folder.open(key) as stream:
                header = read_header(read_words(stream, profile.hdu)[0], profile, Path(key).name)
        except CorruptFile as error:
            problem = problem or error
            continue
        return RawExposure(night, exposure, header.object, header.data_type, header.utc_start, sensors)
    raise UnreadableInput(
        f"{folder.url}: of {len(sensors)} sensors none has a readable file; the first error is: {problem}"
    )


def _copy(store: Store, key: str, arrival: Arrival) -> None:
    path, name = arrival.path, str(arrival.path)
    with named_errors(name, "read"), path.open("rb") as stream, unchanged(stream.fileno(), name):
        if arrival.stamp is not None and arrival.stamp != stamp_of(path):
            raise StorageUnavailable(
                f"cannot add {path} to the archive: it changed after its header was read; run again when it is complete"
            )
        data = stream.read()
    # The key in the archive ends in .fits, so the content must not be compressed.
    data = bytes(unpacked(data, path.name))
    fresh = not store.exists(key) and store.create(key, data)
    if not fresh and store.read(key) != data:
        raise other_file(path, key)
