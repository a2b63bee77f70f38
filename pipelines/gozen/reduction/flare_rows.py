"""Light-curve rows of sources that are on frames but not on the stack: forced on every frame, ``origin=frame``."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa

from gozen.archive.keys import Processing
from gozen.astrometry.solution import Solution
from gozen.calibration.calibrate_frame import Detector
from gozen.catalog.format.schema import ORIGIN, Flag
from gozen.catalog.reference.reference_catalog import StarSource
from gozen.frames.raw import RawCube
from gozen.lightcurves.sensor_rows import FrameRows, sensor_rows
from gozen.movers.group_flares import FoundFlare
from gozen.photometry.detect_sources import Sources
from gozen.photometry.forced_photometry import FrameFluxes, measure_frame
from gozen.reduction.align_frames import AlignedStack
from gozen.reduction.calibrated_frames import CalibratedCube
from gozen.reduction.measure_stars import Measurement, frame_times, julian_year, place_sources
from gozen.settings import Settings

_FWHM_PER_SIGMA = 2.3548
_FLASH_SIGMA = 4.0
_FLASH_FRAMES = 2


def flare_rows(
    flares: list[FoundFlare],
    cube: RawCube,
    calibrated: CalibratedCube,
    aligned: AlignedStack,
    measured: Measurement,
    solution: Solution,
    reference: StarSource | None,
    detector: Detector,
    settings: Settings,
    processing: Processing,
) -> pa.Table:
    """Measure flares on every good frame, before and after as well, and return the rows of those that flash.

    What stands out in the smallest aperture on fewer than two frames is no flare but an unsteady sky.
    """
    sources = _as_sources(flares, aligned)
    everywhere = _on_frames(sources, calibrated, aligned, measured, detector, settings)
    if not everywhere:
        return measured.rows.slice(0, 0)
    smallest = int(np.argmin(measured.diameters_px))
    flux = np.stack([one.flux[smallest] for one in everywhere.values()])
    error = np.stack([one.flux_err[smallest] for one in everywhere.values()])
    kept = ((flux - np.median(flux, axis=0)) > _FLASH_SIGMA * error).sum(axis=0) >= _FLASH_FRAMES
    if not kept.any():
        return measured.rows.slice(0, 0)
    sources = _as_sources([flare for flare, keep in zip(flares, kept, strict=True) if keep], aligned)
    everywhere = _on_frames(sources, calibrated, aligned, measured, detector, settings)
    placed = AlignedStack(aligned.stack, sources, aligned.background, aligned.shifts, aligned.fwhm, aligned.elongation)
    radius, reach = settings.calibration.match_radius_arcsec, measured.diameters_px[0] / 2 + sources.fwhm
    known = place_sources(placed, solution, reference, julian_year(float(cube.start[0])), radius, reach)
    known = replace(known, calibrated_by_blends=measured.sources.calibrated_by_blends)
    frames = [FrameRows(index, frame_times(cube, detector, index, one), one) for index, one in everywhere.items()]
    sigma, header = settings.photometry.limit_sigma, cube.header
    rows = sensor_rows(
        known, frames, measured.diameters_px, measured.zero, sigma, processing, header.sensor, header.filter
    )
    return _marked(rows)


def _on_frames(
    sources: Sources,
    calibrated: CalibratedCube,
    aligned: AlignedStack,
    measured: Measurement,
    detector: Detector,
    settings: Settings,
) -> dict[int, FrameFluxes]:
    return {
        index: measure_frame(
            calibrated.images[index],
            calibrated.masks[index],
            sources,
            aligned.shifts[index],
            sky,
            np.full(len(sources), sky.noise),
            detector,
            measured.diameters_px,
            settings.photometry.limit_sigma,
        )
        for index, sky in measured.skies.items()
    }


def _marked(rows: pa.Table) -> pa.Table:
    flags = rows["flags"].to_numpy() | np.uint16(Flag.NOT_ON_STACK)
    origin = pa.array(["frame"] * len(rows), pa.string()).dictionary_encode().cast(ORIGIN)
    for name, values in (("flags", pa.array(flags, pa.uint16())), ("origin", origin)):
        index = rows.schema.get_field_index(name)
        rows = rows.set_column(index, rows.schema.field(index), values)
    return rows


def _as_sources(flares: list[FoundFlare], aligned: AlignedStack) -> Sources:
    """Return flares as sources of the stack, with the shape of a star."""
    count, fwhm = len(flares), aligned.sources.fwhm
    x, y = np.array([flare.x for flare in flares]), np.array([flare.y for flare in flares])
    sigma = np.full(count, fwhm / _FWHM_PER_SIGMA)
    rows, columns = aligned.background.shape
    row, column = np.clip(np.rint(y), 0, rows - 1).astype(int), np.clip(np.rint(x), 0, columns - 1).astype(int)
    level = aligned.background[row, column].astype(float)
    noise = np.full(count, float(np.median(aligned.sources.noise)))
    none = np.zeros(count)
    return Sources(
        x, y, sigma, sigma, none, np.full(count, 3.5), none, none, np.zeros(count, np.bool_), level, noise, fwhm
    )
