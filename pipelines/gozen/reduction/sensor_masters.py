"""Make the masters of a night, sensor by sensor: biases and darks first, then flats."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from gozen.archive import keys
from gozen.archive.commit import Product, Rejection, SensorCommit, read_commit, write_commit
from gozen.archive.keys import Calibration, Processing
from gozen.archive.provenance import CalibrationUsed, Provenance
from gozen.archive.raw.exposure_record import RawExposure
from gozen.archive.raw.forget import check_not_forgotten
from gozen.archive.raw.reduced_tags import mark_reduced
from gozen.archive.stores.open_store import Store
from gozen.archive.stores.store import check_unchanged
from gozen.calibration.master_groups import groups_of
from gozen.errors import BadRequest, CorruptFile, ExitCode, GozenError, Rejected, StorageUnavailable
from gozen.frames.raw import assemble, read_file
from gozen.instrument.profile import Profile
from gozen.reduction.make_master import CalibrationFile, Combined, combine_frames, note_used, store_master
from gozen.reduction.pool_worker import OpenInputs
from gozen.reduction.process_pool import run_all
from gozen.reduction.sensor_work import SharedInputs
from gozen.version import code_version

RUN = "r1"
"""The only run of a master: a new master needs a new exposure."""
_KIND: dict[str, Calibration] = {"DARK": "dark", "BIAS": "bias", "FLAT": "flat"}
_ORDER: tuple[Calibration, ...] = ("bias", "dark", "flat")


@dataclass(frozen=True)
class MasterWork:
    """The masters of one sensor, in the order in which they must be made."""

    sensor: str
    wanted: tuple[tuple[Calibration, RawExposure], ...]


@dataclass(frozen=True)
class MasterResult:
    """The result of one calibration exposure: a commit that names its masters or rejects the data, or an error.

    Parameters
    ----------
    kind, exposure
        Kind of master and name of the exposure; empty if the error came before the first exposure.
    camera
        Name of the instrument profile that was used.
    """

    sensor: str
    kind: str
    exposure: str
    commit: SensorCommit | None
    error: GozenError | None = None
    camera: str = ""

    @property
    def made(self) -> list[tuple[str, str]]:
        """Kind and archive key of each master."""
        products = self.commit.products if self.commit and self.problem is None else {}
        return [(name.partition("_")[0], product.key) for name, product in products.items()]

    @property
    def exit_code(self) -> ExitCode:
        """Exit code of the error; 0 without an error, and also for a rejection, which is a result."""
        return self.error.exit_code if self.error else ExitCode.DONE

    @property
    def problem(self) -> str | None:
        """Reason why no master was made; None if one was made."""
        if self.error is not None:
            return f"{self.error.name}: {self.error}"
        if self.commit and self.camera and self.commit.instrument not in ("", self.camera):
            return f"its frames are of the camera {self.commit.instrument}, not {self.camera}"
        refusal = self.commit.rejection if self.commit else None
        return f"{refusal.name}: {refusal.message}" if refusal else None


def masters_wanted(exposures: Sequence[RawExposure], kinds: Sequence[str], camera: str = "") -> list[MasterWork]:
    """Return the exposures of a night from which masters are made, sensor by sensor.

    Parameters
    ----------
    kinds
        Kinds of master that the profile requests.
    camera
        Name of the profile: exposures recorded by another camera are skipped.

    Raises
    ------
    BadRequest
        The profile requests no masters, or no exposure can become one.
    """
    if not kinds:
        raise BadRequest(
            "the profile requests no masters (`masters: []`), so there are none to make; list the kinds to make, as in "
            "`masters: [dark, flat]`"
        )
    own = [one for one in exposures if not camera or _camera(one) in ("", camera)]
    useful = [one for one in own if _KIND.get(one.data_type) in kinds]
    if not useful:
        found = ", ".join(sorted({one.data_type for one in exposures})) or "nothing"
        asked = " or ".join(kind.upper() for kind in kinds)
        raise BadRequest(
            f"there is no {asked} exposure to make a master from; the exposures found are of type {found}; "
            "take such frames, or check header.data_type of the profile"
        )
    ordered = sorted(useful, key=lambda one: (_ORDER.index(_KIND[one.data_type]), one.mjd, one.exposure))
    sensors = sorted({sensor for one in useful for sensor in one.sensors})
    return [
        MasterWork(sensor, tuple((_KIND[one.data_type], one) for one in ordered if sensor in one.sensors))
        for sensor in sensors
    ]


def _camera(exposure: RawExposure) -> str:
    """Return the camera in the record of an exposure; empty if the record has none."""
    return exposure.setup.camera if exposure.setup else ""


def make_masters(works: Sequence[MasterWork], open_shared_inputs: OpenInputs, workers: int) -> Iterator[MasterResult]:
    """Make the masters of sensors in worker processes; existing commits are returned as they are.

    Yields
    ------
    The result of each exposure; the results of one sensor come together.
    """
    for work, found in run_all(works, make_sensor_masters, open_shared_inputs, workers):
        if isinstance(found, GozenError):
            yield MasterResult(work.sensor, "", "", None, found)
        else:
            yield from found


def make_sensor_masters(work: MasterWork, shared: SharedInputs) -> list[MasterResult]:
    """Make the masters of one sensor; after an error the others are still tried.

    If the archive cannot be read or written, none of the others is tried: they would fail because a master is missing,
    and hide the cause.
    """
    results = []
    for kind, exposure in work.wanted:
        commit, error = None, None
        try:
            processing = Processing(exposure.night, exposure.exposure, RUN)
            here = exposure.sensors[work.sensor] if exposure.root is None else ()
            commit = read_commit(shared.store, processing, work.sensor)
            if commit is None:
                commit = _make(processing, exposure, work.sensor, shared)
                check_not_forgotten(shared.store, exposure.night, exposure.exposure, here)
                write_commit(shared.store, processing, commit)
            mark_reduced(shared.store, commit, here)
        except GozenError as failure:
            error = failure
        results.append(MasterResult(work.sensor, kind, exposure.exposure, commit, error, shared.profile.name))
        if isinstance(error, StorageUnavailable):
            break
    return results


def _make(processing: Processing, exposure: RawExposure, sensor: str, shared: SharedInputs) -> SensorCommit:
    """Make the masters of one sensor's exposure; return a commit that names them, or says why there are none."""
    store, raw = shared.raw_store(exposure.root), exposure.sensors[sensor]
    stamps = {key: store.stamp(key) for key in raw}
    provenance = Provenance(code_version=code_version(), image_digest=shared.settings.image_digest)
    commit = SensorCommit(
        night=processing.night,
        exposure=processing.exposure,
        run=processing.run,
        sensor=sensor,
        frame_id=keys.frame_id_of(raw[0]),
        instrument=shared.profile.name,
        object=exposure.object,
        data_type=exposure.data_type,
        status="reduced",
        provenance=provenance,
    )
    frames, refused = _read_frames(store, raw, shared.profile)
    made: list[Combined] = []
    products: dict[str, Product] = {}
    for kind in (kind for kind in _ORDER if kind in shared.profile.masters):
        fresh, more = _combined(kind, frames, processing.night, sensor, shared)
        check_unchanged(store, stamps)
        products |= {one.name: store_master(one, processing, sensor, shared, provenance) for one in fresh}
        made, refused = [*made, *fresh], [*refused, *more]
    check_unchanged(store, stamps)
    if not made:
        why = refused[0] if refused else _of_another_type(exposure)
        return commit.model_copy(update={"status": "rejected", "rejection": Rejection.of(why)})
    return commit.model_copy(update={**_facts(made, refused, provenance), "products": products})


