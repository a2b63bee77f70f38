"""What is known of a sensor's reduction at any moment, and the commit that is made of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from gozen.archive.commit import FrameRecord, GateRecord, Product, Rejection, SensorCommit, Summary
from gozen.archive.keys import frame_id_of
from gozen.archive.provenance import Provenance
from gozen.archive.tracklet_record import TrackletRecord
from gozen.astrometry.solution import Solution
from gozen.calibration.calibrate_frame import Detector
from gozen.errors import CorruptFile, Rejected
from gozen.frames.raw import RawCube
from gozen.reduction.align_frames import AlignedStack
from gozen.reduction.calibrated_frames import CalibratedCube
from gozen.reduction.measure_stars import Measurement
from gozen.reduction.sensor_work import SensorWork, SharedInputs
from gozen.version import code_version


@dataclass
class Progress:
    """What is known of the sensor so far; a commit can be made of it at any moment.

    Parameters
    ----------
    unreadable
        Why single frames were left out; they count after the others.
    stamps
        Of each raw file, from before it was read.
    """

    unreadable: list[CorruptFile] = field(default_factory=list)
    stamps: dict[str, tuple[int, ...] | None] = field(default_factory=dict)
    cube: RawCube | None = None
    detector: Detector | None = None
    calibrated: CalibratedCube | None = None
    aligned: AlignedStack | None = None
    solution: Solution | None = None
    measurement: Measurement | None = None
    provenance: Provenance = field(default_factory=lambda: Provenance(code_version=code_version()))
    tracklets: tuple[TrackletRecord, ...] = ()
    flares: int | None = None
    gates: list[GateRecord] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    products: dict[str, Product] = field(default_factory=dict)


def pipelines_of(work: SensorWork, cube: RawCube, bench: SharedInputs) -> tuple[str, ...]:
    """Return what to do with a cube: what was asked, else what its header says, else the profile's default."""
    return work.pipelines or cube.header.pipelines or tuple(bench.profile.default_pipelines)


def commit_of(work: SensorWork, bench: SharedInputs, state: Progress, refusal: Rejected | None) -> SensorCommit:
    """Return the commit of a sensor as far as its reduction went.

    Parameters
    ----------
    refusal
        The gate's refusal that ended it, or None.
    """
    cube = state.cube
    rejection = Rejection.of(refusal) if refusal else None
    failed = [] if refusal is None else [_failed(refusal)]
    commit = SensorCommit(
        night=work.processing.night,
        exposure=work.processing.exposure,
        run=work.processing.run,
        sensor=work.sensor,
        frame_id=cube.frame_id if cube else frame_id_of(work.raw[0]),
        instrument=bench.profile.name,
        object=work.object,
        data_type="OBJECT",
        pipelines=work.pipelines,
        status="rejected" if refusal else "reduced",
        rejection=rejection,
        warnings=tuple(state.warnings),
        retain_raw=work.retain_raw,
        products=state.products,
        gates=(*state.gates, *(state.calibrated.gates if state.calibrated else ()), *failed),
        frames=tuple(_frame_records(state)),
        summary=_summary(state),
        tracklets=state.tracklets,
        provenance=state.provenance,
    )
    return commit.model_copy(update=_of_header(cube, work, bench)) if cube else commit


def _failed(refusal: Rejected) -> GateRecord:
    return GateRecord(name=refusal.name, value=refusal.value, limit=refusal.limit, passed=False, message=str(refusal))


def _of_header(cube: RawCube, work: SensorWork, bench: SharedInputs) -> dict[str, Any]:
    header = cube.header
    return {
        "object": header.object,
        "data_type": header.data_type,
        "filter": header.filter,
        "project": header.project,
        "observer": header.observer,
        "pipelines": pipelines_of(work, cube, bench),
        "mjd_start": float(cube.start[0]),
        "exposure_s": header.exposure_s,
        "nframe": cube.nframe,
    }


def _frame_records(state: Progress) -> list[FrameRecord]:
    if state.cube is None or state.calibrated is None:
        return []
    records = []
    for index in range(state.cube.nframe):
        refusal, level = state.calibrated.rejections.get(index), state.calibrated.levels[index]
        values = {
            "frame": index,
            "mjd": float(state.cube.start[index]),
            "rejected": Rejection.of(refusal) if refusal else None,
            "background_adu": level.background,
            "noise_adu": level.noise,
        }
        records.append(FrameRecord(**values, **_registration(state, index)))
    for index, refusal in enumerate(state.unreadable, start=state.cube.nframe):
        records.append(FrameRecord(frame=index, rejected=Rejection.of(refusal)))
    return records


def _registration(state: Progress, index: int) -> dict[str, Any]:
    if state.aligned is None:
        return {}
    shift = state.aligned.shifts[index]
    return {
        "shift_x_px": shift.dx,
        "shift_y_px": shift.dy,
        "shift_residual_px": shift.residual,
        "rotation_deg": shift.turn.angle_deg if shift.turn else None,
        "scale": shift.turn.scale if shift.turn else None,
        "n_stars": shift.stars,
        "elongation": state.aligned.elongation[index],
        "seeing_px": state.aligned.fwhm[index],
        "zero_point": state.measurement.frame_zero.get(index) if state.measurement else None,
    }


def _summary(state: Progress) -> Summary:
    values: dict[str, Any] = {}
    if state.aligned is not None and state.calibrated is not None:
        levels = [state.calibrated.levels[index] for index in state.aligned.stack.frames]
        values |= {
            "n_sources": len(state.aligned.sources),
            "seeing_px": state.aligned.sources.fwhm,
            "background_adu": sum(level.background for level in levels) / len(levels),
            "noise_adu": sum(level.noise for level in levels) / len(levels),
        }
    if state.solution is not None:
        values |= {
            "ra": state.solution.linear.ra,
            "dec": state.solution.linear.dec,
            "orientation_deg": state.solution.orientation_deg,
            "pixel_scale_arcsec": state.solution.linear.scale_arcsec,
            "wcs_method": state.solution.method,
            "wcs_rms_px": state.solution.rms_px,
            "wcs_rms_arcsec": state.solution.rms_arcsec,
            "n_wcs_stars": state.solution.stars,
        }
    if state.flares is not None:
        values |= {"n_tracklets": len(state.tracklets), "n_flares": state.flares}
    return Summary(**values, **_photometric(state.measurement))


def _photometric(found: Measurement | None) -> dict[str, Any]:
    if found is None:
        return {}
    values: dict[str, Any] = {
        "n_detections": found.rows.num_rows,
        "n_matched": int(found.sources.matched.sum()),
        "limiting_magnitude": found.limiting_magnitude,
        "aperture_diameter_px": found.diameters_px[0],
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
