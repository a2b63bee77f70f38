"""The calibrated frames of one cube, each through its gates; a refused frame stays, with the reason."""

from __future__ import annotations

from dataclasses import dataclass

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
    images, masks
        Of every frame, shape (frames, rows, columns) of the active area.
    levels
        Sky and noise of every frame.
    rejections
        Why a frame was refused, by its number.
    gates
        What each gate measured.
    """

    images: Image
    masks: Mask
    levels: list[FrameLevel]
    rejections: dict[int, Rejected]
    gates: list[GateRecord]

    @property
    def good(self) -> list[int]:
        """Numbers of the frames that passed."""
        return [index for index in range(len(self.images)) if index not in self.rejections]

    def for_stack(self, skip: int) -> list[int]:
        """Return the frames that the stack is made of: the good ones after the first `skip`, or all good ones."""
        return [index for index in self.good if index >= skip] or self.good


def calibrate_cube(cube: RawCube, detector: Detector, settings: GateSettings, workspace: Workspace) -> CalibratedCube:
    """Calibrate every frame and pass it through the gates.

    Parameters
    ----------
    workspace
        Lends the memory for images and masks.

    Raises
    ------
    Rejected
        The reason of the first frame, when all frames are refused for one reason; `CorruptFile` when for several.
    """
    shape = (cube.nframe, *detector.dark.shape)
    images, masks = workspace.array("images", shape, np.float32), workspace.array("masks", shape, np.uint8)
    out = CalibratedCube(images, masks, [], {}, [])
    for index in range(cube.nframe):
        raw = cube.stored(index)
        calibrate(raw, detector, out.images[index], out.masks[index])
        level = frame_level(out.images[index])
        out.levels.append(level)
        try:
            counts = check_pixels(raw, detector, settings, index)
            _passed(out, "SaturatedField", index, counts, settings.saturated_fraction * detector.saturation_adu, "ADU")
            ratio = check_noise(level, detector, settings, index)
            _passed(out, "NoisyFrame", index, ratio, settings.noise_ratio, "")
        except Rejected as refusal:
            _refused(out, refusal, index)
    if not out.good:
        raise _of_all(out.rejections, cube.frame_id)
    return out


def without_trailed(cube: CalibratedCube, elongation: list[float], settings: GateSettings, frame_id: str) -> None:
    """Refuse the frames whose stars are trails.

    Parameters
    ----------
    elongation
        Of every frame; NaN where it has no stars to measure, which is no reason to refuse it.

    Raises
    ------
    Rejected
        No good frame is left; as `calibrate_cube`.
    """
    for index in cube.good:
        try:
            found = check_elongation(elongation[index], settings, index)
            _passed(cube, "TrailedFrame", index, found, settings.elongation, "")
        except Rejected as refusal:
            _refused(cube, refusal, index)
    if not cube.good:
        raise _of_all(cube.rejections, frame_id)


def _passed(out: CalibratedCube, name: str, frame: int, value: float, limit: float, unit: str) -> None:
    out.gates.append(GateRecord(name=name, value=value, limit=limit, unit=unit, passed=True, frame=frame))


def _refused(out: CalibratedCube, refusal: Rejected, frame: int) -> None:
    out.rejections[frame] = refusal
    measured = {"value": refusal.value, "limit": refusal.limit, "message": str(refusal)}
    out.gates.append(GateRecord(name=refusal.name, unit="", passed=False, frame=frame, **measured))


def _of_all(rejections: dict[int, Rejected], frame_id: str) -> Rejected:
    kinds = {type(refusal) for refusal in rejections.values()}
    first = rejections[min(rejections)]
    if len(kinds) > 1:
        names = ", ".join(sorted(kind.__name__ for kind in kinds))
        return CorruptFile(f"{frame_id}: all {len(rejections)} frames were refused, for {names}")
    worst = [refusal.value for refusal in rejections.values() if refusal.value is not None]
    value = float(np.median(worst)) if worst else None
    return type(first)(
        f"{frame_id}: all {len(rejections)} frames were refused; {first}", value=value, limit=first.limit
    )
