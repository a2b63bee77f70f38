"""Pipeline ``wcs``, first part: solve the stack, and compare the solution with the header's pointing."""

from __future__ import annotations

from gozen.archive.commit import GateRecord
from gozen.astrometry.solve import Field, SensorPointing, sensor_pointing, solve_field
from gozen.quality.gates import check_pointing
from gozen.reduction.measure_stars import julian_year
from gozen.reduction.sensor_stages import Aligned, Fitted, Solved, Stage
from gozen.resources.sky_circle import separation_deg


def fit_solution(aligned: Aligned, reached: Stage) -> Fitted:
    """Fit an astrometric solution to the sources of the stack.

    Raises
    ------
    AstrometryFailed
        No solution fits.
    """
    context, sources, raw = aligned.context, aligned.stack.sources, aligned.stack.cube.raw
    rows, columns = aligned.stack.stack.image.shape
    year = julian_year(float(raw.start[0]))
    looked_at = Field(sources.x, sources.y, sources.flux, (rows, columns), pointing_of(aligned), year, raw.frame_id)
    settings = context.settings.astrometry
    fit = solve_field(looked_at, context.shared.reference, context.profile, settings)
    gate = GateRecord(
        name="AstrometryFailed", value=fit.rms_px, limit=settings.maximum_rms_px, unit="pixel", passed=True
    )
    return Fitted(reached, aligned, fit, gates=(gate,))


def check_place(fitted: Fitted, reached: Stage) -> Solved:
    """Compare a solution with the telescope's pointing, if the header has it.

    Raises
    ------
    InconsistentPointing
        The distance between the two exceeds the limit.
    """
    aligned, fit = fitted.aligned, fitted.fit
    pointing, gates = pointing_of(aligned), aligned.context.settings.gates
    if pointing is None:
        return Solved(reached, aligned, fit)
    offset = separation_deg(pointing.ra, pointing.dec, fit.linear.ra, fit.linear.dec)
    check_pointing(offset, gates, aligned.stack.cube.raw.frame_id)
    limit = gates.pointing_offset_deg
    gate = GateRecord(name="InconsistentPointing", value=offset, limit=limit, unit="deg", passed=True)
    return Solved(reached, aligned, fit, gates=(gate,))


def pointing_of(aligned: Aligned) -> SensorPointing | None:
    """Return the sensor's pointing according to the header, or None."""
    header = aligned.stack.cube.raw.header
    return sensor_pointing(aligned.context.profile, aligned.context.work.sensor, header.ra, header.dec)
