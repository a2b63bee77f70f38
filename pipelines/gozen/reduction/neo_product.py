"""Write the product ``neo``: a FITS file with cutouts of each mover and streak, and a table of their points."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from gozen.archive.tracklet_record import TrackletPoint, TrackletRecord
from gozen.calibration.calibrate_frame import Image
from gozen.frames.fits_products import with_checksums
from gozen.frames.fits_units import Card
from gozen.frames.raw import RawCube
from gozen.instrument.read_header import utc_of_mjd
from gozen.movers.streaks import Streak
from gozen.reduction.calibrated_frames import CalibratedCube
from gozen.reduction.find_movers import Found
from gozen.reduction.sensor_stages import ReductionContext

_MARGIN_PX = 10
_LARGEST_PX = 401
_COLUMNS = tuple(name for name in TrackletPoint.model_fields if name != "end")


def film_bytes(
    records: Sequence[TrackletRecord], found: Found, cube: CalibratedCube, context: ReductionContext
) -> bytes:
    """Return the FITS file: one image cube for each tracklet, with its name, and one table POINTS for all tracklets.

    The frames of a mover are cut out around its line; the light without the mover is subtracted. Frames that do not
    show the mover are NaN.
    """
    films = [track.film for track in found.tracks]
    films += [_of_chain(chain, cube) for chain in found.chains]
    hdus = fits.HDUList([fits.PrimaryHDU(header=_header(cube.raw, context))])
    for record, film in zip(records, films, strict=True):
        hdus.append(fits.ImageHDU(film.astype(np.float32), _of_record(record), name=record.tracklet))
    hdus.append(fits.BinTableHDU(_points(records), name="POINTS"))
    buffer = io.BytesIO()
    hdus.writeto(buffer)
    return with_checksums(buffer.getvalue(), utc_of_mjd(float(cube.raw.start[0])).strftime("%Y-%m-%dT%H:%M:%S"))


def _header(cube: RawCube, context: ReductionContext) -> fits.Header:
    header, profile = cube.header, context.profile
    cards: list[Card] = [
        ("FMTTYPE", f"{profile.name.upper()}-COLLECTION-NEO", "what this file is"),
        ("OBJECT", header.object, "target, in the observer's words"),
        ("TELESCOP", profile.site.name, "observatory"),
        ("INSTRUME", profile.name, "instrument profile"),
        ("DET_ID", header.sensor, "sensor"),
        ("FRAME_ID", cube.frame_id, "name of the raw data"),
        ("EXP_ID", header.exposure_id or "", "exposure"),
        ("FILTER", header.filter, "filter"),
        ("TIMESYS", "UTC", "time scale"),
        ("MJD-OBS", float(cube.start[0]), "[d] first pixel starts"),
        ("EXPTIME1", header.exposure_s, "[s] net exposure of one frame"),
        ("NFRAME", cube.nframe, "frames of the exposure"),
        ("GAIN", context.detector.gain.e_per_adu, "[e-/ADU] inverse gain"),
    ]
    return _filled([*cards, *context.provenance.as_cards()])


def _of_record(record: TrackletRecord) -> fits.Header:
    return _filled(
        [
            ("KIND", record.kind, "mover, streak or cosmic"),
            ("SIGNIF", record.significance, "-log10 of how many such by chance"),
            ("NFRAMES", record.n_frames, "frames on which it is measured"),
            ("RATE", record.rate_arcsec_min, "[arcsec/min] on the sky"),
            ("PA", record.position_angle_deg, "[deg] of the motion, north through east"),
            ("MAGMEAN", record.mag_mean, "[mag] of the mean flux"),
            ("BUNIT", "adu", "unit of the pixels"),
        ]
    )


def _filled(cards: list[Card]) -> fits.Header:
    header = fits.Header()
    for word, value, comment in cards:
        if word in ("HISTORY", "COMMENT"):
            header[word] = value
        else:
            header[word] = (value, comment)
    return header


def _points(records: Sequence[TrackletRecord]) -> fits.FITS_rec:
    points = [(record.tracklet, point) for record in records for point in record.points]
    text: list[tuple[str, Any, str]] = [
        ("tracklet", [name for name, _ in points], "8A"),
        ("end", [point.end or "" for _, point in points], "6A"),
    ]
    kinds = {"frame": "J", "linked": "L"}
    numbers = [
        (name, [_number(getattr(point, name)) for _, point in points], kinds.get(name, "D")) for name in _COLUMNS
    ]
    columns = [fits.Column(name, kind, array=np.array(values)) for name, values, kind in (*text, *numbers)]
    return fits.FITS_rec.from_columns(fits.ColDefs(columns))


def _number(value: Any) -> Any:
    return np.nan if value is None else value


def _of_chain(chain: list[Streak], calibrated: CalibratedCube) -> Image:
    """Cut out each frame of a trail around its middle, minus the median; cutouts have at most `_LARGEST_PX` a side."""
    side = min(int(max(streak.length_px for streak in chain)) + 2 * _MARGIN_PX + 1, _LARGEST_PX) | 1
    return np.stack([_about(calibrated.images[streak.frame], streak.middle, side) for streak in chain])


def _about(image: Image, middle: tuple[float, float], side: int) -> Image:
    half = side // 2
    column, row = round(middle[0]), round(middle[1])
    out: NDArray[np.float32] = np.full((side, side), np.nan, np.float32)
    rows, columns = image.shape
    r0, r1 = max(row - half, 0), min(row + half + 1, rows)
    c0, c1 = max(column - half, 0), min(column + half + 1, columns)
    piece = image[r0:r1, c0:c1]
    out[r0 - row + half : r1 - row + half, c0 - column + half : c1 - column + half] = piece - np.median(piece)
    return out
