"""Masters of a night's calibration exposures: of each sensor darks and biases first, then the flats that need them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gozen.archive import keys
from gozen.archive.commit import Rejection, SensorCommit, read_commit, write_commit
from gozen.archive.interface import check_unchanged
from gozen.archive.keys import Calibration, Processing
from gozen.archive.provenance import CalibrationUsed, Provenance, code_version
from gozen.archive.raw import RawExposure
from gozen.archive.raw_tags import mark_reduced
from gozen.calibration.calibrate import Image, detector_of
from gozen.calibration.library import find_master, put_master
from gozen.calibration.masters import dark_master, flat_master
from gozen.errors import BadRequest, GozenError, Rejected, StorageUnavailable
from gozen.frames.raw import RawCube, assemble, read_file
from gozen.reduction.pool import OpenBench, run_all
from gozen.reduction.work import Bench

RUN = "r1"
"""A master has one run: another one needs another exposure."""
_KIND: dict[str, Calibration] = {"DARK": "dark", "BIAS": "bias", "FLAT": "flat"}
_ORDER: tuple[Calibration, ...] = ("bias", "dark", "flat")


@dataclass(frozen=True)
class MasterWork:
    """The masters of one sensor, in the order in which they must be made."""

    sensor: str
    wanted: tuple[tuple[Calibration, RawExposure], ...]


@dataclass(frozen=True)
class MasterResult:
    """What became of one master: a commit that names it or refuses the data, or the error that prevented it.

    Parameters
    ----------
    kind, exposure
        Which master; empty where the error came before the first one.
    """

    sensor: str
    kind: str
    exposure: str
    commit: SensorCommit | None
    error: GozenError | None = None

    @property
    def problem(self) -> str | None:
        """Why there is no master; None when there is one."""
        if self.error is not None:
            return f"{self.error.name}: {self.error}"
        refusal = self.commit.rejection if self.commit else None
        return f"{refusal.name}: {refusal.message}" if refusal else None


def masters_wanted(exposures: Sequence[RawExposure], kinds: Sequence[str]) -> list[MasterWork]:
    """Return the masters that a night's exposures give, sensor by sensor.

    Parameters
    ----------
    kinds
        Those that the profile asks for.

    Raises
    ------
    BadRequest
        None of the exposures is one to make a master of.
    """
    useful = [one for one in exposures if _KIND.get(one.data_type) in kinds]
    if not useful:
        found = ", ".join(sorted({one.data_type for one in exposures})) or "nothing"
        asked = " or ".join(kind.upper() for kind in kinds)
        raise BadRequest(f"no {asked} exposure to make a master of; found {found}")
    ordered = sorted(useful, key=lambda one: (_ORDER.index(_KIND[one.data_type]), one.mjd, one.exposure))
    sensors = sorted({sensor for one in useful for sensor in one.sensors})
    return [
        MasterWork(sensor, tuple((_KIND[one.data_type], one) for one in ordered if sensor in one.sensors))
        for sensor in sensors
    ]


def make_masters(works: Sequence[MasterWork], open_bench: OpenBench, workers: int) -> Iterator[MasterResult]:
    """Make the masters of sensors in worker processes; those that are committed are passed on.

    Yields
    ------
    The result of each master, a sensor's together.
    """
    for work, found in run_all(works, make_sensor_masters, open_bench, workers):
        if isinstance(found, GozenError):
            yield MasterResult(work.sensor, "", "", None, found)
        else:
            yield from found


def make_sensor_masters(work: MasterWork, bench: Bench) -> list[MasterResult]:
    """Make the masters of one sensor; an error with one does not stop those that can do without it.

    Where the archive cannot be written, none of the others is tried: what they lack would seem to be the error.
    """
    results = []
    for kind, exposure in work.wanted:
        processing = Processing(exposure.night, exposure.exposure, RUN)
        commit = read_commit(bench.store, processing, work.sensor)
        error = None
        try:
            if commit is None:
                commit = _make(kind, exposure, work.sensor, bench)
                write_commit(bench.store, processing, commit)
            mark_reduced(bench.store, commit, exposure.sensors[work.sensor] if exposure.root is None else ())
        except GozenError as failure:
            error = failure
        results.append(MasterResult(work.sensor, kind, exposure.exposure, commit, error))
        if isinstance(error, StorageUnavailable):
            break
    return results


def _make(kind: Calibration, exposure: RawExposure, sensor: str, bench: Bench) -> SensorCommit:
    provenance = Provenance(code_version=code_version(), image_digest=bench.settings.image_digest)
    commit = SensorCommit(
        night=exposure.night,
        exposure=exposure.exposure,
        run=RUN,
        sensor=sensor,
        frame_id=keys.frame_id_of(exposure.sensors[sensor][0]),
        instrument=bench.profile.name,
        object=exposure.object,
        data_type=exposure.data_type,
        status="reduced",
        provenance=provenance,
    )
    store, raw = bench.raw_store(exposure.root), exposure.sensors[sensor]
    stamps = {key: store.stamp(key) for key in raw}
    try:
        cube = assemble([read_file(store, key, hdu=bench.profile.hdu) for key in raw], bench.profile)
        image, used = _combine(kind, cube, exposure, sensor, bench)
    except Rejected as refusal:
        check_unchanged(store, stamps)
        return commit.model_copy(update={"status": "rejected", "rejection": Rejection.of(refusal)})
    check_unchanged(store, stamps)
    processing = Processing(exposure.night, exposure.exposure, RUN)
    provenance = provenance.model_copy(update={"calibration": used, "inputs": cube.inputs})
    cards = [*_cards(cube), *provenance.as_cards()]
    product = put_master(bench.store, kind, processing, sensor, image, float(cube.start[0]), cards)
    facts = {
        "frame_id": cube.frame_id,
        "filter": cube.header.filter,
        "mjd_start": float(cube.start[0]),
        "exposure_s": cube.header.exposure_s,
        "nframe": cube.nframe,
    }
    return commit.model_copy(update={**facts, "products": {kind: product}, "provenance": provenance})


def _combine(
    kind: Calibration, cube: RawCube, exposure: RawExposure, sensor: str, bench: Bench
) -> tuple[Image, dict[Calibration, CalibrationUsed]]:
    """Combine the frames into a master; return it with the masters that it was made with."""
    gain, mjd, profile = cube.header.gain, float(cube.start[0]), cube.read_out(bench.profile)
    if kind != "flat":
        return dark_master(cube, detector_of(profile, sensor, gain)), {}
    level: Calibration = "dark" if "dark" in bench.profile.masters else "bias"
    master = find_master(bench.store, level, bench.profile, sensor, exposure.night, mjd)
    return flat_master([cube], detector_of(profile, sensor, gain, master.image)), {level: master.used}


def _cards(cube: RawCube) -> list[tuple[str, str | int | float, str]]:
    return [
        ("FILTER", cube.header.filter, "filter"),
        ("GAINMODE", cube.header.gain, "amplifier setting"),
        ("EXPTIME1", cube.header.exposure_s, "[s] net exposure of one frame"),
        ("NCOMBINE", cube.nframe, "frames combined"),
    ]
