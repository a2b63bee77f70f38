"""Choose the aperture diameters of an exposure: those of the profile, or one by the seeing. No I/O."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gozen.instrument.profile import MOST_DIAMETER_PX, Apertures

_PER_FWHM = 4.0
"""A radius of two FWHM holds all but a few per cent of a star, so that its flux hardly follows the seeing. A faint star
has its best signal-to-noise at 0.7 to 1 FWHM (Howell 1989, PASP 101, 616; Naylor 1998, MNRAS 296, 339)."""
_LEAST_PX = 5
"""Below this an undersampled star's share within the circle depends on where in the pixel it stands."""


def diameters_for(asked: Apertures, fwhm_px: Sequence[float], stack_fwhm_px: float) -> tuple[int, ...]:
    """Return the diameters of an exposure's apertures, whole pixels, the calibrated one first.

    Parameters
    ----------
    asked
        What the profile says: diameters, or ``auto``.
    fwhm_px
        Full width at half maximum of the stars on each frame, pixels; NaN where it is not known.
    stack_fwhm_px
        The same on the stack, for where no frame has enough stars.
    """
    if asked != "auto":
        return asked
    known = [fwhm for fwhm in fwhm_px if np.isfinite(fwhm)]
    seeing = float(np.median(known)) if known else stack_fwhm_px
    return (int(np.clip(round(_PER_FWHM * seeing), _LEAST_PX, MOST_DIAMETER_PX)),)
