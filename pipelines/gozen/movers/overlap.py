"""Covariance of the measurements of a slow object, whose sky is estimated from frames that contain it. No I/O.

The sky under an object is what its other frames show there, less the object's own light on them, which its line tells.
The slower an object, the more of its light is at the same place on all frames, and the less can be told apart.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Overlap:
    """What the common sky does to errors; the sky of each pixel is free, and stars are Gaussian.

    Parameters
    ----------
    place, flux
        Error of each frame's place and flux over that with a known sky, shape (frames,).
    rate
        Error of a straight line's rate over that of points with independent errors.
    along, across
        Matrices that turn a step of the line and its flux, found with all else held, to the step that ends there:
        of place, rate and relative flux along the motion (place in units of ``unit``), of place and rate across it.
    unit
        Length that makes a step along the motion and a relative change of the flux alike, pixels.
    brighter
        By what to enlarge a step of the flux alone.
    """

    place: Floats
    flux: Floats
    rate: float
    along: Floats
    across: Floats
    unit: float
    brighter: float


def overlap(times: Floats, rate: float, sigma: float, trail: float, weight: Floats) -> Overlap:
    """Return how the frames of an object overlap.

    The information about places and fluxes is that of least squares with a free sky in each pixel: that with a known
    sky, less what the weighted mean of the frames takes away.

    Parameters
    ----------
    times
        From the middle, shape (frames,).
    rate
        Pixels per unit of time.
    sigma, trail
        Width of a star, and motion during the exposure, pixels.
    weight
        Inverse variance of each frame.
    """
    n = len(times)
    wide = float(np.hypot(sigma, trail / np.sqrt(12)))
    away = rate * (times[:, None] - times) / wide
    light = np.exp(-(away**2) / 4)
    mixed = away / np.sqrt(2) * light
    shared = np.outer(weight, weight) / weight.sum()
    known = np.diag(weight)
    both = np.block(
        [[known - shared * (1 - away**2 / 2) * light, shared * mixed], [shared * mixed.T, known - shared * light]]
    )
    line, nothing = np.column_stack([np.ones(n), times]), np.zeros((n, 1))
    both_of_line = np.block([[line, nothing], [nothing, nothing, np.ones((n, 1))]])
    along, of_along = _solved(both, both_of_line)
    across, of_across = _solved(known - shared * light, line)
    place = np.sqrt((np.diag(of_along)[:n] + np.diag(of_across)) / 2 * weight)
    flux = np.sqrt(np.diag(of_along)[n:] * weight)
    rate_of = _of_rate(line, of_along[:n, :n], weight / place**2)
    alone = known - shared * light
    brighter = float(np.trace(alone) / alone.sum())
    return Overlap(place, flux, rate_of, along, across, float(np.sqrt(2) * wide), brighter)


def _solved(information: Floats, line: Floats) -> tuple[Floats, Floats]:
    """Return the step matrix of a line, and the covariance of single points when the line tells the others."""
    own = np.diag(np.diag(information))
    normal = np.linalg.inv(line.T @ information @ line)
    left = np.eye(len(own)) - (information - own) @ line @ normal @ line.T
    estimate = left / np.diag(information)[:, None]
    return normal @ (line.T @ own @ line), estimate @ information @ estimate.T


def _of_rate(line: Floats, covariance: Floats, weight: Floats) -> float:
    formal = np.linalg.inv(line.T @ (line * weight[:, None]))
    taken = formal @ (line * weight[:, None]).T
    return float(np.sqrt((taken @ covariance @ taken.T)[1, 1] / formal[1, 1]))
