"""Plot light curves: flux against time, one panel for each source and filter, with flags and upper limits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import StrMethodFormatter
from numpy.typing import NDArray

from gozen.catalog.format.schema import Flag
from gozen.errors import BadRequest
from gozen.plots.light_curve_points import Curve, curves
from gozen.plots.style import LIGHT, Theme, new_figure, themed
from gozen.plots.time_axis import Visit, visits

MOST_PANELS = 6
_SLACK_D = 1.0 / 86400
"""One second, in days: true and measured times of a frame differ slightly."""

_MARKED: Mapping[Flag, tuple[str, str]] = {
    Flag.SATURATED: ("s", "saturated"),
    Flag.DEAD_PIXEL: ("D", "dead pixel"),
    Flag.EDGE: ("<", "beyond the edge"),
    Flag.REGISTRATION_FAILED: ("p", "shift unknown"),
}


@dataclass(frozen=True)
class Injected:
    """The injected light curve of one source; arrays of shape (points,), flux in the unit of the measured points."""

    mjd: NDArray[np.float64]
    flux: NDArray[np.float64]


def draw_lightcurves(
    rows: pa.Table,
    *,
    truth: Mapping[int, Injected] | None = None,
    title: str = "",
    unit: str = "ADU",
    theme: Theme = LIGHT,
    most: int = MOST_PANELS,
    width: float = 8.0,
) -> Figure:
    """Draw flux against time: circles for stars of the reference catalogue, crosses for other sources.

    Parameters
    ----------
    rows
        Rows of the light-curve table; each source has a panel for each filter, in the order of the rows.
    truth
        Injected light curves, by source.
    unit
        The unit of the flux, for the label.
    most
        The largest number of panels; a note gives the number of light curves that are not drawn.
    width
        The width of the figure, inches.

    Raises
    ------
    BadRequest
        There are no rows, or a column is missing.
    """
    found = curves(rows)
    if not found:
        raise BadRequest("no rows were found, so there is nothing to plot")
    shown = found[:most]
    parts = visits(np.concatenate([curve.mjd for curve in shown]))
    with themed(theme):
        figure = new_figure(width, 1.0 + (2.6 if len(shown) == 1 else 1.9 * len(shown)))
        widths = [max(part.last - part.first, 0.15 * max(p.last - p.first for p in parts), 1e-9) for part in parts]
        panels = figure.subplots(
            len(shown), len(parts), sharex="col", sharey="row", squeeze=False, gridspec_kw={"width_ratios": widths}
        )
        for row, curve in zip(panels, shown, strict=True):
            for panel, part in zip(row, parts, strict=True):
                draw_curve(panel, curve, part, theme, (truth or {}).get(curve.source_id))
            _finish_row(row, curve, unit)
        for panel, part in zip(panels[-1], parts, strict=True):
            panel.set_xlabel(part.label if len(parts) < 3 else part.label.replace(" since ", " since\n"))
        _finish(figure, shown, len(found) - len(shown), title, theme, drawn_truth=bool(truth))
    return figure


def draw_curve(panel: Axes, curve: Curve, visit: Visit, theme: Theme, truth: Injected | None = None) -> None:
    """Draw one source's points of one visit: detections, flags, upper limits and, behind them, the injected curve."""
    inside = visit.holds(curve.mjd)
    if truth is not None:
        times, flux = _with_gaps(truth.mjd, truth.flux, visit)
        panel.plot(times, flux, color=theme.truth, zorder=1, gid="truth", lw=1.1, ls="--")
    unseen = curve.flagged(Flag.NOT_DETECTED)
    _points(panel, curve, visit, inside & ~unseen, theme)
    if (inside & unseen).any():
        times = visit.elapsed(curve.mjd[inside & unseen])
        panel.plot(times, curve.limit[inside & unseen], linestyle="none", gid="limit", **_limit_mark(theme))
        _points(panel, curve, visit, inside & unseen, theme, faint=True)
    for flag, (mark, _) in _MARKED.items():
        hit = inside & curve.flagged(flag)
        if hit.any():
            panel.plot(visit.elapsed(curve.mjd[hit]), curve.flux[hit], gid=f"flag-{flag.name}", **_ring(mark, theme))


