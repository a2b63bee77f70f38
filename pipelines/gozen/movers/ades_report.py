"""Write tracklets in the Astrometry Data Exchange Standard (ADES) of the Minor Planet Center. No I/O.

The format is pipe-separated values (PSV). Sources: the ADES Description, version of 2022, and its schema ``submit.xsd``
(IAU Commission X2; the repository IAU-ADES/ADES-Master) for the form and the limits of each field; the center's page
"ADES Field Values" for the permitted values.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from gozen.errors import BadRequest

# The description requires permID as the first column, even if it is empty: readers recognize the keyword line by it.
_COLUMNS = (
    ("permID", 6),
    ("trkSub", 8),
    ("mode", 4),
    ("stn", 4),
    ("obsTime", 24),
    ("ra", 11),
    ("dec", 11),
    ("rmsRA", 6),
    ("rmsDec", 6),
    ("astCat", 8),
    ("mag", 6),
    ("rmsMag", 6),
    ("band", 4),
    ("photCat", 8),
    ("remarks", 0),
)
_LARGEST_ERROR = 999.0
_FAINTEST = 35.0
_LONGEST_NAME, _LONGEST_DESIGN = 100, 35
_SMALLEST_M, _LARGEST_M = 0.01, 99.99
MODES = ("CMO", "CCD", "VID")
_MJD_EPOCH = datetime(1858, 11, 17, tzinfo=UTC)


@dataclass(frozen=True)
class Station:
    """Observatory, people and telescope, for the header that the center requires.

    Parameters
    ----------
    code
        The observatory's code, for example 381 for Kiso.
    submitter, observers, measurers
        Names of people in the form ``A. Observer``.
    design, aperture_m, detector
        Design of the telescope, its aperture in metres, and its kind of detector.
    mode
        Kind of instrument: ``CMO`` for a CMOS sensor, ``CCD`` or ``VID`` (video).
    catalogue
        Reference catalogue of positions and magnitudes, in the center's spelling: ``Gaia3`` is Gaia DR3.
    band
        Band of the magnitudes; ``G`` is Gaia's.
    """

    code: str
    submitter: str
    observers: tuple[str, ...]
    measurers: tuple[str, ...]
    design: str = "Schmidt"
    aperture_m: float = 1.05
    detector: str = "CMOS"
    mode: str = "CMO"
    catalogue: str = "Gaia3"
    band: str = "G"

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9]{3,4}", self.code):
            raise BadRequest(f"--station {self.code!r} is not an observatory code of three or four letters and digits")
        if not (self.submitter and self.observers and self.measurers):
            raise BadRequest("an ADES file must name a submitter, observers and measurers: give all three")
        if self.mode not in MODES:
            raise BadRequest(f"--mode {self.mode!r} is not known; the modes are {', '.join(MODES)}")
        if not _SMALLEST_M <= self.aperture_m <= _LARGEST_M:
            raise BadRequest(
                f"--aperture {self.aperture_m:g} is not within {_SMALLEST_M:g} to {_LARGEST_M:g} m; give the diameter "
                "of the telescope in metres"
            )
        for name in (self.submitter, *self.observers, *self.measurers):
            _check_text(name, _LONGEST_NAME)
        _check_text(self.design, _LONGEST_DESIGN)


def ades(points: Iterable[dict[str, Any]], station: Station) -> str:
    """Return the text of an ADES file.

    Parameters
    ----------
    points
        Rows of ``tables/tracklets``. Cosmic-ray hits are ignored. Streaks of unknown direction are ignored too, because
        it is unknown which end belongs to the start of the exposure.

    Raises
    ------
    BadRequest
        No point is left.
    """
    lines = [_line(point, station) for point in points if point["kind"] != "cosmic" and point["end"] != "either"]
    if not lines:
        raise BadRequest(
            "no tracklet to export: all are cosmic-ray hits, or streaks on one frame, whose direction is unknown; "
            "choose other tracklets"
        )
    keywords = "|".join(name.ljust(width) for name, width in _COLUMNS)
    return "\n".join([*_header(station), keywords, *lines]) + "\n"


def _check_text(text: str, longest: int) -> None:
    if not text.strip() or len(text) > longest or "|" in text or not text.isprintable():
        raise BadRequest(
            f"{text!r} is not allowed in an ADES file: write one line of at most {longest} characters, without the "
            "character |"
        )


def _header(station: Station) -> list[str]:
    lines = ["# version=2022", "# observatory", f"! mpcCode {station.code}"]
    lines += ["# submitter", f"! name {station.submitter}"]
    for what, names in (("observers", station.observers), ("measurers", station.measurers)):
        lines += [f"# {what}", *(f"! name {name}" for name in names)]
    lines += ["# telescope", f"! design {station.design}", f"! aperture {round(station.aperture_m, 2):g}"]
    lines.append(f"! detector {station.detector}")
    return [*lines, "# software", "! astrometry Gozen", "! photometry Gozen", "! objectDetection Gozen"]


def _line(point: dict[str, Any], station: Station) -> str:
    error = _error(point["position_err_arcsec"], 3)
    remarks = {"start": "start of trail", "end": "end of trail"}.get(point["end"] or "", "")
    values: Sequence[str] = (
        "",
        point["tracklet"],
        station.mode,
        station.code,
        _time(point["mjd"]),
        _right_ascension(point["ra"]),
        f"{point['dec']:.6f}",
        error,
        error,
        station.catalogue,
        *_photometry(point, station),
        remarks,
    )
    return "|".join(value.ljust(width) for value, (_, width) in zip(values, _COLUMNS, strict=True)).rstrip()


def _photometry(point: dict[str, Any], station: Station) -> tuple[str, str, str, str]:
    mag = point["mag"]
    # An impossible magnitude, for example of a field without calibration, must not be submitted.
    if mag is None or not 0 < mag <= _FAINTEST:
        return "", "", "", ""
    return f"{mag:.2f}", _error(point["mag_err"], 2), station.band, station.catalogue


def _right_ascension(ra: float) -> str:
    """Return degrees as text, below 360 even after rounding."""
    return f"{round(ra % 360, 6) % 360:.6f}"


def _error(value: float | None, decimals: int) -> str:
    """Return a standard error as text: above zero, as the schema requires; empty if it is unknown or too large."""
    if value is None or not math.isfinite(value) or value > _LARGEST_ERROR:
        return ""
    return f"{max(value, 10**-decimals):.{decimals}f}"


def _time(mjd: float) -> str:
    """Return UTC rounded to a millisecond: an MJD in double precision is accurate to about a microsecond."""
    moment = _MJD_EPOCH + timedelta(days=mjd)
    return (moment + timedelta(microseconds=500)).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
