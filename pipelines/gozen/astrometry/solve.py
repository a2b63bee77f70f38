"""Find the WCS of a stack: with a hint, else blind; raise `AstrometryFailed` if both fail."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gozen.astrometry.blind import index_files, solve_blind
from gozen.astrometry.hinted import FieldStars, solve_with_hint
from gozen.astrometry.refine import refine
from gozen.astrometry.solution import Solution
from gozen.astrometry.tangent_plane import PixelAxes, Projection, from_plane, nominal_projection, to_plane
from gozen.catalog.reference.reference_catalog import StarSource
from gozen.errors import AstrometryFailed
from gozen.instrument.profile import Profile
from gozen.settings import AstrometrySettings

Floats = NDArray[np.float64]
_MARGIN = 1.2
_BRIGHTEST = 1000
"""Largest number of detections that are used: fainter ones have larger errors of position, at the same cost."""


@dataclass(frozen=True)
class Field:
    """A field to be solved.

    Parameters
    ----------
    x, y, flux
        Detections: 0-based pixels of the active area, and ADU.
    shape
        Rows and columns of the active area.
    pointing
        Position of the middle of the sensor from header and profile; None if it is not known.
    year
        Julian year of the exposure.
    frame_id
        Name of the frame, for the messages.
    """

    x: Floats
    y: Floats
    flux: Floats
    shape: tuple[int, int]
    pointing: SensorPointing | None
    year: float
    frame_id: str


@dataclass(frozen=True)
class SensorPointing:
    """The middle of a sensor on the sky: its position, and its direction to north compared with the optical axis.

    Parameters
    ----------
    ra, dec
        Degrees.
    turn_deg
        Angle between the direction to north here and at the optical axis, degrees, to add to the profile's
        orientation. At high declination it is several degrees.
    """

    ra: float
    dec: float
    turn_deg: float = 0.0


def sensor_pointing(profile: Profile, sensor_id: str, ra: float | None, dec: float | None) -> SensorPointing | None:
    """Return the pointing of a sensor if the telescope points at (ra, dec), degrees; None if (ra, dec) is not known."""
    sensor = profile.sensor(sensor_id)
    if ra is None or dec is None or sensor is None:
        return None
    x, y = sensor.x_arcsec / 3600, sensor.y_arcsec / 3600
    step = 1 / 3600
    along = from_plane(np.array([x, x]), np.array([y, y + step]), ra, dec)
    here = float(along[0][0]), float(along[1][0])
    xi, eta = to_plane(*along, *here)
    return SensorPointing(*here, float(np.rad2deg(np.arctan2(xi[1], eta[1]))))


def solve_field(field: Field, reference: StarSource | None, profile: Profile, settings: AstrometrySettings) -> Solution:
    """Solve and refine the WCS of a stack.

    Parameters
    ----------
    reference
        Reference stars that cover the field; None to solve blind, and refine with the stars of the index files.

    Raises
    ------
    AstrometryFailed
        There are too few detections, no solution is found, or its residuals exceed the limit.
    """
    if len(field.x) < settings.minimum_stars:
        raise AstrometryFailed(
            f"{field.frame_id}: only {len(field.x)} sources are on the stack, but a solution needs "
            f"{settings.minimum_stars} (astrometry.minimum_stars)",
            value=len(field.x),
            limit=settings.minimum_stars,
        )
    solution = _hinted(field, reference, profile, settings) or _blind(field, reference, profile, settings)
    if solution is None:
        raise AstrometryFailed(_advice(field, reference, settings))
    if solution.rms_px > settings.maximum_rms_px:
        raise AstrometryFailed(
            f"{field.frame_id}: the rms distance of the reference stars from the solution is {solution.rms_px:.3f} "
            f"pixels; the limit is {settings.maximum_rms_px:g} (astrometry.maximum_rms_px)",
            value=solution.rms_px,
            limit=settings.maximum_rms_px,
        )
    return solution


def _hinted(
    field: Field, reference: StarSource | None, profile: Profile, settings: AstrometrySettings
) -> Solution | None:
    if field.pointing is None or reference is None:
        return None
    nominal = _nominal(field, profile, field.pointing)
    radius_px = profile.pointing_uncertainty_arcsec / profile.pixel_scale_arcsec
    centre = field.pointing.ra, field.pointing.dec
    stars = _stars(field, reference, profile, centre, extra_px=radius_px)
    if len(stars.ra) < settings.minimum_stars:
        return None
    match = solve_with_hint(stars, nominal, radius_px, settings.minimum_stars)
    if match is None:
        return None
    solution = refine(match.projection, stars, field.shape, settings.distortion_order, "hint")
    return solution if solution and solution.stars >= settings.minimum_stars else None


def _blind(
    field: Field, reference: StarSource | None, profile: Profile, settings: AstrometrySettings
) -> Solution | None:
    order = np.argsort(-field.flux, kind="stable")
    scale = profile.pixel_scale_arcsec
    margin = max(2 * profile.pixel_scale_uncertainty, 0.02)
    match = solve_blind(
        field.x[order],
        field.y[order],
        index_files(settings.index_files),
        (scale * (1 - margin), scale * (1 + margin)),
        None,
    )
    if match is None:
        return None
    ra, dec = match.projection.sky(np.array([field.shape[1] / 2]), np.array([field.shape[0] / 2]))
    if reference is None:
        stars = FieldStars(field.x[order], field.y[order], match.ra, match.dec)
    else:
        stars = _stars(field, reference, profile, (float(ra[0]), float(dec[0])), extra_px=0.0)
    solution = refine(match.projection, stars, field.shape, settings.distortion_order, "blind")
    return solution if solution and solution.stars >= settings.minimum_stars else None


def _nominal(field: Field, profile: Profile, pointing: SensorPointing) -> Projection:
    x, y = (field.shape[1] - 1) / 2, (field.shape[0] - 1) / 2
    scale, angle = profile.pixel_scale_arcsec, profile.orientation_deg + pointing.turn_deg
    return nominal_projection(pointing.ra, pointing.dec, x, y, PixelAxes(scale, angle, profile.mirrored))


def _stars(
    field: Field, reference: StarSource, profile: Profile, centre: tuple[float, float], extra_px: float
) -> FieldStars:
    """Return detections and reference stars, both brightest first; the stars at the epoch of the exposure."""
    half_diagonal_px = np.hypot(*field.shape) / 2 * _MARGIN + extra_px
    near = reference.cone(*centre, half_diagonal_px * profile.pixel_scale_arcsec / 3600)
    near = near[np.argsort(near.g, kind="stable")]
    ra, dec = near.at_epoch(field.year)
    order = np.argsort(-field.flux, kind="stable")[:_BRIGHTEST]
    return FieldStars(field.x[order], field.y[order], ra, dec)


def _advice(field: Field, reference: StarSource | None, settings: AstrometrySettings) -> str:
    tried = []
    if field.pointing is None:
        tried.append("the header gives no pointing")
    elif reference is None:
        tried.append("there is no reference catalogue (give one with --reference)")
    else:
        tried.append(
            f"the stars near ({field.pointing.ra:.4f}, {field.pointing.dec:+.4f}) deg do not fit the catalogue "
            "(check that it covers the field; check pixel_scale_arcsec, orientation_deg, mirrored of the profile)"
        )
    places = ", ".join(str(Path(place)) for place in settings.index_files)
    indexes = len(index_files(settings.index_files))
    tried.append(
        f"a blind search with {indexes} index files in {places} found nothing"
        if indexes
        else f"no index files in {places}"
    )
    return f"{field.frame_id}: no solution for {len(field.x)} sources: {'; '.join(tried)}"
