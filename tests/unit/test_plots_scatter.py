"""The plot of scatter against magnitude: which stars it draws, and which it marks."""

from __future__ import annotations

import numpy as np

from gozen.plots.scatter_plot import draw_scatter
from gozen.plots.style import picture


def test_stars_without_a_scatter_are_left_out_and_some_are_marked() -> None:
    ids = np.array([1, 2, 3, 4])
    figure = draw_scatter(ids, np.array([15.0, 16.0, np.nan, 14.0]), np.array([0.1, 0.2, 0.3, 0.0]), marked=[2])
    lines = {line.get_gid(): line.get_xdata().tolist() for line in figure.axes[0].get_lines()}
    assert lines == {"stars": [15.0, 16.0], "marked": [16.0]}


def test_equal_data_give_equal_bytes() -> None:
    values = np.array([1]), np.array([15.0]), np.array([0.1])
    first, second = (picture(draw_scatter(*values, title="a"), "png") for _ in range(2))
    assert first == second
