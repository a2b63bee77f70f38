"""Simulate the measurements of a survey's objects: fluxes with errors by depth, flags and shapes, band by band."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from gozen.simulator.objects.colours import BANDS
from gozen.simulator.objects.survey_objects import Mask, SurveyObjects
from gozen.simulator.sky.random_streams import stream
from gozen.simulator.sky.star_arrays import Floats

Measured = npt.NDArray[np.float32]

ZERO_POINT = 27.0
"""AB magnitude of an instrumental flux of 1 count."""
NJY_PER_COUNT = 10 ** ((31.4 - ZERO_POINT) / 2.5)
"""Flux of one count in nJy: an AB magnitude is 31.4 - 2.5 log10(flux in nJy) (Oke & Gunn 1983, ApJ 266, 713)."""

DEPTH: Mapping[str, float] = {"g": 26.5, "r": 26.1, "i": 25.9, "z": 25.1, "y": 24.4}
"""5 sigma limiting magnitudes of point sources in the wide layer of HSC-SSP (Aihara et al. 2018, PASJ 70, S4, table
2)."""

PIXEL_FLAGS = ("edge", "interpolatedcenter", "saturatedcenter", "crcenter", "bad")
_PSF_SIGMA_ARCSEC: Mapping[str, float] = {"g": 0.33, "r": 0.31, "i": 0.25, "z": 0.29, "y": 0.29}
_DEPTH_SCATTER = 0.08
_COUNTS_PER_ELECTRON = 1 / 2000
_EXTENDED_BELOW = 0.985
_MODEL_NOISE = 0.25
_SATURATED_AT = 17.8
_NEAR_BRIGHT_STAR = 0.015
_FLAG_RATES = {"edge": 0.006, "interpolatedcenter": 0.015, "saturatedcenter": 0.0005, "crcenter": 0.003, "bad": 0.004}
_FAILED_MODEL = 0.006
_LOST_CENTRE = 0.02
_PRIMARY_SHARE = 0.93
_BLENDED_SHARE = 0.03


def object_columns(seed: int, pixel: int, seen: SurveyObjects) -> dict[str, npt.NDArray[np.generic]]:
    """Return the columns that do not depend on the band: `isprimary`, `parent_id`, `deblend_nchild`.

    A parent represents a complete blend and is never primary. A share of the other objects is not primary either: as in
    a real survey, where an object in the overlap of two pieces of sky has a second, duplicate entry.
    """
    rng = stream(seed, "primary", pixel, len(seen))
    count = len(seen)
    parent = _sprinkled(rng, count, _BLENDED_SHARE)
    children = np.where(parent, rng.integers(2, 6, count), 0).astype(np.int16)
    of = np.flatnonzero(parent)
    child_of = np.zeros(count, np.int64)
    if len(of):
        child = ~parent & _sprinkled(rng, count, 3 * _BLENDED_SHARE)
        child_of[child] = seen.source_id[of[rng.integers(0, len(of), int(child.sum()))]]
    single = ~parent & ~_sprinkled(rng, count, 1 - _PRIMARY_SHARE)
    return {"isprimary": single, "parent_id": child_of, "deblend_nchild": children}


def forced(seed: int, pixel: int, seen: SurveyObjects) -> dict[str, dict[str, npt.NDArray[np.generic]]]:
    """Return for each band the columns of the table ``forced``, named without the band.

    The flux of a faint object can be negative by noise; its extendedness is then NaN. Flags that depend on the sky,
    such as near a bright star, are mostly the same in all bands; flags of bad pixels are independent.
    """
    count = len(seen)
    bad_place = _sprinkled(stream(seed, "places", pixel, count), count, _NEAR_BRIGHT_STAR)
    columns = {}
    for number, band in enumerate(BANDS):
        rng = stream(seed, "forced", pixel, count, band)
        fluxes = _fluxes(rng, band, seen.magnitudes[number], seen.radius)
        columns[band] = {**fluxes, **_flags(rng, seen.magnitudes[number], fluxes, bad_place)}
    return columns


def _fluxes(rng: np.random.Generator, band: str, magnitude: Floats, radius: Floats) -> dict[str, Measured]:
    sky = 10 ** ((ZERO_POINT - DEPTH[band] + rng.normal(0, _DEPTH_SCATTER)) / 2.5) / 5
    in_psf = (1 + (radius / (1.6 * _PSF_SIGMA_ARCSEC[band])) ** 2) ** -0.5
    point = (10 ** ((ZERO_POINT - magnitude) / 2.5) * in_psf).astype(np.float32)
    noise, further = rng.standard_normal((2, len(magnitude)), np.float32)
    error = np.sqrt(np.float32(sky**2) + point * np.float32(_COUNTS_PER_ELECTRON))
    psf = point + error * noise
    # Both fluxes are measured on the same pixels, so their ratio has much less noise than either.
    model = ((psf + np.float32(_MODEL_NOISE) * error * further) / in_psf).astype(np.float32)
    known = (psf > 0) & (model > 0)
    extended = np.where(known, psf < np.float32(_EXTENDED_BELOW) * model, np.float32(np.nan)).astype(np.float32)
    scale = np.float32(NJY_PER_COUNT)
    return {
        "psfflux_instflux": psf,
        "psfflux_instfluxerr": error,
        "psfflux_flux": psf * scale,
        "psfflux_fluxerr": error * scale,
        "cmodel_instflux": model,
        "extendedness_value": extended,
    }


def _flags(
    rng: np.random.Generator, magnitude: Floats, fluxes: Mapping[str, Measured], bad_place: Mask
) -> dict[str, Mask]:
    count = len(magnitude)
    rare = {name: _sprinkled(rng, count, rate) for name, rate in _FLAG_RATES.items()}
    saturated = rare["saturatedcenter"] | (magnitude < _SATURATED_AT - np.abs(rng.normal(0, 0.3, count)))
    spoilt = bad_place & ~_sprinkled(rng, count, 0.2)
    faint = fluxes["psfflux_instflux"] < 3 * fluxes["psfflux_instfluxerr"]
    pixels = {**rare, "saturatedcenter": saturated}
    pixels["interpolatedcenter"] = rare["interpolatedcenter"] | spoilt | saturated | rare["crcenter"]
    pixels["bad"] = rare["bad"] | (spoilt & _sprinkled(rng, count, 0.1))
    return {
        "cmodel_flag": _sprinkled(rng, count, _FAILED_MODEL) | (faint & _sprinkled(rng, count, 0.05)) | rare["edge"],
        "sdsscentroid_flag": rare["edge"] | (faint & _sprinkled(rng, count, _LOST_CENTRE)),
        **{f"pixelflags_{name}": pixels[name] for name in PIXEL_FLAGS},
    }


def measured(seed: int, pixel: int, seen: SurveyObjects) -> dict[str, dict[str, Measured]]:
    """Return for each band the columns of the table ``meas``: second moments (arcsec^2) and blendedness."""
    rng = stream(seed, "shapes", pixel, len(seen))
    count = len(seen)
    stretch = rng.normal(0, 0.25, (2, count)) * (seen.radius > 0)
    crowded = np.where(seen.twin >= 0, rng.uniform(0.1, 0.5, count), rng.beta(0.5, 20, count))
    columns = {}
    for band in BANDS:
        size = _PSF_SIGMA_ARCSEC[band] ** 2 + (0.6 * seen.radius) ** 2
        scatter = 1 + 0.03 * rng.standard_normal((2, count), np.float32)
        shapes = {
            "sdssshape_shape11": size * (1 + stretch[0]) * scatter[0],
            "sdssshape_shape22": size * (1 - stretch[0]) * scatter[1],
            "sdssshape_shape12": size * stretch[1],
            "base_blendedness_abs": crowded,
        }
        columns[band] = {name: values.astype(np.float32) for name, values in shapes.items()}
    return columns


def _sprinkled(rng: np.random.Generator, count: int, rate: float) -> Mask:
    """Return a random mask that is True at about this rate; much faster than a random number for each object."""
    mask = np.zeros(count, bool)
    mask[rng.integers(0, max(count, 1), int(rng.binomial(count, rate)))] = True
    return mask
