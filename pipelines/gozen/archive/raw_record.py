"""Records of exposures in the archive: numbered versions, of which the highest counts; several processes may write.

    raw/{night}/{exposure}/exposure.json           the first
    raw/{night}/{exposure}/record/{number}.json    those after it, from 2

A version is made only if its number is free, from the one before: who comes second reads again and tries the next.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable

from gozen.archive import keys
from gozen.archive.raw import RawExposure, joined, parse_record
from gozen.archive.store import Store
from gozen.errors import CorruptFile, GozenError, MissingObject

_VERSION = re.compile(r"record/([0-9]{6})\.json")
_FIRST = "exposure.json"


def record_exposure(store: Store, fresh: RawExposure) -> RawExposure:
    """Record files of an exposure, beside those that are recorded already; return all of it.

    Raises
    ------
    CorruptFile
        What lies there is not a record.
    StorageUnavailable
        The archive cannot be read or written.
    """
    return change_record(store, fresh.night, fresh.exposure, lambda old: joined(old, fresh))


def change_record(
    store: Store, night: str, exposure: str, change: Callable[[RawExposure | None], RawExposure]
) -> RawExposure:
    """Change the record of an exposure, whoever else changes it meanwhile; return it as it is then.

    Parameters
    ----------
    change
        Makes the next version from the last one, None where there is none. It may be called several times; applied to
        its own result it must change nothing.
    """
    while True:
        number, old = _last(store, night, exposure)
        fresh = change(old)
        if old is not None and fresh.to_json() == old.to_json():
            return fresh
        if not store.create(_key(night, exposure, number + 1), fresh.to_json()):
            continue
        # A superseded number is free again, and nobody reads what a slow process makes there: it has to try again.
        known = _versions(store, night, exposure)
        if max(known, default=1) == number + 1:
            _remove(store, night, exposure, [one for one in known if one <= number])
            return fresh


def read_record(store: Store, night: str, exposure: str) -> RawExposure | None:
    """Return what is recorded of an exposure; None where nothing is.

    Raises
    ------
    CorruptFile
        What lies there is not a record.
    """
    record = _last(store, night, exposure)[1]
    return None if record is None or record.says_nothing else record


def listed_record(store: Store, night: str, exposure: str, listed: Iterable[str]) -> RawExposure | None:
    """Return what is recorded of an exposure, as `read_record`, where its keys were listed just now."""
    numbers = list(filter(None, map(_number, listed)))
    if not numbers:
        return None
    try:
        record = _read(store, _key(night, exposure, max(numbers)))
    except MissingObject:  # superseded since
        return read_record(store, night, exposure)
    return None if record.says_nothing else record


def raw_exposures(store: Store, night: str) -> list[RawExposure]:
    """Return the recorded exposures of a night, by time, without those whose files were all taken out again."""
    records = (listed_record(store, night, *one) for one in raw_folders(store, night).items())
    found = [one for one in records if one is not None and (one.sensors or not one.forgotten)]
    return sorted(found, key=lambda one: (one.mjd, one.exposure))


def raw_folders(store: Store, night: str) -> dict[str, list[str]]:
    """Return the keys of a night's raw data, records and other objects beside them, by exposure."""
    folders: dict[str, list[str]] = {}
    for key in store.list(f"raw/{night}"):
        folders.setdefault(key.split("/")[2], []).append(key)
    return folders


def is_recorded(store: Store, night: str, exposure: str) -> bool:
    """Tell whether there is, or was, a record of an exposure."""
    return store.exists(_key(night, exposure, 1))


def is_version(key: str) -> bool:
    """Tell whether a key is that of a version of a record."""
    return _number(key) is not None


def _last(store: Store, night: str, exposure: str) -> tuple[int, RawExposure | None]:
    while True:
        number = max(_versions(store, night, exposure), default=1)
        try:
            return number, _read(store, _key(night, exposure, number))
        except MissingObject:
            if number == 1:
                return 0, None
            # Superseded and removed since the listing, which says that there is a higher one now.


def _read(store: Store, key: str) -> RawExposure:
    data = store.read(key)
    try:
        return parse_record(data)
    except ValueError as error:
        raise CorruptFile(
            f"{store.url_of(key)} is not a record of an exposure: {error}; move exposure.json and record/ "
            "of this exposure away, and `gozen reduce` with the night alone makes it again from the raw files"
        ) from error


def _versions(store: Store, night: str, exposure: str) -> list[int]:
    """Return the numbers of the versions after the first."""
    return [one for one in map(_number, store.list(f"{keys.raw_folder(night, exposure)}/record")) if one is not None]


def _number(key: str) -> int | None:
    """Return the number of a version, None for other keys."""
    name = key.split("/", 3)[-1]
    found = _VERSION.fullmatch(name)
    return int(found[1]) if found else 1 if name == _FIRST else None


def _key(night: str, exposure: str, number: int) -> str:
    name = _FIRST if number == 1 else f"record/{number:06d}.json"
    return f"{keys.raw_folder(night, exposure)}/{name}"


def _remove(store: Store, night: str, exposure: str, superseded: Iterable[int]) -> None:
    with contextlib.suppress(GozenError):  # roles in a bucket may record and not delete: a few kB stay
        for one in superseded:
            store.delete(_key(night, exposure, one))
