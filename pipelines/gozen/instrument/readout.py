"""Interpret binning and window of a frame, and adapt the profile to the pixels that were read out."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from gozen.errors import CorruptFile
from gozen.instrument.profile import Profile, section_slices

_BINNING = re.compile(r"\s*[(\[]?\s*([1-9]\d?)(?:\.0*)?(?:\s*[xX*,;:\s]\s*([1-9]\d?)(?:\.0*)?)?\s*[)\]]?\s*")


def read_binning(texts: Sequence[str]) -> str:
    """Return the binning along x and y, such as ``2x2``.

    Parameters
    ----------
    texts
        ``2``, ``2x2`` or ``2 2`` of one keyword, or the numbers of two keywords.

    Raises
    ------
    ValueError
        The texts have none of these forms.
    """
    found = _BINNING.fullmatch(" ".join(texts))
    if not found:
        raise ValueError(
            f"binning {' '.join(texts)!r} does not have the form 2, 2x2 or 2 2, and is not two keywords with one "
            "number each"
        )
    return f"{found[1]}x{found[2] or found[1]}"


def read_window(texts: Sequence[str], binning: str, profile: Profile) -> str:
    """Return the part of the sensor that was read out, as a FITS section in unbinned pixels; empty for the full sensor.

    Parameters
    ----------
    texts
        A FITS section, or four numbers, according to the profile's rule.
    binning
        Binning as returned by `read_binning`.

    Raises
    ------
    ValueError
        The texts have another form, or the window is not within the sensor.
    """
    columns, rows = _ends(texts, _steps(binning), profile)
    window = f"[{columns.start + 1}:{columns.stop},{rows.start + 1}:{rows.stop}]"
    area = section_slices(window)
    axes = _axes(profile)
    if any(side.stop > axis.length for side, axis in zip(area, axes, strict=True)):
        size = f"{axes[1].length} columns and {axes[0].length} rows"
        raise ValueError(f"window {' '.join(texts)!r} is outside the sensor of {size}")
    everything = tuple(slice(0, axis.length) for axis in axes)
    return "" if area in (everything, tuple(axis.active for axis in axes)) else window


def read_out(profile: Profile, binning: str, window: str, shape: tuple[int, int], source: str) -> Profile:
    """Return the profile adapted to a frame's pixels: shape, areas, pixel scale and offsets of the sensors' centres.

    Parameters
    ----------
    binning, window
        As in `gozen.instrument.read_header.RawHeader`.
    shape
        Rows and columns of the frame. A windowed frame may or may not include the columns outside the active area.
    source
        The file's name, for messages.

    Raises
    ------
    CorruptFile
        The frame's shape contradicts binning and window, or no pixel is in the active area.
    """
    if binning == profile.binning and not window:
        if shape == profile.shape:
            return profile
        wanted = (
            f"but the profile {profile.name} has {profile.shape[1]} and {profile.shape[0]} (shape: "
            f"{list(profile.shape)}); correct `shape`, or use the profile of this camera"
        )
        raise CorruptFile(f"{source}: a frame has {shape[1]} columns and {shape[0]} rows, {wanted}")
    joined, described = _steps(binning), _steps(profile.binning)
    if joined[0] * described[1] != joined[1] * described[0]:
        words = " and ".join(profile.header.binning.sources) if profile.header.binning else ""
        raise CorruptFile(
            f"{source}: {words or 'the header'} gives binning {binning}, whose pixels have another shape than those "
            f"of the profile {profile.name} (binning {profile.binning}); use a binning with the same ratio of x to y "
            f"as the profile, or write another profile with `binning: {binning}` for such frames"
        )
    found = _cut(profile.model_dump_json(), binning, window, shape)
    if found is None:
        rows, columns = _sides(profile, binning, window, with_overscan=False)
        where = f"window {window}" if window else "the full frame"
        nothing = "" if rows.active and columns.active else ", and none of these pixels is in the active area"
        raise CorruptFile(
            f"{source}: a frame has {shape[1]} columns and {shape[0]} rows, but its header has {where} with binning "
            f"{binning}, which gives {columns.length} and {rows.length}{nothing}; correct the header, or header.window "
            f"and header.binning of the profile {profile.name}"
        )
    return found


@dataclass(frozen=True)
class _Axis:
    """Columns or rows of the full sensor, in unbinned pixels."""

    length: int
    active: slice
    reference: slice | None


@dataclass(frozen=True)
class _Side:
    """Columns or rows of a frame; `seen` are the sensor's unbinned pixels that `active` covers."""

    length: int
    active: slice | None
    reference: slice | None
    seen: slice


@lru_cache(maxsize=64)
def _cut(content: str, binning: str, window: str, shape: tuple[int, int]) -> Profile | None:
    """Cut a profile, given as JSON so that the result can be cached; return None if the shape does not match."""
    profile = Profile.model_validate_json(content)
    for with_overscan in (False, True):
        rows, columns = _sides(profile, binning, window, with_overscan=with_overscan)
        if (rows.length, columns.length) == shape and rows.active and columns.active:
            return _profile_of(profile, binning, rows, columns)
    return None


def _sides(profile: Profile, binning: str, window: str, *, with_overscan: bool) -> tuple[_Side, _Side]:
    axes, steps = _axes(profile), _steps(binning)
    area = section_slices(window) if window else tuple(slice(0, axis.length) for axis in axes)
    columns = _beside(axes[1], area[1], steps[1]) if with_overscan else _within(axes[1], area[1], steps[1])
    return _within(axes[0], area[0], steps[0]), columns