def _of_another_type(exposure: RawExposure) -> CorruptFile:
    return CorruptFile(
        f"{exposure.exposure}: its record says {exposure.data_type}, but no frame has this type in its header; check "
        "header.data_type of the profile"
    )


def _read_frames(store: Store, raw: Sequence[str], profile: Profile) -> tuple[list[CalibrationFile], list[Rejected]]:
    """Read raw files and their headers; return the readable ones, in order of time, and the errors of the others."""
    frames: list[CalibrationFile] = []
    refused: list[Rejected] = []
    for key in raw:
        try:
            file = read_file(store, key, hdu=profile.hdu)
            frames.append(CalibrationFile(file, assemble([file], profile).header))
        except CorruptFile as error:
            refused.append(error)
    return sorted(frames, key=lambda one: (one.header.utc_start, one.file.name)), refused


def _combined(
    kind: Calibration, frames: Sequence[CalibrationFile], night: str, sensor: str, shared: SharedInputs
) -> tuple[list[Combined], list[Rejected]]:
    """Return the masters of one kind that are made from frames, and the reasons if some groups give none."""
    own = [one for one in frames if _KIND.get(one.header.data_type) == kind]
    made: list[Combined] = []
    refused: list[Rejected] = []
    for group in groups_of(kind, [one.setup for one in own]):
        try:
            members = [own[number] for number in group.members]
            made.append(combine_frames(kind, group.name, members, night, sensor, shared))
        except Rejected as refusal:
            refused.append(refusal)
    return made, refused


def _facts(made: Sequence[Combined], refused: Sequence[Rejected], provenance: Provenance) -> dict[str, Any]:
    first = made[0]
    used: dict[str, CalibrationUsed] = {}
    for each in made:
        for name, one in each.used.items():
            note_used(used, name.rstrip("0123456789"), one)
    inputs = {name: digest for each in made for name, digest in each.inputs.items()}
    return {
        "frame_id": first.frame_id,
        "filter": ", ".join(dict.fromkeys(each.setup.filter for each in made)),
        "mjd_start": min(each.mjd for each in made),
        "exposure_s": first.setup.exposure_s,
        "nframe": sum(each.nframe for each in made),
        "warnings": tuple(
            [warning for each in made for warning in each.warnings]
            + [f"left out, {one.name}: {one}" for one in refused]
        ),
        "provenance": provenance.model_copy(update={"calibration": used, "inputs": inputs}),
    }
