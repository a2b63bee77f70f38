"""Masters of a night's calibration exposures: darks and biases first, then the flats that need them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from gozen.archive.keys import Calibration, Processing
from gozen.archive.provenance import CalibrationUsed, Provenance, code_version
from gozen.calibration.calibrate import detector_of
from gozen.calibration.library import find_master, put_master
from gozen.calibration.masters import dark_master, flat_master
from gozen.errors import BadRequest, GozenError, Rejected
from gozen.frames.arrivals import RawExposure
from gozen.frames.raw import RawCube, assemble, read_file
from gozen.reduction.work import Bench

_KIND: dict[str, Calibration] = {"DARK": "dark", "BIAS": "bias", "FLAT": "flat"}
_ORDER: tuple[Calibration, ...] = ("bias", "dark", "flat")


@dataclass(frozen=True)
class MasterResult:
    """What became of one master: its key, or the refusal of the data that it was to be made of."""

    kind: Calibration
    exposure: RawExposure
    sensor: str
    key: str | None
    refusal: GozenError | None = None


def masters_wanted(exposures: Sequence[RawExposure], bench: Bench) -> list[tuple[Calibration, RawExposure, str]]:
    """Return the masters that a night's exposures give, in the order in which they must be made.

    Raises
    ------
    BadRequest
        None of the exposures is one that the profile makes masters of.
    """
    asked = bench.profile.masters
    wanted = [
        (_KIND[one.data_type], one, sensor)
        for one in exposures
        if one.data_type in _KIND and _KIND[one.data_type] in asked
        for sensor in one.sensors
    ]
    if not wanted:
        kinds = sorted({one.data_type for one in exposures}) or ["nothing"]
        raise BadRequest(
            f"no {' or '.join(kind.upper() for kind in asked)} exposure to make a master of; found {', '.join(kinds)}"
        )
    return sorted(wanted, key=lambda one: (_ORDER.index(one[0]), one[1].mjd, one[2]))


def make_masters(
    exposures: Sequence[RawExposure], bench: Bench, progress: Callable[[], None] = lambda: None
) -> Iterator[MasterResult]:
    """Make and store every master that a night's exposures give.

    Parameters
    ----------
    progress
        Called after each master.
    """
    for kind, exposure, sensor in masters_wanted(exposures, bench):
        try:
            yield MasterResult(kind, exposure, sensor, _make(kind, exposure, sensor, bench))
        except Rejected as refusal:
            yield MasterResult(kind, exposure, sensor, None, refusal)
        progress()


def _make(kind: Calibration, exposure: RawExposure, sensor: str, bench: Bench) -> str:
    cube = assemble([read_file(bench.store, key) for key in exposure.sensors[sensor]], bench.profile)
    gain, mjd = cube.header.gain, float(cube.start[0])
    used: dict[Calibration, CalibrationUsed] = {}
    if kind == "flat":
        level: Calibration = "dark" if "dark" in bench.profile.masters else "bias"
        master = find_master(bench.store, level, bench.profile, sensor, exposure.night, mjd)
        used[level] = master.used
        image = flat_master([cube], detector_of(bench.profile, sensor, gain, master.image))
    else:
        image = dark_master(cube, detector_of(bench.profile, sensor, gain))
    provenance = Provenance(
        code_version=code_version(), image_digest=bench.settings.image_digest, calibration=used, inputs=cube.inputs
    )
    cards = [*_cards(cube), *provenance.as_cards()]
    processing = Processing(exposure.night, exposure.exposure, bench.settings.run)
    return put_master(bench.store, kind, processing, sensor, image, mjd, cards)


def _cards(cube: RawCube) -> list[tuple[str, str | int | float, str]]:
    return [
        ("FILTER", cube.header.filter, "filter"),
        ("GAINMODE", cube.header.gain, "amplifier setting"),
        ("EXPTIME1", cube.header.exposure_s, "[s] net exposure of one frame"),
        ("NCOMBINE", cube.nframe, "frames combined"),
    ]
