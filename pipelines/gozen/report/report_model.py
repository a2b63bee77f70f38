"""The contents of a report as plain values, from which `render_page` makes the page."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from gozen.archive.commit import SensorCommit

Sense = Literal["at most", "at least", "within"]


@dataclass(frozen=True)
class Check:
    """One comparison of a recovered with an injected value.

    Parameters
    ----------
    name
        A description of the comparison.
    measured
        The measured number; NaN if there was nothing to measure, which fails the check.
    tolerance
        The limit of `measured`.
    unit
        The unit of `measured` and `tolerance`; empty if they have none.
    sense
        ``at most`` or ``at least`` the tolerance, or ``within`` plus or minus the tolerance.
    basis
        A description of the data, for example the number of stars.
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
        """The measured number with its unit, rounded to about a hundredth of the tolerance."""
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
    """A picture for light pages, and optionally another one for dark pages.

    Parameters
    ----------
    title, caption
        Texts above and below the picture.
    alt
        A description of the picture, for screen readers.
    light, dark
        The content of the image file; without `dark`, `light` is used on dark pages too.
    kind
        The media type, such as ``image/svg+xml``.
    wide
        Whether the picture takes the full width of the page.
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
        Texts above and below the film.
    alt
        A description of the film, for screen readers.
    strip
        A PNG with square frames side by side, the first on the left.
    labels
        The label of each frame, in order.
    """

    title: str
    alt: str
    strip: bytes
    labels: tuple[str, ...]
    caption: str = ""


MoverState = Literal["found", "missed", "too slow", "false"]


@dataclass(frozen=True)
class MoverRow:
    """A moving object that was injected, found or both; None marks unknown values.

    Parameters
    ----------
    state
        ``too slow``: the object was not found, and did not have to be: it moved by less than two widths of a star's
        image, or was on the sensor for few frames.
    frames, true_frames
        The number of frames on which it was measured, and of those on which it was on the sensor.
    rate, rate_err, true_rate
        The rate of motion, arcsec/min.
    direction, true_direction
        The direction of motion, degrees from north through east.
    rms
        The rms of measured minus true positions in the worse axis, arcsec.
    mag, true_mag
        Measured and true G magnitude.
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
    """A number that is shown in large type at the top of the page."""

    value: str
    label: str


@dataclass(frozen=True)
class Command:
    """A command line, and a description of its effect."""

    line: str
    does: str


@dataclass(frozen=True)
class DemoReport:
    """The complete contents of the page.

    Parameters
    ----------
    summary
        One or two sentences about the demo.
    movers, fields, films
        Moving objects: rows of their table, maps, and a film of each object.
    commits
        The commits of all sensors, for the table of quality.
    made_with
        Versions and inputs of the demo: pairs of a name and a value.
    commands
        Commands to try next.
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
        """Whether there are checks and all of them passed."""
        return bool(self.checks) and all(check.passed for check in self.checks)