def _within(axis: _Axis, window: slice, step: int) -> _Side:
    """Return the pixels of an axis that the frame has if only the window was read."""
    length, active = (window.stop - window.start) // step, _joined(axis.active, window, step)
    reference = _joined(axis.reference, window, step) if axis.reference else None
    if active is None:
        return _Side(length, None, reference, slice(0, 0))
    seen = slice(window.start + active.start * step, window.start + active.stop * step)
    return _Side(length, active, reference, seen)


def _beside(axis: _Axis, window: slice, step: int) -> _Side:
    """Return the pixels of an axis if the columns outside the active area were read too, for each row of the window."""
    before, after = slice(0, axis.active.start), slice(axis.active.stop, axis.length)
    inside = slice(max(window.start, before.stop), min(window.stop, after.start))
    count = max(inside.stop - inside.start, 0) // step
    left, right = before.stop // step, (after.stop - after.start) // step
    reference = None
    if axis.reference and axis.reference.start >= after.start:
        kept = _joined(axis.reference, after, step)
        reference = slice(kept.start + left + count, kept.stop + left + count) if kept else None
    elif axis.reference:
        reference = _joined(axis.reference, before, step)
    active = slice(left, left + count) if count else None
    return _Side(left + count + right, active, reference, slice(inside.start, inside.start + count * step))


def _joined(area: slice, window: slice, step: int) -> slice | None:
    """Return the binned pixels of a window that are completely inside an area; None if there are none."""
    first = max(math.ceil((area.start - window.start) / step), 0)
    last = (min(area.stop, window.stop) - window.start) // step
    return slice(first, last) if last > first else None


def _profile_of(profile: Profile, binning: str, rows: _Side, columns: _Side) -> Profile:
    assert rows.active is not None
    assert columns.active is not None
    steps, axes = _steps(profile.binning), _axes(profile)
    scale = profile.pixel_scale_arcsec
    up, right = (
        scale / step * (side.seen.start + side.seen.stop - axis.active.start - axis.active.stop) / 2
        for side, axis, step in zip((rows, columns), axes, steps, strict=True)
    )
    angle = math.radians(profile.orientation_deg)
    right = right if profile.mirrored else -right
    east, north = right * math.cos(angle) + up * math.sin(angle), up * math.cos(angle) - right * math.sin(angle)
    changes = {
        "binning": binning,
        "shape": (rows.length, columns.length),
        "active": _section(columns.active, rows.active),
        "reference": _section(columns.reference, rows.active) if columns.reference else None,
        "pixel_scale_arcsec": scale * _steps(binning)[1] / steps[1],
        "sensors": [
            sensor.model_copy(update={"x_arcsec": sensor.x_arcsec + east, "y_arcsec": sensor.y_arcsec + north})
            for sensor in profile.sensors
        ],
    }
    return Profile.model_validate(dict(profile) | changes)


def _section(columns: slice, rows: slice) -> str:
    return f"[{columns.start + 1}:{columns.stop},{rows.start + 1}:{rows.stop}]"


def _steps(binning: str) -> tuple[int, int]:
    """Return the binning factors along rows (y) and columns (x)."""
    along_x, along_y = binning.split("x")
    return int(along_y), int(along_x)


def _axes(profile: Profile) -> tuple[_Axis, _Axis]:
    """Return rows and columns of the sensor in unbinned pixels."""
    active = section_slices(profile.active)
    reference = section_slices(profile.reference) if profile.reference else (None, None)
    rows, columns = (
        _Axis(length * step, _times(seen, step), _times(beside, step) if beside else None)
        for length, seen, beside, step in zip(profile.shape, active, reference, _steps(profile.binning), strict=True)
    )
    return rows, columns


def _times(pixels: slice, step: int) -> slice:
    return slice(pixels.start * step, pixels.stop * step)


def _ends(texts: Sequence[str], steps: tuple[int, int], profile: Profile) -> tuple[slice, slice]:
    """Return the columns and rows of a window in unbinned pixels, counted from 0."""
    rule = profile.header.window
    form, first, binned = (rule.form, rule.first, rule.binned) if rule else ("section", 1, False)
    along_y, along_x = steps if binned else (1, 1)
    if len(texts) == 1:
        rows, columns = section_slices(texts[0])
        begin = 1 - first
        starts, stops = (columns.start + begin, rows.start + begin), (columns.stop + begin, rows.stop + begin)
    else:
        a, b, c, d = _four(texts)
        starts = (a - first, b - first) if form == "size" else (a - first, c - first)
        stops = (starts[0] + c, starts[1] + d) if form == "size" else (b - first + 1, d - first + 1)
    x, y = ((start, stop) for start, stop in zip(starts, stops, strict=True))
    return slice(x[0] * along_x, x[1] * along_x), slice(y[0] * along_y, y[1] * along_y)


def _four(texts: Sequence[str]) -> list[int]:
    try:
        numbers = [float(text) for text in texts]
    except ValueError:
        numbers = []
    if len(numbers) != 4 or any(not number.is_integer() for number in numbers):
        raise ValueError(
            f"window {' '.join(texts)!r} is neither a FITS section such as [101:500,1:400] nor four whole numbers"
        )
    return [int(number) for number in numbers]
