"""Set and remove the S3 tag ``reduced=true``: the bucket's life cycle deletes raw files that have it.

A tag that is set late does no harm: the file is only deleted later. After a tag is set, retention is checked once more,
so that a retention that is set at the same time is not missed.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from gozen.archive import keys
from gozen.archive.commit import SensorCommit, load_commit
from gozen.archive.raw.expiry import committed_frames, exposures_held, frame_ids, standing
from gozen.archive.raw.removal_notes import removing_since
from gozen.archive.stores.open_store import Store
from gozen.errors import BadRequest, MissingObject

REDUCED: Mapping[str, str] = {"reduced": "true"}

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Tagged:
    """The number of raw files that may expire, and the number of files that are retained or not reduced."""

    reduced: int
    other: int


def mark_reduced(store: Store, commit: SensorCommit, raw: Iterable[str]) -> None:
    """Tag the raw files that a commit names, unless they are retained; a repetition changes nothing.

    Parameters
    ----------
    commit
        The commit that is stored in the archive.
    raw
        Keys of the sensor's raw files in this archive.

    Raises
    ------
    StorageUnavailable
        The storage does not answer, or the credentials do not allow tags.
    """
    names = frame_ids(commit)
    files = [key for key in raw if keys.frame_id_of(key) in names]
    if commit.retain_raw:
        _warn_of_missing(store, commit, files)
    if not files or not store.has_tags:
        return
    try:
        if not _is_retained(store, commit):
            _tag(store, files, REDUCED)
            if not _is_retained(store, commit):
                return
        _tag(store, files, {})
    except BadRequest as error:
        log.warning("the raw files of %s sensor %s are kept: %s", commit.processing.folder, commit.sensor, error)


def refresh(store: Store, prefix: str = "raw") -> Tagged:
    """Correct the tags of all raw files, for example after processes were killed or a retention was ended.

    Parameters
    ----------
    prefix
        ``raw``, or the prefix of a night or an exposure in it.

    Raises
    ------
    BadRequest
        The store does not support tags.
    """
    reduced = other = 0
    for (night, exposure), held in sorted(exposures_held(store, prefix).items()):
        files = [key for key in held if keys.is_raw_file(key)]
        seen = None
        # Repeated until nothing changes: an exposure may be retained while its files are being tagged.
        while seen != (seen := standing(store, night, exposure)):
            marked, listed = seen
            committed = {} if marked else committed_frames(store, listed)
            may_go = {key for key in files if committed.get(keys.frame_id_of(key)) is False}
            _tag(store, [key for key in files if key not in may_go], {})
            _tag(store, sorted(may_go), REDUCED)
        reduced, other = reduced + len(may_go), other + len(files) - len(may_go)
    return Tagged(reduced, other)


def untag(store: Store, files: Iterable[str]) -> None:
    """Remove the tags of raw files, so that the bucket does not delete them."""
    _tag(store, files, {})


def _warn_of_missing(store: Store, commit: SensorCommit, files: Sequence[str]) -> None:
    """Log a warning if files that this commit retains are already deleted, or may be deleted at this moment."""
    removing = removing_since(store, commit.night, commit.exposure, datetime.now(UTC)) is not None
    gone = [key for key in files if not store.exists(key)]
    if gone or removing:
        log.warning(
            "the raw files of %s sensor %s are retained, but %d of %d are deleted%s",
            commit.processing.folder,
            commit.sensor,
            len(gone),
            len(files),
            ", and others are being removed by `gozen archive expire`" if removing else "",
        )


def _is_retained(store: Store, commit: SensorCommit) -> bool:
    marked, listed = standing(store, commit.night, commit.exposure)
    own = keys.commit(commit.processing, commit.sensor)
    others = (key for key in listed if key != own and key.endswith(f"/{commit.sensor}.json"))
    found = (load_commit(store, key) for key in others)
    return marked or commit.retain_raw or any(one is not None and one.retain_raw for one in found)


def _tag(store: Store, files: Iterable[str], tags: Mapping[str, str]) -> None:
    for key in files:
        with contextlib.suppress(MissingObject):  # it has expired
            store.set_tags(key, tags)