def _with_gaps(
    mjd: NDArray[np.float64], flux: NDArray[np.float64], visit: Visit
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return times in a visit, and fluxes, with NaN in long gaps, so that no line connects two exposures."""
    inside = np.flatnonzero((mjd >= visit.first - _SLACK_D) & (mjd <= visit.last + _SLACK_D))
    inside = inside[np.argsort(mjd[inside], kind="stable")]
    times, values = visit.elapsed(mjd[inside]), flux[inside]
    steps = np.diff(times)
    breaks = np.flatnonzero(steps > 3 * np.median(steps)) + 1 if len(steps) else np.empty(0, np.intp)
    return np.insert(times, breaks, np.nan), np.insert(values, breaks, np.nan)


def _points(
    panel: Axes, curve: Curve, visit: Visit, which: NDArray[np.bool_], theme: Theme, *, faint: bool = False
) -> None:
    """Draw points with error bars; `faint` marks fluxes that were measured without a detection."""
    if not which.any():
        return
    dense = len(curve.mjd) > 400
    kind = "matched" if curve.matched else "unmatched"
    bars = panel.errorbar(
        visit.elapsed(curve.mjd[which]),
        curve.flux[which],
        yerr=curve.flux_err[which],
        elinewidth=0.5 if dense else 0.9,
        zorder=3,
        alpha=0.35 if faint else None,
        gid=f"{kind}-below-limit" if faint else kind,
        **_mark(matched=curve.matched, theme=theme, size=2.0 if dense else 4.5),
    )
    for bar in bars[2]:
        bar.set_alpha(0.25 if dense or faint else 0.6)


def _finish_row(row: Sequence[Axes], curve: Curve, unit: str) -> None:
    row[0].set_title(curve.title, fontsize=8.5)
    row[0].set_ylabel(f"flux  [{unit}]" if unit else "relative flux")
    for panel in row[1:]:
        panel.tick_params(labelleft=False, left=False)
        panel.spines["left"].set_visible(False)
    row[0].yaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
    for panel in row:
        panel.margins(x=0.03, y=0.12)


def _finish(
    figure: Figure, shown: Sequence[Curve], further: int, title: str, theme: Theme, *, drawn_truth: bool
) -> None:
    handles = _legend(shown, theme, drawn_truth=drawn_truth)
    figure.legend(handles=handles, loc="outside upper right", ncols=min(len(handles), 5), handletextpad=0.3)
    if further > 0:
        text = f"{further} further light curve{'s' if further > 1 else ''} not drawn"
        figure.supxlabel(text, fontsize=8, color=theme.muted, x=0.99, ha="right")
    if title:
        figure.suptitle(title, x=0.01, ha="left", fontsize=10.5, fontweight="bold")


def _legend(shown: Sequence[Curve], theme: Theme, *, drawn_truth: bool) -> list[Line2D]:
    """Return a legend entry for each kind of mark in the plot."""
    handles = []
    for matched, text in ((True, "matched star"), (False, "unmatched source")):
        if any(curve.matched == matched for curve in shown):
            handles.append(Line2D([], [], label=text, **_mark(matched=matched, theme=theme, size=4.5)))
    if drawn_truth:
        handles.append(Line2D([], [], color=theme.truth, lw=1.1, ls="--", label="injected"))
    if _any(shown, Flag.NOT_DETECTED):
        handles.append(Line2D([], [], linestyle="none", label="not detected: 5σ limit", **_limit_mark(theme)))
    return handles + [
        Line2D([], [], label=text, **_ring(mark, theme)) for flag, (mark, text) in _MARKED.items() if _any(shown, flag)
    ]


def _any(shown: Iterable[Curve], flag: Flag) -> bool:
    return any(bool(curve.flagged(flag).any()) for curve in shown)


def _mark(*, matched: bool, theme: Theme, size: float) -> dict[str, Any]:
    colour = theme.matched if matched else theme.unmatched
    return {
        "linestyle": "none",
        "marker": "o" if matched else "x",
        "markersize": size if matched else size + 0.5,
        "markeredgecolor": colour,
        "markeredgewidth": 0.0 if matched else 1.3,
        "color": colour,
    }


def _ring(mark: str, theme: Theme) -> dict[str, Any]:
    return {
        "linestyle": "none",
        "marker": mark,
        "markersize": 9,
        "markerfacecolor": "none",
        "markeredgecolor": theme.warning,
        "markeredgewidth": 1.2,
        "zorder": 4,
    }


def _limit_mark(theme: Theme) -> dict[str, Any]:
    return {"marker": r"$\downarrow$", "markersize": 9, "color": theme.muted, "markeredgewidth": 0.2, "zorder": 2}
