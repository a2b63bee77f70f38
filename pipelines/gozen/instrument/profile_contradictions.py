"""Find contradictions between valid entries of a profile. No I/O."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gozen.instrument.header_rules import WordRule
    from gozen.instrument.profile import Profile

DATA_TYPES = ("OBJECT", "DARK", "FLAT", "BIAS")
_NUMBERS = ("number", "integer")
_ANGLES = ("hours", "degrees", "number")
_KINDS: Mapping[str, tuple[str, ...]] = {
    "data_type": ("text",),
    "exposure_s": _NUMBERS,
    "frame_time_s": _NUMBERS,
    "row_time_s": _NUMBERS,
    "ra": _ANGLES,
    "dec": _ANGLES,
    "gain": ("text", *_NUMBERS),
    "binning": ("text",),
    "window": ("text",),
    "pipelines": ("text",),
}
"""Allowed kinds of the quantities' rules. A quantity that is missing here is text, and its rule may have any kind.

`header_rules` checks the kinds of times.
"""


def contradictions(profile: Profile) -> Iterator[str]:
    """Yield a sentence for each reason why a profile can never read a file or a master."""
    if "flat" in profile.masters and not {"dark", "bias"} & set(profile.masters):
        yield (
            f"masters [{', '.join(profile.masters)}] has a flat without a dark or bias, which every flat needs; "
            "add bias or dark"
        )
    yield from _areas(profile)
    yield from _gains(profile)
    yield from _sensors(profile)
    for name in type(profile.header).model_fields:
        rule: WordRule | None = getattr(profile.header, name)
        if rule is not None:
            yield from _rule(name, rule)
    data_types = profile.header.data_type
    for said in ([data_types.value] if data_types.value is not None else []) + list(data_types.values.values()):
        if str(said).upper() not in DATA_TYPES:
            yield f"header.data_type gives {said!r}, which is not one of {', '.join(DATA_TYPES)}"


def _areas(profile: Profile) -> Iterator[str]:
    if profile.reference is None:
        return
    active, reference = (_columns(section) for section in (profile.active, profile.reference))
    if active[0] <= reference[1] and reference[0] <= active[1]:
        yield (
            f"reference {profile.reference} has columns of the active area {profile.active}, which see the sky; name "
            "columns outside it, or leave reference out"
        )


def _columns(section: str) -> tuple[int, int]:
    first, _, last = section.strip("[] ").partition(",")[0].partition(":")
    return int(first), int(last)


def _gains(profile: Profile) -> Iterator[str]:
    names = {name.casefold() for name in profile.gains}
    if len(names) < len(profile.gains):
        yield (
            f"gains {', '.join(profile.gains)} differ only in upper and lower case, which Gozen ignores; rename one "
            "of them"
        )
    rule = profile.header.gain
    if rule is None:
        return
    given = [rule.value] if rule.value is not None else list(rule.values.values())
    for gain in given:
        if str(gain).casefold() not in names:
            yield f"header.gain gives {gain!r}, which is not one of gains: {', '.join(profile.gains)}"
    if rule.kind in _NUMBERS and rule.value is None:
        for name in profile.gains:
            if not _is_written(name, rule.kind):
                form = "a whole number such as 100" if rule.kind == "integer" else "a number such as 1.5"
                yield f"gains.{name} can never match header.gain, which is read as {form}; rename it, or use values"


def _is_written(name: str, kind: str) -> bool:
    """Return whether a name has the form of a number after it was read from a header."""
    try:
        return name == (str(int(name)) if kind == "integer" else f"{float(name):g}")
    except ValueError:
        return False


def _sensors(profile: Profile) -> Iterator[str]:
    known, rule = [sensor.id for sensor in profile.sensors], profile.header.sensor
    for sensor in [rule.value] if rule.value is not None else list(rule.values.values()):
        if str(sensor) not in known:
            yield f"header.sensor gives {sensor!r}, which is not one of sensors: {', '.join(known)}"


def _rule(name: str, rule: WordRule) -> Iterator[str]:
    allowed = _KINDS.get(name)
    if allowed and rule.kind not in allowed:
        yield f"header.{name} has kind {rule.kind}; its kind must be {' or '.join(allowed)}"
    if rule.scale == 0:
        yield f"header.{name} has scale 0, so its value is always 0"
    if rule.scale != 1 and rule.kind == "text":
        yield f"header.{name} has kind text, so its scale is never used; leave the scale out, or give another kind"
    if rule.values and rule.kind != "text":
        yield (
            f"header.{name} has kind {rule.kind}, so its values are never used; leave the values out, or write kind "
            "text"
        )
