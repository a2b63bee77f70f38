"""Choose the aperture diameters of an exposure: from the profile, or from the seeing. No I/O."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gozen.instrument.profile import MOST_DIAMETER_PX, Apertures

_PER_FWHM = 4.0
"""Diameter over FWHM. A radius of two FWHM contains all but a few per cent of a star's light, so its flux hardly varies
with the seeing. A faint star has its best signal-to-noise at a radius of 0.7 to 1 FWHM (Howell 1989, PASP 101, 616;
Naylor 1998, MNRAS 296, 339)."""
_LEAST_PX = 5
"""In a smaller aperture, the measured flux of an undersampled star depends on its position within the pixel."""


def diameters_for(asked: Apertures, fwhm_px: Sequence[float], stack_fwhm_px: float) -> tuple[int, ...]:
    """Return the diameters of an exposure's apertures in whole pixels, the calibrated one first.

    Parameters
    ----------
    asked
        The profile's setting: diameters in pixels, or ``auto``.
    fwhm_px
        Full width at half maximum of the stars on each frame, pixels; NaN if unknown.
    stack_fwhm_px
        The same on the stack; used if it is unknown on every frame.
    """
    if asked != "auto":
        return asked
    known = [fwhm for fwhm in fwhm_px if np.isfinite(fwhm)]
    seeing = float(np.median(known)) if known else stack_fwhm_px
    return (int(np.clip(round(_PER_FWHM * seeing), _LEAST_PX, MOST_DIAMETER_PX)),)
