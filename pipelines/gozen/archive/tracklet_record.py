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
        None, description="which end of a streak: where its exposure starts or ends, or unknown; null for a point"
    )
    mjd: float = Field(description="d (UTC), middle of the exposure of the object's row; at a known end, its moment")
    ra: float = Field(description="deg (ICRS)")
    dec: float = Field(description="deg (ICRS)")
    position_err_arcsec: float = Field(description="arcsec, standard error per axis of the measured place")
    x: float = Field(description="pixel, place on the frame")
    y: float = Field(description="pixel, place on the frame")
    flux: Number = Field(None, description="ADU, in the calibrated aperture; of a streak, of the whole")
    flux_err: Number = Field(None, description="ADU, its standard error")
    mag: Number = Field(None, description="mag, calibrated, without a colour term")
    mag_err: Number = Field(None, description="mag, its standard error")
    linked: bool = Field(True, description="false where the other points said where to look")


class TrackletRecord(_TrackletPart):
    """One moving object in one cube."""

    tracklet: str = Field(description="name: eight letters and digits, the same whenever the cube is reduced alike")
    kind: Kind = Field(description="mover, streak (trails within a frame) or cosmic (narrower than a star)")
    significance: Number = Field(None, description="minus the decimal logarithm of the number of such lines by chance")
    n_frames: int = Field(ge=1, description="frames on which it is measured")
    ra_mid: float = Field(description="deg (ICRS), on its line in the middle of its times")
    dec_mid: float = Field(description="deg (ICRS), the same")
    mjd_mid: float = Field(description="d (UTC), middle of its times")
    rate_arcsec_min: Number = Field(None, description="arcsec/min, on the sky")
    rate_err_arcsec_min: Number = Field(None, description="arcsec/min, standard error per axis")
    position_angle_deg: Number = Field(
        None, description="deg, of the motion, north through east; a lone streak: or the opposite"
    )
    rms_arcsec: Number = Field(None, description="arcsec, of the points about the line, per axis")
    mag_mean: Number = Field(None, description="mag, of the mean flux")
    snr: Number = Field(None, description="median signal-to-noise of a point")
    points: tuple[TrackletPoint, ...]


def tracklet_name(frame_id: str, exposure: str, run: str, number: int) -> str:
    """Return the name of a tracklet: eight characters, as the Minor Planet Center allows for ``trkSub``."""
    digest = hashlib.sha256(f"{exposure}/{run}/{frame_id}/{number}".encode()).digest()
    value, letters = int.from_bytes(digest[:8], "big"), "0123456789abcdefghjkmnpqrstvwxyz"
    return "g" + "".join(letters[(value >> (5 * k)) & 31] for k in range(7))


def tracklet_rows(which: dict[str, Any], records: Iterable[TrackletRecord]) -> list[dict[str, Any]]:
    """Return the rows of a commit's tracklets, one for each point.

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
