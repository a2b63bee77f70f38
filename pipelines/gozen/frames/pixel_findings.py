"""Find problems of a raw file beyond its header: missing pixels, overflow, images that are not read."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gozen.archive.stores.store import named_errors
from gozen.errors import CorruptFile
from gozen.frames.raw import RawFile, as_meant, parse_file
from gozen.frames.stored_pixels import far_below
from gozen.instrument.profile import Profile


def findings(path: Path, profile: Profile) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Read a complete raw file; return the errors that make its pixels unusable, and notes for the user.

    Raises
    ------
    StorageUnavailable, MissingObject
        The file cannot be read.
    """
    with named_errors(str(path), "read"):
        data = path.read_bytes()
    try:
        file = parse_file(data, path.name, profile.hdu)
    except CorruptFile as error:
        return (str(error),), ()
    notes = (*notes_on_images(file, profile), *_notes_on_pixels(file, profile))
    try:
        meant = as_meant(file, profile)
        for index in range(len(meant.frames)):
            meant.stored(index)
    except CorruptFile as error:
        return (str(error),), notes
    return (), notes


def notes_on_images(file: RawFile, profile: Profile) -> tuple[str, ...]:
    """Return a note that names the images of a file that are not read, unless the profile chooses one."""
    if profile.hdu is not None or len(file.images) < 2:
        return ()
    return (
        f"{file.name}: the file has {len(file.images)} images; {file.images[0]} is read, and not "
        f"{', '.join(file.images[1:])}; `hdu` in the profile {profile.name} chooses another",
    )


def _notes_on_pixels(file: RawFile, profile: Profile) -> tuple[str, ...]:
    signed = file.frames.dtype.kind == "i" and file.frames.dtype.itemsize == 2 and not file.offset
    if not signed or profile.unsigned or file.scale != 1:
        return ()
    known = file.frames if file.blank is None else file.frames[file.frames != file.blank]
    count = int(far_below(known).sum()) if known.size else 0
    if not count:
        return ()
    return (
        f"{file.name}: negative pixels far below the sky: {count}, down to {np.min(known)} ADU; if they are "
        "undefined, the file needs the keyword BLANK; if the camera counts to 65535, it needs BZERO = 32768",
    )
