"""Build the FITS header and the bytes of a raw file of the simulated camera (format version 0.730)."""

from __future__ import annotations

import datetime as dt
import sys
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from astropy.io import fits

from gozen.frames.fits_units import FITS_BLOCK
from gozen.instrument.profile import Profile
from gozen.instrument.read_header import utc_of_mjd
from gozen.resources import sexagesimal
from gozen.simulator.camera.row_timing import Timing

HEADER_VERSION = "0.730"


@dataclass(frozen=True)
class RawWords:
    """The values in the header of one sensor's raw cube.

    Parameters
    ----------
    sequence_mjd, utc_mjd
        Start of the sequence, and of the first pixel's exposure, MJD (UTC).
    ra, dec
        Pointing that the telescope reports, for the centre of the focal plane, degrees.
    """

    sensor: str
    exposure: str
    frame_id: str
    object: str
    data_type: str
    nframe: int
    sequence_mjd: float
    utc_mjd: float
    ra: float
    dec: float
    gain: str
    pipelines: tuple[str, ...]
    project: str
    observer: str


def frame_id(night: str, exposure_id: int, sensor: str) -> str:
    """Return FRAME_ID, the name of one sensor's exposure: ``TMQ{quadrant}{YYYYMMDD}{EXP_ID:08d}{chip:02d}``."""
    return f"TMQ{sensor[:1]}{night}{exposure_id:08d}{sensor[1:]:0>2}"


def raw_header(words: RawWords, profile: Profile, timing: Timing) -> fits.Header:
    """Return the header of a raw cube of unsigned 16-bit numbers."""
    rows, columns = profile.shape
    utc = utc_of_mjd(words.utc_mjd)
    length_s = (words.nframe - 1) * timing.frame_s + timing.exposure_s + (rows - 1) * timing.row_s
    gain = profile.gains[words.gain]
    quadrant, chip = words.sensor[:1], words.sensor[1:]
    return fits.Header(
        [
            ("SIMPLE", True),
            ("BITPIX", 16),
            ("NAXIS", 3),
            ("NAXIS1", columns),
            ("NAXIS2", rows),
            ("NAXIS3", words.nframe),
            ("BZERO", 32768),
            ("BSCALE", 1),
            ("FMTTYPE", "TOMOE-IMAGE-RAW", "type of this file"),
            ("FMTVER", HEADER_VERSION, "version of the header"),
            ("SIMULATE", True, "made by gozen simulate"),
            ("OBSERVAT", profile.site.name),
            ("INSTRUME", profile.name),
            ("OBJECT", words.object),
            ("PROJECT", words.project),
            ("OBSERVER", words.observer),
            ("DATA-TYP", words.data_type),
            ("OBS-MOD", "Survey"),
            ("FILTER", "None"),
            ("PIPELINE", ",".join(words.pipelines), "what the pixels ask for"),
            ("EXPTIME", words.nframe * timing.exposure_s, "[s] sum of the frames"),
            ("TELAPSE", length_s, "[s] first to last photon"),
            ("EXPTIME1", timing.exposure_s, "[s] net exposure of a frame"),
            ("TFRAME", timing.frame_s, "[s] from frame to frame"),
            ("TRLSTEP", timing.row_s * rows, "[s] rolling shutter, first to last row"),
            ("TRLSTEP1", timing.row_s, "[s] rolling shutter, row to row"),
            ("DATA-FPS", 1 / timing.frame_s, "[1/s] frames per second"),
            ("DATE-OBS", f"{utc:%Y-%m-%d}", "[UTC] date"),
            ("TIME-OBS", f"{utc:%H:%M:%S.%f}", "[UTC] start"),
            ("TIMESYS", "UTC"),
            ("UTC-EXP", _text(utc_of_mjd(words.sequence_mjd)), "[UTC] sequence starts"),
            ("UTC", _text(utc), "[UTC] first pixel starts"),
            ("GPS-UP", _text(utc.replace(microsecond=0)), "[UTC] rising edge of the GPS pulse"),
            ("GPS-DOWN", _text(utc.replace(microsecond=0) + dt.timedelta(seconds=0.5)), "[UTC] falling edge"),
            ("RADESYS", "ICRS"),
            ("EQUINOX", 2000.0),
            ("RA", sexagesimal.write(words.ra / 15, 3), "[h] pointing of the telescope"),
            ("DEC", sexagesimal.write(words.dec, 2, "+"), "[deg] pointing of the telescope"),
            ("EXP_ID", words.exposure, "exposure"),
            ("QUAD_ID", quadrant, "quadrant"),
            ("CMOS_ID", chip, "chip in the quadrant"),
            ("DET_ID", words.sensor, "sensor"),
            ("FRAME_ID", words.frame_id),
            ("GAIN", words.gain, "amplifier setting"),
            ("INVGAIN", gain.e_per_adu, "[e-/ADU]"),
            ("RDNOISE", gain.read_noise_e, "[e-]"),
        ]
    )


def fits_bytes(header: fits.Header, cube: npt.NDArray[np.uint16]) -> bytes:
    """Return a FITS file of an unsigned 16-bit cube, shape (frames, rows, columns)."""
    # BZERO is 32768: FITS stores an unsigned number as a signed one, which differs only in the first bit.
    stored = cube ^ np.uint16(0x8000)
    if sys.byteorder == "little":
        stored.byteswap(inplace=True)
    padding = bytes(-stored.nbytes % FITS_BLOCK)
    return b"".join([header.tostring().encode("ascii"), stored.data.cast("B"), padding])


def _text(moment: dt.datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%S.%f}"
