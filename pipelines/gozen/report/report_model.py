"""The contents of a report as plain values; `render_page` lays them out."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from gozen.archive.commit import SensorCommit

Sense = Literal["at most", "at least", "within"]


@dataclass(frozen=True)
class Check:
    """One comparison of what was recovered with what was put in.

    Parameters
    ----------
    name
        What is compared, in words.
    measured
        The number; NaN where there was nothing to measure, which fails.
    tolerance
        What the number is held against.
    unit
        Of both; empty where there is none.
    sense
        Whether the number must be at most the tolerance, at least that, or within it of zero.
    basis
        What the number rests on.
    """

    name: str
    measured: float
    tolerance: float
    unit: str = ""
    sense: Sense = "at most"
    basis: str = ""

    @property
    def passed(self) -> bool:
        """Whether the number is within the tolerance."""
        match self.sense:
            case "at most":
                return self.measured <= self.tolerance
            case "at least":
                return self.measured >= self.tolerance
            case "within":
                return abs(self.measured) <= self.tolerance

    @property
    def recovered(self) -> str:
        """The number with its unit, to a hundredth of the tolerance."""
        if math.isnan(self.measured):
            return "nothing measured"
        exact = float(self.measured).is_integer() and float(self.tolerance).is_integer()
        decimals = 0 if exact else max(0, 2 - math.floor(math.log10(self.tolerance)))
        return self._with_unit(f"{round(self.measured, decimals) + 0.0:,.{decimals}f}".replace("-", "\u2212"))

    @property
    def allowed(self) -> str:
        """The tolerance with its unit."""
        sign = {"at most": "\u2264", "at least": "\u2265", "within": "\u00b1"}[self.sense]
        return self._with_unit(f"{sign} {self.tolerance:,g}")

    def _with_unit(self, text: str) -> str:
        return f"{text} {self.unit}".strip()


@dataclass(frozen=True)
class Picture:
    """A picture, for light pages and, where it differs, for dark ones.

    Parameters
    ----------
    title, caption
        Shown with it.
    alt
        What it shows, for those who cannot see it.
    kind
        Media type, such as ``image/svg+xml``.
    wide
        Takes the page's whole width.
    """

    title: str
    alt: str
    light: bytes
    dark: bytes | None = None
    kind: str = "image/svg+xml"
    caption: str = ""
    wide: bool = False


@dataclass(frozen=True)
class Film:
    """Frames that are shown one after another.

    Parameters
    ----------
    title, caption
        Shown with it.
    alt
        What it shows, for those who cannot see it.
    strip
        A PNG: square frames side by side, the first on the left.
    labels
        What is shown beside each frame, in order; there are as many as frames.
    """

    title: str
    alt: str
    strip: bytes
    labels: tuple[str, ...]
    caption: str = ""


MoverState = Literal["found", "missed", "too slow", "false"]


@dataclass(frozen=True)
class MoverRow:
    """A moving object that was injected, found or both; None is what there is not.

    Parameters
    ----------
    state
        ``too slow`` is what stays on its own image, or is hardly on the sensor, and need not be found.
    frames, true_frames
        On which it was measured, and on which it stood on the sensor.
    rate, rate_err, true_rate
        arcsec/min.
    direction, true_direction
        Degrees, north through east.
    rms
        Of the differences of places in the worse axis, arcsec.
    mag, true_mag
        mag.
    """

    name: str
    exposure: str
    sensor: str
    state: MoverState
    tracklet: str | None = None
    frames: int | None = None
    true_frames: int | None = None
    rate: float | None = None
    rate_err: float | None = None
    true_rate: float | None = None
    direction: float | None = None
    true_direction: float | None = None
    rms: float | None = None
    mag: float | None = None
    true_mag: float | None = None
    snr: float | None = None


@dataclass(frozen=True)
class Headline:
    """A number that stands large at the top."""

    value: str
    label: str


@dataclass(frozen=True)
class Command:
    """A line to type, and what it does."""

    line: str
    does: str


@dataclass(frozen=True)
class DemoReport:
    """Everything that the page shows.

    Parameters
    ----------
    summary
        What was done, in a sentence or two.
    movers, fields, films
        What moves: its table, its map, and a film of each object.
    commits
        Those of all sensors; the table of quality is made of them.
    made_with
        How it was made: pairs of a name and a value.
    commands
        What to try next.
    """

    title: str
    summary: str
    checks: tuple[Check, ...]
    headlines: tuple[Headline, ...] = ()
    stacks: tuple[Picture, ...] = ()
    lightcurves: tuple[Picture, ...] = ()
    quality: tuple[Picture, ...] = ()
    comparisons: tuple[Picture, ...] = ()
    movers: tuple[MoverRow, ...] = ()
    fields: tuple[Picture, ...] = ()
    films: tuple[Film, ...] = ()
    commits: tuple[SensorCommit, ...] = ()
    made_with: tuple[tuple[str, str], ...] = ()
    commands: tuple[Command, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether every check passed; a report without checks has not."""
        return bool(self.checks) and all(check.passed for check in self.checks)
