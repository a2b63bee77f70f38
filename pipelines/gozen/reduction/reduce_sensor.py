"""The reduction of one sensor's exposure, from raw files to its commit; a refusal of the data is a commit, too."""

from __future__ import annotations

import functools
import io
import logging
import math
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq

from gozen.archive import keys
from gozen.archive.block_list import Observed, blocked_by, load_block_list
from gozen.archive.commit import GateRecord, Outcome, SensorCommit, put_new_product, read_commit, write_commit
from gozen.archive.keys import Calibration
from gozen.archive.provenance import Provenance
from gozen.archive.raw.forget import check_not_forgotten
from gozen.archive.stores.store import check_unchanged
from gozen.astrometry.solve import Field, sensor_pointing, solve_field
from gozen.astrometry.tangent_plane import separation_deg
from gozen.calibration.calibrate_frame import Detector, detector_of
from gozen.calibration.master_match import CalibrationSetup
from gozen.calibration.master_search import Master, find_masters, warnings_of
from gozen.errors import Blocked, CorruptFile, Rejected, UnreadableInput
from gozen.frames.pixel_findings import notes_on_images
from gozen.frames.raw import RawCube, RawFile, assemble, read_file
from gozen.photometry.aperture_choice import diameters_for
from gozen.quality.gates import check_coordinates, check_pointing, check_time
from gozen.reduction.align_frames import AlignedStack, align
from gozen.reduction.calibrated_frames import CalibratedCube, calibrate_cube
from gozen.reduction.find_movers import find_moving
from gozen.reduction.flare_rows import flare_rows
from gozen.reduction.measure_stars import Measurement, julian_year, measure, place_sources
from gozen.reduction.neo_product import film_bytes
from gozen.reduction.sensor_commit import Progress, commit_of, pipelines_of
from gozen.reduction.sensor_products import cube_bytes, stack_bytes
from gozen.reduction.sensor_work import SensorWork, SharedInputs
from gozen.reduction.sky_tracklets import Place, records_of
from gozen.version import code_version

log = logging.getLogger(__name__)


def reduce_sensor(work: SensorWork, bench: SharedInputs) -> SensorCommit:
    """Reduce one sensor's exposure, or return the commit that is there already.

    Parameters
    ----------
    work
        What is to be reduced.
    bench
        Archive, profile, settings and reference catalogue.

    Returns
    -------
    The commit in the archive; its status says whether a gate refused the data, its products name what exists.

    Raises
    ------
    UnreadableInput
        Masters or raw data are missing.
    StorageUnavailable
        The archive cannot be read or written, or raw data changed while they were reduced.
    """
    done = read_commit(bench.store, work.processing, work.sensor)
    if done is not None:
        return done
    if not work.raw:
        raise UnreadableInput(f"{work.processing.folder} sensor {work.sensor} has no raw files")
    state = Progress(provenance=_first_provenance(work, bench))
    refusal: Rejected | None = None
    try:
        _reduce(work, bench, state)
    except Rejected as error:
        refusal = error
        log.info("%s sensor %s: %s: %s", work.processing.folder, work.sensor, error.name, error)
    commit = commit_of(work, bench, state, refusal)
    check_unchanged(bench.raw_store(work.raw_root), state.stamps)
    check_not_forgotten(bench.store, work.processing.night, work.processing.exposure, work.raw_here)
    outcome = write_commit(bench.store, work.processing, commit)
    if outcome is Outcome.KEPT_FIRST:
        return read_commit(bench.store, work.processing, work.sensor) or commit
    return commit


def _reduce(work: SensorWork, bench: SharedInputs, state: Progress) -> None:
    cube = state.cube = _read(work, bench, state)
    state.provenance = state.provenance.model_copy(update={"inputs": cube.inputs})
    _check_header(work, cube, bench, state)
    pipelines = pipelines_of(work, cube, bench)
    masters = _masters(work, cube, bench, state)
    # From here on the profile is that of the pixels that were read: a window, or binned ones.
    bench = replace(bench, profile=cube.read_out(bench.profile))
    detector = state.detector = _detector(cube, bench, work.sensor, masters)
    calibrated = state.calibrated = calibrate_cube(cube, detector, bench.settings.gates, bench.workspace)
    skip = bench.profile.stack_skips_frames
    aligned = state.aligned = align(
        calibrated,
        skip,
        detector.saturation_adu,
        bench.settings.detection,
        bench.settings.gates,
        cube.frame_id,
    )
    try:
        if "wcs" in pipelines:
            _solve(work, bench, state, cube, aligned)
            _measure(work, bench, state, cube, calibrated, aligned, detector)
    finally:
        # An unsolved stack is what a person needs to see why it was refused.
        _write_images(work, bench, state, pipelines)


