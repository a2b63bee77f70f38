"""Raw-data retention: decide which raw files may be deleted, and delete them. On S3 also: `reduced_tags`."""

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
    """One raw file and what becomes of it."""

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
    """Remove raw files whose time is up, and say what became of each.

    A file goes when a commit of its exposure stands for it, its night ended ``keep_days`` ago, and it is not retained:
    neither by the marker `gozen.archive.keys.retain_marker` nor by its commit. Both are looked at again before each
    file, as an archive takes hours.

    Parameters
    ----------
    now
        The moment at which it is decided, with a time zone.
    keep_days
        Days after the end of the night, as `night_end` has it.
    dry_run
        Remove nothing.
    clock
        Gives the present moment, for the notes of `gozen.archive.raw.removal_notes`.
    """
    objects: list[RawObject] = []
    for name, held in sorted(exposures_held(store).items()):
        found = _raw_objects(store, *name, held, now, keep_days)
        if not dry_run and any(one.fate == "expired" for one in found):
            # By the clock, not `now`: an archive takes hours, and a note dated by its beginning would be old too soon.
            with removal_noted(store, *name, clock()):
                found = _removed(store, *name, found, now, keep_days)
        objects += found
    return objects


def fate_of(
    frame_id: str, committed: Mapping[str, bool], *, marked: bool, night: str, now: datetime, keep_days: float
) -> Fate:
    """Decide what becomes of one raw file.

    Parameters
    ----------
    committed
        For each FRAME_ID that a commit stands for, whether a commit retains it.
    marked
        Whether the exposure has the marker that retains it.
    """
    if marked or committed.get(frame_id, False):
        return "retained"
    if not is_due(night, now, keep_days):
        return "not yet"
    return "expired" if frame_id in committed else "not reduced"


def night_end(night: str) -> datetime:
    """Return the moment after which no site still has this night: noon of the next date at UTC-12."""
    return datetime.strptime(keys.checked_night(night), "%Y%m%d").replace(tzinfo=UTC) + timedelta(days=2)


def is_due(night: str, now: datetime, keep_days: float) -> bool:
    """Tell whether the time of a night's raw files is up; with infinite days it never is."""
    return (now - night_end(night)) / timedelta(days=1) >= keep_days


def committed_frames(store: Store, listed: Iterable[str]) -> dict[str, bool]:
    """Return the FRAME_IDs that commits stand for, each with whether one of these retains it; other keys are none."""
    retained: dict[str, bool] = {}
    for key in listed:
        commit = load_commit(store, key) if keys.parse_commit(key) else None
        if commit is None:
            continue
        for name in frame_ids(commit):
            retained[name] = retained.get(name, False) or commit.retain_raw
    return retained


def frame_ids(commit: SensorCommit) -> set[str]:
    """Return the FRAME_IDs of the raw files that a commit stands for."""
    return {commit.frame_id, *map(keys.frame_id_of, commit.provenance.inputs)}


def exposures_held(store: Store, prefix: str = "raw") -> dict[tuple[str, str], dict[str, int]]:
    """Return what lies in the ring buffer: by night and exposure the keys with their lengths."""
    exposures: dict[tuple[str, str], dict[str, int]] = {}
    for key, size in store.sizes(prefix).items():
        parts = key.split("/")
        if len(parts) == 4:
            exposures.setdefault((parts[1], parts[2]), {})[key] = size
    return exposures


def standing(store: Store, night: str, exposure: str) -> tuple[bool, list[str]]:
    """Return what decides: whether the exposure has the marker, and which commits there are, none of which changes."""
    return (
        store.exists(keys.retain_marker(night, exposure)),
        store.list(f"{keys.commits(night)}/{exposure}"),
    )


def _removed(
    store: Store, night: str, exposure: str, found: Iterable[RawObject], now: datetime, keep_days: float
) -> list[RawObject]:
    """Remove what has expired of one exposure, each file only if that holds at its turn; return what became of each."""
    seen: tuple[bool, list[str]] | None = None
    committed: Mapping[str, bool] = {}
    became = []
    for one in found:
        fate = one.fate
        if fate == "expired":
            # Until two looks agree: a marker or commit that came while commits were read still saves this file.
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
    # Commits are read only where something may go: the rest stays whatever they say.
    committed = committed_frames(store, store.list(f"{keys.commits(night)}/{exposure}")) if due else {}
    return [
        RawObject(
            key,
            size,
            fate_of(keys.frame_id_of(key), committed, marked=marker in held, night=night, now=now, keep_days=keep_days),
        )
        for key, size in held.items()
        if keys.is_raw_file(key)  # the marker and the record of what was taken stay
    ]
