"""List raw files outside the archive and read their headers; `assign_exposures` groups them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from gozen.archive.keys import RAW_ENDINGS, is_raw_file
from gozen.archive.stores.store import named_errors
from gozen.errors import BadRequest, CorruptFile
from gozen.frames.archived_files import frame_of
from gozen.frames.exposure_grouping import FrameFacts
from gozen.frames.raw import read_words
from gozen.instrument.profile import Profile
from gozen.instrument.read_header import RawHeader, read_header


@dataclass(frozen=True)
class Arrival:
    """One raw file outside the archive, and its header.

    Parameters
    ----------
    frame
        The facts that decide which exposure it belongs to.
    stamp
        Its size and modification time (ns) when the header was read; None if the file cannot change.
    """

    path: Path
    header: RawHeader
    frame: FrameFacts
    stamp: tuple[int, int] | None = None

    @property
    def frame_id(self) -> str:
        """The name of the file in the archive: the name in the header, else the file name without ending."""
        return self.header.frame_id or stem(self.path)


def stem(path: Path) -> str:
    """Return a FITS file's name without its ending, such as ``.fits`` or ``.fits.gz``."""
    name = path.name.lower()
    suffix = next((one for one in sorted(RAW_ENDINGS, key=len, reverse=True) if name.endswith(one)), path.suffix)
    return path.name[: len(path.name) - len(suffix)]


def fits_files(paths: Iterable[Path]) -> list[Path]:
    """Return the given files, and all FITS files below the given folders, sorted by name within each folder.

    Raises
    ------
    BadRequest
        A path does not exist, or no file is found.
    """
    found: list[Path] = []
    listed = list(paths)
    for path in listed:
        if path.is_dir():
            found += sorted(p for p in path.rglob("*") if is_raw_file(p.name) and p.is_file())
        elif path.is_file():
            found.append(path)
        else:
            raise BadRequest(f"there is no file or folder {path}; check the path")
    if not found:
        places, endings = ", ".join(map(str, listed)), ", ".join(RAW_ENDINGS)
        raise BadRequest(f"no FITS files in {places}; the name of a FITS file must end in one of {endings}")
    return found


def read_arrivals(
    files: Sequence[Path], profile: Profile, progress: Callable[[], None] = lambda: None
) -> tuple[list[Arrival], list[CorruptFile]]:
    """Read the headers of raw files; return the readable files, and the errors of the others."""
    arrivals, refused = [], []
    for path in files:
        try:
            stamp = stamp_of(path)
            words, shape = read_words(path, profile.hdu)
            header = read_header(words, profile, path.name)
            arrivals.append(Arrival(path, header, frame_of(header, profile, shape), stamp))
        except CorruptFile as error:
            refused.append(error)
        progress()
    return arrivals, refused


def stamp_of(path: Path) -> tuple[int, int]:
    """Return a file's size and modification time (ns), to detect later writes."""
    with named_errors(str(path), "read"):
        seen = path.stat()
    return seen.st_size, seen.st_mtime_ns
