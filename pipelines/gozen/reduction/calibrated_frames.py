"""Calibrate the frames of a cube and apply the gates; rejected frames remain in the cube, with the reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from gozen.archive.commit import GateRecord
from gozen.calibration.calibrate_frame import Detector, Image, Mask, calibrate
from gozen.errors import CorruptFile, Rejected
from gozen.frames.raw import RawCube
from gozen.quality.gates import FrameLevel, check_elongation, check_noise, check_pixels, frame_level
from gozen.reduction.buffers import Workspace
from gozen.settings import GateSettings


@dataclass(frozen=True)
class CalibratedCube:
    """The calibrated frames of one sensor's exposure.

    Parameters
    ----------
    raw, detector
        The raw frames, and the detector (with its masters) that they were calibrated with.
    images, masks
        Pixels (ADU) and masks of all frames, shape (frames, rows, columns) of the active area.
    levels
        Sky and noise of every frame.
    rejections
        Reason of each rejected frame, by frame number.
    gates
        Value that each gate measured.
    """

    raw: RawCube
    detector: Detector
    images: Image
    masks: Mask
    levels: tuple[FrameLevel, ...]
    rejections: Mapping[int, Rejected]
    gates: tuple[GateRecord, ...]

    @property
    def good(self) -> list[int]:
        """Numbers of the frames that passed."""
        return [index for index in range(len(self.images)) if index not in self.rejections]

    def for_stack(self, skip: int) -> list[int]:
        """Return the numbers of the frames to stack: the good ones after the first `skip`, else all good ones."""
        return [index for index in self.good if index >= skip] or self.good


def calibrate_cube(raw: RawCube, detector: Detector, settings: GateSettings, workspace: Workspace) -> CalibratedCube:
    """Calibrate every frame and apply the gates to it.

    Parameters
    ----------
    workspace
        Memory for images and masks; the next cube overwrites it.

    Raises
    ------
    Rejected
        All frames are rejected; see `check_any_good`.
    """
    shape = (raw.nframe, *detector.dark.shape)
    images, masks = workspace.array("images", shape, np.float32), workspace.array("masks", shape, np.uint8)
    levels: list[FrameLevel] = []
    gates: list[GateRecord] = []
    rejections: dict[int, Rejected] = {}
    for index in range(raw.nframe):
        stored = raw.stored(index)
        calibrate(stored, detector, images[index], masks[index])
        level = frame_level(images[index])
        levels.append(level)
        try:
            counts = check_pixels(stored, detector, settings, index)
            full = settings.saturated_fraction * detector.saturation_adu
            gates.append(_passed("SaturatedField", index, counts, full, "ADU"))
            ratio = check_noise(level, detector, settings, index)
            gates.append(_passed("NoisyFrame", index, ratio, settings.noise_ratio))
        except Rejected as refusal:
            rejections[index] = refusal
            gates.append(_refused(refusal, index))
    cube = CalibratedCube(raw, detector, images, masks, tuple(levels), rejections, tuple(gates))
    check_any_good(cube)
    return cube


def without_trailed(cube: CalibratedCube, elongation: Sequence[float], settings: GateSettings) -> CalibratedCube:
    """Return the cube with the trailed frames rejected; these may be all frames.

    Parameters
    ----------
    elongation
        Elongation of the stars on every frame; NaN if it has no stars to measure. Such a frame is not rejected.
    """
    gates: list[GateRecord] = []
    rejections: dict[int, Rejected] = {}
    for index in cube.good:
        try:
            found = check_elongation(elongation[index], settings, index)
            gates.append(_passed("TrailedFrame", index, found, settings.elongation))
        except Rejected as refusal:
            rejections[index] = refusal
            gates.append(_refused(refusal, index))
    return replace(cube, rejections={**cube.rejections, **rejections}, gates=(*cube.gates, *gates))


def check_any_good(cube: CalibratedCube) -> None:
    """Reject a cube that has no good frame.

    Raises
    ------
    Rejected
        No frame is good: the reason of the first frame if all have the same kind of reason, else `CorruptFile`.
    """
    if not cube.good:
        raise _of_all(cube.rejections, cube.raw.frame_id)


def _passed(name: str, frame: int, value: float, limit: float, unit: str = "") -> GateRecord:
    return GateRecord(name=name, value=value, limit=limit, unit=unit, passed=True, frame=frame)


def _refused(refusal: Rejected, frame: int) -> GateRecord:
    measured = {"value": refusal.value, "limit": refusal.limit, "message": str(refusal)}
    return GateRecord(name=refusal.name, unit="", passed=False, frame=frame, **measured)


def _of_all(rejections: Mapping[int, Rejected], frame_id: str) -> Rejected:
    kinds = {type(refusal) for refusal in rejections.values()}
    first = rejections[min(rejections)]
    if len(kinds) > 1:
        names = ", ".join(sorted(kind.__name__ for kind in kinds))
        return CorruptFile(f"{frame_id}: all {len(rejections)} frames were refused, for these reasons: {names}")
    worst = [refusal.value for refusal in rejections.values() if refusal.value is not None]
    value = float(np.median(worst)) if worst else None
    return type(first)(
        f"{frame_id}: all {len(rejections)} frames were refused; {first}", value=value, limit=first.limit
    )
