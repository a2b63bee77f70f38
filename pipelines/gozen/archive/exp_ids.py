"""The registry of exposure numbers (EXP_ID): reservation, opening and outcome of each number.

Each of these objects is created once and never changed, except the hint:

    expid/{EXP_ID:08d}.json                                       the exposure that the number is reserved for
    expid/by-name/{namespace}/{exposure}/{uid}-{attempt}.json     the number of one attempt of an exposure
    expid/opened/{EXP_ID:08d}.json                                when the shutter opened, and the process
    expid/closed/{EXP_ID:08d}.json                                the outcome: taken, or lost with the reason
    expid/latest.json                                             a hint: the number that was reserved last

A crash between two of these writes may leave a number unused; no number is used twice. Do not remove an object of the
first four kinds, even if it is damaged: a shutter could then be opened again for the same number or the same exposure.
"""

from __future__ import annotations

import contextlib
import json
import re
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, TypeVar

from gozen.archive.raw.exposure_record import is_recorded
from gozen.archive.stores.open_store import Store
from gozen.errors import BadRequest, MissingObject, UnreadableInput

LAST = 99_999_999
_LATEST = "expid/latest.json"
_NUMBER = "exposureId"
_NEVER_OPENED = 8
"""Most numbers without an opening that `last_taken` skips; each costs a request. Few consecutive numbers are lost."""


@dataclass(frozen=True)
class Purpose:
    """The attempt of an exposure that a number is reserved for.

    Parameters
    ----------
    namespace, observation, uid
        The Observation; a later one with the same name has another uid, and gets other numbers.
    step
        Step of the Observation, counted from 1.
    exposure
        Name of the Exposure.
    night
        ``YYYYMMDD`` for which the number is reserved.
    attempt
        Counted from 1; a lost exposure is repeated under another number.
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
    """The opening of a shutter.

    Parameters
    ----------
    start
        Time at which the shutter opens, RFC 3339.
    session
        Name of the process that opens it.
    ends
        Planned end of the exposure, RFC 3339.
    """

    start: str
    session: str
    ends: str = ""


@dataclass(frozen=True)
class Closing:
    """The outcome of an exposure.

    Parameters
    ----------
    result
        ``taken`` or ``lost``.
    why
        The reason, one word for programs: Taken, Interrupted, DeviceFailed, OtherNight.
    message
        The reason, a sentence for people.
    sensors
        Sensors that have written data, if the exposure was taken.
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
    """Return the number that an attempt of an exposure has, or reserve a new one.

    Parameters
    ----------
    first_free
        Lowest number that may be reserved.

    Raises
    ------
    BadRequest
        No number is free.
    """
    known = reserved(store, purpose)
    if known is not None:
        return known
    number, body = max(first_free, _latest(store) + 1), _bytes(purpose)
    # The hint may be old: numbers that other processes have taken since are skipped one by one.
    while not _take(store, number, purpose, body):
        number += 1
    # If two processes reserve a number for this attempt, the first to write its name wins; the other number is lost.
    if not store.create(_name_key(purpose), json.dumps({_NUMBER: number}).encode()):
        return _exposure_id(store, _name_key(purpose))
    # Last, as an overwrite: if this process is killed before, or a slower writer sets a lower number, the next
    # reservation only has to skip some numbers.
    store.write(_LATEST, json.dumps({_NUMBER: number}).encode())
    return number


def reserved(store: Store, purpose: Purpose) -> int | None:
    """Return the number of an attempt, or None if it has none; the night is not compared."""
    with contextlib.suppress(MissingObject):
        return _exposure_id(store, _name_key(purpose))
    return None


def read_purpose(store: Store, exposure_id: int) -> Purpose | None:
    """Return the attempt that a number is reserved for, or None if it is not reserved."""
    return _read(store, key_of(exposure_id), Purpose)


