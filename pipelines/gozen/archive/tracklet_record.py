"""The record of a moving object in a commit, and its rows in ``tables/tracklets``, one for each position."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


def _finite_or_none(value: Any) -> Any:
    return None if value is None or not math.isfinite(float(value)) else float(value)


Number = Annotated[float | None, BeforeValidator(_finite_or_none)]
Kind = Literal["mover", "streak", "cosmic"]


class _TrackletPart(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TrackletPoint(_TrackletPart):
    """The position and brightness of an object at one moment."""

    frame: int = Field(ge=0, description="number of the frame, from 0")
    end: Literal["start", "end", "either"] | None = Field(
        None,
        description="if the point is one tip of a streak: whether the object was there at the `start` or at the "
        "`end` of the exposure, or `either` if this is unknown; null for other points",
    )
    mjd: float = Field(
        description="d, MJD (UTC), mid-exposure of the detector row; at a tip of a streak with a known `end`, the time "
        "of this end of the exposure"
    )
    ra: float = Field(description="deg (ICRS), right ascension")
    dec: float = Field(description="deg (ICRS), declination")
    position_err_arcsec: float = Field(description="arcsec, standard error of the position, per axis")
    x: float = Field(description="pixel, position on the frame")
    y: float = Field(description="pixel, position on the frame")
    flux: Number = Field(
        None, description="ADU, flux in the calibrated aperture; for a streak, flux of the whole trail"
    )
    flux_err: Number = Field(None, description="ADU, its standard error")
    mag: Number = Field(None, description="mag, calibrated, without a colour term")
    mag_err: Number = Field(None, description="mag, its standard error")
    linked: bool = Field(
        True,
        description="true if the point was detected; false if its position was predicted from other points",
    )


class TrackletRecord(_TrackletPart):
    """One moving object in one cube: a tracklet, with its positions."""

    tracklet: str = Field(
        description="name, eight letters and digits; the same if the same exposure is reduced again under the same run"
    )
    kind: Kind = Field(description="mover, streak (a trail within a frame) or cosmic (a trail narrower than a star)")
    significance: Number = Field(
        None,
        description="-log10(N); by chance, one expects N tracklets at least this good in one exposure of one sensor. "
        "3 means one in 1,000 such exposures",
    )
    n_frames: int = Field(ge=1, description="number of frames on which it is measured")
    ra_mid: float = Field(description="deg (ICRS), right ascension on the fitted line at mjd_mid")
    dec_mid: float = Field(description="deg (ICRS), declination on the fitted line at mjd_mid")
    mjd_mid: float = Field(description="d, MJD (UTC), middle between first and last measurement")
    rate_arcsec_min: Number = Field(None, description="arcsec/min, rate on the sky")
    rate_err_arcsec_min: Number = Field(None, description="arcsec/min, standard error of the rate, per axis")
    position_angle_deg: Number = Field(
        None,
        description="deg, direction of motion, north through east; possibly the opposite for a streak on one frame",
    )
    rms_arcsec: Number = Field(None, description="arcsec, scatter of the points around the line, per axis")
    mag_mean: Number = Field(None, description="mag, magnitude of the mean flux")
    snr: Number = Field(None, description="median signal-to-noise of a point")
    points: tuple[TrackletPoint, ...]


def tracklet_name(frame_id: str, exposure: str, run: str, number: int) -> str:
    """Return the name of a tracklet: eight characters, as the Minor Planet Center allows for ``trkSub``."""
    digest = hashlib.sha256(f"{exposure}/{run}/{frame_id}/{number}".encode()).digest()
    value, letters = int.from_bytes(digest[:8], "big"), "0123456789abcdefghjkmnpqrstvwxyz"
    return "g" + "".join(letters[(value >> (5 * k)) & 31] for k in range(7))


def tracklet_rows(which: dict[str, Any], records: Iterable[TrackletRecord]) -> list[dict[str, Any]]:
    """Return the rows of a commit's tracklets, one for each position.

    Parameters
    ----------
    which
        Columns that identify the commit; they are added to each row.
    """
    return [
        which | record.model_dump(exclude={"points"}) | point.model_dump()
        for record in records
        for point in record.points
    ]
