"""Stack a cube whose sky changes: the mean of its frames, each after its own sky was subtracted.

Where all frames reach the same place, a plain mean will do. Where only some do, its sky is that of those, and steps
from one border to the next.
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
    """Tell whether the plain mean of frames will do.

    Parameters
    ----------
    skies
        Of the stacked frames against the stack.
    """
    reached = stack.weight > 0
    if not (stack.weight[reached] < len(stack.frames)).any():
        return True
    level = [float(np.median(sky.excess)) for sky in skies]
    return float(np.ptp(level)) < _STEADY * float(np.median([sky.noise for sky in skies]))


def own_sky(image: Image, is_sky: NDArray[np.bool_], shift: Shift) -> FrameSky:
    """Return the sky of a frame itself, not what it has above that of the stack."""
    return frame_sky(image, np.zeros_like(image), is_sky, shift)


@dataclass
class LevelledMean:
    """A mean that grows by one frame at a time.

    Parameters
    ----------
    total
        Sum of the frames on the stack's pixels, ADU.
    weight
        How many frames reach each of them.
    """

    total: Image
    weight: NDArray[np.int16]

    @classmethod
    def of(cls, shape: tuple[int, ...]) -> LevelledMean:
        """Return that of no frames."""
        return cls(np.zeros(shape, np.float32), np.zeros(shape, np.int16))

    def add(self, rest: Image, shift: Shift) -> None:
        """Add a frame that has lost its sky.

        Parameters
        ----------
        rest
            The frame without its sky, ADU.
        shift
            By which it has drifted and turned against the stack.
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
        """Return the mean; zero where no frame reaches."""
        return np.asarray(self.total / np.maximum(self.weight, 1), np.float32)
