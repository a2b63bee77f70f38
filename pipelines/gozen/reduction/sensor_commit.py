"""Build the commit from the last stage that a sensor's reduction reached."""

from __future__ import annotations

from typing import Any

from gozen.archive.commit import FrameRecord, GateRecord, Product, Rejection, SensorCommit, Summary
from gozen.archive.keys import frame_id_of
from gozen.archive.provenance import Provenance
from gozen.errors import Rejected
from gozen.reduction.calibrated_frames import CalibratedCube
from gozen.reduction.measure_stars import Measurement
from gozen.reduction.sensor_stages import (
    Aligned,
    Calibrated,
    Measured,
    Opened,
    Prepared,
    Read,
    RoughlyAligned,
    Searched,
    Solved,
    Stage,
    Unread,
)


def commit_of(unread: Unread, reached: Stage, refusal: Rejected | None) -> SensorCommit:
    """Return the commit of a sensor, with the results of all stages that were reached.

    Parameters
    ----------
    unread, reached
        The first stage and the last one that was reached.
    refusal
        The rejection by a gate that ended the reduction, or None.
    """
    work, read, searched = unread.work, reached.find(Read), reached.find(Searched)
    commit = SensorCommit(
        night=work.processing.night,
        exposure=work.processing.exposure,
        run=work.processing.run,
        sensor=work.sensor,
        frame_id=read.cube.frame_id if read else frame_id_of(work.raw[0]),
        instrument=unread.shared.profile.name,
        object=work.object,
        data_type="OBJECT",
        pipelines=work.pipelines,
        status="rejected" if refusal else "reduced",
        rejection=Rejection.of(refusal) if refusal else None,
        warnings=tuple(warning for stage in reached.chain for warning in stage.warnings),
        retain_raw=work.retain_raw,
        products=_products(reached),
        gates=_gates(reached, refusal),
        frames=tuple(_frame_records(reached)),
        summary=_summary(reached),
        tracklets=searched.tracklets if searched else (),
        provenance=_provenance(unread, reached),
    )
    return commit.model_copy(update=_of_header(read)) if read else commit


def _products(reached: Stage) -> dict[str, Product]:
    return {name: product for stage in reached.chain for name, product in stage.products.items()}


def _gates(reached: Stage, refusal: Rejected | None) -> tuple[GateRecord, ...]:
    """Return the records of the sensor's gates, then of its frames' gates, then of the gate that rejected it."""
    cube = _frames(reached)
    of_frames = cube.gates if cube else ()
    failed = (_failed(refusal),) if refusal else ()
    return (*(gate for stage in reached.chain for gate in stage.gates), *of_frames, *failed)


def _provenance(unread: Unread, reached: Stage) -> Provenance:
    prepared, read = reached.find(Prepared), reached.find(Read)
    if prepared is not None:
        return prepared.context.provenance
    return read.provenance if read else unread.provenance


def _frames(reached: Stage) -> CalibratedCube | None:
    """Return the calibrated frames; if alignment was reached, trailed frames are among the rejected ones."""
    roughly, calibrated = reached.find(RoughlyAligned), reached.find(Calibrated)
    if roughly is not None:
        return roughly.rough.cube
    return calibrated.cube if calibrated else None


def _failed(refusal: Rejected) -> GateRecord:
    return GateRecord(name=refusal.name, value=refusal.value, limit=refusal.limit, passed=False, message=str(refusal))


def _of_header(read: Read) -> dict[str, Any]:
    cube, header = read.cube, read.cube.header
    return {
        "object": header.object,
        "data_type": header.data_type,
        "filter": header.filter,
        "project": header.project,
        "observer": header.observer,
        "pipelines": read.pipelines,
        "mjd_start": float(cube.start[0]),
        "exposure_s": header.exposure_s,
        "nframe": cube.nframe,
    }


def _frame_records(reached: Stage) -> list[FrameRecord]:
    cube, opened = _frames(reached), reached.find(Opened)
    if cube is None or opened is None:
        return []
    aligned, measured = reached.find(Aligned), reached.find(Measured)
    records = []
    for index, level in enumerate(cube.levels):
        refusal = cube.rejections.get(index)
        values = {
            "frame": index,
            "mjd": float(cube.raw.start[index]),
            "rejected": Rejection.of(refusal) if refusal else None,
            "background_adu": level.background,
            "noise_adu": level.noise,
        }
        registration = _registration(aligned, measured, index) if aligned else {}
        records.append(FrameRecord(**values, **registration))
    for index, unreadable in enumerate(opened.unreadable, start=cube.raw.nframe):
        records.append(FrameRecord(frame=index, rejected=Rejection.of(unreadable)))
    return records


def _registration(aligned: Aligned, measured: Measured | None, index: int) -> dict[str, Any]:
    stack = aligned.stack
    shift = stack.shifts[index]
    return {
        "shift_x_px": shift.dx,
        "shift_y_px": shift.dy,
        "shift_residual_px": shift.residual,
        "rotation_deg": shift.turn.angle_deg if shift.turn else None,
        "scale": shift.turn.scale if shift.turn else None,
        "n_stars": shift.stars,
        "elongation": stack.elongation[index],
        "seeing_px": stack.fwhm[index],
        "zero_point": measured.found.frame_zero.get(index) if measured else None,
    }


def _summary(reached: Stage) -> Summary:
    aligned, solved = reached.find(Aligned), reached.find(Solved)
    measured, searched = reached.find(Measured), reached.find(Searched)
    values: dict[str, Any] = {}
    if aligned is not None:
        stack = aligned.stack
        levels = [stack.cube.levels[index] for index in stack.stack.frames]
        values |= {
            "n_sources": len(stack.sources),
            "seeing_px": stack.sources.fwhm,
            "background_adu": sum(level.background for level in levels) / len(levels),
            "noise_adu": sum(level.noise for level in levels) / len(levels),
        }
    if solved is not None:
        solution = solved.solution
        values |= {
            "ra": solution.linear.ra,
            "dec": solution.linear.dec,
            "orientation_deg": solution.orientation_deg,
            "pixel_scale_arcsec": solution.linear.scale_arcsec,
            "wcs_method": solution.method,
            "wcs_rms_px": solution.rms_px,
            "wcs_rms_arcsec": solution.rms_arcsec,
            "n_wcs_stars": solution.stars,
        }
    if searched is not None:
        values |= {"n_tracklets": len(searched.tracklets), "n_flares": searched.flares}
    return Summary(**values, **(_photometric(measured.found) if measured else {}))


def _photometric(found: Measurement) -> dict[str, Any]:
    values: dict[str, Any] = {
        "n_detections": found.rows.num_rows,
        "n_matched": int(found.sources.matched.sum()),
        "limiting_magnitude": found.limiting_magnitude,
        "aperture_diameter_px": found.apertures.diameters_px[0],
    }
    if found.zero is not None:
        zero = found.zero
        values |= {
            "n_calibrators": zero.stars,
            "zero_point": zero.zp,
            "zero_point_err": zero.zp_err,
            "colour_term": zero.colour_term,
            "colour_term_err": zero.colour_term_err,
            "zero_point_scatter": zero.scatter,
        }
    return values
