"""Light and dark style of Gozen's plots, and functions to write plots reproducibly, byte for byte.

The colours follow Okabe and Ito (Color Universal Design, 2008) and can be distinguished with any colour vision. Marks
also differ in shape.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import matplotlib as mpl
from matplotlib.figure import Figure

from gozen.archive.stores.output_files import writing
from gozen.errors import BadRequest

Form = Literal["png", "svg", "webp"]
DPI = 160

_WRITING: dict[Form, dict[str, Any]] = {
    "png": {"metadata": {"Software": None}},
    "svg": {"metadata": {"Date": None, "Creator": None}},
    "webp": {"pil_kwargs": {"quality": 80, "method": 4}},
}


@dataclass(frozen=True)
class Theme:
    """The colours of a plot.

    Parameters
    ----------
    ink, muted, grid
        Colours of text and frames, of secondary text, and of grid lines.
    matched, unmatched, truth, warning
        Colours of stars of the reference catalogue, of other sources, of injected values, and of flags.
    series
        Colours of lines for sensors or exposures.
    """

    name: str
    paper: str
    ink: str
    muted: str
    grid: str
    matched: str
    unmatched: str
    truth: str
    warning: str
    series: tuple[str, ...]


LIGHT = Theme(
    "light",
    paper="#ffffff",
    ink="#1f2430",
    muted="#5b6472",
    grid="#e3e6eb",
    matched="#0072b2",
    unmatched="#c04f00",
    truth="#3d4450",
    warning="#a3456f",
    series=("#0072b2", "#c04f00", "#00795a", "#a3456f", "#8a6100", "#3d4450"),
)
DARK = Theme(
    "dark",
    paper="#14181f",
    ink="#e8ebf0",
    muted="#a5aebb",
    grid="#2b323d",
    matched="#56b4e9",
    unmatched="#f0a13c",
    truth="#c9d0da",
    warning="#e39bc0",
    series=("#56b4e9", "#f0a13c", "#3cc79a", "#e39bc0", "#f0e442", "#c9d0da"),
)


@contextmanager
def themed(theme: Theme) -> Iterator[None]:
    """Apply a theme to figures that are drawn in this context."""
    with mpl.rc_context(_settings(theme)):
        yield


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of this size (inches), without global state of pyplot."""
    return Figure(figsize=(width, height), layout="constrained")


def picture(figure: Figure, form: Form) -> bytes:
    """Return a figure as bytes, which do not depend on the time, the machine's fonts or random numbers.

    Use WebP for images of the sky in pages: because of noise, a PNG is ten times as large.
    """
    buffer = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": "gozen", "svg.fonttype": "path"}):
        figure.savefig(buffer, format=form, dpi=DPI, **_WRITING[form])
    return buffer.getvalue()


def form_of(path: Path) -> Form:
    """Return the format for a file's suffix.

    Raises
    ------
    BadRequest
        The suffix is neither ``.png`` nor ``.svg``.
    """
    match path.suffix.lower():
        case ".png":
            return "png"
        case ".svg":
            return "svg"
    raise BadRequest(f"cannot draw into {path}: the name of a picture ends in .png or .svg")


def write_picture(figure: Figure, path: Path) -> None:
    """Write a figure to a file, as PNG or SVG according to its suffix."""
    content = picture(figure, form_of(path))
    with writing(path):
        path.write_bytes(content)


def _settings(theme: Theme) -> dict[str, Any]:
    return {
        "figure.facecolor": theme.paper,
        "axes.facecolor": theme.paper,
        "axes.edgecolor": theme.muted,
        "axes.labelcolor": theme.ink,
        "axes.titlecolor": theme.ink,
        "axes.titlesize": 10,
        "axes.titlelocation": "left",
        "axes.labelsize": 9,
        "axes.linewidth": 0.8,
        "axes.grid": True,
        "axes.axisbelow": True,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.formatter.useoffset": False,
        "grid.color": theme.grid,
        "grid.linewidth": 0.7,
        "xtick.color": theme.muted,
        "ytick.color": theme.muted,
        "xtick.labelcolor": theme.ink,
        "ytick.labelcolor": theme.ink,
        "xtick.labelsize": 8,
        "ytick.labelsize": 8,
        "text.color": theme.ink,
        "legend.fontsize": 8,
        "legend.frameon": False,
        "legend.labelcolor": theme.ink,
        "font.family": "DejaVu Sans",
        "font.size": 9,
        "mathtext.fontset": "dejavusans",
        "lines.linewidth": 1.2,
    }
