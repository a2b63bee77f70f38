"""Plot a stack with its sources, coordinates, a scale bar, and north and east."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from astropy.visualization import AsinhStretch, ImageNormalize, ZScaleInterval
from astropy.wcs import WCS
from astropy.wcs.utils import proj_plane_pixel_scales
from astropy.wcs.wcs import NoConvergence
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from gozen.plots.style import DARK, Theme, new_figure, themed

Floats = NDArray[np.floating]
_BARS_ARCSEC = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200)


@dataclass(frozen=True)
class Marks:
    """A group of positions with the same mark.

    Parameters
    ----------
    label
        The text in the legend.
    x, y
        Positions in 0-based pixels.
    marker
        A marker of matplotlib.
    colour
        The name of a colour of the theme: ``matched``, ``unmatched``, ``warning`` or ``truth``.
    size
        The size of the marker, points.
    names
        Texts next to the positions; empty for none.
    """

    label: str
    x: Floats
    y: Floats
    marker: str = "o"
    colour: str = "matched"
    size: float = 5.0
    names: tuple[str, ...] = ()


def source_marks(x: Floats, y: Floats, matched: NDArray[np.bool_]) -> list[Marks]:
    """Return the marks of a stack's sources: circles for stars of the reference catalogue, crosses for the others."""
    groups = [
        Marks("matched star", x[matched], y[matched]),
        Marks("unmatched source", x[~matched], y[~matched], marker="x", colour="unmatched", size=4.5),
    ]
    return [group for group in groups if len(group.x)]


def draw_stack(
    image: Floats, wcs: WCS | None, marks: Sequence[Marks] = (), *, title: str = "", theme: Theme = DARK
) -> Figure:
    """Draw a stack with zscale limits and an asinh stretch.

    Parameters
    ----------
    image
        The stack, shape (rows, columns); NaN is drawn as black.
    wcs
        The astrometric solution; None draws pixel axes, without scale bar and compass.
    marks
        Groups of marks, drawn in this order.
    """
    rows, columns = image.shape
    width = 9.0
    with themed(theme), mpl.rc_context({"axes.grid": False}):
        figure = new_figure(width, width * rows / columns + 0.4)
        panel = figure.add_subplot(projection=wcs)
        norm = _normalised(image)
        panel.imshow(
            np.nan_to_num(image, nan=norm.vmin), origin="lower", cmap="gray", norm=norm, interpolation="nearest"
        )
        for group in marks:
            _draw(panel, group, theme)
        panel.set(xlim=(-0.5, columns - 0.5), ylim=(-0.5, rows - 0.5))
        if wcs is not None:
            _label_sky(panel, theme)
            _scale_bar(panel, wcs, image.shape, theme)
            _compass(panel, wcs, image.shape, theme)
        else:
            panel.set(xlabel="x  [pixel]", ylabel="y  [pixel]")
        handles = [Line2D([], [], label=f"{group.label} ({len(group.x):,})", **_mark(group, theme)) for group in marks]
        figure.legend(handles=handles, loc="outside lower center", ncols=max(len(handles), 1), handletextpad=0.4)
        if title:
            figure.suptitle(title, x=0.01, ha="left", fontsize=10.5, fontweight="bold")
    return figure


def bar_length(width_arcsec: float) -> int:
    """Return the largest round length, arcsec, that is at most a fifth of a picture's width."""
    fitting = [length for length in _BARS_ARCSEC if length <= width_arcsec / 5]
    return fitting[-1] if fitting else _BARS_ARCSEC[0]


def directions(wcs: WCS, x: float, y: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the unit vectors, in pixel axes, that point north and east at a position (0-based pixels)."""
    ra, dec = wcs.wcs_pix2world([[x, y]], 0)[0]
    step = float(np.mean(proj_plane_pixel_scales(wcs))) * 10
    places = [[ra, dec + step], [ra + step / np.cos(np.radians(dec)), dec]]
    north, east = np.asarray(wcs.wcs_world2pix(places, 0), float) - (x, y)
    return north / np.hypot(*north), east / np.hypot(*east)


def _normalised(image: Floats) -> ImageNormalize:
    finite = image[np.isfinite(image)]
    if not finite.size:
        return ImageNormalize(vmin=0.0, vmax=1.0)
    low, high = ZScaleInterval(contrast=0.15).get_limits(finite)
    # The limits of zscale suit the sky; twice their range also shows the cores of stars.
    return ImageNormalize(vmin=low, vmax=high + (high - low), stretch=AsinhStretch(0.2), clip=True)


def _draw(panel: Axes, group: Marks, theme: Theme) -> None:
    panel.plot(group.x, group.y, gid=group.label, scalex=False, scaley=False, **_mark(group, theme))
    for x, y, name in zip(group.x, group.y, group.names, strict=False):
        panel.annotate(
            name,
            (x, y),
            xytext=(8, 8),
            textcoords="offset points",
            color=getattr(theme, group.colour),
            fontsize=8.5,
            fontweight="bold",
            path_effects=[withStroke(linewidth=2.5, foreground=theme.paper)],
        )


def _mark(group: Marks, theme: Theme) -> dict[str, Any]:
    return {
        "linestyle": "none",
        "marker": group.marker,
        "markersize": group.size,
        "markerfacecolor": "none",
        "markeredgecolor": getattr(theme, group.colour),
        "markeredgewidth": 0.6 if group.size < 8 else 1.4,
    }


def _label_sky(panel: Any, theme: Theme) -> None:
    for coordinate, label in zip(panel.coords, ("RA (ICRS)", "Dec (ICRS)"), strict=True):
        coordinate.set_axislabel(label, minpad=0.5)
        coordinate.set_ticklabel(size=7.5, color=theme.ink, exclude_overlapping=True)
        coordinate.set_ticks(color=theme.muted, number=5)
    panel.coords.frame.set_color(theme.muted)


def _scale_bar(panel: Axes, wcs: WCS, shape: tuple[int, ...], theme: Theme) -> None:
    scale = float(np.mean(proj_plane_pixel_scales(wcs))) * 3600
    length = bar_length(shape[1] * scale)
    x, y = 0.03 * shape[1], 0.05 * shape[0]
    outline = [withStroke(linewidth=4, foreground=theme.paper)]
    panel.plot([x, x + length / scale], [y, y], color=theme.ink, lw=2, path_effects=outline, gid="scale bar")
    text = f"{length // 60}′" if length >= 60 else f"{length}″"
    panel.text(x + length / scale / 2, y + 0.012 * shape[0], text, ha="center", va="bottom", path_effects=outline)


def _compass(panel: Axes, wcs: WCS, shape: tuple[int, ...], theme: Theme) -> None:
    arm = 0.1 * shape[0]
    x, y = shape[1] - 1.7 * arm, 1.6 * arm
    try:
        pointing = dict(zip("NE", directions(wcs, x, y), strict=True))
    except NoConvergence:
        return
    outline = [withStroke(linewidth=3.5, foreground=theme.paper)]
    for name, (dx, dy) in pointing.items():
        arrow = {"arrowstyle": "->", "color": theme.ink, "lw": 1.6, "shrinkA": 0, "shrinkB": 0, "path_effects": outline}
        panel.annotate("", (x + arm * dx, y + arm * dy), (x, y), arrowprops=arrow)
        panel.text(
            x + 1.3 * arm * dx, y + 1.3 * arm * dy, name, ha="center", va="center", path_effects=outline, gid=name
        )
