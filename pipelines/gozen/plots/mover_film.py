"""Plot the cutouts of a moving object, one small image for each frame."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.image import imsave
from numpy.typing import NDArray

from gozen.plots.style import DARK, Theme, new_figure, themed

_COLUMNS = 9
_INCH = 0.9


def film_figure(
    film: NDArray[np.floating], title: str, frames: NDArray[np.integer] | None = None, theme: Theme = DARK
) -> Figure:
    """Draw a film of a moving object as a grid of images.

    Parameters
    ----------
    film
        The cutouts of the product ``neo``: shape (frames, side, side), ADU; NaN for missing data.
    frames
        Numbers to print above the images; by default 0, 1, 2, ...
    """
    count = len(film)
    columns = min(count, _COLUMNS)
    rows = -(-count // columns)
    numbers = np.arange(count) if frames is None else frames
    low, high = _range(film)
    with themed(theme):
        figure = new_figure(max(columns * _INCH, 2.5), rows * (_INCH + 0.2) + 0.4)
        figure.suptitle(title, fontsize=10, x=0.02, ha="left")
        for index, axes in enumerate(figure.subplots(rows, columns, squeeze=False).ravel()):
            axes.set_axis_off()
            if index < count:
                axes.imshow(film[index], vmin=low, vmax=high, origin="lower", cmap="gray", interpolation="nearest")
                axes.set_title(f"{numbers[index]}", fontsize=7, loc="center", pad=2)
    return figure


def film_strip(film: NDArray[np.floating]) -> bytes:
    """Return the frames side by side as a PNG at their original size, the first on the left; NaN is black.

    Parameters
    ----------
    film
        Shape (frames, side, side), ADU.
    """
    low, high = _range(film)
    buffer = io.BytesIO()
    strip = np.hstack(list(np.nan_to_num(film, nan=low)))
    unsigned: dict[str, Any] = {"Software": None}
    imsave(buffer, strip, vmin=low, vmax=high, cmap="gray", origin="lower", format="png", metadata=unsigned)
    return buffer.getvalue()


def _range(film: NDArray[np.floating]) -> tuple[float, float]:
    """Return the values for black (sky minus two standard deviations) and white (median of the frames' peaks), ADU."""
    known = film[np.isfinite(film)]
    if known.size == 0:
        return 0.0, 1.0
    middle = float(np.median(known))
    spread = 1.4826 * float(np.median(np.abs(known - middle)))
    peaks = [float(np.nanmax(one)) for one in film if np.isfinite(one).any()]
    low = middle - 2 * spread
    return low, max(float(np.median(peaks)), low + 6 * spread, low + 1e-6)
