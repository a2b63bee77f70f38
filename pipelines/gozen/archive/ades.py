"""Tracklets in the Astrometry Data Exchange Standard (ADES) of the Minor Planet Center, as pipe-separated values.

Source: ADES Description, version of 2022 (IAU Commission X2; the repository IAU-ADES/ADES-Master) for the form, and the
center's page "ADES Field Values" for what a field may hold. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from gozen.errors import BadRequest

_COLUMNS = (
    ("trkSub", 9),
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
_MJD_EPOCH = datetime(1858, 11, 17, tzinfo=UTC)


@dataclass(frozen=True)
class Station:
    """Who observed with what: the header that the center requires.

    Parameters
    ----------
    code
        The observatory's code, as 381 for Kiso.
    submitter, observers, measurers
        Names of people, as ``A. Observer``.
    design, aperture_m, detector
        Of the telescope.
    mode
        Kind of instrument: ``CMO`` for a CMOS sensor, ``CCD``, ``VID``.
    catalogue
        Reference of positions and magnitudes, as the center spells it: ``Gaia3`` is Gaia DR3.
    band
        Of the magnitudes; ``G`` is Gaia's.
    """

    code: str
    submitter: str
    observers: tuple[str, ...]
    measurers: tuple[str, ...]
    design: str = "Schmidt"
    aperture_m: float = 1.05
    detector: str = "CMOS"
    pixel_scale_arcsec: float | None = None
    mode: str = "CMO"
    catalogue: str = "Gaia3"
    band: str = "G"

    def __post_init__(self) -> None:
        if not (3 <= len(self.code) <= 4 and self.code.isalnum()):
            raise BadRequest(f"--station {self.code!r} is no observatory code of three or four letters and digits")
        if not (self.submitter and self.observers and self.measurers):
            raise BadRequest("an ADES file names a submitter, observers and measurers")


def ades(points: Iterable[dict[str, Any]], station: Station) -> str:
    """Return the text of an ADES file.

    Parameters
    ----------
    points
        Rows of ``tables/tracklets``. Left out are cosmic hits and streaks whose direction is unknown: which of their
        ends belongs to which moment is unknown, too.

    Raises
    ------
    BadRequest
        No point is left.
    """
    lines = [_line(point, station) for point in points if point["kind"] != "cosmic" and point["end"] != "either"]
    if not lines:
        raise BadRequest("no tracklet to export: only cosmic hits, or streaks on one frame, whose direction is unknown")
    keywords = "|".join(name.ljust(width) for name, width in _COLUMNS)
    return "\n".join([*_header(station), keywords, *lines]) + "\n"


def _header(station: Station) -> list[str]:
    lines = ["# version=2022", "# observatory", f"! mpcCode {station.code}"]
    lines += ["# submitter", f"! name {station.submitter}"]
    for what, names in (("observers", station.observers), ("measurers", station.measurers)):
        lines += [f"# {what}", *(f"! name {name}" for name in names)]
    lines += ["# telescope", f"! design {station.design}", f"! aperture {station.aperture_m:g}"]
    lines.append(f"! detector {station.detector}")
    if station.pixel_scale_arcsec:
        lines.append(f"! pixelScale {station.pixel_scale_arcsec:g}")
    return [*lines, "# software", "! astrometry Gozen", "! photometry Gozen", "! objectDetection Gozen"]


def _line(point: dict[str, Any], station: Station) -> str:
    error = f"{point['position_err_arcsec']:.3f}"
    has_mag = point["mag"] is not None and point["mag"] == point["mag"] and 0 < point["mag"] < 40
    # A magnitude that cannot be one, as of a field without calibration, must not go out.
    photometry = ("", "", "", "")
    if has_mag:
        photometry = (f"{point['mag']:.2f}", f"{max(point['mag_err'], 0.01):.2f}", station.band, station.catalogue)
    remarks = {"start": "start of trail", "end": "end of trail"}.get(point["end"] or "", "")
    values: Sequence[str] = (
        point["tracklet"],
        station.mode,
        station.code,
        _time(point["mjd"]),
        f"{point['ra']:.6f}",
        f"{point['dec']:.6f}",
        error,
        error,
        station.catalogue,
        *photometry,
        remarks,
    )
    return "|".join(value.ljust(width) for value, (_, width) in zip(values, _COLUMNS, strict=True)).rstrip()


def _time(mjd: float) -> str:
    """Return UTC to a millisecond: a double holds MJD to some microseconds."""
    moment = _MJD_EPOCH + timedelta(days=mjd)
    return (moment + timedelta(microseconds=500)).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
