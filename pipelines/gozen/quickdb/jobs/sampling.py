"""Estimate the result for all patches, and its error, from a random sample of patches."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gozen.errors import BadRequest
from gozen.quickdb.patches.patch_extents import PatchExtent
from gozen.quickdb.work.equal_results import alike

FEWEST = 8
"""Smallest number of patches of a sample: with fewer, the error cannot be estimated."""

_SEED = 20_240_131


class Estimate(NamedTuple):
    """The result of a sample.

    Attributes
    ----------
    value
        The estimate for the complete table: sums are scaled to all rows, other values are the values of the sample.
    error
        The standard error of the scaled sums, in the structure of the value before ``finalize``; NaN if unknown.
    fraction
        The number of rows in the sample divided by the number of all rows.
    """

    value: Any
    error: Any
    fraction: float


def chosen(patches: Sequence[PatchExtent], fraction: float, seed: int = _SEED) -> list[PatchExtent]:
    """Return a random sample of the patches, in their order.

    The same call returns the same sample. It has at least 8 patches, or all patches if there are fewer.

    Raises
    ------
    BadRequest
        The fraction is not above 0 and at most 1.
    """
    if not 0 < fraction <= 1:
        raise BadRequest(
            f"sample={fraction}: give the fraction of the patches to read, above 0 and at most 1, such as 0.01 for 1 %"
        )
    count = min(max(math.ceil(fraction * len(patches)), FEWEST), len(patches))
    at = np.random.default_rng(seed).choice(len(patches), count, replace=False)
    return [patches[one] for one in sorted(at.tolist())]


def estimated(
    total: Any, values: Sequence[Any], rows: Sequence[int], every: int, patches: int, doubled: Any = None
) -> Estimate:
    """Scale the results of a sample to the complete table by the ratio estimator for clusters (Cochran 1977, §6, §9A).

    Parameters
    ----------
    total
        The reduced value of all patches of the sample.
    values
        The value of each patch of the sample; None if it has none.
    rows
        The number of rows of each patch of the sample.
    every
        The number of rows of the complete table.
    patches
        The number of patches of the table.
    doubled
        The total reduced with itself: a sum is then twice the total. Needed if only one patch has a value, because
        any total then equals the sum of the values.
    """
    fraction = sum(rows) / every if every else 1.0
    weight = np.array(rows, float)
    value, error = _leaf(total, list(values), weight, max(fraction, 1e-12), len(rows) / max(patches, 1), doubled)
    return Estimate(value, error, fraction)


def _leaf(
    total: Any, values: list[Any], rows: NDArray[np.float64], fraction: float, share: float, doubled: Any
) -> tuple[Any, Any]:
    known = [v for v in values if v is not None]
    if isinstance(total, tuple | list):
        if any(not isinstance(v, tuple | list) or len(v) != len(total) for v in known):
            return total, math.nan  # concatenated, not added
        inner = [[None if v is None else v[i] for v in values] for i in range(len(total))]
        twice = [None] * len(total) if doubled is None else doubled
        if len(twice) != len(total):
            return total, math.nan
        parts = [_leaf(one, v, rows, fraction, share, two) for one, v, two in zip(total, inner, twice, strict=True)]
        kind = type(total) if type(total) in (tuple, list) else tuple
        return kind(p[0] for p in parts), kind(p[1] for p in parts)
    if isinstance(total, dict):
        if not all(isinstance(v, dict) for v in known):
            return total, math.nan
        inner_of = {key: [None if v is None else v.get(key) for v in values] for key in total}
        twice_of = doubled or {}
        found = {key: _leaf(one, inner_of[key], rows, fraction, share, twice_of.get(key)) for key, one in total.items()}
        return {key: one[0] for key, one in found.items()}, {key: one[1] for key, one in found.items()}
    if doubled is not None and not alike(doubled, np.asarray(total) * 2):
        return total, np.full(np.shape(total), np.nan)[()]
    return _number(total, values, rows, fraction, share)


def _number(total: Any, values: list[Any], rows: NDArray[np.float64], fraction: float, share: float) -> tuple[Any, Any]:
    whole = np.asarray(total)
    unknown = np.full(whole.shape, np.nan)[()]
    if not np.issubdtype(whole.dtype, np.number) and whole.dtype != bool:
        return total, unknown
    if any(np.shape(v) != whole.shape for v in values if v is not None):
        return total, unknown
    parts = np.array([np.zeros(whole.shape) if v is None else v for v in values], float)
    if not np.allclose(parts.sum(axis=0), whole, rtol=1e-5, equal_nan=True):
        return total, unknown
    residual = parts - whole[None] * (rows / rows.sum()).reshape(-1, *[1] * whole.ndim)
    count = max(len(rows), 2)
    error = np.sqrt((residual**2).sum(axis=0) * count / (count - 1) * (1 - share)) / fraction
    return whole / fraction, error[()]
