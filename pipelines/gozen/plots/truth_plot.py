"""Plot measured against simulated values: magnitudes, positions, fluxes of events."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from gozen.plots.style import LIGHT, Theme, new_figure, themed

Floats = NDArray[np.float64]


def draw_magnitudes(
    g: Floats, residual: Floats, scatter: Floats, predicted: Floats, *, used: NDArray[np.bool_], theme: Theme = LIGHT
) -> Figure:
    """Draw the residual and the scatter of magnitudes against true brightness; arrays of shape (stars,).

    Parameters
    ----------
    g
        True magnitude.
    residual
        Median of the measured magnitudes minus the true magnitude, mag.
    scatter, predicted
        Scatter of the magnitudes over the frames, and the scatter predicted from star, sky and read noise, mag.
    used
        Stars that are used for the report's checks; the others are drawn pale.
    """
    with themed(theme):
        figure = new_figure(9.0, 3.6)
        left, right = figure.subplots(1, 2, sharex=True)
        left.axhline(0.0, color=theme.truth, lw=0.9, ls="--")
        for which, alpha, name in ((~used, 0.25, "other stars"), (used, 0.9, "stars that are compared")):
            mark = {"ls": "none", "marker": "o", "mew": 0, "ms": 3, "color": theme.matched, "alpha": alpha}
            mark["rasterized"] = not which[used].any()  # thousands of points make an SVG file large
            left.plot(g[which], residual[which], gid=f"residual {name}", **mark)
            right.plot(g[which], scatter[which], gid=f"scatter {name}", label=name, **mark)
        line = _binned(g, predicted)
        right.plot(*line, color=theme.unmatched, lw=1.3, label="limit of star, sky, read noise", gid="limit")
        spread = float(np.nanpercentile(np.abs(residual[used]), 99)) if used.any() else 0.0
        spread = max(spread, 0.005)
        left.set_ylim(-4 * spread, 4 * spread)
        right.set_yscale("log")
        right.yaxis.set_major_formatter("{x:g}")
        left.set(xlabel="true G  [mag]", ylabel="measured − true  [mag]", title="Magnitude residual")
        right.set(xlabel="true G  [mag]", ylabel="scatter over the frames  [mag]", title="Scatter")
        right.legend(loc="upper left")
    return figure


def draw_positions(dx: Floats, dy: Floats, *, tolerance: float, theme: Theme = LIGHT) -> Figure:
    """Draw measured minus true positions (east and north, arcsec), with the tolerance of the rms as a circle."""
    reach = max(float(np.nanpercentile(np.hypot(dx, dy), 99)) if len(dx) else 0.0, tolerance) * 1.4
    angle = np.linspace(0, 2 * np.pi, 200)
    with themed(theme):
        figure = new_figure(4.4, 4.0)
        panel = figure.add_subplot()
        panel.plot(dx, dy, ls="none", marker="o", mew=0, ms=3, color=theme.matched, alpha=0.7, gid="stars")
        circle = tolerance * np.cos(angle), tolerance * np.sin(angle)
        panel.plot(*circle, color=theme.unmatched, lw=1.2, label=f"{tolerance:g}″")
        panel.set(xlim=(reach, -reach), ylim=(-reach, reach), aspect="equal")
        panel.set(xlabel="ΔRA cos Dec  [arcsec]", ylabel="ΔDec  [arcsec]")
        panel.legend(loc="upper right")
    return figure


def draw_fluxes(events: Sequence[tuple[str, Floats, Floats, Floats]], *, theme: Theme = LIGHT) -> Figure:
    """Draw recovered against injected flux of events.

    Parameters
    ----------
    events
        For each event its name, the injected flux, the recovered flux and the error of the recovered flux; arrays of
        shape (points,), relative to the star's flux without the event.
    """
    with themed(theme):
        figure = new_figure(4.4, 4.0)
        panel = figure.add_subplot()
        for (name, injected, recovered, error), colour, mark in zip(
            events, itertools.cycle(theme.series), itertools.cycle("osD^vp*"), strict=False
        ):
            style: dict[str, Any] = {
                "ls": "none",
                "marker": mark,
                "ms": 4,
                "mew": 0,
                "color": colour,
                "elinewidth": 0.9,
            }
            panel.errorbar(injected, recovered, yerr=error, label=name, gid=name, **style)
        low, high = panel.get_xlim()
        panel.plot([low, high], [low, high], color=theme.truth, lw=0.9, ls="--", zorder=1, gid="equal")
        panel.set(xlim=(low, high), xlabel="injected flux / quiet flux", ylabel="recovered flux / quiet flux")
        panel.legend(loc="upper left")
    return figure


def _binned(g: Floats, values: Floats) -> tuple[Floats, Floats]:
    """Return the centres of bins of a quarter magnitude, and the median of the values in each bin."""
    bins = np.floor(g * 4)
    filled = np.unique(bins)
    return (filled + 0.5) / 4, np.array([np.median(values[bins == one]) for one in filled])
