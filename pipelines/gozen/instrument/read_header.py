"""Read a raw file's header by the rules of a profile. No I/O."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from gozen.errors import CorruptFile
from gozen.instrument.earth_rotation import day_length_s
from gozen.instrument.header_rules import TIME_KINDS, WordRule
from gozen.instrument.header_times import mjd_of_day, number_of, read_moment
from gozen.instrument.profile import Profile, Site
from gozen.instrument.profile_contradictions import DATA_TYPES
from gozen.instrument.readout import read_binning, read_window
from gozen.resources import nights, sexagesimal

_MJD_ZERO = dt.datetime(1858, 11, 17, tzinfo=dt.UTC)
_DAY_S = 86400.0
_SHARE_BEFORE = {"start": 0.0, "middle": 0.5, "end": 1.0}


@dataclass(frozen=True)
class RawHeader:
    """The quantities of one raw file.

    Parameters
    ----------
    utc_start, utc_sequence
        MJD (UTC) at which the first pixel of the first frame, and the sequence, start.
    exposure_s, frame_time_s, row_time_s
        Net exposure of a frame, time from frame to frame, and time from row to row, seconds.
    ra, dec
        Pointing of the telescope, degrees; None if the header does not give it.
    binning
        Pixels binned along x and y, such as ``2x2``.
    window
        FITS section of the sensor that was read out, ``[x1:x2,y1:y2]``; empty for the full sensor.
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
        Header keywords and their values, such as an astropy ``fits.Header``.
    source
        The file's name, for messages.

    Raises
    ------
    CorruptFile
        A keyword is missing, or its value does not have the form that the rule expects.
    """
    rules = profile.header

    def get(name: str, default: Any = None) -> Any:
        rule: WordRule | None = getattr(rules, name)
        return default if rule is None else read_quantity(words, rule, name, source, default, profile.site.time_zone)

    data_type = str(get("data_type")).upper()
    if data_type not in DATA_TYPES:
        raise CorruptFile(
            f"{source}: data_type is {data_type!r}, which is not one of {', '.join(DATA_TYPES)}; write its meaning "
            f"under header.data_type.values of the profile {profile.name}"
        )
    gain = _gain(get("gain", profile.default_gain), profile, source)
    exposure_s = float(get("exposure_s"))
    if exposure_s < 0 or (exposure_s == 0 and data_type != "BIAS"):
        raise CorruptFile(
            f"{source}: the exposure time of a frame is {exposure_s:g} s, but must be above 0; correct the header, or "
            f"header.exposure_s of the profile {profile.name}"
        )
    frame_time_s, row_time_s = float(get("frame_time_s", exposure_s)), float(get("row_time_s", 0.0))
    lasts_s = _length_s(words, profile, exposure_s, frame_time_s, row_time_s)
    pipelines = get("pipelines")
    binning, window = _readout(words, profile, source)
    return RawHeader(
        object=_as_written(words, rules.object, str(get("object"))),
        data_type=data_type,
        sensor=_identifier(get("sensor"), "sensor", source) or "",
        utc_start=get("utc_start") - _SHARE_BEFORE[rules.utc_start.moment] * lasts_s / _DAY_S,
        exposure_s=exposure_s,
        frame_time_s=frame_time_s,
        row_time_s=row_time_s,
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
        binning=binning,
        window=window,
    )


def _length_s(
    words: Mapping[str, Any], profile: Profile, exposure_s: float, frame_time_s: float, row_time_s: float
) -> float:
    """Return the duration of a file's exposure, from the start of the first pixel to the end of the last, seconds."""
    frames = _count(words, "NAXIS3", 1) if profile.raw == "cube" else 1
    rows = _count(words, "NAXIS2", profile.shape[0])
    return (frames - 1) * frame_time_s + (rows - 1) * row_time_s + exposure_s


def _count(words: Mapping[str, Any], word: str, default: int) -> int:
    value = words.get(word)
    return value if isinstance(value, int) and value > 0 else default


def _gain(value: Any, profile: Profile, source: str) -> str:
    said = f"{value:g}" if isinstance(value, float) else str(value)
    known = {name.casefold(): name for name in profile.gains}
    if said.casefold() not in known:
        raise CorruptFile(
            f"{source}: gain {said!r} is not one of the gains in the profile {profile.name}: {', '.join(profile.gains)}"
            "; correct the header, or add it to the profile"
        )
    return known[said.casefold()]


def _readout(words: Mapping[str, Any], profile: Profile, source: str) -> tuple[str, str]:
    """Return binning and window in the form of `RawHeader`."""
    rules, binning = profile.header, profile.binning
    joined = _each(words, rules.binning, "binning", source)
    placed = _each(words, rules.window, "window", source)
    try:
        binning = read_binning(joined) if joined else binning
        return binning, read_window(placed, binning, profile) if placed else ""
    except ValueError as error:
        raise CorruptFile(
            f"{source}: {error}; correct the header, or header.binning and header.window of the profile {profile.name}"
        ) from error


def _each(words: Mapping[str, Any], rule: WordRule | None, name: str, source: str) -> list[str]:
    """Return the text of each keyword of a rule; an empty list if one is missing."""
    if rule is None:
        return []
    alone = [rule.model_copy(update={"word": word, "words": ()}) for word in rule.sources] or [rule]
    found = [read_quantity(words, one, name, source) for one in alone]
    return [] if None in found else [str(value) for value in found]


