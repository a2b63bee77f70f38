"""Test that the fast Poisson numbers have a Poisson distribution, inside and beyond the range of their tables."""

from __future__ import annotations

import numba
import numpy as np
import pytest
from scipy.stats import chisquare
from scipy.stats import poisson as exact

from gozen.simulator.camera.poisson import poisson, poisson_tables
from gozen.simulator.sky.random_streams import stream


@numba.njit
def _many(rng, mean, cumulative, guides, n):
    found = np.empty(n, np.int64)
    for i in range(n):
        found[i] = poisson(rng, mean, cumulative, guides)
    return found


@pytest.mark.parametrize("mean", [0.0, 0.3, 3.99, 4.0, 4.13, 15.2, 15.249999, 40.1, 63.99, 64.0, 900.0])
def test_counts_have_the_distribution(mean):
    n = 200_000
    found = _many(stream(1, "poisson test", str(mean)), mean, *poisson_tables(), n)
    if mean == 0:
        assert not found.any()
        return
    edges = np.unique(exact.ppf(np.linspace(0.0005, 0.9995, 40), mean)).astype(int)
    observed = np.histogram(found, np.concatenate([[-0.5], edges + 0.5, [np.inf]]))[0]
    expected = n * np.diff(np.concatenate([[0.0], exact.cdf(edges, mean), [1.0]]))
    assert chisquare(observed, expected).pvalue > 1e-4
    assert found.var() == pytest.approx(mean, rel=0.02)


def test_the_tables_reach_the_tails():
    cumulative, _ = poisson_tables()
    np.testing.assert_allclose(cumulative[-1, :-1], exact.cdf(np.arange(cumulative.shape[1] - 1), 63.75), atol=1e-12)
