"""Write the FITS products of a sensor's exposure: header cards, stack and cube."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gozen.frames.fits_products import compressed
from gozen.frames.fits_units import Card
from gozen.frames.raw import RawCube
from gozen.instrument.read_header import night_of_mjd, utc_of_mjd
from gozen.reduction.align_frames import AlignedStack
from gozen.reduction.sensor_stages import ReductionContext, Solved

_ISO = "%Y-%m-%dT%H:%M:%S.%f"


def stack_bytes(
    aligned: AlignedStack, solved: Solved | None, zero_point: float | None, context: ReductionContext
) -> bytes:
    """Return the calibrated stack as a FITS file (scaled int16, Rice); pixels that no frame covers are blank."""
    stack, raw = aligned.stack, aligned.cube.raw
    image = np.where(stack.weight > 0, stack.image, np.nan).astype(np.float32)
    noise = float(np.median(aligned.sources.noise)) if len(aligned.sources) else float(np.nanstd(image))
    cards = _cards(raw, list(stack.frames), "STACK", context)
    cards += [
        ("EXPTIME", len(stack.frames) * raw.header.exposure_s, "[s] summed over the frames of the mean"),
        ("NCOMBINE", len(stack.frames), "frames of the mean"),
        ("FWHM", round(aligned.sources.fwhm, 4), "[pix] of the stars"),
        ("NSOURCE", len(aligned.sources), "sources above the threshold"),
    ]
    if zero_point is not None:
        cards.append(("MAGZERO", round(zero_point, 5), "[mag] of 1 ADU in one frame, Gaia G"))
    cards += _wcs(solved, raw) + list(context.provenance.as_cards())
    return compressed(image, cards, noise, _when(raw))


def cube_bytes(aligned: AlignedStack, solved: Solved | None, context: ReductionContext) -> bytes:
    """Return the calibrated cube as a FITS file, with a table FRAMES.

    The table has the time and shift of each frame, and whether the frame is rejected. The WCS is valid for the stack.
    The position of a star on a frame is its position on the stack plus ``DX + XX u + XY v`` pixels in x and
    ``DY + YX u + YY v`` in y; u and v are its position from the middle of the image. Without a rotation, ``XX`` to
    ``YY`` are 0.
    """
    cube, raw = aligned.cube, aligned.cube.raw
    frames = list(range(raw.nframe))
    noise = float(np.median([level.noise for level in cube.levels]))
    cards = _cards(raw, frames, "CUBE", context)
    cards.append(("EXPTIME", raw.nframe * raw.header.exposure_s, "[s] summed over the frames"))
    cards += _wcs(solved, raw) + list(context.provenance.as_cards())
    table = {
        "FRAME": np.array(frames),
        "MJD": raw.start,
        "DX": np.array([shift.dx for shift in aligned.shifts]),
        "DY": np.array([shift.dy for shift in aligned.shifts]),
        **_turns(aligned),
        "REJECTED": np.array([index in cube.rejections for index in frames]),
    }
    return compressed(cube.images, cards, noise, _when(raw), {"FRAMES": table})


def _turns(aligned: AlignedStack) -> dict[str, NDArray[np.float64]]:
    turns = [shift.turn for shift in aligned.shifts]
    return {
        name.upper(): np.array([getattr(turn, name) if turn else 0.0 for turn in turns])
        for name in ("xx", "xy", "yx", "yy")
    }


def _when(cube: RawCube) -> str:
    return utc_of_mjd(float(cube.start[0])).strftime("%Y-%m-%dT%H:%M:%S")


def _cards(cube: RawCube, frames: list[int], kind: str, context: ReductionContext) -> list[Card]:
    profile, detector = context.profile, context.detector
    header, site = cube.header, profile.site
    place = zip("XYZ", site.geocentric_m, strict=True)
    first, last = float(cube.start[frames[0]]), float(cube.start[frames[-1]])
    whole_frame_s = header.exposure_s + header.row_time_s * (profile.shape[0] - 1)
    end = last + whole_frame_s / 86400
    return [
        ("FMTTYPE", f"{profile.name.upper()}-IMAGE-{kind}", "what this image is"),
        ("OBJECT", header.object, "target, in the observer's words"),
        ("DATA-TYP", header.data_type, "kind of data"),
        ("TELESCOP", site.name, "observatory"),
        ("INSTRUME", profile.name, "instrument profile"),
        ("DET_ID", header.sensor, "sensor"),
        ("FRAME_ID", cube.frame_id, "name of the raw data"),
        ("EXP_ID", header.exposure_id or "", "exposure"),
        ("FILTER", header.filter, "filter"),
        ("PROJECT", header.project, "project"),
        ("OBSERVER", header.observer, "observer"),
        ("PIPELINE", ",".join(header.pipelines), "pipelines that the recipe names"),
        ("NIGHT", night_of_mjd(first, site), "local date on which the night began"),
        ("TIMESYS", "UTC", "time scale"),
        ("DATE-OBS", utc_of_mjd(first).strftime(_ISO), "first pixel starts"),
        ("DATE-AVG", utc_of_mjd((first + end) / 2).strftime(_ISO), "middle of the exposure"),
        ("DATE-END", utc_of_mjd(end).strftime(_ISO), "last pixel ends"),
        ("MJD-OBS", first, "[d] first pixel starts"),
        ("MJD-AVG", (first + end) / 2, "[d] middle of the exposure"),
        ("MJD-END", end, "[d] last pixel ends"),
        ("EXPTIME1", header.exposure_s, "[s] net exposure of one frame"),
        ("TFRAME", header.frame_time_s, "[s] from frame to frame"),
        ("TRLSTEP1", header.row_time_s, "[s] from row to row"),
        ("ROW0", detector.active[0].start, "rows read before the first of this image"),
        ("NFRAME", cube.nframe, "frames of the exposure"),
        ("BUNIT", "adu", "unit of the pixels, of one frame"),
        ("GAIN", detector.gain.e_per_adu, "[e-/ADU] inverse gain"),
        ("RDNOISE", detector.gain.read_noise_e, "[e-] read noise of one frame"),
        ("SATURATE", detector.saturation_adu, "[adu] raw level of saturation"),
        *((f"OBSGEO-{axis}", round(value, 3), "[m] observatory, geocentric") for axis, value in place),
    ]


def _wcs(solved: Solved | None, cube: RawCube) -> list[Card]:
    if solved is not None:
        solution = solved.solution
        return [*solution.cards(), *_position(solution.linear.ra, solution.linear.dec)]
    if cube.header.ra is None or cube.header.dec is None:
        return []
    return _position(cube.header.ra, cube.header.dec)


def _position(ra: float, dec: float) -> list[Card]:
    return [("RA", ra, "[deg] of the field"), ("DEC", dec, "[deg] of the field")]