def _read(work: SensorWork, bench: SharedInputs, state: Progress) -> RawCube:
    """Read the raw files; of many single frames those that are none are left out, and recorded."""
    files: list[RawFile] = []
    store = bench.raw_store(work.raw_root)
    for number, key in enumerate(work.raw):
        state.stamps[key] = store.stamp(key)
        try:
            room = functools.partial(bench.workspace.room, f"raw {number}")
            file = read_file(store, key, room, bench.profile.hdu)
            assemble([file], bench.profile)
            files.append(file)
        except CorruptFile as refusal:
            state.unreadable.append(refusal)
    if not files:
        raise state.unreadable.pop(0)
    state.warnings += notes_on_images(files[0], bench.profile)
    return assemble(files, bench.profile)


def _check_header(work: SensorWork, cube: RawCube, bench: SharedInputs, state: Progress) -> None:
    if cube.header.sensor != work.sensor or bench.profile.sensor(work.sensor) is None:
        known = ", ".join(sensor.id for sensor in bench.profile.sensors[:8])
        raise CorruptFile(
            f"{cube.frame_id}: the header says sensor {cube.header.sensor!r}, where {work.sensor!r} is reduced; "
            f"the profile {bench.profile.name} has {known}{', ...' if len(bench.profile.sensors) > 8 else ''}"
        )
    check_coordinates(cube.header, cube.frame_id)
    state.gates.append(GateRecord(name="InconsistentTime", value=check_time(cube), limit=0.0, unit="s", passed=True))
    if bench.settings.block_list is None:
        return
    header, shape = cube.header, bench.profile.active_shape
    at = sensor_pointing(bench.profile, work.sensor, header.ra, header.dec)
    ra, dec = (at.ra, at.dec) if at else (None, None)
    radius = math.hypot(*shape) / 2 * bench.profile.pixel_scale_arcsec / 3600
    exposure = work.processing.exposure
    observed = Observed(header.object, exposure, header.project, float(cube.start[0]), ra, dec, radius)
    reason = blocked_by(load_block_list(bench.settings.block_list), observed)
    if reason is not None:
        raise Blocked(f"{cube.frame_id}: the block list covers it: {reason}")


def _masters(work: SensorWork, cube: RawCube, bench: SharedInputs, state: Progress) -> dict[Calibration, Master]:
    """Find the masters that fit the frames; note them, and what is done without or does not fit exactly."""
    night, wanted = work.processing.night, CalibrationSetup.of_header(cube.header)
    masters = find_masters(bench.store, bench.profile, work.sensor, night, float(cube.start[0]), wanted)
    used = {str(kind): master.used for kind, master in masters.items()}
    state.provenance = state.provenance.model_copy(update={"calibration": used})
    state.warnings += warnings_of(used, wanted, bench.profile, cube.read_out(bench.profile))
    return masters


def _detector(cube: RawCube, bench: SharedInputs, sensor: str, masters: dict[Calibration, Master]) -> Detector:
    dark, flat = masters.get("dark") or masters.get("bias"), masters.get("flat")
    return detector_of(
        bench.profile, sensor, cube.header.gain, dark.image if dark else None, flat.image if flat else None
    )


def _solve(work: SensorWork, bench: SharedInputs, state: Progress, cube: RawCube, aligned: AlignedStack) -> None:
    sources, header = aligned.sources, cube.header
    pointing = sensor_pointing(bench.profile, work.sensor, header.ra, header.dec)
    year = julian_year(float(cube.start[0]))
    shape = aligned.stack.image.shape
    looked_at = Field(sources.x, sources.y, sources.flux, (shape[0], shape[1]), pointing, year, cube.frame_id)
    settings = bench.settings.astrometry
    solution = solve_field(looked_at, bench.reference, bench.profile, settings)
    state.gates.append(
        GateRecord(
            name="AstrometryFailed", value=solution.rms_px, limit=settings.maximum_rms_px, unit="pixel", passed=True
        )
    )
    if pointing is not None:
        offset = separation_deg(pointing.ra, pointing.dec, solution.linear.ra, solution.linear.dec)
        check_pointing(offset, bench.settings.gates, cube.frame_id)
        limit = bench.settings.gates.pointing_offset_deg
        state.gates.append(GateRecord(name="InconsistentPointing", value=offset, limit=limit, unit="deg", passed=True))
    state.solution = solution


