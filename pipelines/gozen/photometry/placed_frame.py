"""A calibrated frame with its shift and its sky relative to the stack."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gozen.calibration.calibrate_frame import Image, Mask
from gozen.photometry.frame_shift import Shift
from gozen.photometry.sky_background import FrameSky

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class PlacedFrame:
    """A calibrated frame with its shift and its sky relative to the stack.

    Parameters
    ----------
    image, mask
        The calibrated frame, ADU, and its mask, shape (rows, columns).
    shift
        Shift of the frame against the stack.
    sky
        Sky of the frame minus the stack's background.
    """

    image: Image
    mask: Mask
    shift: Shift
    sky: FrameSky
