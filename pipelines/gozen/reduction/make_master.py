"""Make one master from matching calibration frames, and store it; a flat needs a matching dark or bias."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gozen.archive.commit import Product
from gozen.archive.keys import Calibration, Processing
from gozen.archive.provenance import CalibrationUsed, Provenance
from gozen.calibration.calibrate_frame import Image, detector_of
from gozen.calibration.combine_frames import dark_master, flat_master
from gozen.calibration.master_groups import by_time
from gozen.calibration.master_library import MasterImage, put_master
from gozen.calibration.master_match import CalibrationSetup
from gozen.calibration.master_search import check_level, find_level, warnings_of
from gozen.frames.raw import RawCube, RawFile, assemble
from gozen.instrument.read_header import RawHeader
from gozen.reduction.sensor_work import SharedInputs


@dataclass(frozen=True)
class CalibrationFile:
    """A raw file of one or more frames, and its header."""

    file: RawFile
    header: RawHeader

    @property
    def setup(self) -> CalibrationSetup:
        """The camera setup with which the file was taken."""
        return CalibrationSetup.of_header(self.header)


@dataclass(frozen=True)
class Combined:
    """A master, not stored yet.

    Parameters
    ----------
    group
        Distinguishes it from other masters of its kind in the exposure; empty if it is the only one.
    setup, mjd
        Camera setup and start, MJD (UTC), of its first frame.
    used
        Other masters that were used to make it.
    inputs
        SHA-256 of each raw file, by its name.
    """

    kind: Calibration
    group: str
    image: Image
    frame_id: str
    setup: CalibrationSetup
    mjd: float
    nframe: int
    used: Mapping[str, CalibrationUsed]
    warnings: tuple[str, ...]
    inputs: Mapping[str, str]

    @property
    def name(self) -> str:
        """Name of the product in the commit."""
        return f"{self.kind}_{self.group}" if self.group else self.kind


def combine_frames(
    kind: Calibration, group: str, frames: Sequence[CalibrationFile], night: str, sensor: str, shared: SharedInputs
) -> Combined:
    """Combine frames into a master.

    Parameters
    ----------
    frames
        Files in order of time.

    Raises
    ------
    Rejected
        No master can be made from the frames.
    UnreadableInput
        A flat has no matching dark or bias.
    """
    cubes = [assemble([frames[number].file for number in part], shared.profile) for part in _parts(kind, frames)]
    image, used, warnings = _combined(kind, cubes, night, sensor, shared)
    inputs = {name: digest for cube in cubes for name, digest in cube.inputs.items()}
    start, nframe = float(cubes[0].start[0]), sum(cube.nframe for cube in cubes)
    return Combined(kind, group, image, cubes[0].frame_id, frames[0].setup, start, nframe, used, warnings, inputs)


def store_master(
    one: Combined, processing: Processing, sensor: str, shared: SharedInputs, provenance: Provenance
) -> Product:
    """Store a master and return its record for the commit.

    Parameters
    ----------
    processing
        Processing of the exposure that the master is named after.
    """
    own = provenance.model_copy(update={"calibration": one.used, "inputs": one.inputs})
    cards = [
        ("INSTRUME", shared.profile.name, "instrument profile"),
        *one.setup.as_cards(),
        ("NCOMBINE", one.nframe, "frames combined"),
        *own.as_cards(),
    ]
    folder = f"{processing.exposure}_{one.group}" if one.group else processing.exposure
    stored_as = Processing(processing.night, folder)
    return put_master(shared.store, stored_as, sensor, MasterImage(one.kind, one.image, one.mjd, cards))


def _parts(kind: Calibration, frames: Sequence[CalibrationFile]) -> list[list[int]]:
    """Return the numbers of the frames in groups that need the same dark; frames of a dark or bias are one group."""
    return by_time([one.setup for one in frames]) if kind == "flat" else [list(range(len(frames)))]


def _combined(
    kind: Calibration, cubes: Sequence[RawCube], night: str, sensor: str, shared: SharedInputs
) -> tuple[Image, dict[str, CalibrationUsed], tuple[str, ...]]:
    """Return the image of a master, the other masters that were used, and warnings."""
    detector = detector_of(cubes[0].read_out(shared.profile), sensor, cubes[0].header.gain)
    if kind != "flat":
        return dark_master(cubes[0], detector), {}, ()
    darks: list[Image] = []
    used: dict[str, CalibrationUsed] = {}
    warnings: list[str] = []
    for cube in cubes:
        wanted = CalibrationSetup.of_header(cube.header)
        level = find_level(shared.store, shared.profile, sensor, night, float(cube.start[0]), wanted)
        darks += [(level.get("dark") or level["bias"]).image] if level else []
        own = {str(name): master.used for name, master in level.items()}
        check_level(own, wanted, shared.profile, cube.read_out(shared.profile), sensor)
        warnings += warnings_of(own, wanted, shared.profile)
        for name, one in own.items():
            note_used(used, name, one)
    return flat_master(cubes, detector, darks), used, tuple(dict.fromkeys(warnings))


def note_used(used: dict[str, CalibrationUsed], name: str, one: CalibrationUsed) -> None:
    """Record a master once, under its kind; further masters of a kind get a number (``dark2``)."""
    if any(one.key == known.key for known in used.values()):
        return
    count = sum(known.startswith(name) for known in used)
    used[name if count == 0 else f"{name}{count + 1}"] = one
