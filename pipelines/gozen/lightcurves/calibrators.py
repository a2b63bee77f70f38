"""Choose the calibrator stars of an exposure from their flags on each frame; count the stars that each rule removes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gozen.catalog.format.schema import Flag
from gozen.lightcurves.zero_point import of_known_colour
from gozen.photometry.forced_photometry import FrameFluxes
from gozen.settings import CalibrationSettings

Floats = NDArray[np.float64]
Chosen = NDArray[np.bool_]
SPOILING = {"saturated": Flag.SATURATED, "edge": Flag.EDGE, "dead pixel": Flag.DEAD_PIXEL}
_LIMITS = (100.0, 50.0, 20.0, 10.0)
_PLENTY = 50
_FEW = 10
"""If this many stars have no neighbours in the aperture, only these are used: better than many blended stars."""
_CROWDED = 0.01
_ROUNDS = 3


@dataclass(frozen=True)
class Calibrators:
    """The choice of calibrators; arrays of shape (sources,).

    Parameters
    ----------
    flux, flux_err
        Mean over the frames on which the source is good, scaled to the mean over all frames, ADU.
    chosen
        Mask of the calibrators.
    blended
        Whether blended stars had to be used.
    known
        Number of sources with a reference magnitude.
    removed
        Number of these sources that each rule removed.
    """

    flux: Floats
    flux_err: Floats
    chosen: Chosen
    blended: bool
    known: int
    removed: dict[str, int]

    @property
    def sentence(self) -> str:
        """Numbers of calibrators and of removed stars, as a sentence for messages and records."""
        counts = ", ".join(f"{count} {rule}" for rule, count in self.removed.items())
        found = f"of {self.known} stars with a reference magnitude {int(self.chosen.sum())} are used; removed: {counts}"
        return found + ("; the least blended stars are used, because too few others remain" if self.blended else "")


@dataclass(frozen=True)
class CatalogueStars:
    """Properties of each source that do not depend on single frames; arrays of shape (sources,).

    Parameters
    ----------
    g, colour
        Gaia G and BP - RP of the source's star; NaN if it has none.
    blended
        Whether light of a detected neighbour is in the aperture.
    neighbours
        Light of detected neighbours in the aperture, relative to the source's own light.
    crowding
        The same for the neighbours in the reference catalogue; NaN if unknown.
    """

    g: Floats
    colour: Floats
    blended: Chosen
    neighbours: Floats
    crowding: Floats


def choose_calibrators(
    frames: Sequence[FrameFluxes], stars: CatalogueStars, settings: CalibrationSettings
) -> Calibrators:
    """Choose the stars whose mean fluxes define the zero point.

    Parameters
    ----------
    frames
        Fluxes and flags of every source on each stacked frame.
    stars
        Catalogue properties of every source.
    """
    flags = np.stack([one.flags for one in frames])
    good = (flags & sum(SPOILING.values())) == 0
    flux, error = _mean_flux(frames, good)
    known = np.isfinite(stars.g)
    left = known & (good.mean(axis=0) >= settings.good_frames - 1e-9)
    removed = _spoiled(flags, known & ~left)
    strength = np.divide(flux, error, out=np.zeros_like(flux), where=left & (flux > 0))
    clear = left & ~stars.blended
    # A deep catalogue has neighbours that are too faint to be detected, but bright enough to bias the flux.
    lonely = clear & ~(stars.crowding >= _CROWDED)
    if (lonely & (strength > _LIMITS[-1])).sum() >= _FEW:
        clear = lonely
    strong = clear & (strength > _limit(np.where(clear, strength, 0.0)))
    share = np.maximum(stars.neighbours, np.nan_to_num(stars.crowding))
    chosen = _with_blended(strong, left & ~clear & (strength > _LIMITS[-1]), share, settings.minimum_stars)
    faint = left & ~chosen & np.where(clear, ~strong, strength <= _LIMITS[-1])
    removed |= {"blended": int((left & ~chosen & ~faint).sum())}
    kept = of_known_colour(chosen, stars.colour, settings)
    removed |= {"no colour": int((chosen & ~kept).sum()), "too faint": int(faint.sum())}
    return Calibrators(flux, error, kept, bool((kept & ~clear).any()), int(known.sum()), removed)


def _limit(strength: Floats) -> float:
    """Return the lower limit of the calibrators' signal-to-noise ratio: the highest that leaves 50 stars, else 10.

    A high limit is better: undetected neighbours in the aperture make a faint star appear too bright.
    """
    return next((limit for limit in _LIMITS if (strength > limit).sum() >= _PLENTY), _LIMITS[-1])


def _with_blended(alone: Chosen, others: Chosen, share: Floats, minimum: int) -> Chosen:
    """Return the unblended stars; if they are fewer than `minimum`, add the least blended others, up to 10 in total.

    Parameters
    ----------
    alone, others
        Masks of the unblended stars and of the blended ones.
    share
        Light of neighbours in the aperture, relative to the star's own.
    minimum
        Number of unblended stars that is enough; if it is above 10, stars are added up to this number.
    """
    missing = max(minimum, _FEW) - int(alone.sum())
    if alone.sum() >= minimum or missing <= 0:
        return alone
    out = alone.copy()
    order = np.argsort(np.where(others, share, np.inf), kind="stable")[: min(missing, int(others.sum()))]
    out[order] = True
    return out


def _spoiled(flags: NDArray[np.uint16], lost: Chosen) -> dict[str, int]:
    """Count the lost stars by the flag that they have on most frames."""
    often = np.stack([((flags & flag) > 0).sum(axis=0) for flag in SPOILING.values()])
    worst = np.argmax(often, axis=0)
    return {rule: int((lost & (worst == number)).sum()) for number, rule in enumerate(SPOILING)}


def _mean_flux(frames: Sequence[FrameFluxes], good: Chosen) -> tuple[Floats, Floats]:
    """Return the mean flux of each source over its good frames, and its error.

    Frames differ in brightness by clouds and airmass. The brightness of each frame is measured from the other stars;
    so the mean of a star that misses some frames can be compared with the mean of a star that is good on all frames.
    """
    flux, error = np.stack([one.flux[0] for one in frames]), np.stack([one.flux_err[0] for one in frames])
    bright = np.ones(len(frames))
    counted = good if good.any() else np.ones_like(good)
    for _ in range(_ROUNDS if not counted.all() else 0):
        mean = _weighted(flux, counted, bright)
        sure = counted & (mean > _LIMITS[-1] * np.median(error, axis=0))
        ratio = np.divide(flux, mean, out=np.full_like(flux, np.nan), where=sure)
        seen = sure.any(axis=1)
        bright[seen] = np.maximum([np.nanmedian(one) for one in ratio[seen]], 1e-3)
        bright /= bright.mean()
    return _weighted(flux, counted, bright), np.sqrt(_weighted(error**2, counted, bright, power=2))


def _weighted(values: Floats, counted: Chosen, bright: Floats, power: int = 1) -> Floats:
    """Return the sum of values over the counted frames, divided by the sum of these frames' brightness to a power.

    Parameters
    ----------
    values, counted
        Shape (frames, sources).
    bright
        Brightness of each frame relative to the mean frame, shape (frames,).
    power
        1 for fluxes, 2 for their variances.
    """
    weight = (counted * bright[:, None]).sum(axis=0)
    total = np.where(counted, values, 0.0).sum(axis=0)
    return np.asarray(np.divide(total, weight**power, out=np.zeros_like(total), where=weight > 0))
