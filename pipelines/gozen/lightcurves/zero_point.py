"""Fit zero point and colour term of one sensor and exposure to Gaia magnitudes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gozen.errors import TooFewCalibrators
from gozen.settings import CalibrationSettings

Floats = NDArray[np.float64]
_ROUNDS = 20
_FLOOR_MAG = 0.005
"""Error floor of each star, magnitudes: the best accuracy of a flat. Else one bright star would dominate the fit."""
_LEAST_CLIP_MAG = 0.1
_COLOUR_RANGE_MAG = 0.3
"""Least difference of the 10th and 90th percentile of the colours for which a colour term is fitted.

With the full range of colours, one unusual star would be enough.
"""
_COLOUR_STARS = 8


@dataclass(frozen=True)
class ZeroPoint:
    """Photometric calibration: ``mag = -2.5 log10(flux) + zp + colour_term * bp_rp``.

    Parameters
    ----------
    zp, zp_err, colour_term, colour_term_err
        Magnitudes. The colour term is 0, with error NaN, if the range of the stars' colours is too small to fit it.
    colour
        Median BP - RP of the calibrators, which is used for a star of unknown colour.
    scatter
        Robust standard deviation of the residuals of the kept calibrators, magnitudes.
    kept
        Mask of the given stars that the fit used after clipping.
    """

    zp: float
    zp_err: float
    colour_term: float
    colour_term_err: float
    colour: float
    scatter: float
    kept: NDArray[np.bool_]

    @property
    def stars(self) -> int:
        """Number of calibrators that the fit used after clipping."""
        return int(self.kept.sum())

    def magnitude(self, flux: Floats, colour: Floats) -> Floats:
        """Return calibrated magnitudes, NaN for fluxes that are not positive.

        Parameters
        ----------
        flux
            Flux of the star, ADU per frame.
        colour
            BP - RP; NaN is replaced by the median of the calibrators.
        """
        known = np.where(np.isfinite(colour), colour, self.colour)
        with np.errstate(divide="ignore", invalid="ignore"):
            instrumental = np.where(flux > 0, -2.5 * np.log10(flux), np.nan)
        return np.asarray(instrumental + self.zp + self.colour_term * known)


def of_known_colour(usable: NDArray[np.bool_], colour: Floats, settings: CalibrationSettings) -> NDArray[np.bool_]:
    """Return the usable stars whose colour is known; all usable stars if fewer than `minimum_stars` have a colour."""
    known = usable & np.isfinite(colour)
    return known if known.sum() >= settings.minimum_stars else usable


@dataclass(frozen=True)
class StarFluxes:
    """Fluxes of stars of known magnitude; arrays of shape (stars,).

    Parameters
    ----------
    flux, flux_err
        Measured fluxes and errors, ADU.
    g, colour
        Gaia G and BP - RP; NaN if unknown.
    """

    flux: Floats
    flux_err: Floats
    g: Floats
    colour: Floats


def fit_zero_point(stars: StarFluxes, settings: CalibrationSettings, name: str, why: str = "") -> ZeroPoint:
    """Fit the zero point and colour term; outliers are clipped until the set of kept stars does not change.

    Parameters
    ----------
    stars
        The calibrators. Stars without a positive flux or a magnitude are not used; stars without a colour only if
        fewer than `minimum_stars` have one.
    name
        Exposure and sensor, for the messages.
    why
        Sentence about the stars that were removed before, for messages.

    Raises
    ------
    TooFewCalibrators
        Fewer than `minimum_stars` stars are usable or are kept, or the clipping does not converge.
    """
    flux, flux_err, g, colour = stars.flux, stars.flux_err, stars.g, stars.colour
    usable = (flux > 0) & np.isfinite(g) & np.isfinite(flux_err)
    with_colour = usable & np.isfinite(colour)
    usable = of_known_colour(usable, colour, settings)
    _enough(int(usable.sum()), settings, f"{name}: {int(usable.sum())} reference stars can be used as calibrators", why)
    middle = float(np.median(colour[with_colour])) if with_colour.any() else 0.0
    offset = g[usable] + 2.5 * np.log10(flux[usable])
    variance = (1.0857 * flux_err[usable] / flux[usable]) ** 2 + _FLOOR_MAG**2
    terms = [np.ones(len(offset))]
    if _tells_colour(colour[with_colour]):
        terms.append(colour[usable] - middle)
    fit, covariance, rest, kept = _clipped_fit(np.column_stack(terms), offset, variance, settings, name, why)
    coloured = len(fit) > 1
    scatter = 1.4826 * float(np.median(np.abs(rest[kept])))
    errors = np.sqrt(np.diag(covariance))
    chosen = np.zeros(len(flux), bool)
    chosen[np.flatnonzero(usable)[kept]] = True
    term, term_err = (float(fit[1]), float(errors[1])) if coloured else (0.0, float("nan"))
    zp_err = float(np.hypot(errors[0], middle * term_err)) if coloured else float(errors[0])
    return ZeroPoint(float(fit[0]) - term * middle, zp_err, term, term_err, middle, scatter, chosen)


def _tells_colour(colour: Floats) -> bool:
    if len(colour) < _COLOUR_STARS:
        return False
    blue, red = np.percentile(colour, (10, 90))
    return bool(red - blue > _COLOUR_RANGE_MAG)


def _clipped_fit(
    design: Floats, target: Floats, variance: Floats, settings: CalibrationSettings, name: str, why: str
) -> tuple[Floats, Floats, Floats, NDArray[np.bool_]]:
    # Clip before the first fit: a mismatched star would distort the fit so much that it could survive the clipping.
    away = np.abs(target - np.median(target))
    kept = away < min(max(settings.clip_sigma * 1.4826 * float(np.median(away)), _LEAST_CLIP_MAG), 1.0)
    photons = variance
    for turn in range(_ROUNDS):
        _enough(int(kept.sum()), settings, f"{name}: {int(kept.sum())} of {len(target)} reference stars agree", why)
        if design.shape[1] > 1 and not _tells_colour(design[kept, 1]):
            return _clipped_fit(design[:, :1], target, photons, settings, name, why)
        weight = 1 / variance[kept]
        normal = design[kept].T @ (design[kept] * weight[:, None])
        covariance = np.asarray(np.linalg.inv(normal), np.float64)
        fit = covariance @ (design[kept].T @ (target[kept] * weight))
        rest = target - design @ fit
        spread = max(1.4826 * float(np.median(np.abs(rest[kept]))), 1e-4)
        # Scatter beyond the photon noise (flat, colour, variability) adds the same variance to bright and faint stars.
        variance = photons + max(spread**2 - float(np.median(photons[kept])), 0.0)
        now = np.abs(rest) < settings.clip_sigma * np.maximum(spread, np.sqrt(variance))
        if turn >= _ROUNDS // 2:
            now &= kept  # else a star on the limit may be dropped and added again for ever
        if turn > 0 and (now == kept).all():
            return np.asarray(fit, np.float64), covariance, rest, kept
        kept = now
    raise TooFewCalibrators(f"{name}: the fit of the zero point does not converge in {_ROUNDS} rounds of clipping")


def _enough(count: int, settings: CalibrationSettings, sentence: str, why: str) -> None:
    if count < settings.minimum_stars:
        needed = f"{sentence}; a zero point needs {settings.minimum_stars}"
        raise TooFewCalibrators(f"{needed} ({why})" if why else needed, value=count, limit=settings.minimum_stars)
