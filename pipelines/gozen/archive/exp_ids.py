"""EXP_ID registry: reservation, opening and outcome of each number, one create-once object each.

    expid/{EXP_ID:08d}.json                                       for which exposure it is reserved
    expid/by-name/{namespace}/{exposure}/{uid}-{attempt}.json     the number of an exposure's attempt
    expid/opened/{EXP_ID:08d}.json                                the shutter opens: by whom and when
    expid/closed/{EXP_ID:08d}.json                                how it ended: taken, or lost and why
    expid/latest.json                                             a hint where to look for the next number

A number may be lost, by a crash between two of them; it is never used twice.
"""

from __future__ import annotations

import contextlib
import json
import re
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeVar

from gozen.archive.raw.exposure_record import is_recorded
from gozen.archive.stores.open_store import Store
from gozen.errors import BadRequest, MissingObject, UnreadableInput

LAST = 99_999_999
_LATEST = "expid/latest.json"
_NEVER_OPENED = 8
"""Numbers without an opening after which `last_taken` gives up: each costs a request, and few are lost in a row."""


@dataclass(frozen=True)
class Purpose:
    """What a number is for.

    Parameters
    ----------
    namespace, observation, uid
        The Observation; another one of the same name has another uid, and gets other numbers.
    step
        Its step, counted from 1.
    exposure
        Name of the Exposure.
    night
        ``YYYYMMDD`` for which the number is reserved.
    attempt
        From 1; an exposure that was lost is begun again under another number.
    """

    namespace: str
    observation: str
    uid: str
    step: int
    exposure: str
    night: str
    attempt: int = 1


@dataclass(frozen=True)
class Opening:
    """That a shutter opens.

    Parameters
    ----------
    start
        When, RFC 3339.
    session
        The process that opens it.
    ends
        When the exposure will be over, RFC 3339.
    """

    start: str
    session: str
    ends: str = ""


@dataclass(frozen=True)
class Closing:
    """How an exposure ended.

    Parameters
    ----------
    result
        ``taken`` or ``lost``.
    why
        One word for programs: Taken, Interrupted, DeviceFailed, OtherNight.
    message
        A sentence for people.
    sensors
        That wrote their data, of an exposure that was taken.
    """

    result: Literal["taken", "lost"]
    why: str
    message: str = ""
    sensors: tuple[str, ...] = ()


_Word = TypeVar("_Word", Purpose, Opening, Closing)


def key_of(exposure_id: int) -> str:
    """Return the key under which a number is reserved."""
    return f"expid/{exposure_id:08d}.json"


def reserve(store: Store, first_free: int, purpose: Purpose) -> int:
    """Return the number of an exposure's attempt: the one that it has, or a new one.

    Parameters
    ----------
    first_free
        Lowest number that may be given.

    Raises
    ------
    BadRequest
        All numbers are given.
    """
    known = reserved(store, purpose)
    if known is not None:
        return known
    number, body = max(first_free, _latest(store) + 1), _bytes(purpose)
    # The hint may be old: numbers that others took since are passed over one by one.
    while not _take(store, number, purpose, body):
        number += 1
    # Whoever names the exposure first wins; a number that was taken in vain is lost.
    if not store.create(_name_key(purpose), json.dumps({"exposureId": number}).encode()):
        return _exposure_id(store, _name_key(purpose))
    # Last, and over whatever stands: a kill before it, or a slower writer's lower number, costs some looks only.
    store.write(_LATEST, json.dumps({"exposureId": number}).encode())
    return number


def reserved(store: Store, purpose: Purpose) -> int | None:
    """Return the number of an exposure's attempt, if it has one; the night does not matter."""
    with contextlib.suppress(MissingObject):
        return _exposure_id(store, _name_key(purpose))
    return None


def read_purpose(store: Store, exposure_id: int) -> Purpose | None:
    """Return what a number is for."""
    return _read(store, key_of(exposure_id), Purpose)


