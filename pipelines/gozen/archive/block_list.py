"""The observatory's block list, a YAML file: which data must not be processed, and the reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Self

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from gozen.errors import UnreadableInput, problem_of, reason_of
from gozen.instrument.read_header import mjd_of_utc
from gozen.resources.sky_circle import SkyCircle


class _ListPart(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _utc(value: object) -> object:
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError as error:
            raise ValueError("write a time as 2026-01-15T12:34:56Z; a time without a zone is UTC") from error
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return value


Utc = Annotated[datetime, BeforeValidator(_utc)]


class BlockedSky(_ListPart):
    """A circle on the sky (ICRS)."""

    ra: float = Field(ge=0, lt=360, description="deg")
    dec: float = Field(ge=-90, le=90, description="deg")
    radius_deg: float = Field(gt=0, le=180)


class TimeRange(_ListPart):
    """The time from one moment to another, both included; a moment without a time zone is UTC."""

    start: Utc
    end: Utc

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.end < self.start:
            raise ValueError(f"the end {self.end} is before the start {self.start}; exchange the two times")
        return self


class BlockRule(_ListPart):
    """One entry of the block list. The entry blocks data that match all its fields; an empty field matches all data."""

    reason: str = Field(min_length=1)
    object: str | None = Field(None, description="Pattern with * and ?; case does not matter")
    project: str | None = Field(None, description="Pattern with * and ?; case does not matter")
    sky: BlockedSky | None = None
    time: TimeRange | None = None
    exposures: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _names_something(self) -> Self:
        if not (self.object or self.project or self.sky or self.time or self.exposures):
            raise ValueError(
                "an entry needs at least one of object, project, sky, time and exposures; without any it would block "
                "all data"
            )
        return self


@dataclass(frozen=True)
class Observed:
    """The data that are compared with the block list.

    Parameters
    ----------
    mjd
        MJD (UTC) at which the exposure starts.
    ra, dec
        Centre of the sensor, deg (ICRS); None if it is not known: then no entry with a circle matches.
    radius_deg
        Radius of the circle around the sensor, deg; an entry matches if its circle overlaps this one.
    """

    object: str
    exposure: str
    project: str
    mjd: float | None
    ra: float | None = None
    dec: float | None = None
    radius_deg: float = 0.0


def blocked_by(entries: Sequence[BlockRule], observed: Observed) -> str | None:
    """Return the reason of the first entry in the list that covers these data, or None."""
    return next((entry.reason for entry in entries if _covers(entry, observed)), None)


def load_block_list(path: Path) -> tuple[BlockRule, ...]:
    """Read a block list: a YAML list of entries.

    Raises
    ------
    UnreadableInput
        The file cannot be read, or an entry is not valid; the message names the entry, its field and the error.
    """
    try:
        # The base loader keeps scalars as text; other loaders would read the exposure 00012345 as an octal number.
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)  # noqa: S506 - safer than SafeLoader
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UnreadableInput(
            f"cannot read the block list {path}: {reason_of(error)}; check the setting block_list"
        ) from error
    if not isinstance(content, list):
        raise UnreadableInput(
            f"the block list {path} is not a YAML list of entries; write a list, or `[]` to block nothing"
        )
    return tuple(_entry(item, number, path) for number, item in enumerate(content, start=1))


def _entry(item: object, number: int, path: Path) -> BlockRule:
    try:
        return BlockRule.model_validate(item)
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(map(str, problem["loc"])) or "the whole entry"
        raise UnreadableInput(
            f"the block list {path}, entry {number}: {where}: {problem_of(problem['msg'])}"
        ) from error


def _covers(entry: BlockRule, observed: Observed) -> bool:
    return (
        _fits(entry.object, observed.object)
        and _fits(entry.project, observed.project)
        and (not entry.exposures or observed.exposure in entry.exposures)
        and (entry.time is None or _during(entry.time, observed.mjd))
        and (entry.sky is None or _touches(entry.sky, observed))
    )


def _fits(pattern: str | None, text: str) -> bool:
    return pattern is None or fnmatchcase(text.lower(), pattern.lower())


def _during(time: TimeRange, mjd: float | None) -> bool:
    return mjd is not None and mjd_of_utc(time.start) <= mjd <= mjd_of_utc(time.end)


def _touches(sky: BlockedSky, observed: Observed) -> bool:
    if observed.ra is None or observed.dec is None:
        return False
    return SkyCircle(sky.ra, sky.dec, sky.radius_deg).touches(observed.ra, observed.dec, observed.radius_deg)
