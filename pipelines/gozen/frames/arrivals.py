"""Raw files on their way into the archive: which exposure each belongs to. Its record is in `gozen.archive.raw`."""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from gozen.archive import keys
from gozen.archive.directory import unchanged
from gozen.archive.expid import is_reserved
from gozen.archive.interface import named_errors
from gozen.archive.outside import files_of_sensors
from gozen.archive.raw import RawExposure, by_sensor, read_record, record_exposure, record_key
from gozen.archive.store import Store
from gozen.errors import BadRequest, CorruptFile, StorageUnavailable, UnreadableInput
from gozen.frames.raw import read_words
from gozen.instrument.header import RawHeader, night_of, read_header
from gozen.instrument.profile import Profile

SUFFIXES = (".fits", ".fit", ".fts", ".fits.gz", ".fit.gz", ".fits.fz")
_PAUSE_S = 1800.0


@dataclass(frozen=True)
class Arrival:
    """One raw file outside the archive, and what its header says.

    Parameters
    ----------
    stamp
        Its size and time (ns) when the header was read; None where nobody can change it.
    """

    path: Path
    header: RawHeader
    stamp: tuple[int, int] | None = None

    @property
    def frame_id(self) -> str:
        """The name that it gets in the archive."""
        return self.header.frame_id or stem(self.path)


def stem(path: Path) -> str:
    """Return a FITS file's name without what says that it is one, or compressed."""
    name = path.name.lower()
    suffix = next((one for one in sorted(SUFFIXES, key=len, reverse=True) if name.endswith(one)), path.suffix)
    return path.name[: len(path.name) - len(suffix)]


def fits_files(paths: Iterable[Path]) -> list[Path]:
    """Return the FITS files among files and folders, folders with all below them, in order of name.

    Raises
    ------
    BadRequest
        A path does not exist, or there is no FITS file at all.
    """
    found: list[Path] = []
    listed = list(paths)
    for path in listed:
        if path.is_dir():
            found += sorted(p for p in path.rglob("*") if p.name.lower().endswith(SUFFIXES) and p.is_file())
        elif path.is_file():
            found.append(path)
        else:
            raise BadRequest(f"there is no file or folder {path}")
    if not found:
        raise BadRequest(f"no FITS files in {', '.join(map(str, listed))}; their names end in {', '.join(SUFFIXES)}")
    return found


def read_arrivals(
    files: Sequence[Path], profile: Profile, progress: Callable[[], None] = lambda: None
) -> tuple[list[Arrival], list[CorruptFile]]:
    """Read the headers of raw files; those that cannot be read are returned as their errors."""
    arrivals, refused = [], []
    for path in files:
        try:
            stamp = stamp_of(path)
            words, _ = read_words(path, profile.hdu)
            arrivals.append(Arrival(path, read_header(words, profile, path.name), stamp))
        except CorruptFile as error:
            refused.append(error)
        progress()
    return arrivals, refused


def stamp_of(path: Path) -> tuple[int, int]:
    """Return a file's size and time (ns): both stay as long as nobody writes to it."""
    with named_errors(str(path), "read"):
        seen = path.stat()
    return seen.st_size, seen.st_mtime_ns


def group_arrivals(arrivals: Iterable[Arrival], profile: Profile) -> dict[tuple[str, str], list[Arrival]]:
    """Group raw files into exposures, by night and name.

    Where headers carry an exposure number it is the name. Elsewhere an exposure is what one target saw without a
    pause of half an hour (or ten frames, if that is longer), and is called after it.
    """
    out: dict[tuple[str, str], list[Arrival]] = {}
    last: dict[tuple[str, str], tuple[str, float]] = {}
    for one in sorted(arrivals, key=lambda arrival: (arrival.header.utc_start, arrival.path.name)):
        night = night_of(one.header.utc_start, profile.site)
        name = _exposure_name(one.header)
        if one.header.exposure_id is None:
            name = _after_pause(name, night, one.header, last)
        out.setdefault((night, name), []).append(one)
    return out


def take_in(
    store: Store,
    groups: dict[tuple[str, str], list[Arrival]],
    progress: Callable[[], None] = lambda: None,
) -> tuple[list[RawExposure], list[CorruptFile]]:
    """Copy raw files into the archive and record each exposure; files that are there already are left as they are.

    Parameters
    ----------
    groups
        As `group_arrivals` makes them.
    progress
        Called after each file.

    Returns
    -------
    The exposures, by time, each with all files that the archive has of it; and why files are left out: they cannot be
    unpacked, or the archive has another file in their place.

    Raises
    ------
    StorageUnavailable
        The archive cannot be written, or a file changes while it is taken in.
    """
    taken, refused = [], []
    for (night, exposure), arrivals in groups.items():
        sensors: dict[str, list[str]] = {}
        for one in arrivals:
            key = keys.raw(night, exposure, one.frame_id)
            try:
                _copy(store, key, one)
            except CorruptFile as error:
                refused.append(error)
            if store.exists(key):
                sensors.setdefault(one.header.sensor, []).append(key)
            progress()
        first = arrivals[0].header
        fresh = RawExposure(night, exposure, first.object, first.data_type, first.utc_start, by_sensor(sensors))
        if sensors:
            taken.append(record_exposure(store, fresh))
    return sorted(taken, key=lambda one: (one.mjd, one.exposure)), refused


