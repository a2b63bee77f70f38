"""A calibrated frame together with where it stands against the stack and what its sky has above the stack's."""

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
    """A frame on which places and levels of the stack are known.

    Parameters
    ----------
    image, mask
        The calibrated frame, shape (rows, columns), ADU.
    shift
        Of the frame against the stack.
    sky
        Of the frame, above the stack's background.
    """

    image: Image
    mask: Mask
    shift: Shift
    sky: FrameSky
