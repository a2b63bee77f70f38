"""What a raw file's header says, read by the rules of a profile: pure, from a mapping of words to values."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from gozen.errors import CorruptFile
from gozen.instrument.profile import Profile, Site, WordRule

DATA_TYPES = ("OBJECT", "DARK", "FLAT", "BIAS")
_MJD_ZERO = dt.datetime(1858, 11, 17, tzinfo=dt.UTC)
_MJD_OF_ZERO = {"mjd": 0.0, "jd": -2400000.5, "unix": 40587.0}
_FIRST_MJD, _LAST_MJD = 15020.0, 124593.0


@dataclass(frozen=True)
class RawHeader:
    """The quantities of one raw file.

    Parameters
    ----------
    utc_start, utc_sequence
        MJD (UTC) at which the first pixel of the first frame, and the sequence, start.
    exposure_s, frame_time_s, row_time_s
        Net exposure of a frame, time from frame to frame, and from row to row, seconds.
    ra, dec
        Pointing of the telescope, degrees; None where the header does not say.
    binning
        Pixels joined along x and y, such as ``2x2``.
    window
        FITS section of the sensor that was read, ``[x1:x2,y1:y2]``; empty for all of it.
    """

    object: str
    data_type: str
    sensor: str
    utc_start: float
    exposure_s: float
    frame_time_s: float
    row_time_s: float
    utc_sequence: float | None
    ra: float | None
    dec: float | None
    exposure_id: str | None
    frame_id: str | None
    gain: str
    filter: str
    pipelines: tuple[str, ...]
    project: str
    observer: str
    binning: str = "1x1"
    window: str = ""


def read_header(words: Mapping[str, Any], profile: Profile, source: str) -> RawHeader:
    """Read a header by a profile's rules.

    Parameters
    ----------
    words
        Header words and their values; a FITS header will do.
    source
        The file's name, for the messages.

    Raises
    ------
    CorruptFile
        A word is missing or does not say what the rule expects; the message names the word, its value and the rule.
    """
    rules = profile.header

    def get(name: str, default: Any = None) -> Any:
        rule: WordRule | None = getattr(rules, name)
        return default if rule is None else read_quantity(words, rule, name, source, default)

    data_type = str(get("data_type")).upper()
    if data_type not in DATA_TYPES:
        raise CorruptFile(
            f"{source}: data_type is {data_type!r}, which is none of {', '.join(DATA_TYPES)}; "
            f"name its meaning under header.data_type.values of the profile {profile.name}"
        )
    gain = str(get("gain", profile.default_gain)).lower()
    if gain not in profile.gains:
        raise CorruptFile(f"{source}: gain {gain!r} is not one of the profile's: {', '.join(profile.gains)}")
    exposure_s = float(get("exposure_s"))
    if exposure_s < 0 or (exposure_s == 0 and data_type != "BIAS"):
        raise CorruptFile(f"{source}: the exposure of a frame is {exposure_s:g} s")
    pipelines = get("pipelines")
    return RawHeader(
        object=_as_written(words, rules.object, str(get("object"))),
        data_type=data_type,
        sensor=_identifier(get("sensor"), "sensor", source) or "",
        utc_start=get("utc_start"),
        exposure_s=exposure_s,
        frame_time_s=float(get("frame_time_s", exposure_s)),
        row_time_s=float(get("row_time_s", 0.0)),
        utc_sequence=get("utc_sequence"),
        ra=get("ra"),
        dec=get("dec"),
        exposure_id=_identifier(get("exposure_id"), "exposure_id", source),
        frame_id=_identifier(get("frame_id"), "frame_id", source),
        gain=gain,
        filter=str(get("filter", "")),
        pipelines=tuple(p.strip() for p in pipelines.split(",") if p.strip()) if pipelines else (),
        project=str(get("project", "")),
        observer=str(get("observer", "")),
    )


def night_of(mjd: float, site: Site) -> str:
    """Return the night ``YYYYMMDD`` of a moment: the local date on which it began, noon to noon."""
    local = utc_of_mjd(mjd).astimezone(ZoneInfo(site.time_zone)) - dt.timedelta(hours=12)
    return local.strftime("%Y%m%d")


def utc_of_mjd(mjd: float) -> dt.datetime:
    """Return the UTC date and time of an MJD, to the microsecond."""
    return _MJD_ZERO + dt.timedelta(days=mjd)


def mjd_of_utc(utc: dt.datetime) -> float:
    """Return the MJD of a UTC date and time (naive ones count as UTC)."""
    aware = utc if utc.tzinfo else utc.replace(tzinfo=dt.UTC)
    return (aware - _MJD_ZERO) / dt.timedelta(days=1)


def read_quantity(words: Mapping[str, Any], rule: WordRule, name: str, source: str, default: Any = None) -> Any:
    """Read one quantity by its rule.

    Parameters
    ----------
    name, source
        The quantity's and the file's name, for the messages.
    default
        What is returned when the rule is optional and a word is missing.

    Raises
    ------
    CorruptFile
        A word is missing or does not say what the rule expects.
    """
    raw: Any = rule.value
    if raw is None:
        missing = [word for word in rule.sources if not _says_something(words.get(word))]
        if missing and rule.optional:
            return default
        if missing:
            raise CorruptFile(f"{source}: the header has no word {missing[0]}, which gives {name}")
        parts = [words[word] for word in rule.sources]
        raw = parts[0] if len(parts) == 1 else _joined(parts, rule.kind)
    try:
        return convert(raw, rule)
    except (ValueError, TypeError, OverflowError) as error:
        word = " + ".join(rule.sources) or "value"
        raise CorruptFile(f"{source}: {word} = {raw!r} is no {rule.kind} for {name} ({error})") from error


def _as_written(words: Mapping[str, Any], rule: WordRule, text: str) -> str:
    """Return a target as the header writes it: its leading blanks count, those at its end mean nothing in FITS."""
    written = words.get(rule.word) if rule.word else None
    return written.rstrip() if isinstance(written, str) and written.strip() == text else text


def _says_something(value: Any) -> bool:
    # astropy has an object of its own for a word without a value.
    return isinstance(value, str | int | float) and bool(str(value).strip())


def _identifier(value: Any, name: str, source: str) -> str | None:
    text = "" if value is None else str(value).strip()
    if text.startswith(".") or any(character in "/\\" or not character.isprintable() for character in text):
        raise CorruptFile(f"{source}: {name} {text!r} cannot name a file: it has a slash or begins with a dot")
    return text or None


def _joined(parts: list[Any], kind: str) -> str:
    separator = "T" if kind == "utc" else ""
    return separator.join(str(part).strip() for part in parts)


def convert(raw: Any, rule: WordRule) -> Any:
    """Convert one header value as a rule says; times become MJD (UTC), angles degrees (``hours`` times 15).

    Raises
    ------
    ValueError
        The value does not have the form that the rule's kind asks for.
    """
    if rule.kind == "text":
        text = str(raw).strip()
        return rule.values.get(text, text)
    if rule.kind == "utc":
        return _plausible(mjd_of_utc(_parse_utc(str(raw).strip())))
    if rule.kind in ("hours", "degrees") and isinstance(raw, str) and (":" in raw or " " in raw.strip()):
        return _sexagesimal(raw) * (15.0 if rule.kind == "hours" else 1.0)
    if isinstance(raw, bool):
        raise TypeError("a logical value")
    number = float(raw) * rule.scale
    if not math.isfinite(number):
        raise ValueError("not a finite number")
    if rule.kind == "integer":
        if number != int(number):
            raise ValueError("not a whole number")
        return int(number)
    if rule.kind in _MJD_OF_ZERO:
        return _plausible((number / 86400.0 if rule.kind == "unix" else number) + _MJD_OF_ZERO[rule.kind])
    return number * 15.0 if rule.kind == "hours" else number


def _plausible(mjd: float) -> float:
    if not _FIRST_MJD <= mjd < _LAST_MJD:
        raise ValueError(f"MJD {mjd:g} is not within the years 1900 to 2199")
    return mjd


def _parse_utc(text: str) -> dt.datetime:
    day, _, clock = text.replace(" ", "T", 1).rstrip("Z").partition("T")
    hours, minutes, seconds = clock.split(":") if clock else ("0", "0", "0")
    # Seconds are added so that one-digit fields and 60.0 s, which real headers hold, are read.
    if not (0 <= int(hours) <= 24 and 0 <= int(minutes) < 60 and 0 <= float(seconds) < 61):
        raise ValueError(f"{clock!r} is no time of day")
    return dt.datetime.fromisoformat(day).replace(tzinfo=dt.UTC) + dt.timedelta(
        hours=int(hours), minutes=int(minutes), seconds=float(seconds)
    )


def _sexagesimal(text: str) -> float:
    parts = text.replace(":", " ").split()
    if not 2 <= len(parts) <= 3:
        raise ValueError("not of the form dd:mm:ss.s")
    numbers = [float(part) for part in parts]
    if any(part < 0 or part >= 60 for part in numbers[1:]):
        raise ValueError("minutes and seconds lie between 0 and 60")
    size = abs(numbers[0]) + numbers[1] / 60 + (numbers[2] / 3600 if len(numbers) == 3 else 0.0)
    return -size if parts[0].startswith("-") else size
