"""Archive a camera's raw files: read headers, copy, record."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gozen.archive.raw.exposure_record import RawExposure
from gozen.archive.stores.open_store import Store
from gozen.errors import BadRequest
from gozen.frames.incoming_files import fits_files, read_arrivals
from gozen.frames.take_in import take_in
from gozen.instrument.profile import Profile
from gozen.workflow.stage_progress import LeftOut, StageProgress, ignore, no_progress


def take_in_files(
    store: Store,
    profile: Profile,
    paths: Sequence[Path],
    *,
    progress: StageProgress = no_progress,
    left_out: LeftOut = ignore,
) -> list[RawExposure]:
    """Copy raw files into the archive and return their exposures, in order of time.

    Parameters
    ----------
    paths
        FITS files, or folders of them.
    left_out
        Receives the errors of files that cannot be read or copied; the other files are not affected.

    Raises
    ------
    BadRequest
        A path does not exist, or no file could be read.
    StorageUnavailable
        The archive cannot be written, or a file changes while it is copied.
    """
    files = fits_files(paths)
    with progress("reading headers", len(files)) as step:
        arrivals, refused = read_arrivals(files, profile, step)
    left_out(refused)
    if not arrivals:
        raise BadRequest(
            f"none of the {len(files)} files can be read with the profile {profile.name}; check that the profile is "
            f"that of their camera: `gozen instrument check {profile.name} {files[0]}` shows what it reads"
        )
    with progress("taking in", len(arrivals)) as step:
        exposures, refused = take_in(store, profile, arrivals, step)
    left_out(refused)
    return exposures
