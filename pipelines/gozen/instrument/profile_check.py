"""Check a profile against a file's header, quantity by quantity. No I/O."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from gozen.errors import CorruptFile
from gozen.instrument.header_rules import TIME_KINDS, HeaderWords, WordRule
from gozen.instrument.profile import Profile
from gozen.instrument.read_header import (
    RawHeader,
    impossible_place,
    night_of_mjd,
    read_header,
    read_quantity,
    utc_of_mjd,
)
from gozen.instrument.readout import read_out


@dataclass(frozen=True)
class Quantity:
    """One quantity that a profile reads from a header.

    Parameters
    ----------
    words
        The header keywords of its rule; empty for a constant, or if the profile has no rule.
    value
        Its text in the header, unchanged.
    converted
        The value that Gozen reads; None if the quantity is missing.
    problem
        Why it cannot be read; empty if it can.
    """

    name: str
    words: tuple[str, ...]
    value: str
    converted: str | None
    problem: str = ""


@dataclass(frozen=True)
class QuantityCheck:
    """The result of checking one file against a profile.

    Parameters
    ----------
    night
        The night to which the file belongs; None if its time cannot be read.
    problems
        One sentence for each reason why the file cannot be reduced.
    notes
        One sentence for each other fact that the user should know.
    """

    source: str
    quantities: tuple[Quantity, ...]
    frames: int
    night: str | None
    problems: tuple[str, ...]
    notes: tuple[str, ...] = ()


def check_file(words: Mapping[str, Any], shape: tuple[int, ...], profile: Profile, source: str) -> QuantityCheck:
    """Compare one file with a profile.

    Parameters
    ----------
    words
        Header keywords and their values.
    shape
        Shape of the image: (rows, columns) or (frames, rows, columns).
    source
        The file's name, for messages.
    """
    quantities = tuple(_quantity(words, name, profile, source) for name in HeaderWords.model_fields)
    problems = [quantity.problem for quantity in quantities if quantity.problem]
    night, header = None, None
    try:
        header = read_header(words, profile, source)
        night = night_of_mjd(header.utc_start, profile.site)
        quantities = tuple(_as_used(_with_start(quantity, header, profile), header) for quantity in quantities)
        place = impossible_place(header)
        problems += [f"{source}: {place[0]}"] if place else []
        if profile.sensor(header.sensor) is None:
            known = ", ".join(sensor.id for sensor in profile.sensors)
            problems.append(
                f"{source}: sensor {header.sensor!r} is not in the profile {profile.name}, which has {known}; add it, "
                "or correct header.sensor"
            )
    except CorruptFile as error:
        if str(error) not in problems:
            # Each keyword was readable, but the header is still invalid: for example an unknown data type.
            problems += [] if any(quantity.problem for quantity in quantities) else [str(error)]
    problems += _shape_problems(shape, profile, source, header)
    frames = 1 if len(shape) == 2 else shape[0] if len(shape) == 3 else 0
    return QuantityCheck(source, quantities, frames, night, tuple(problems))


def _quantity(words: Mapping[str, Any], name: str, profile: Profile, source: str) -> Quantity:
    rule: WordRule | None = getattr(profile.header, name)
    if rule is None:
        return Quantity(name, (), "", None)
    found = [words[word] for word in rule.sources if word in words]
    text = " + ".join(map(str, found)) if rule.value is None else str(rule.value)
    try:
        value = read_quantity(words, rule, name, source, zone=profile.site.time_zone)
    except CorruptFile as error:
        return Quantity(name, rule.sources, text, None, str(error) + _suggestion(words, rule))
    return Quantity(name, rule.sources, text, None if value is None else _shown(value, rule))


def _shown(value: Any, rule: WordRule) -> str:
    if rule.kind in TIME_KINDS:
        return _moment(value)
    if rule.kind in ("hours", "degrees"):
        return f"{value:.6f} deg"
    return str(value)


def _with_start(quantity: Quantity, header: RawHeader, profile: Profile) -> Quantity:
    """Return the start time with its derivation, if the header gives the middle or the end of the exposure."""
    moment = profile.header.utc_start.moment
    if quantity.name != "utc_start" or moment == "start":
        return quantity
    said = f"{_moment(header.utc_start)}, from the {moment} of the exposure, {quantity.converted}"
    return replace(quantity, converted=said)


def _moment(mjd: float) -> str:
    return f"{utc_of_mjd(mjd).strftime('%Y-%m-%dT%H:%M:%S.%f')[:-3]} UTC (MJD {mjd:.6f})"


def _as_used(quantity: Quantity, header: RawHeader) -> Quantity:
    """Return binning or window as used, combined from the values of all their keywords."""
    if quantity.name not in ("binning", "window") or quantity.converted is None:
        return quantity
    return replace(quantity, converted=getattr(header, quantity.name) or "all of the sensor")


def _suggestion(words: Mapping[str, Any], rule: WordRule) -> str:
    missing = [word for word in rule.sources if word not in words]
    near = difflib.get_close_matches(missing[0], list(dict.fromkeys(words)), n=3, cutoff=0.5) if missing else []
    return f"; the header has {', '.join(near)}" if near else ""


def _shape_problems(shape: tuple[int, ...], profile: Profile, source: str, header: RawHeader | None) -> list[str]:
    if len(shape) not in (2, 3):
        return [
            f"{source}: the image has {len(shape)} axes; give an image with 2 axes (a frame) or 3 (a cube of frames)"
        ]
    problems = []
    binning, window = (header.binning, header.window) if header else (profile.binning, "")
    try:
        read_out(profile, binning, window, (shape[-2], shape[-1]), source)
    except CorruptFile as error:
        problems.append(str(error))
    if profile.raw == "frames" and len(shape) == 3 and shape[0] != 1:
        problems.append(
            f"{source}: the file contains {shape[0]} frames, but the profile {profile.name} has `raw: frames` (one "
            "frame in each file); write `raw: cube`"
        )
    return problems
