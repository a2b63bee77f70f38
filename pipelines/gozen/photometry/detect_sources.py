"""Detect sources on a stack: background, detection and shape by ``sep``, positions by windowed centroids."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import sep
from numpy.typing import NDArray

from gozen.calibration.calibrate_frame import Image
from gozen.photometry.centroids import windowed_centroids
from gozen.settings import DetectionSettings

Floats = NDArray[np.float64]

_FWHM_PER_SIGMA = 2.3548
_LEAST_BUFFER = 300_000
_DEBLENDING_LEVELS = 16
"""SExtractor's 32 levels split five more of 1,500 sources, and double the time of the detection."""
_NARROW = 0.1
"""Largest fraction of pixels covered by fewer frames for which their sky is interpolated from the other pixels."""
_KRON_FACTOR = 2.5
"""Factor on the first-moment radius (Kron 1980, ApJS 43, 305), as for SExtractor's ``MAG_AUTO``."""


@dataclass(frozen=True)
class Sources:
    """The sources of one stack, sorted by y; arrays of shape (sources,).

    Parameters
    ----------
    x, y
        Centroids, 0-based pixels.
    a, b, theta
        Semi-axes from the second moments, pixels, and the angle from the x axis to the major axis, radians.
    auto_radius
        Factor on the (a, b) ellipse for ``flux_auto``.
    peak
        Highest pixel, background subtracted, ADU.
    flux
        Isophotal flux, ADU.
    merged
        Whether deblending separated the source from a neighbour.
    background, noise
        Background and noise of the stack at the source, ADU per pixel.
    fwhm
        Median full width at half maximum of the brighter sources without ``sep`` flags, pixels.
    """

    x: Floats
    y: Floats
    a: Floats
    b: Floats
    theta: Floats
    auto_radius: Floats
    peak: Floats
    flux: Floats
    merged: NDArray[np.bool_]
    background: Floats
    noise: Floats
    fwhm: float

    def __len__(self) -> int:
        return len(self.x)


def detect(stack: Image, weight: NDArray[Any], settings: DetectionSettings) -> tuple[Sources, Image]:
    """Find the sources of a stack.

    Parameters
    ----------
    stack
        Shape (rows, columns), ADU.
    weight
        Number of frames averaged in each pixel, same shape; pixels with 0 are masked.

    Returns
    -------
    sources
        All sources above the threshold.
    background
        The background map that was subtracted, shape (rows, columns), ADU.
    """
    blank = weight == 0
    mask = blank if blank.any() else None
    background, image, noise = _sky(stack, weight, mask, settings.background_mesh_px)
    found = _extract(image, noise, mask, settings)
    found = found[np.argsort(found["y"], kind="stable")]
    fwhm = typical_fwhm(found)
    x, y = _positions(image, found, fwhm)
    column, row = _pixel(x, stack.shape[1]), _pixel(y, stack.shape[0])
    return Sources(
        x,
        y,
        found["a"],
        found["b"],
        found["theta"],
        _auto_radius(image, found),
        found["peak"].astype(float),
        found["flux"].astype(float),
        (found["flag"] & sep.OBJ_MERGED) > 0,
        background[row, column].astype(float),
        noise[row, column].astype(float),
        fwhm,
    ), background


def _sky(
    stack: Image, weight: NDArray[Any], blank: NDArray[np.bool_] | None, mesh_px: int
) -> tuple[Image, Image, Image]:
    """Return the background, the image minus the background, and the noise.

    The mesh is too coarse for the steps between pixels with different numbers of frames. There the noise is scaled by
    the number of frames.
    """
    partial = weight < weight.max()
    share = float(partial.mean())
    narrow = 0 < share < _NARROW
    background, noise = _maps(stack, partial if narrow else blank, mesh_px)
    image = stack - background
    deeper = np.sqrt(np.maximum(weight[partial], 1) / weight.max()).astype(np.float32)
    if narrow:
        noise[partial] /= deeper
    elif share:
        even = image.copy()
        even[partial] *= deeper
        noise = _maps(even, blank, mesh_px)[1]
        noise[partial] /= deeper
    return background, image, noise


def _maps(image: Image, mask: NDArray[np.bool_] | None, mesh_px: int) -> tuple[Image, Image]:
    """Return the maps of sky and noise by ``sep``, computed from every second row.

    Half the pixels of a mesh cell give its sky to 3 % of the noise, which is negligible in every measurement.
    """
    rows = np.ascontiguousarray(image[::2])
    masked = None if mask is None else np.ascontiguousarray(mask[::2])
    sky = sep.Background(rows, mask=masked, bw=mesh_px, bh=max(mesh_px // 2, 1))
    level, noise = (np.repeat(part, 2, axis=0)[: len(image)] for part in (sky.back(), sky.rms()))
    return np.asarray(level, np.float32), np.asarray(noise, np.float32)


def _extract(image: Image, noise: Image, mask: NDArray[np.bool_] | None, settings: DetectionSettings) -> NDArray[Any]:
    """Run ``sep.extract`` on the image divided by its noise.

    This takes half the time of a call with a noise map. ``sep`` writes to its complete pixel buffer at every call, so
    the buffer is made only as large as the pixels above the threshold need.
    """
    noise = np.maximum(noise, np.float32(1e-30))
    strength = image / noise
    above = int((strength > settings.threshold_sigma).sum())
    sep.set_extract_pixstack(max(_LEAST_BUFFER, 4 * above))
    found = sep.extract(
        strength,
        settings.threshold_sigma,
        err=1.0,
        mask=mask,
        minarea=settings.minimum_area_px,
        filter_type="conv",
        deblend_nthresh=_DEBLENDING_LEVELS,
    )
    local = noise[_pixel(found["y"], image.shape[0]), _pixel(found["x"], image.shape[1])]
    found["flux"] *= local
    found["peak"] *= local
    return np.asarray(found)


def typical_fwhm(found: NDArray[Any]) -> float:
    """Return the median full width at half maximum of the brighter half of unflagged detections, pixels.

    It is limited to 1.2 to 20 pixels; without any such detection it is 2.5.
    """
    good = found[found["flag"] == 0]
    if len(good) == 0:
        return 2.5
    bright = good[good["flux"] >= np.median(good["flux"])]
    return float(np.clip(np.median(_FWHM_PER_SIGMA * np.sqrt(bright["a"] * bright["b"])), 1.2, 20.0))


def _positions(image: Image, found: NDArray[Any], fwhm: float) -> tuple[Floats, Floats]:
    """Return windowed centroids, or the isophotal barycentre if the window has moved to a neighbour."""
    x, y = windowed_centroids(image, found["x"], found["y"], fwhm / _FWHM_PER_SIGMA)
    keep = ~(np.hypot(x - found["x"], y - found["y"]) < max(1.0, fwhm / 2))
    return np.where(keep, found["x"], x), np.where(keep, found["y"], y)


def _auto_radius(image: Image, found: NDArray[Any]) -> Floats:
    if len(found) == 0:
        return np.zeros(0)
    kron, _ = sep.kron_radius(image, found["x"], found["y"], found["a"], found["b"], found["theta"], 6.0)
    # SExtractor's lower limit of 3.5: without it the ellipse of a faint source would cover only its core.
    return np.asarray(np.maximum(_KRON_FACTOR * np.nan_to_num(kron, nan=0.0), 3.5), float)


def _pixel(place: Floats, size: int) -> NDArray[np.intp]:
    return np.clip(np.rint(place).astype(np.intp), 0, size - 1)