def is_reserved(store: Store, night: str, exposure: str) -> bool:
    """Tell whether an exposure of the archive has its number from here: then its camera records it, or it is lost."""
    purpose = read_purpose(store, int(exposure)) if re.fullmatch("[0-9]{8}", exposure) else None
    return purpose is not None and purpose.night == night


def open_shutter(store: Store, exposure_id: int, opening: Opening) -> bool:
    """Say that the shutter opens; False when it has been opened under this number before."""
    return store.create(f"expid/opened/{exposure_id:08d}.json", _bytes(opening))


def read_opening(store: Store, exposure_id: int) -> Opening | None:
    """Return when and by whom the shutter was opened under a number."""
    return _read(store, f"expid/opened/{exposure_id:08d}.json", Opening)


def last_taken(store: Store, before: int) -> Opening | None:
    """Return when the last exposure before a number was taken: that of the nearest lower number that has data.

    One that was lost, or ended without the camera's record, did not take the time that was planned for it.
    """
    left = _NEVER_OPENED
    for number in range(before - 1, 0, -1):
        found = read_opening(store, number)
        if found is not None and _has_data(store, number):
            return found
        left -= found is None
        if not left:
            break
    return None


def close(store: Store, exposure_id: int, closing: Closing) -> Closing:
    """Say how an exposure ended, unless somebody has said so before; return what stands."""
    store.create(f"expid/closed/{exposure_id:08d}.json", _bytes(closing))
    stands = read_closing(store, exposure_id)
    assert stands is not None
    return stands


def read_closing(store: Store, exposure_id: int) -> Closing | None:
    """Return how the exposure of a number ended."""
    found = _read(store, f"expid/closed/{exposure_id:08d}.json", Closing)
    return found and Closing(found.result, found.why, found.message, tuple(found.sensors))


def _has_data(store: Store, number: int) -> bool:
    closing = read_closing(store, number)
    if closing is not None:
        return closing.result == "taken"
    purpose = read_purpose(store, number)
    return purpose is not None and is_recorded(store, purpose.night, f"{number:08d}")


def _take(store: Store, number: int, purpose: Purpose, body: bytes) -> bool:
    if number > LAST:
        raise BadRequest(f"no EXP_ID is free up to {LAST}; another archive begins anew")
    # Raw data that came in another way, such as by `gozen simulate`, have numbers that nobody reserved.
    if is_recorded(store, purpose.night, f"{number:08d}"):
        return False
    # The same body is of this very attempt: killed after it took the number, or its answer was lost.
    return store.create(key_of(number), body) or store.read(key_of(number)) == body


def _name_key(purpose: Purpose) -> str:
    return f"expid/by-name/{purpose.namespace}/{purpose.exposure}/{purpose.uid}-{purpose.attempt}.json"


def _latest(store: Store) -> int:
    try:
        return _exposure_id(store, _LATEST)
    except UnreadableInput:  # a hint that is absent or broken costs time, no more
        return 0


def _exposure_id(store: Store, key: str) -> int:
    content = _content(store, key)
    number = content.get("exposureId")
    if not isinstance(number, int):
        raise UnreadableInput(f"{store.url_of(key)} holds no exposureId; move it away to reserve anew")
    return number


def _read(store: Store, key: str, kind: type[_Word]) -> _Word | None:
    try:
        return kind(**_content(store, key))
    except MissingObject:
        return None
    except TypeError as error:
        raise UnreadableInput(f"{store.url_of(key)} is not a valid {kind.__name__}: {error}") from error


def _content(store: Store, key: str) -> dict[str, Any]:
    try:
        content = json.loads(store.read(key))
    except ValueError as error:
        raise UnreadableInput(f"{store.url_of(key)} is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise UnreadableInput(f"{store.url_of(key)} is not a mapping")
    return content


def _bytes(word: Purpose | Opening | Closing) -> bytes:
    return (json.dumps(asdict(word), sort_keys=True, indent=1) + "\n").encode()
