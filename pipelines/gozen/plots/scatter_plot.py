"""Plot the scatter of many light curves against magnitude: variable stars are above the others."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from gozen.plots.style import LIGHT, Theme, new_figure, themed


def draw_scatter(
    source_id: NDArray[np.int64],
    mag: NDArray[np.float64],
    scatter: NDArray[np.float64],
    *,
    marked: Collection[int] = (),
    title: str = "",
    theme: Theme = LIGHT,
) -> Figure:
    """Draw scatter against magnitude, both logarithmic in flux; arrays of shape (stars,).

    Parameters
    ----------
    mag, scatter
        Mean magnitude and standard deviation of each star, mag.
    marked
        Stars with a ring.
    """
    with themed(theme):
        figure = new_figure(6.0, 4.0)
        panel = figure.subplots()
        shown = np.isfinite(mag) & (scatter > 0)
        ringed = shown & np.isin(source_id, np.array(sorted(marked), np.int64))
        panel.plot(mag[shown], scatter[shown], ".", ms=3, color=theme.matched, alpha=0.6, gid="stars")
        panel.plot(
            mag[ringed], scatter[ringed], "o", ms=8, mfc="none", mec=theme.warning, gid="marked",
            label="drawn as light curves",
        )  # fmt: skip
        panel.set_yscale("log")
        panel.set_xlabel("mean magnitude  [mag]")
        panel.set_ylabel("standard deviation  [mag]")
        if ringed.any():
            panel.legend(loc="upper left")
        if title:
            figure.suptitle(title, x=0.01, ha="left", fontsize=10.5, fontweight="bold")
    return figure