def purpose_given(store: Store, exposure_id: int) -> Purpose:
    """Return the attempt that has a number; raise `UnreadableInput` if the reservation was removed since."""
    found = read_purpose(store, exposure_id)
    if found is None:
        names = ", ".join(one.name for one in fields(Purpose))
        raise _damaged(store, key_of(exposure_id), "does not exist, but an exposure has this EXP_ID", names)
    return found


def is_reserved(store: Store, night: str, exposure: str) -> bool:
    """Tell whether the name of an exposure is a number that this registry reserved for this night."""
    purpose = read_purpose(store, int(exposure)) if re.fullmatch("[0-9]{8}", exposure) else None
    return purpose is not None and purpose.night == night


def open_shutter(store: Store, exposure_id: int, opening: Opening) -> bool:
    """Record that the shutter opens for this number; return False if an opening for this number is recorded already."""
    return store.create(f"expid/opened/{exposure_id:08d}.json", _bytes(opening))


def read_opening(store: Store, exposure_id: int) -> Opening | None:
    """Return the opening of the shutter under a number, or None if it was not opened."""
    return _read(store, f"expid/opened/{exposure_id:08d}.json", Opening)


def last_taken(store: Store, before: int) -> Opening | None:
    """Return the opening of the exposure with the highest number below ``before`` that has data; None if there is none.

    An exposure that was lost, or has no record by the camera, did not use its planned time.
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
    """Record the outcome of an exposure, unless it has one already; return the outcome that is recorded."""
    store.create(f"expid/closed/{exposure_id:08d}.json", _bytes(closing))
    stands = read_closing(store, exposure_id)
    assert stands is not None
    return stands


def read_closing(store: Store, exposure_id: int) -> Closing | None:
    """Return the outcome of the exposure with a number, or None if none is recorded."""
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
        raise BadRequest(f"all EXP_IDs up to {LAST} are used; use another archive, whose numbers start again")
    # Raw data from other sources, such as `gozen simulate`, have numbers that were not reserved here.
    if is_recorded(store, purpose.night, f"{number:08d}"):
        return False
    # The same body is from this attempt: it was killed after it took the number, or the answer was lost.
    return store.create(key_of(number), body) or store.read(key_of(number)) == body


def _name_key(purpose: Purpose) -> str:
    return f"expid/by-name/{purpose.namespace}/{purpose.exposure}/{purpose.uid}-{purpose.attempt}.json"


def _latest(store: Store) -> int:
    try:
        return _exposure_id(store, _LATEST)
    except UnreadableInput:  # a missing or damaged hint only costs time
        return 0


def _exposure_id(store: Store, key: str) -> int:
    number = _content(store, key, _NUMBER).get(_NUMBER)
    if not isinstance(number, int):
        raise _damaged(store, key, f"contains no {_NUMBER}", _NUMBER)
    return number


def _read(store: Store, key: str, kind: type[_Word]) -> _Word | None:
    names = ", ".join(one.name for one in fields(kind))
    try:
        return kind(**_content(store, key, names))
    except MissingObject:
        return None
    except TypeError as error:
        raise _damaged(store, key, f"is not a valid {kind.__name__} ({error})", names) from error


def _content(store: Store, key: str, names: str) -> dict[str, Any]:
    """Return the content of an object; `names` are its fields, for the message if it is damaged."""
    try:
        content = json.loads(store.read(key))
    except ValueError as error:
        raise _damaged(store, key, f"is not valid JSON ({error})", names) from error
    if not isinstance(content, dict):
        raise _damaged(store, key, "is not a JSON object", names)
    return content


def _damaged(store: Store, key: str, what: str, names: str) -> UnreadableInput:
    return UnreadableInput(
        f"{store.url_of(key)} {what}; restore it from a copy of the archive, or write into it a JSON object with the "
        f"fields {names}. Do not remove it, because without it the exposure or its EXP_ID could be used twice"
    )


def _bytes(word: Purpose | Opening | Closing) -> bytes:
    return (json.dumps(asdict(word), sort_keys=True, indent=1) + "\n").encode()
