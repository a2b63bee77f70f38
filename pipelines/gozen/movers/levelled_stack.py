"""Stack a cube whose sky changes: subtract the sky of each frame, then average.

If all frames cover the same pixels, a plain mean suffices. If only some frames cover a pixel, a plain mean has the sky
of those frames, so its sky level changes in steps at the frames' borders.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gozen.calibration.calibrate_frame import Image
from gozen.photometry.frame_shift import Shift
from gozen.photometry.mean_stack import Stack
from gozen.photometry.sky_background import FrameSky, frame_sky

_STEADY = 0.1


def is_steady(stack: Stack, skies: list[FrameSky]) -> bool:
    """Tell whether a plain mean of the frames suffices: all cover the same pixels, or their sky hardly changes.

    Parameters
    ----------
    skies
        Sky of each stacked frame, minus the stack's background.
    """
    reached = stack.weight > 0
    if not (stack.weight[reached] < len(stack.frames)).any():
        return True
    level = [float(np.median(sky.excess)) for sky in skies]
    return float(np.ptp(level)) < _STEADY * float(np.median([sky.noise for sky in skies]))


def own_sky(image: Image, is_sky: NDArray[np.bool_], shift: Shift) -> FrameSky:
    """Measure the sky of a frame itself, not its difference from the stack."""
    return frame_sky(image, np.zeros_like(image), is_sky, shift)


@dataclass
class LevelledMean:
    """A running mean to which frames are added one at a time.

    Parameters
    ----------
    total
        Sum of the frames, in the pixels of the stack, ADU.
    weight
        Number of frames that cover each pixel.
    """

    total: Image
    weight: NDArray[np.int16]

    @classmethod
    def of(cls, shape: tuple[int, ...]) -> LevelledMean:
        """Return an empty mean, with images of this shape."""
        return cls(np.zeros(shape, np.float32), np.zeros(shape, np.int16))

    def add(self, rest: Image, shift: Shift) -> None:
        """Add a frame, from which the sky is already subtracted.

        Parameters
        ----------
        rest
            The frame without its sky, ADU.
        shift
            Shift and rotation of the frame against the stack.
        """
        if shift.turn is not None:
            self.total += shift.onto_reference(rest, np.float32(0))
            self.weight += shift.onto_reference(np.ones(rest.shape, np.int16), np.int16(0))
            return
        rows, columns = rest.shape
        dx, dy = round(shift.dx), round(shift.dy)
        here = slice(max(-dy, 0), min(rows - dy, rows)), slice(max(-dx, 0), min(columns - dx, columns))
        there = slice(max(dy, 0), min(rows + dy, rows)), slice(max(dx, 0), min(columns + dx, columns))
        self.total[here] += rest[there]
        self.weight[here] += 1

    def image(self) -> Image:
        """Return the mean, ADU; 0 in pixels that no frame covers."""
        return np.asarray(self.total / np.maximum(self.weight, 1), np.float32)
