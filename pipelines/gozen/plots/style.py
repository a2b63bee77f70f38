"""Light and dark style of Gozen's plots, and writing them reproducibly, byte for byte.

Colours are those of Okabe and Ito (Color Universal Design, 2008), which people with any colour vision tell apart;
marks differ in shape too.
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

from gozen.archive.stores.store import named_errors
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
    """The colours of a picture.

    Parameters
    ----------
    ink, muted, grid
        Text and frames, secondary text, and grid lines.
    matched, unmatched, truth, warning
        Stars of the catalogue, sources that are in none, what was injected, and flags.
    series
        Lines that stand for sensors or exposures.
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
    """Draw in a theme."""
    with mpl.rc_context(_settings(theme)):
        yield


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure, inches, without any global state of pyplot."""
    return Figure(figsize=(width, height), layout="constrained")


def picture(figure: Figure, form: Form) -> bytes:
    """Return a figure as bytes; nothing in them depends on the clock, the machine's fonts or chance.

    WebP is for photographs inside pages: noise makes a PNG ten times as long.
    """
    buffer = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": "gozen", "svg.fonttype": "path"}):
        figure.savefig(buffer, format=form, dpi=DPI, **_WRITING[form])
    return buffer.getvalue()


def form_of(path: Path) -> Form:
    """Return what a file's suffix asks for.

    Raises
    ------
    BadRequest
        It is neither ``.png`` nor ``.svg``.
    """
    match path.suffix.lower():
        case ".png":
            return "png"
        case ".svg":
            return "svg"
    raise BadRequest(f"cannot draw into {path}: the name of a picture ends in .png or .svg")


def write_picture(figure: Figure, path: Path) -> None:
    """Write a figure into a file, PNG or SVG by its suffix."""
    content = picture(figure, form_of(path))
    with named_errors(str(path), "write"):
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