def impossible_place(header: RawHeader) -> tuple[str, float, float] | None:
    """Return (message, value, limit) if a science frame has impossible coordinates; value and limit in degrees.

    Return None if the coordinates are possible; calibration frames may have any coordinates.
    """
    if header.data_type != "OBJECT":
        return None
    if header.dec is not None and not abs(header.dec) <= 90:
        return f"the declination is {header.dec:g} deg, beyond the pole", header.dec, 90.0
    if header.ra is not None and not 0 <= header.ra <= 360:
        return f"the right ascension is {header.ra:g} deg, outside 0 to 360", header.ra, 360.0
    return None


def night_of_mjd(mjd: float, site: Site) -> str:
    """Return the night ``YYYYMMDD`` of a moment: the local date on which it began, noon to noon."""
    return f"{nights.night_of(utc_of_mjd(mjd), ZoneInfo(site.time_zone)):%Y%m%d}"


def utc_of_mjd(mjd: float) -> dt.datetime:
    """Return the UTC date and time of an MJD, to the microsecond; a leap second becomes the next day's first second."""
    day = math.floor(mjd)
    return _MJD_ZERO + dt.timedelta(days=day, seconds=(mjd - day) * day_length_s(day))


def mjd_of_utc(utc: dt.datetime) -> float:
    """Return the MJD of a UTC date and time (naive ones count as UTC)."""
    since = (utc if utc.tzinfo else utc.replace(tzinfo=dt.UTC)) - _MJD_ZERO
    return mjd_of_day(since.days, (since.seconds * 1_000_000 + since.microseconds) * 1000)


def read_quantity(
    words: Mapping[str, Any], rule: WordRule, name: str, source: str, default: Any = None, zone: str = "UTC"
) -> Any:
    """Read one quantity by its rule.

    Parameters
    ----------
    name, source
        The quantity's and the file's name, for messages.
    default
        Returned if the rule is optional and a keyword is missing.
    zone
        IANA time zone of the site, for ``kind: local``.

    Raises
    ------
    CorruptFile
        A keyword is missing, or its value does not have the form that the rule expects.
    """
    parts: list[Any] = [rule.value]
    if rule.value is None:
        missing = [word for word in rule.sources if not _says_something(words.get(word))]
        if rule.optional and (missing or any(_is_no_number(words[word], rule) for word in rule.sources)):
            return default
        if missing:
            what = f"{missing[0]} with a value" if missing[0] in words else missing[0]
            raise CorruptFile(
                f"{source}: the header has no keyword {what}, from which the profile reads {name}; name the "
                f"keyword of this camera in the profile (header.{name})"
            )
        parts = [words[word] for word in rule.sources]
    timesys = words.get("TIMESYS") if rule.kind in TIME_KINDS else None
    try:
        return convert(parts, rule, zone, timesys if _says_something(timesys) else None)
    except ValueError as error:
        word, said = " + ".join(rule.sources) or "value", " + ".join(map(repr, parts))
        raise CorruptFile(
            f"{source}: {word} = {said} cannot be read as {rule.kind} for {name} ({error}); correct "
            f"the header, or header.{name} of the profile"
        ) from error


def _as_written(words: Mapping[str, Any], rule: WordRule, text: str) -> str:
    """Return a target as in the header: leading blanks are kept; trailing ones, which FITS ignores, are removed."""
    written = words.get(rule.word) if rule.word else None
    return written.rstrip() if isinstance(written, str) and written.strip() == text else text


def _says_something(value: Any) -> bool:
    # Astropy has a special object for a keyword without a value.
    return isinstance(value, str | int | float) and bool(str(value).strip())


def _is_no_number(value: Any, rule: WordRule) -> bool:
    """Return whether a header marks a number as unknown by NaN."""
    return rule.kind != "text" and str(value).strip().lower() == "nan"


def _identifier(value: Any, name: str, source: str) -> str | None:
    text = "" if value is None else str(value).strip()
    if text.startswith(".") or any(character in "/\\" or not character.isprintable() for character in text):
        raise CorruptFile(
            f"{source}: {name} {text!r} cannot be the name of a file: it has a slash or an unprintable character, or "
            "begins with a dot; correct the header"
        )
    return text or None


def convert(raw: Any, rule: WordRule, zone: str = "UTC", timesys: Any = None) -> Any:
    """Convert a header's value, or a list of the values of several keywords, by a rule.

    Times become MJD (UTC); angles become degrees (``hours`` times 15).

    Parameters
    ----------
    zone
        IANA time zone of the site, for ``kind: local``.
    timesys
        The header's TIMESYS, or None.

    Raises
    ------
    ValueError
        The value does not have the form of the rule's kind.
    """
    parts = raw if isinstance(raw, list) else [raw]
    if rule.kind in TIME_KINDS:
        return read_moment(parts, rule, zone, timesys)
    first: Any = parts[0] if len(parts) == 1 else "".join(str(part).strip() for part in parts)
    if rule.kind == "text":
        text = str(first).strip()
        return rule.values.get(text, text)
    if rule.kind in ("hours", "degrees") and isinstance(first, str) and (":" in first or " " in first.strip()):
        return sexagesimal.parse(first, sexagesimal.IN_HEADERS) * (15.0 if rule.kind == "hours" else 1.0)
    number = first * rule.scale if type(first) in (int, float) else float(number_of([first], rule))
    if not math.isfinite(number):
        raise ValueError("it is not a finite number")
    if rule.kind == "integer":
        if number != int(number):
            raise ValueError("it is not a whole number")
        return int(number)
    return number * 15.0 if rule.kind == "hours" else number
