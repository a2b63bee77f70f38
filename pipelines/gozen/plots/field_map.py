"""Plot a map of a field: stars and tracks of moving objects, with a close-up of each track."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from gozen.instrument.read_header import utc_of_mjd
from gozen.plots.stack_image import bar_length
from gozen.plots.style import LIGHT, Theme, new_figure, themed

Floats = NDArray[np.float64]
MOST_CLOSE_UPS = 6
_COLUMNS = 3
_FAINTEST = 17.0
_LEGEND_MAG = (9, 11, 13, 15, 17)
_SHORTEST_ARROW = 0.05
_CLOSE_UP_INCH = 2.9


@dataclass(frozen=True)
class TrackPath:
    """The track of one object in one exposure.

    Parameters
    ----------
    name
        The object's name; tracks of the same name share a colour and a label.
    label
        The title of the close-up.
    ra, dec, mjd
        Measured positions, degrees (ICRS), and their times, in any order; shape (points,), at least two.
    error_arcsec
        The error of each position per axis; shape (points,).
    rate
        The rate of motion, arcsec/min; None if unknown.
    true_ra, true_dec
        Injected positions, degrees, in order of time; None if the object was not injected.
    """

    name: str
    label: str
    ra: Floats
    dec: Floats
    mjd: Floats
    error_arcsec: Floats
    rate: float | None = None
    true_ra: Floats | None = None
    true_dec: Floats | None = None

    @property
    def first(self) -> tuple[float, float]:
        """The earliest position, degrees."""
        k = int(np.argmin(self.mjd))
        return float(self.ra[k]), float(self.dec[k])

    @property
    def last(self) -> tuple[float, float]:
        """The latest position, degrees."""
        k = int(np.argmax(self.mjd))
        return float(self.ra[k]), float(self.dec[k])


def draw_field(
    ra: Floats,
    dec: Floats,
    mag: Floats,
    paths: Sequence[TrackPath],
    outlines: Sequence[tuple[Floats, Floats]] = (),
    *,
    theme: Theme = LIGHT,
) -> Figure:
    """Draw a map with East to the left, and below it close-ups of up to `MOST_CLOSE_UPS` tracks.

    Parameters
    ----------
    ra, dec, mag
        Positions of stars, degrees (ICRS), and magnitudes; shape (stars,). Stars fainter than 17 mag are not drawn.
    paths
        The tracks of moving objects.
    outlines
        For each sensor the ra and dec of its corners, degrees.
    """
    shown = list(paths[:MOST_CLOSE_UPS])
    rows = -(-len(shown) // _COLUMNS)
    height = _map_height(ra, dec)
    with themed(theme):
        figure = new_figure(9.0, height + _CLOSE_UP_INCH * rows)
        grid = GridSpec(1 + rows, _COLUMNS, figure, height_ratios=[height, *[_CLOSE_UP_INCH] * rows])
        panel = figure.add_subplot(grid[0, :])
        _draw_stars(panel, ra, dec, mag, theme)
        for corners in outlines:
            panel.plot(*(np.append(axis, axis[0]) for axis in corners), color=theme.muted, lw=0.8, gid="sensor")
        _frame(panel)
        colours = _colours(paths, theme)
        for name, colour in colours.items():
            _draw_object(panel, [path for path in paths if path.name == name], colour, theme)
        _scale_bar(panel, theme)
        panel.set(xlabel="RA (ICRS)  [deg]", ylabel="Dec (ICRS)  [deg]")
        for number, path in enumerate(shown):
            _close_up(
                figure.add_subplot(grid[1 + number // _COLUMNS, number % _COLUMNS]), path, colours[path.name], theme
            )
    return figure


def star_sizes(mag: Floats) -> Floats:
    """Return the areas of stars' dots, square points; an area is 1.5 times larger for each magnitude brighter."""
    return np.asarray(0.8 * 1.5 ** np.clip(_FAINTEST - mag, 0.0, 9.0))


def from_middle(ra: Floats, dec: Floats, middle: tuple[float, float]) -> tuple[Floats, Floats]:
    """Return positions (degrees) as offsets east and north of a middle, arcsec; approximate, for small fields."""
    east = (np.mod(ra - middle[0] + 180, 360) - 180) * np.cos(np.radians(middle[1]))
    return np.asarray(east * 3600), np.asarray((dec - middle[1]) * 3600)


def _map_height(ra: Floats, dec: Floats) -> float:
    """Return the height, inches, of a map of these positions with its legend, if it is as wide as the figure."""
    if len(ra) < 2:
        return 6.0
    width = float(np.ptp(ra) * np.cos(np.radians(dec.mean())))
    return float(np.clip(8.2 * np.ptp(dec) / max(width, 1e-9), 2.5, 9.0)) + 1.0


def _colours(paths: Sequence[TrackPath], theme: Theme) -> dict[str, str]:
    names = list(dict.fromkeys(path.name for path in paths))
    return {name: theme.series[number % len(theme.series)] for number, name in enumerate(names)}


def _draw_stars(panel: Axes, ra: Floats, dec: Floats, mag: Floats, theme: Theme) -> None:
    bright = mag <= _FAINTEST
    # Rasterised, because thousands of dots make an SVG file large.
    panel.scatter(
        ra[bright], dec[bright], star_sizes(mag[bright]), theme.muted, lw=0, alpha=0.8, rasterized=True, gid="stars"
    )
    dots = [
        Line2D([], [], ls="none", marker="o", mew=0, color=theme.muted, ms=float(np.sqrt(area)), label=f"{one} mag")
        for one, area in zip(_LEGEND_MAG, star_sizes(np.array(_LEGEND_MAG, float)), strict=True)
    ]
    panel.legend(handles=dots, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=len(dots), handletextpad=0.3)


