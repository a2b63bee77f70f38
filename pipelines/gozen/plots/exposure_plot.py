"""Plot an exposure frame by frame: shift, seeing, background, zero point and noise."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from gozen.archive.commit import SensorCommit
from gozen.plots.style import LIGHT, Theme, new_figure, themed

_PANELS = (
    ("shift_x_px", "shift in x  [pixel]"),
    ("shift_y_px", "shift in y  [pixel]"),
    ("seeing_px", "seeing, FWHM  [pixel]"),
    ("background_adu", "background  [ADU]"),
    ("zero_point", "zero point  [mag]"),
    ("noise_adu", "noise  [ADU]"),
)


def draw_quality(commits: Sequence[SensorCommit], *, title: str = "", theme: Theme = LIGHT) -> Figure:
    """Draw quantities against frame number, a line for each sensor and exposure; crosses mark rejected frames."""
    with themed(theme):
        figure = new_figure(9.0, 4.6)
        panels = figure.subplots(2, 3, sharex=True)
        for panel, (name, label) in zip(panels.T.flat, _PANELS, strict=True):
            for number, commit in enumerate(commits):
                colour = theme.series[number % len(theme.series)]
                _line(panel, commit, name, colour, dashed=number >= len(theme.series))
            panel.set_title(label, fontsize=8.5)
        for panel in panels[-1]:
            panel.set_xlabel("frame")
            panel.xaxis.set_major_locator(MaxNLocator(integer=True))
        handles, labels = panels[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=min(len(labels), 4) or 1)
        if title:
            figure.suptitle(title, x=0.01, ha="left", fontsize=10.5, fontweight="bold")
    return figure


def _line(panel: Axes, commit: SensorCommit, name: str, colour: str, *, dashed: bool) -> None:
    frames = np.array([frame.frame for frame in commit.frames])
    values = _numbers([getattr(frame, name) for frame in commit.frames])
    label = f"{commit.exposure}, sensor {commit.sensor}"
    panel.plot(
        frames, values, color=colour, label=label, marker="o", ms=2.5, lw=1.0, ls="--" if dashed else "-", gid=label
    )
    refused = frames[[frame.rejected is not None for frame in commit.frames]] if len(frames) else frames
    if len(refused):
        bottom = panel.get_xaxis_transform()
        panel.plot(refused, np.full(len(refused), 0.03), "x", color=colour, transform=bottom, gid="rejected", ms=6)


def _numbers(values: Sequence[float | None]) -> NDArray[np.float64]:
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)
