"""Quality gates: each function compares a measured value with its limit, and raises a named rejection beyond it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gozen.calibration.calibrate_frame import Detector, Image
from gozen.errors import CorruptFile, InconsistentPointing, InconsistentTime, NoisyFrame, SaturatedField, TrailedFrame
from gozen.frames.raw import RawCube
from gozen.frames.stored_pixels import Pixels, Stored, native
from gozen.instrument.read_header import RawHeader, impossible_place, utc_of_mjd
from gozen.settings import GateSettings

_EARLIEST_MJD = 36934.0
"""Start of the year 1960: no digital camera is older."""
_LATEST_MJD = 88069.0
"""Start of the year 2100."""
_SAMPLE = slice(None, None, 11)
_QUANTILES = (0.15865, 0.5, 0.84135)


@dataclass(frozen=True)
class FrameLevel:
    """The sky of one calibrated frame: median and robust deviation of a sample of pixels, ADU."""

    background: float
    noise: float


def frame_level(image: Image) -> FrameLevel:
    """Measure the sky of a calibrated frame from every eleventh pixel of every eleventh row.

    Stars cover a few per cent of the pixels, which changes the median and the deviation by less than the gates need.
    """
    sample = image[_SAMPLE, _SAMPLE].ravel()
    ranks = [int(part * (len(sample) - 1)) for part in _QUANTILES]
    low, middle, high = np.partition(sample, ranks)[ranks].astype(float)
    # Stars widen only the upper half of the distribution.
    return FrameLevel(float(middle), float(min(middle - low, high - middle)))


def check_pixels(raw: Pixels | Stored, detector: Detector, settings: GateSettings, frame: int) -> float:
    """Reject a frame of which most pixels are undefined, or whose median is close to saturation.

    Returns
    -------
    The median of a sample of the raw active area, ADU.

    Raises
    ------
    CorruptFile
        More than half of the sampled pixels are NaN or infinite.
    SaturatedField
        The median exceeds the limit.
    """
    sample = native(raw[detector.active][_SAMPLE, _SAMPLE]).ravel()
    if sample.dtype.kind == "f":
        finite = np.isfinite(sample)
        missing = 1 - float(finite.mean())
        if missing > 0.5:
            raise CorruptFile(
                f"frame {frame}: {missing:.0%} of the pixels are NaN (not a number); at most 50% are allowed",
                value=missing,
                limit=0.5,
            )
        sample = sample[finite]
    level = float(np.partition(sample, len(sample) // 2)[len(sample) // 2])
    limit = settings.saturated_fraction * detector.saturation_adu
    if level > limit:
        raise SaturatedField(
            f"frame {frame}: the median is {level:.0f} ADU, above {limit:.0f} ADU "
            f"({settings.saturated_fraction:g} of saturation, gates.saturated_fraction)",
            value=level,
            limit=limit,
        )
    return level


def check_noise(level: FrameLevel, detector: Detector, settings: GateSettings, frame: int) -> float:
    """Reject a frame whose noise is much higher than its sky and read noise predict.

    Returns
    -------
    Ratio of the measured noise to the predicted one.

    Raises
    ------
    NoisyFrame
        The ratio exceeds the limit.
    """
    gain = detector.gain
    predicted = math.sqrt(max(level.background, 0.0) * gain.e_per_adu + gain.read_noise_e**2) / gain.e_per_adu
    ratio = level.noise / max(predicted, 1e-6)
    if not ratio <= settings.noise_ratio:
        raise NoisyFrame(
            f"frame {frame}: the background noise is {level.noise:.1f} ADU, {ratio:.2f} times the {predicted:.1f} ADU "
            f"that sky and read-out predict; the limit is {settings.noise_ratio:g} (gates.noise_ratio)",
            value=ratio,
            limit=settings.noise_ratio,
        )
    return ratio


def check_elongation(elongation: float, settings: GateSettings, frame: int) -> float:
    """Reject a frame whose stars are trailed; a frame without measurable stars (NaN) passes.

    Returns
    -------
    Ratio of the stars' length to their width.

    Raises
    ------
    TrailedFrame
        The ratio exceeds the limit.
    """
    if elongation > settings.elongation:
        raise TrailedFrame(
            f"frame {frame}: the stars are {elongation:.2f} times as long as they are wide; "
            f"the limit is {settings.elongation:g} (gates.elongation)",
            value=elongation,
            limit=settings.elongation,
        )
    return elongation


def check_time(cube: RawCube) -> float:
    """Reject time stamps that are impossible or contradict each other.

    Returns
    -------
    Seconds from the start of the sequence to the start of the first frame; 0 if the header does not give both.

    Raises
    ------
    InconsistentTime
        A time is outside 1960 to 2100, the sequence starts later than its first frame, or frames are not in order.
    """
    header = cube.header
    start: NDArray[np.float64] = cube.start
    if not (start[0] > _EARLIEST_MJD and start[-1] < _LATEST_MJD):
        raise InconsistentTime(
            f"{cube.frame_id}: the exposure starts at MJD {start[0]:.5f}, outside 1960 to 2100; check the times in the "
            "header",
            value=float(start[0]),
            limit=_EARLIEST_MJD,
        )
    if len(start) > 1 and not (np.diff(start) > 0).all():
        raise InconsistentTime(
            f"{cube.frame_id}: frame {int(np.argmin(np.diff(start))) + 1} does not start after the previous frame; "
            "check the times in the header",
            value=float(np.diff(start).min() * 86400),
            limit=0.0,
        )
    lead = 0.0 if header.utc_sequence is None else (header.utc_start - header.utc_sequence) * 86400
    if lead < 0:
        raise InconsistentTime(
            f"{cube.frame_id}: the sequence starts at {utc_of_mjd(header.utc_sequence or 0.0):%Y-%m-%dT%H:%M:%S.%f}, "
            f"{-lead:.3f} s later than its first pixel; check the times in the header",
            value=lead,
            limit=0.0,
        )
    return lead


def check_coordinates(header: RawHeader, frame_id: str) -> None:
    """Reject impossible coordinates of a science frame; calibration frames may have any coordinates.

    Raises
    ------
    InconsistentPointing
        The declination is outside -90 to 90 degrees, or the right ascension outside 0 to 360 degrees.
    """
    found = impossible_place(header)
    if found:
        said, value, limit = found
        raise InconsistentPointing(f"{frame_id}: {said}", value=value, limit=limit)


def check_pointing(offset_deg: float, settings: GateSettings, frame_id: str) -> float:
    """Reject an astrometric solution that is far from the pointing in the header.

    Returns
    -------
    The distance of the solution from the header's pointing, degrees.

    Raises
    ------
    InconsistentPointing
        The offset exceeds the limit.
    """
    if offset_deg > settings.pointing_offset_deg:
        raise InconsistentPointing(
            f"{frame_id}: the stars are {offset_deg:.3f} deg from the header's pointing; "
            f"the limit is {settings.pointing_offset_deg:g} deg (gates.pointing_offset_deg)",
            value=offset_deg,
            limit=settings.pointing_offset_deg,
        )
    return offset_deg
