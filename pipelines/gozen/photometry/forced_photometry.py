"""Forced photometry: measure the flux of every stack source on one frame, with errors and flags."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from gozen.calibration.calibrate_frame import Image
from gozen.catalog.format.schema import Flag
from gozen.photometry.aperture_sums import ApertureSums, Ellipses, ellipse_sums, nested_sums
from gozen.photometry.detect_sources import Sources
from gozen.photometry.frame_shift import Shift
from gozen.photometry.placed_frame import PlacedFrame

Floats = NDArray[np.float64]
_BLEND_FRACTION = 0.02
_WIDEST_PX = 60.0


@dataclass(frozen=True)
class FrameFluxes:
    """Fluxes of every source on one frame.

    Parameters
    ----------
    flux, flux_err
        Flux in each aperture, background subtracted, and its error, shape (apertures, sources), ADU.
    flux_auto
        Flux in the source's Kron ellipse from the stack, ADU; NaN if the ellipse extends beyond the image or is too
        large.
    sky_err
        Error of the flux in the first aperture without the source's photon noise, ADU.
    row
        y of the source on the frame, 0-based pixels of the active area.
    flags
        Bits of `gozen.catalog.format.schema.Flag`.
    """

    flux: Floats
    flux_err: Floats
    flux_auto: Floats
    sky_err: Floats
    row: Floats
    flags: NDArray[np.uint16]


@dataclass(frozen=True)
class ApertureSet:
    """The apertures in which fluxes are measured.

    Parameters
    ----------
    diameters_px
        Diameters of the circles. The first one is calibrated; flags and limits refer to it.
    limit_sigma
        Signal-to-noise below which a source is flagged as not detected.
    """

    diameters_px: tuple[int, ...]
    limit_sigma: float


def measure_frame(
    frame: PlacedFrame, sources: Sources, noise: Floats, apertures: ApertureSet, e_per_adu: float
) -> FrameFluxes:
    """Measure every source of the stack on one frame.

    Parameters
    ----------
    noise
        Noise of one pixel of this frame at each source, ADU, shape (sources,).
    e_per_adu
        Electrons per ADU.
    """
    x, y = frame.shift.place(sources.x, sources.y)
    level = sources.background + frame.sky.at(x, y)
    sums = nested_sums(frame.image, frame.mask, x, y, apertures.diameters_px)
    flux = np.stack([one.flux - level * one.area for one in sums])
    sky_variance = np.stack([noise**2 * one.area for one in sums])
    error = np.sqrt(sky_variance + np.maximum(flux, 0) / e_per_adu)
    flags = _frame_flags(sums[0], frame.shift)
    flags[flux[0] < apertures.limit_sigma * error[0]] |= np.uint16(Flag.NOT_DETECTED)
    auto = _auto_flux(frame.image, sources, x, y, level)
    return FrameFluxes(flux, error, auto, np.sqrt(sky_variance[0]), y, flags)


def blended(sources: Sources, flux: Floats, reach_px: float) -> NDArray[np.bool_]:
    """Tell which sources are blended with a neighbour.

    Parameters
    ----------
    flux
        Flux of each source, ADU.
    reach_px
        Distance within which a neighbour's light enters the aperture.

    Returns
    -------
    True if deblending separated the source from a neighbour, or if a neighbour within reach has more than 2 % of its
    flux.
    """
    out = sources.merged.copy()
    if len(sources) < 2:
        return out
    pairs = cKDTree(np.column_stack([sources.x, sources.y])).query_pairs(reach_px, output_type="ndarray")
    for one, other in (pairs.T, pairs.T[::-1]):
        out[one[flux[other] > _BLEND_FRACTION * flux[one]]] = True
    return out


def neighbours_share(sources: Sources, flux: Floats, reach_px: float) -> Floats:
    """Return for each source the flux of its neighbours within reach over its own flux; inf if this is not positive."""
    total = np.zeros(len(sources))
    if len(sources) >= 2:
        pairs = cKDTree(np.column_stack([sources.x, sources.y])).query_pairs(reach_px, output_type="ndarray")
        for one, other in (pairs.T, pairs.T[::-1]):
            total += np.bincount(one, np.maximum(flux[other], 0), minlength=len(total))
    return np.asarray(np.divide(total, flux, out=np.full(len(total), np.inf), where=flux > 0))


def _frame_flags(sums: ApertureSums, shift: Shift) -> NDArray[np.uint16]:
    flags = np.zeros(len(sums.flux), np.uint16)
    for found, flag in (
        (sums.saturated, Flag.SATURATED),
        (sums.edge, Flag.EDGE),
        (sums.dead, Flag.DEAD_PIXEL),
        (np.full(len(flags), not shift.measured), Flag.REGISTRATION_FAILED),
    ):
        flags[found] |= np.uint16(flag)
    return flags


def _auto_flux(image: Image, sources: Sources, x: Floats, y: Floats, level: Floats) -> Floats:
    if len(sources) == 0:
        return np.zeros(0)
    # An ellipse beyond the image has no meaningful area; a very large one has no meaningful background.
    radius = np.where(sources.a * sources.auto_radius > _WIDEST_PX, np.inf, sources.auto_radius)
    total, pixels = ellipse_sums(image, Ellipses(x, y, sources.a, sources.b, sources.theta, radius))
    return total - level * pixels
