"""Make light-curve rows of sources that are on frames but not on the stack (``origin=frame``)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa

from gozen.catalog.format.schema import ORIGIN, Flag
from gozen.lightcurves.sensor_rows import RowLabels, sensor_rows
from gozen.movers.group_flares import FoundFlare
from gozen.photometry.detect_sources import Sources
from gozen.photometry.forced_photometry import FrameFluxes, measure_frame
from gozen.reduction.align_frames import AlignedStack
from gozen.reduction.measure_stars import Measurement, frame_rows, place_sources
from gozen.reduction.sensor_stages import Measured

_FWHM_PER_SIGMA = 2.3548
_FLASH_SIGMA = 4.0
_FLASH_FRAMES = 2


def flare_rows(flares: list[FoundFlare], measured: Measured) -> pa.Table:
    """Measure flare candidates on every good frame, and return the rows of the real flares.

    A candidate that is bright in the smallest aperture on fewer than two frames is not a flare, but an unsteady sky.
    """
    found, context, aligned = measured.found, measured.context, measured.solved.aligned.stack
    everywhere = _on_frames(_as_sources(flares, aligned), aligned, found)
    if not everywhere:
        return found.rows.slice(0, 0)
    smallest = int(np.argmin(found.apertures.diameters_px))
    flux = np.stack([one.flux[smallest] for one in everywhere.values()])
    error = np.stack([one.flux_err[smallest] for one in everywhere.values()])
    kept = ((flux - np.median(flux, axis=0)) > _FLASH_SIGMA * error).sum(axis=0) >= _FLASH_FRAMES
    if not kept.any():
        return found.rows.slice(0, 0)
    sources = _as_sources([flare for flare, keep in zip(flares, kept, strict=True) if keep], aligned)
    everywhere = _on_frames(sources, aligned, found)
    settings, reference = context.settings.calibration, context.shared.reference
    stack = replace(aligned, sources=sources)
    known = place_sources(stack, measured.solved.solution, reference, found.apertures, settings)
    known = replace(known, calibrated_by_blends=found.sources.calibrated_by_blends)
    header = aligned.cube.raw.header
    labels = RowLabels(context.processing, header.sensor, header.filter)
    return _marked(sensor_rows(known, frame_rows(aligned.cube, everywhere), found.apertures, found.zero, labels))


def _on_frames(sources: Sources, aligned: AlignedStack, found: Measurement) -> dict[int, FrameFluxes]:
    e_per_adu = aligned.cube.detector.gain.e_per_adu
    return {
        index: measure_frame(
            aligned.frame(index, sky), sources, np.full(len(sources), sky.noise), found.apertures, e_per_adu
        )
        for index, sky in found.skies.items()
    }


def _marked(rows: pa.Table) -> pa.Table:
    flags = rows["flags"].to_numpy() | np.uint16(Flag.NOT_ON_STACK)
    origin = pa.array(["frame"] * len(rows), pa.string()).dictionary_encode().cast(ORIGIN)
    for name, values in (("flags", pa.array(flags, pa.uint16())), ("origin", origin)):
        index = rows.schema.get_field_index(name)
        rows = rows.set_column(index, rows.schema.field(index), values)
    return rows


def _as_sources(flares: list[FoundFlare], aligned: AlignedStack) -> Sources:
    """Return flares in the form of sources of the stack, with the shape of a star."""
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
