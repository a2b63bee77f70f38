"""Covariance of the measurements of a slow object, whose sky is estimated from frames that contain it. No I/O.

The sky under an object is measured on the other frames, after subtracting the object's light at the positions of its
line. The slower the object, the more of its light is at the same position on all frames, and the less of it can be
distinguished from the sky.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Overlap:
    """Effect of the common sky on errors, for a free sky level in each pixel and Gaussian stars.

    Parameters
    ----------
    place, flux
        Ratio of the error of each frame's position and flux to the error with a known sky, shape (frames,).
    rate
        Ratio of the error of a straight line's rate to its error if the points had independent errors.
    along, across
        Matrices that convert a correction measured against a fixed sky into the correction that the fit needs. Along
        the motion: position (in units of ``unit``), rate and relative flux, shape (3, 3). Across it: position and
        rate, shape (2, 2).
    unit
        Length by which a correction along the motion is divided, to be comparable with a relative change of the flux,
        pixels.
    brighter
        Factor that converts a correction of the flux alone in the same way.
    """

    place: Floats
    flux: Floats
    rate: float
    along: Floats
    across: Floats
    unit: float
    brighter: float


def overlap(times: Floats, rate: float, sigma: float, trail: float, weight: Floats) -> Overlap:
    """Return how much the errors of an object grow because its images on other frames are part of the measured sky.

    The least-squares fit has one free sky value in each pixel. Its information matrix of positions and fluxes is the
    matrix for a known sky, minus the part that determines the sky values (the weighted mean of the frames).

    Parameters
    ----------
    times
        Time of each frame, relative to the middle of the exposure, shape (frames,).
    rate
        Speed of the object, pixels per unit of time.
    sigma, trail
        Gaussian width of a star, and motion of the object during one frame, pixels.
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
    """Return the correction matrix of a line, and the covariance of single points with the others on the line."""
    own = np.diag(np.diag(information))
    normal = np.linalg.inv(line.T @ information @ line)
    left = np.eye(len(own)) - (information - own) @ line @ normal @ line.T
    estimate = left / np.diag(information)[:, None]
    return normal @ (line.T @ own @ line), estimate @ information @ estimate.T


def _of_rate(line: Floats, covariance: Floats, weight: Floats) -> float:
    formal = np.linalg.inv(line.T @ (line * weight[:, None]))
    taken = formal @ (line * weight[:, None]).T
    return float(np.sqrt((taken @ covariance @ taken.T)[1, 1] / formal[1, 1]))
