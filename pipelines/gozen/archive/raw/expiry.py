"""Raw-data retention: decide which raw files may be deleted, and delete them.

On S3 the life cycle of the bucket can delete them instead: see `gozen.archive.raw.reduced_tags`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Literal

from gozen.archive import keys
from gozen.archive.commit import SensorCommit, load_commit
from gozen.archive.raw.removal_notes import removal_noted
from gozen.archive.stores.open_store import Store

Fate = Literal["expired", "not yet", "retained", "not reduced"]


@dataclass(frozen=True)
class RawObject:
    """One raw file, its size in bytes, and whether it is deleted."""

    key: str
    size: int
    fate: Fate


def expire(
    store: Store,
    *,
    now: datetime,
    keep_days: float,
    dry_run: bool = False,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> list[RawObject]:
    """Delete the raw files that have expired; return the fate of every raw file.

    A file is deleted if a commit of its exposure names it, its night ended ``keep_days`` ago, and it is not retained
    by the marker `gozen.archive.keys.retain_marker` or by a commit. Marker and commits are read again before each
    deletion, because the run through an archive may take hours.

    Parameters
    ----------
    now
        Time from which the ages of files are computed, with a time zone.
    keep_days
        Days to keep raw files after the end of the night (see `night_end`).
    dry_run
        True: return what would be deleted, and delete nothing.
    clock
        Returns the present moment, for the notes of `gozen.archive.raw.removal_notes`.

    Returns
    -------
    list of RawObject
        The fate ``expired`` means that the file was deleted, or would be deleted without ``dry_run``.
    """
    objects: list[RawObject] = []
    for name, held in sorted(exposures_held(store).items()):
        found = _raw_objects(store, *name, held, now, keep_days)
        if not dry_run and any(one.fate == "expired" for one in found):
            # From the clock, not `now`: a run takes hours, and a note with the time of its start would expire too soon.
            with removal_noted(store, *name, clock()):
                found = _removed(store, *name, found, now, keep_days)
        objects += found
    return objects


def fate_of(
    frame_id: str, committed: Mapping[str, bool], *, marked: bool, night: str, now: datetime, keep_days: float
) -> Fate:
    """Return whether one raw file is retained, not due yet, not reduced, or expired (it may be deleted).

    Parameters
    ----------
    committed
        Keys: the FRAME_IDs that commits name. Values: whether a commit retains the raw files.
    marked
        Whether the exposure has the marker that retains its raw files.
    """
    if marked or committed.get(frame_id, False):
        return "retained"
    if not is_due(night, now, keep_days):
        return "not yet"
    return "expired" if frame_id in committed else "not reduced"


def night_end(night: str) -> datetime:
    """Return the moment when this night has ended at every site on Earth: noon of the next date at UTC-12."""
    return datetime.strptime(keys.checked_night(night), "%Y%m%d").replace(tzinfo=UTC) + timedelta(days=2)


def is_due(night: str, now: datetime, keep_days: float) -> bool:
    """Tell whether a night ended at least ``keep_days`` ago; always False if ``keep_days`` is infinite."""
    return (now - night_end(night)) / timedelta(days=1) >= keep_days


def committed_frames(store: Store, listed: Iterable[str]) -> dict[str, bool]:
    """Return the FRAME_IDs that commits name, and whether a commit retains each; other keys are ignored."""
    retained: dict[str, bool] = {}
    for key in listed:
        commit = load_commit(store, key) if keys.parse_commit(key) else None
        if commit is None:
            continue
        for name in frame_ids(commit):
            retained[name] = retained.get(name, False) or commit.retain_raw
    return retained


def frame_ids(commit: SensorCommit) -> set[str]:
    """Return the FRAME_IDs of the raw files that were the input of a commit."""
    return {commit.frame_id, *map(keys.frame_id_of, commit.provenance.inputs)}


def exposures_held(store: Store, prefix: str = "raw") -> dict[tuple[str, str], dict[str, int]]:
    """Return the keys and sizes (bytes) of the objects of each (night, exposure), without those in its subfolders.

    The subfolders hold notes of processes that change the record or delete raw files.
    """
    exposures: dict[tuple[str, str], dict[str, int]] = {}
    for key, size in store.sizes(prefix).items():
        parts = key.split("/")
        if len(parts) == 4:
            exposures.setdefault((parts[1], parts[2]), {})[key] = size
    return exposures


def standing(store: Store, night: str, exposure: str) -> tuple[bool, list[str]]:
    """Return whether the exposure has the retention marker, and the keys of its commits, which never change."""
    return (
        store.exists(keys.retain_marker(night, exposure)),
        store.list(f"{keys.commits(night)}/{exposure}"),
    )


def _removed(
    store: Store, night: str, exposure: str, found: Iterable[RawObject], now: datetime, keep_days: float
) -> list[RawObject]:
    """Delete the expired files of one exposure, after a second check of each; return the fate of each."""
    seen: tuple[bool, list[str]] | None = None
    committed: Mapping[str, bool] = {}
    became = []
    for one in found:
        fate = one.fate
        if fate == "expired":
            # Repeated until nothing changes: a marker or commit that comes while commits are read still saves the file.
            while seen != (seen := standing(store, night, exposure)):
                committed = committed_frames(store, seen[1])
            name = keys.frame_id_of(one.key)
            fate = fate_of(name, committed, marked=seen[0], night=night, now=now, keep_days=keep_days)
            if fate == "expired":
                store.delete(one.key)
        became.append(replace(one, fate=fate))
    return became


def _raw_objects(
    store: Store, night: str, exposure: str, held: Mapping[str, int], now: datetime, keep_days: float
) -> list[RawObject]:
    marker = keys.retain_marker(night, exposure)
    due = is_due(night, now, keep_days)
    # Commits are read only if the night is due: otherwise no file is deleted, whatever they say.
    committed = committed_frames(store, store.list(f"{keys.commits(night)}/{exposure}")) if due else {}
    return [
        RawObject(
            key,
            size,
            fate_of(keys.frame_id_of(key), committed, marked=marker in held, night=night, now=now, keep_days=keep_days),
        )
        for key, size in held.items()
        if keys.is_raw_file(key)  # the marker and the record of the exposure are not deleted
    ]
