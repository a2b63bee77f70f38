"""Search the observation log: exposures, quality of frames, tracklets."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gozen.archive import keys
from gozen.archive.log.observation_log import SCHEMAS, LogTable, read_log_table
from gozen.archive.log.tracklet_columns import OF_TRACKLET
from gozen.archive.stores.open_store import Store
from gozen.errors import BadRequest, Rejected
from gozen.instrument.profile_contradictions import DATA_TYPES
from gozen.resources.sky_circle import SkyCircle

WORDS = {
    "data_type": DATA_TYPES,
    "status": ("reduced", "rejected"),
    "reason": tuple(sorted(one.__name__ for one in Rejected.__subclasses__())),
}
"""The columns of which all possible values are known."""


@dataclass(frozen=True)
class LogSelection:
    """The conditions of a search; None matches everything.

    Texts are patterns with ``*`` and ``?``; upper and lower case are the same.

    Parameters
    ----------
    first_night, last_night
        ``YYYYMMDD``, inclusive.
    data_type, status, reason
        One of `WORDS`, or a pattern that matches one or more of them.
    circle
        Circle that must contain the centre of the sensor or the middle of the tracklet; not for quality.

    Raises
    ------
    BadRequest
        A night is not a valid date, the last night is before the first, or a word is not one of `WORDS`.
    """

    first_night: str | None = None
    last_night: str | None = None
    exposure: str | None = None
    object: str | None = None
    sensor: str | None = None
    data_type: str | None = None
    filter: str | None = None
    project: str | None = None
    status: str | None = None
    reason: str | None = None
    circle: SkyCircle | None = None

    def __post_init__(self) -> None:
        for night in (self.first_night, self.last_night):
            if night is not None:
                keys.date_of(night)
        if self.first_night and self.last_night and self.first_night > self.last_night:
            raise BadRequest(
                f"the first night, {self.first_night}, is later than the last night, {self.last_night}; exchange them"
            )
        for name, words in WORDS.items():
            pattern = getattr(self, name)
            if pattern is not None and not any(_fits(word, pattern) for word in words):
                raise BadRequest(f"{name} {pattern!r} is unknown; give one of {', '.join(words)}")


_LOGGED = re.compile(rf"{keys.log_tables('exposures')}/([0-9]{{8}})\.parquet")
_EXPOSURE_TEXTS = ("exposure", "object", "sensor", "data_type", "filter", "project", "status", "reason")
_TRACKLET_TEXTS = ("exposure", "object", "sensor")
_QUALITY_TEXTS = ("exposure", "object", "sensor", "data_type", "reason")


def nights(store: Store, selection: LogSelection | None = None) -> list[str]:
    """Return the nights of the log that the selection includes, in order."""
    selection = selection or LogSelection()
    # Other objects, such as copies that somebody made there, are not tables of the log.
    logged = (found[1] for key in store.list(keys.log_tables("exposures")) if (found := _LOGGED.fullmatch(key)))
    first, last = selection.first_night or "00000000", selection.last_night or "99999999"
    return [night for night in logged if first <= night <= last]


def search_exposures(store: Store, selection: LogSelection | None = None) -> pa.Table:
    """Return the rows of ``tables/exposures`` that match, one for each exposure and sensor, in order of time.

    Raises
    ------
    BadRequest
        The selection names one night, and the log does not have it.
    """
    selection = selection or LogSelection()
    found = _search(store, "exposures", selection, _EXPOSURE_TEXTS)
    if selection.circle is not None:
        found = found.filter(_within(found, selection.circle))
    return found.sort_by([("mjd_start", "ascending"), ("exposure", "ascending"), ("sensor", "ascending")])


def search_tracklets(
    store: Store,
    selection: LogSelection | None = None,
    *,
    tracklet: str | None = None,
    kind: str | None = None,
    rate: tuple[float, float] = (0.0, float("inf")),
    significance: float = 0.0,
    points: bool = False,
) -> pa.Table:
    """Return the tracklets that match, in order of time: one row for each tracklet, or one for each of its positions.

    Parameters
    ----------
    tracklet
        Name of a tracklet.
    kind
        ``mover``, ``streak`` or ``cosmic``.
    rate
        Lowest and highest rate, arcsec/min. A tracklet without a rate matches only the default, which is every rate.
    significance
        Lowest significance. A tracklet without one, such as a streak on a single frame, matches only 0.
    points
        Whether to return a row for every position.

    Raises
    ------
    BadRequest
        The selection has a condition for which the table has no column, or names one night that the log does not have.
    """
    selection = selection or LogSelection()
    asked = [name for name in ("data_type", "filter", "project", "status", "reason") if getattr(selection, name)]
    if asked:
        raise BadRequest(
            f"the table of tracklets has no {asked[0]}, but the table of exposures has it: use `gozen exposures`"
        )
    found = _search(store, "tracklets", selection, _TRACKLET_TEXTS)
    for name, wanted in (("tracklet", tracklet), ("kind", kind)):
        if wanted is not None:
            found = found.filter(pc.equal(found[name], wanted))
    if rate != (0.0, float("inf")):
        value = found["rate_arcsec_min"]
        found = found.filter(pc.and_(pc.greater_equal(value, rate[0]), pc.less_equal(value, rate[1])))
    if significance > 0:
        found = found.filter(pc.greater_equal(found["significance"], significance))
    if selection.circle is not None:
        found = found.filter(_within(found, selection.circle, "ra_mid", "dec_mid"))
    found = found.sort_by([(name, "ascending") for name in ("night", "mjd_mid", "sensor", "tracklet", "mjd")])
    return found if points else _one_each(found)


def _one_each(found: pa.Table) -> pa.Table:
    names = found["tracklet"].to_pylist()
    # The table is sorted, so the rows of a tracklet are consecutive.
    first = [index for index, name in enumerate(names) if index == 0 or name != names[index - 1]]
    which = ("night", "exposure", "run", "sensor", "object", "frame_id")
    return found.take(pa.array(first, pa.int64())).select([*which, *OF_TRACKLET])


def search_quality(
    store: Store,
    selection: LogSelection | None = None,
    *,
    frames: bool = True,
    gates: bool = True,
    refused_only: bool = False,
) -> pa.Table:
    """Return the rows of ``tables/quality`` that match.

    Parameters
    ----------
    frames, gates
        Whether to return the rows about frames, and the rows about gates.
    refused_only
        Whether to return only rows in which a gate refused the data.

    Raises
    ------
    BadRequest
        The selection has a condition for which the table has no column, or names one night that the log does not have.
    """
    selection = selection or LogSelection()
    asked = [name for name in ("filter", "project", "status", "circle") if getattr(selection, name) is not None]
    if asked:
        raise BadRequest(
            f"the quality table has no {asked[0]}, but the table of exposures has it: use `gozen exposures`"
        )
    found = _search(store, "quality", selection, _QUALITY_TEXTS)
    is_frame = pc.is_null(found["gate"])
    keep = pc.or_(pc.and_(is_frame, frames), pc.and_(pc.invert(is_frame), gates))
    return found.filter(pc.and_(keep, pc.invert(found["passed"])) if refused_only else keep)


def _search(store: Store, table: LogTable, selection: LogSelection, texts: tuple[str, ...]) -> pa.Table:
    parts = [SCHEMAS[table].empty_table()]
    chosen = nights(store, selection)
    if not chosen and selection.first_night is not None and selection.first_night == selection.last_night:
        raise _no_night(store, selection.first_night)
    for night in chosen:
        part = read_log_table(store, table, night).replace_schema_metadata(None)
        for name in texts:
            pattern = getattr(selection, name)
            if pattern is not None:
                part = part.filter(_like(part[name], pattern))
        parts.append(part)
    return pa.concat_tables(parts).combine_chunks()


def _no_night(store: Store, night: str) -> BadRequest:
    if store.list(keys.commits(night)):
        return BadRequest(
            f"the log of {store.url} lacks the night {night}, which is reduced: run `gozen archive rebuild {night}`"
        )
    logged = nights(store)
    has = f"it has {len(logged)}, from {logged[0]} to {logged[-1]}" if logged else "it is empty"
    return BadRequest(f"the log of {store.url} has no night {night}; {has}")


def _like(column: pa.ChunkedArray, pattern: str) -> pa.ChunkedArray:
    values = [text for text in column.unique().to_pylist() if text is not None]
    return pc.is_in(column, pa.array([text for text in values if _fits(text, pattern)], pa.string()))


def _fits(text: str, pattern: str) -> bool:
    return fnmatchcase(text.lower(), pattern.lower())


def _within(table: pa.Table, circle: SkyCircle, *columns: str) -> pa.Array:
    return pa.array(circle.contains(*(table[name].to_numpy().astype(np.float64) for name in columns or ("ra", "dec"))))