def record_missing(store: Store, night: str, profile: Profile) -> list[CorruptFile]:
    """Record raw files of a night that no record names, as those of a camera that writes to the archive.

    Returns
    -------
    Why files are left out: their headers cannot be read, so that nobody knows their sensor.
    """
    folders: dict[str, list[str]] = {}
    for key in store.list(f"raw/{night}"):
        folders.setdefault(key.split("/")[2], []).append(key)
    refused: list[CorruptFile] = []
    for exposure, found in folders.items():
        record = record_key(night, exposure)
        sensors = read_record(store, record).sensors if record in found else {}
        known = {key for files in sensors.values() for key in files}
        # Other objects, such as the marker that retains an exposure, are no data.
        fresh = [key for key in found if key.lower().endswith(SUFFIXES) and key not in known]
        # What a camera is writing for the observer, or has left unfinished, counts when its own record is there.
        if fresh and not is_reserved(store, night, exposure):
            refused += _record_raw(store, night, exposure, fresh, profile)
    return refused


def _record_raw(store: Store, night: str, exposure: str, raw: Iterable[str], profile: Profile) -> list[CorruptFile]:
    sensors: dict[str, list[str]] = {}
    headers, refused = [], []
    for key in raw:
        try:
            with store.open(key) as stream:
                header = read_header(read_words(stream, profile.hdu)[0], profile, Path(key).name)
        except CorruptFile as error:
            refused.append(error)
            continue
        headers.append(header)
        sensors.setdefault(header.sensor, []).append(key)
    if headers:
        first = min(headers, key=lambda header: header.utc_start)
        fresh = RawExposure(night, exposure, first.object, first.data_type, first.utc_start, by_sensor(sensors))
        record_exposure(store, fresh)
    return refused


def exposure_outside(folder: Store, night: str, exposure: str, profile: Profile) -> RawExposure:
    """Return an exposure whose raw files lie outside the archive, as it would be recorded.

    Raises
    ------
    UnreadableInput
        There are no files with the names of raw files, or none that can be read.
    """
    sensors = files_of_sensors(folder, profile)
    if not sensors:
        pattern = profile.raw_names or "*"
        raise UnreadableInput(f"{folder.url} has no raw files of {profile.name}, whose names are {pattern}")
    problem: CorruptFile | None = None
    for key in (files[0] for files in sensors.values()):
        try:
            with folder.open(key) as stream:
                header = read_header(read_words(stream, profile.hdu)[0], profile, Path(key).name)
        except CorruptFile as error:
            problem = problem or error
            continue
        return RawExposure(night, exposure, header.object, header.data_type, header.utc_start, sensors)
    raise UnreadableInput(f"{folder.url}: none of {len(sensors)} sensors has a file that can be read: {problem}")


def slug(text: str) -> str:
    """Return a text as a name for keys: lower case, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:48] or "unnamed"


def _exposure_name(header: RawHeader) -> str:
    if header.exposure_id is not None:
        return f"{int(header.exposure_id):08d}" if header.exposure_id.isdigit() else slug(header.exposure_id)
    if header.data_type == "OBJECT":
        return slug(header.object)
    kind = header.data_type.lower()
    name = slug(header.object)
    return name if kind in name else f"{kind}-{name}"


def _after_pause(name: str, night: str, header: RawHeader, last: dict[tuple[str, str], tuple[str, float]]) -> str:
    """Return the name of an exposure's part after a pause: name, name-2, name-3."""
    current, when = last.get((night, name), (name, header.utc_start))
    pause_s = max(_PAUSE_S, 10 * header.exposure_s)
    if (header.utc_start - when) * 86400 > pause_s:
        number = int(current.removeprefix(name).removeprefix("-") or 1)
        current = f"{name}-{number + 1}"
    last[night, name] = current, header.utc_start
    return current


def _copy(store: Store, key: str, arrival: Arrival) -> None:
    path, name = arrival.path, str(arrival.path)
    with named_errors(name, "read"), path.open("rb") as stream, unchanged(stream.fileno(), name):
        if arrival.stamp is not None and arrival.stamp != stamp_of(path):
            raise StorageUnavailable(f"cannot take {path} in: it changed after its header was read; run again")
        data = stream.read()
    if data[:2] == b"\x1f\x8b":
        # The archive's name ends in .fits, so that is what it holds.
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError, zlib.error) as error:
            raise CorruptFile(f"{path.name}: it cannot be unpacked ({error}); it is probably truncated") from error
    fresh = not store.exists(key) and store.create(key, data)
    if not fresh and store.read(key) != data:
        raise other_file(path, key)


def other_file(path: Path, key: str) -> CorruptFile:
    """Return what is said of a raw file whose place in the archive is taken."""
    return CorruptFile(
        f"{path.name}: the archive has another file as {key}; nothing is written over, "
        "so give it another FRAME_ID or exposure number if it is one of its own"
    )
