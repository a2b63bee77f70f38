"""Reduce raw files to an aligned stack: the first steps of every reduction."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator

from gozen.archive.block_list import Observed, blocked_by, load_block_list
from gozen.archive.commit import GateRecord
from gozen.astrometry.solve import sensor_pointing
from gozen.calibration.calibrate_frame import detector_of
from gozen.calibration.master_match import CalibrationSetup
from gozen.calibration.master_search import check_level, find_masters, warnings_of
from gozen.errors import Blocked, CorruptFile
from gozen.frames.pixel_findings import notes_on_images
from gozen.frames.raw import RawFile, assemble, read_file
from gozen.quality.gates import check_coordinates, check_time
from gozen.reduction.align_frames import align, align_roughly
from gozen.reduction.calibrated_frames import calibrate_cube
from gozen.reduction.sensor_stages import (
    Aligned,
    Calibrated,
    HeaderChecked,
    Opened,
    Prepared,
    Read,
    ReductionContext,
    RoughlyAligned,
    Stage,
    Unread,
)
from gozen.reduction.sensor_work import SharedInputs


def stages_to_stack(unread: Unread) -> Iterator[Stage]:
    """Reduce raw files to an aligned stack.

    Yields
    ------
    Each stage as soon as it is reached; `Aligned` is the last one.

    Raises
    ------
    Rejected
        A gate rejects the data; the stage yielded last is the one that was reached.
    UnreadableInput
        There are no masters.
    """
    yield (opened := read_files(unread))
    yield (read := Read(opened, assemble(opened.files, unread.shared.profile)))
    yield (checked := _check_header(read))
    _check_block_list(read)
    yield (prepared := _find_masters(checked))
    context, gates = prepared.context, prepared.context.settings.gates
    cube = calibrate_cube(prepared.raw, context.detector, gates, context.shared.workspace)
    yield (calibrated := Calibrated(prepared, cube))
    yield (roughly := RoughlyAligned(calibrated, align_roughly(cube, context.profile.stack_skips_frames, gates)))
    yield Aligned(roughly, align(roughly.rough, context.settings.detection))


def read_files(unread: Unread) -> Opened:
    """Read the raw files; single frames that cannot be read are left out and recorded.

    Raises
    ------
    CorruptFile
        None of the files can be read.
    """
    work, shared = unread.work, unread.shared
    store = shared.raw_store(work.raw_root)
    files: list[RawFile] = []
    unreadable: list[CorruptFile] = []
    for number, key in enumerate(work.raw):
        try:
            room = functools.partial(shared.workspace.room, f"raw {number}")
            file = read_file(store, key, room, shared.profile.hdu)
            assemble([file], shared.profile)
            files.append(file)
        except CorruptFile as refusal:
            unreadable.append(refusal)
    if not files:
        raise unreadable[0]
    notes = tuple(notes_on_images(files[0], shared.profile))
    return Opened(unread, tuple(files), tuple(unreadable), warnings=notes)


def _check_header(read: Read) -> HeaderChecked:
    cube, work, profile = read.cube, read.work, read.shared.profile
    if cube.header.sensor != work.sensor or profile.sensor(work.sensor) is None:
        known = ", ".join(sensor.id for sensor in profile.sensors[:8]) + (", ..." if len(profile.sensors) > 8 else "")
        raise CorruptFile(
            f"{cube.frame_id}: its header names the sensor {cube.header.sensor!r}, but it is reduced as sensor "
            f"{work.sensor!r}; the profile {profile.name} has the sensors {known}; check header.sensor of the profile"
        )
    check_coordinates(cube.header, cube.frame_id)
    gate = GateRecord(name="InconsistentTime", value=check_time(cube), limit=0.0, unit="s", passed=True)
    return HeaderChecked(read, gates=(gate,))


def _check_block_list(read: Read) -> None:
    block_list = read.shared.settings.block_list
    if block_list is None:
        return
    reason = blocked_by(load_block_list(block_list), _observed(read, read.shared))
    if reason is not None:
        raise Blocked(f"{read.cube.frame_id}: the block list covers it: {reason}")


def _observed(read: Read, shared: SharedInputs) -> Observed:
    header, shape = read.cube.header, shared.profile.active_shape
    at = sensor_pointing(shared.profile, read.work.sensor, header.ra, header.dec)
    ra, dec = (at.ra, at.dec) if at else (None, None)
    radius = math.hypot(*shape) / 2 * shared.profile.pixel_scale_arcsec / 3600
    exposure = read.work.processing.exposure
    return Observed(header.object, exposure, header.project, float(read.cube.start[0]), ra, dec, radius)


def _find_masters(checked: HeaderChecked) -> Prepared:
    """Find the masters that match the frames; warn of missing ones and of inexact matches."""
    read = checked.before
    work, shared, cube = read.work, read.shared, read.cube
    night, wanted = work.processing.night, CalibrationSetup.of_header(cube.header)
    masters = find_masters(shared.store, shared.profile, work.sensor, night, float(cube.start[0]), wanted)
    used = {str(kind): master.used for kind, master in masters.items()}
    profile = cube.read_out(shared.profile)
    if "flat" in masters:
        check_level(used, wanted, shared.profile, profile, work.sensor)
    dark, flat = masters.get("dark") or masters.get("bias"), masters.get("flat")
    detector = detector_of(
        profile, work.sensor, cube.header.gain, dark.image if dark else None, flat.image if flat else None
    )
    provenance = read.provenance.model_copy(update={"calibration": used})
    context = ReductionContext(work, shared, profile, detector, provenance)
    return Prepared(checked, context, warnings=tuple(warnings_of(used, wanted, shared.profile, profile)))