def _measure(
    work: SensorWork,
    bench: SharedInputs,
    state: Progress,
    cube: RawCube,
    calibrated: CalibratedCube,
    aligned: AlignedStack,
    detector: Detector,
) -> None:
    assert state.solution is not None
    settings = bench.settings
    seeing = [aligned.fwhm[index] for index in calibrated.good]
    diameters = diameters_for(bench.profile.aperture_diameters_px, seeing, aligned.sources.fwhm)
    reach = diameters[0] / 2 + aligned.sources.fwhm
    year, radius = julian_year(float(cube.start[0])), settings.calibration.match_radius_arcsec
    sources = place_sources(aligned, state.solution, bench.reference, year, radius, reach)
    found = measure(cube, calibrated, aligned, sources, detector, settings, diameters, work.processing)
    state.measurement = found
    if found.zero is not None:
        least = settings.calibration.minimum_stars
        state.gates.append(
            GateRecord(
                name="TooFewCalibrators",
                value=found.zero.stars,
                limit=least,
                unit="stars",
                passed=True,
                message=found.calibrators.sentence if found.calibrators else None,
            )
        )
    if found.sources.calibrated_by_blends:
        state.warnings.append(
            "the zero magnitude rests on stars whose apertures hold the light of others, as too few stand alone"
        )
    rows = found.rows
    if "neo" in pipelines_of(work, cube, bench):
        rows = _with_movers(work, bench, state, found)
    rows = rows.replace_schema_metadata({**(found.rows.schema.metadata or {}), **state.provenance.as_metadata()})
    key = keys.staging(work.processing, work.sensor)
    state.products["staging"] = put_new_product(bench.store, key, _parquet(rows))


def _with_movers(work: SensorWork, bench: SharedInputs, state: Progress, measured: Measurement) -> pa.Table:
    """Find and record what moves, and return the light-curve rows with those of what flashes."""
    cube, calibrated, aligned, detector, solution = (
        state.cube,
        state.calibrated,
        state.aligned,
        state.detector,
        state.solution,
    )
    assert cube is not None
    assert calibrated is not None
    assert aligned is not None
    assert detector is not None
    assert solution is not None
    settings, diameter = bench.settings, measured.diameters_px[0]
    found = find_moving(cube, calibrated, aligned, measured.skies, detector, diameter, settings.movers)
    place = Place(cube, aligned, solution, detector, measured.zero)
    state.tracklets = tuple(records_of(found, place, work.processing))
    state.flares = 0
    if state.tracklets:
        data = film_bytes(list(state.tracklets), found, cube, calibrated, detector, bench.profile, state.provenance)
        state.products["neo"] = put_new_product(bench.store, keys.neo(work.processing, cube.frame_id), data)
    if not found.flares:
        return measured.rows
    flashes = flare_rows(
        found.flares,
        cube,
        calibrated,
        aligned,
        measured,
        solution,
        bench.reference,
        detector,
        settings,
        work.processing,
    )
    state.flares = len(flashes) // max(len(measured.skies), 1)
    return pa.concat_tables([measured.rows, flashes], promote_options="default")


def _write_images(work: SensorWork, bench: SharedInputs, state: Progress, pipelines: tuple[str, ...]) -> None:
    cube, aligned, detector, calibrated = state.cube, state.aligned, state.detector, state.calibrated
    assert cube is not None
    assert aligned is not None
    assert detector is not None
    assert calibrated is not None
    if "stack" in pipelines:
        zero = state.measurement.zero.zp if state.measurement and state.measurement.zero else None
        data = stack_bytes(cube, aligned, state.solution, zero, detector, bench.profile, state.provenance)
        key = keys.stack(work.processing, cube.frame_id)
        state.products["stack"] = put_new_product(bench.store, key, data)
    if "cube" in pipelines:
        data = cube_bytes(cube, calibrated, aligned, state.solution, detector, bench.profile, state.provenance)
        state.products["cube"] = put_new_product(bench.store, keys.cube(work.processing, cube.frame_id), data)


def _parquet(rows: pa.Table) -> bytes:
    buffer = io.BytesIO()
    texts = ["origin", "exposure", "run", "filter"]
    pq.write_table(rows, buffer, compression="zstd", compression_level=1, use_dictionary=texts)
    return buffer.getvalue()


def _first_provenance(work: SensorWork, bench: SharedInputs) -> Provenance:
    shaping = bench.settings.model_dump(
        mode="json", include={"detection", "photometry", "movers", "astrometry", "calibration", "gates"}
    )
    reading = bench.settings.reference_file.model_dump(mode="json", exclude_defaults=True)
    if reading:
        shaping["reference_file"] = reading
    return Provenance(
        code_version=code_version(),
        image_digest=bench.settings.image_digest,
        recipe_name=work.recipe_name,
        recipe=work.recipe,
        parameters=shaping,
        reference=bench.reference_used,
    )