def _frame(panel: Axes) -> None:
    (left, right), (low, high) = panel.get_xlim(), panel.get_ylim()
    panel.set(xlim=(right, left), ylim=(low, high), aspect=1 / np.cos(np.radians((low + high) / 2)))
    panel.ticklabel_format(useOffset=False)


def _draw_object(panel: Axes, paths: Sequence[TrackPath], colour: str, theme: Theme) -> None:
    ends = [(path.first, _arrow_end(panel, path)) for path in paths]
    for path, (start, end) in zip(paths, ends, strict=True):
        panel.plot(path.ra, path.dec, ls="none", marker="o", ms=1.8, mew=0, color=colour, gid=f"track {path.name}")
        arrow = {"arrowstyle": "-|>", "color": colour, "lw": 1.6, "shrinkA": 0, "shrinkB": 0, "mutation_scale": 11}
        panel.annotate("", end, start, arrowprops=arrow)
    times = ", ".join(utc_of_mjd(float(path.mjd.min())).strftime("%H:%M:%S") for path in paths)
    rates = [path.rate for path in paths if path.rate is not None]
    rate = f"{np.mean(rates):,.0f}″/min" if rates else "rate unknown"
    low, high = panel.get_ylim()
    above = np.mean([end[1] for _, end in ends]) > (low + high) / 2
    places = [place for both in ends for place in both]
    panel.annotate(
        f"{paths[0].name}\n{rate}\n{times} UTC",
        max(places, key=lambda place: place[1] if above else -place[1]),
        xytext=(0, 9 if above else -9),
        textcoords="offset points",
        ha="center",
        va="bottom" if above else "top",
        fontsize=8.5,
        color=colour,
        path_effects=[withStroke(linewidth=3, foreground=theme.paper)],
        zorder=5,
    )


def _arrow_end(panel: Axes, path: TrackPath) -> tuple[float, float]:
    """Return the end of an arrow: the last position, or one beyond it if the arrow would be too short to see."""
    (ra, dec), (last_ra, last_dec) = path.first, path.last
    left, right = panel.get_xlim()
    cosine = np.cos(np.radians(dec))
    length = float(np.hypot((last_ra - ra) * cosine, last_dec - dec))
    longer = max(1.0, _SHORTEST_ARROW * abs(left - right) * cosine / length) if length > 0 else 1.0
    return ra + longer * (last_ra - ra), dec + longer * (last_dec - dec)


def _scale_bar(panel: Axes, theme: Theme) -> None:
    (left, right), (low, high) = panel.get_xlim(), panel.get_ylim()
    cosine = np.cos(np.radians((low + high) / 2))
    length = bar_length(abs(left - right) * cosine * 3600)
    start, y = left + 0.03 * (right - left), low + 0.04 * (high - low)
    end = start - length / 3600 / cosine
    halo = [withStroke(linewidth=4, foreground=theme.paper)]
    panel.plot([start, end], [y, y], color=theme.ink, lw=2, path_effects=halo, gid="scale bar")
    text = f"{length // 60}′" if length >= 60 else f"{length}″"
    panel.text((start + end) / 2, y + 0.012 * (high - low), text, ha="center", va="bottom", path_effects=halo)


def _close_up(panel: Axes, path: TrackPath, colour: str, theme: Theme) -> None:
    middle = float(np.mean(path.ra)), float(np.mean(path.dec))
    x, y = from_middle(path.ra, path.dec, middle)
    if path.true_ra is not None and path.true_dec is not None:
        true = from_middle(path.true_ra, path.true_dec, middle)
        panel.plot(*true, color=theme.truth, lw=1, ls="--", gid="injected")
    style: dict[str, Any] = {"ls": "none", "marker": "o", "ms": 3, "mew": 0, "elinewidth": 0.8}
    panel.errorbar(x, y, path.error_arcsec, path.error_arcsec, color=colour, **style)
    reach = 1.25 * max(float(np.abs(x).max()), float(np.abs(y).max()), 0.5)
    (x0, y0), (x1, y1) = path.first, path.last
    ends = from_middle(np.array([x0, x1]), np.array([y0, y1]), middle)
    _arrow_beside(panel, ends, 0.16 * reach, colour)
    panel.set(xlim=(reach, -reach), ylim=(-reach, reach), aspect="equal", title=path.label)
    panel.set(xlabel="ΔRA cos Dec  [″]", ylabel="ΔDec  [″]")


def _arrow_beside(panel: Axes, ends: tuple[Floats, Floats], apart: float, colour: str) -> None:
    """Draw an arrow parallel to the line from the first of two ends to the second, next to the line."""
    first, last = np.column_stack(ends)
    along = last - first
    length = float(np.hypot(*along))
    if length > 0:
        aside = apart * np.array([-along[1], along[0]]) / length
        arrow = {"arrowstyle": "-|>", "color": colour, "lw": 1.2, "shrinkA": 0, "shrinkB": 0}
        panel.annotate("", last - 0.25 * along + aside, first + 0.25 * along + aside, arrowprops=arrow)
