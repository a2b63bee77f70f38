"""Pipeline ``wcs``, second part: measure and calibrate the sources, and store their light-curve rows."""

from __future__ import annotations

import io

import pyarrow as pa
import pyarrow.parquet as pq

from gozen.archive import keys
from gozen.archive.commit import GateRecord, put_new_product
from gozen.photometry.aperture_choice import diameters_for
from gozen.photometry.forced_photometry import ApertureSet
from gozen.reduction.measure_stars import Measurement, measure, place_sources
from gozen.reduction.sensor_stages import Measured, Searched, Solved, Stage, Stored
from gozen.settings import CalibrationSettings

_BLENDS = (
    "the zero point is computed from stars whose apertures contain light of other stars, because too few stars are "
    "isolated"
)


def measure_sources(solved: Solved, reached: Stage) -> Measured:
    """Measure the sources of the stack on every good frame.

    Raises
    ------
    TooFewCalibrators
        The zero point cannot be fitted.
    """
    context, stack = solved.context, solved.aligned.stack
    settings, reference = context.settings.calibration, context.shared.reference
    seeing = [stack.fwhm[index] for index in stack.cube.good]
    diameters = diameters_for(context.profile.aperture_diameters_px, seeing, stack.sources.fwhm)
    apertures = ApertureSet(diameters, context.settings.photometry.limit_sigma)
    sources = place_sources(stack, solved.solution, reference, apertures, settings)
    found = measure(stack, sources, apertures, settings, context.processing)
    warnings = (_BLENDS,) if found.sources.calibrated_by_blends else ()
    return Measured(reached, solved, found, gates=_gates(found, settings), warnings=warnings)


def _gates(found: Measurement, settings: CalibrationSettings) -> tuple[GateRecord, ...]:
    if found.zero is None:
        return ()
    return (
        GateRecord(
            name="TooFewCalibrators",
            value=found.zero.stars,
            limit=settings.minimum_stars,
            unit="stars",
            passed=True,
            message=found.calibrators.sentence if found.calibrators else None,
        ),
    )


def store_rows(measured: Measured, reached: Stage) -> Stored:
    """Store the light-curve rows, including the rows of flares."""
    context, rows = measured.context, measured.found.rows
    searched = reached.find(Searched)
    metadata = {**(rows.schema.metadata or {}), **context.provenance.as_metadata()}
    if searched is not None and searched.flashes is not None:
        rows = pa.concat_tables([rows, searched.flashes], promote_options="default")
    data = _parquet(rows.replace_schema_metadata(metadata))
    key = keys.staging(context.processing, context.work.sensor)
    return Stored(reached, products={"staging": put_new_product(context.store, key, data, context.version)})


def _parquet(rows: pa.Table) -> bytes:
    buffer = io.BytesIO()
    texts = ["origin", "exposure", "run", "filter"]
    pq.write_table(rows, buffer, compression="zstd", compression_level=1, use_dictionary=texts)
    return buffer.getvalue()
