"""Read and write the commit of a sensor: the record of its products, quality and provenance.

The commit is written after all products, and is never changed. A product counts only if a commit names it. To search
many commits use `gozen.archive.log.search_log`.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from gozen.archive import keys
from gozen.archive.keys import Processing
from gozen.archive.provenance import SHA256, Provenance, sha256
from gozen.archive.stores.open_store import Store
from gozen.archive.tracklet_record import TrackletRecord
from gozen.errors import MissingObject, Rejected, StorageUnavailable, UnreadableInput, problem_of

FORM = 1


def _finite_or_none(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


Number = Annotated[float | None, BeforeValidator(lambda v: _finite_or_none(v if v is None else float(v)))]


class _CommitPart(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Product(_CommitPart):
    """An object in the archive that this processing made: its key, SHA-256 and size."""

    key: str
    sha256: str = Field(pattern=SHA256)
    size: int = Field(ge=0, description="Bytes")


class Rejection(_CommitPart):
    """The reason why a gate refused the data."""

    name: str = Field(description="Stable name of the error")
    message: str
    value: Number = None
    limit: Number = None

    @classmethod
    def of(cls, error: Rejected) -> Self:
        """Return the record of a rejection error."""
        return cls(name=error.name, message=str(error), value=error.value, limit=error.limit)


class GateRecord(_CommitPart):
    """The measurement of one gate (a check of the data), and whether the sensor or the frame passed."""

    name: str
    value: Number = None
    limit: Number = None
    unit: str = ""
    passed: bool
    message: str | None = Field(None, description="Further information, such as the number of removed stars")
    frame: int | None = Field(None, ge=0, description="Number of the frame from 0; None for the whole sensor")


class FrameRecord(_CommitPart):
    """One frame's registration and quality; lengths in pixels, counts in ADU."""

    frame: int = Field(ge=0)
    mjd: Number = Field(None, description="MJD (UTC) at which the frame's first row starts")
    rejected: Rejection | None = None
    background_adu: Number = None
    noise_adu: Number = None
    seeing_px: Number = Field(None, description="Full width at half maximum of the stars")
    shift_x_px: Number = Field(None, description="Position on the frame minus position on the stack, along x")
    shift_y_px: Number = None
    shift_residual_px: Number = Field(None, description="Root mean square difference of the stars from the shift")
    rotation_deg: Number = Field(
        None, description="Rotation relative to the stack, from x towards y; None if none was measured"
    )
    scale: Number = Field(None, description="Length on the frame divided by that on the stack; None without a rotation")
    n_stars: int | None = Field(None, description="Number of stars from which the shift was computed")
    elongation: Number = Field(None, description="Length of the stars divided by their width")
    zero_point: Number = Field(None, description="Zero point of this frame, mag")


class Summary(_CommitPart):
    """Results of the sensor's stack: astrometry, photometry, counts; None if a step did not run."""

    ra: Number = Field(None, description="Centre of the active area, deg (ICRS)")
    dec: Number = None
    orientation_deg: Number = Field(None, description="Position angle of the +y axis, north through east")
    pixel_scale_arcsec: Number = None
    background_adu: Number = None
    noise_adu: Number = None
    seeing_px: Number = None
    wcs_method: str | None = Field(None, description="hint, blind or solve-field")
    wcs_rms_px: Number = None
    wcs_rms_arcsec: Number = None
    n_wcs_stars: int | None = None
    n_sources: int | None = Field(None, description="Sources on the stack")
    n_detections: int | None = Field(None, description="Number of rows of all frames")
    n_matched: int | None = Field(None, description="Sources with a star of the reference catalogue")
    n_calibrators: int | None = Field(None, description="Stars kept by the fit of the zero point")
    zero_point: Number = None
    zero_point_err: Number = None
    colour_term: Number = None
    colour_term_err: Number = None
    aperture_diameter_px: int | None = Field(None, description="Diameter of the calibrated aperture, pixels")
    zero_point_scatter: Number = Field(None, description="Robust scatter of the calibrators, mag")
    limiting_magnitude: Number = None
    n_tracklets: int | None = Field(None, description="Moving objects and streaks; None if `neo` did not run")
    n_flares: int | None = Field(None, description="Sources that are on frames but not on the stack, and do not move")


class SensorCommit(_CommitPart):
    """The record of one processing of one sensor in one exposure."""

    form: int = Field(FORM, description="Version of the format of this record")
    night: str
    exposure: str
    run: str
    sensor: str
    frame_id: str
    instrument: str = Field("", description="Name of the instrument profile")
    object: str
    data_type: str
    filter: str = ""
    project: str = ""
    observer: str = ""
    pipelines: tuple[str, ...] = ()
    mjd_start: Number = Field(None, description="MJD (UTC) at which the first pixel starts; None if unreadable")
    exposure_s: Number = Field(None, description="Net exposure of one frame, seconds")
    nframe: int = Field(0, ge=0)
    status: Literal["reduced", "rejected"]
    rejection: Rejection | None = None
    warnings: tuple[str, ...] = Field((), description="Inputs that are missing or do not match exactly")
    retain_raw: bool = Field(False, description="The raw files do not expire")
    products: Mapping[str, Product] = Field(default_factory=dict, description="Products by kind: stack, cube, ...")
    gates: tuple[GateRecord, ...] = ()
    frames: tuple[FrameRecord, ...] = ()
    summary: Summary = Summary()
    tracklets: tuple[TrackletRecord, ...] = ()
    provenance: Provenance

    @model_validator(mode="after")
    def _says_why(self) -> Self:
        if (self.status == "rejected") != (self.rejection is not None):
            raise ValueError("`rejection` is required if the sensor is rejected, and not allowed otherwise")
        return self

    @property
    def processing(self) -> Processing:
        """The processing that this commit belongs to."""
        return Processing(self.night, self.exposure, self.run)

    def lacks(self, files: int) -> bool:
        """Tell whether the reduction used fewer than ``files`` raw files, because some arrived later."""
        return self.rejection is None and files > max(len(self.provenance.inputs), len(self.frames))

    def to_json(self) -> bytes:
        """Return the JSON bytes to store: sorted keys, null for NaN and infinity, no time of writing."""
        content = json.loads(self.model_dump_json())
        return (json.dumps(content, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


class Outcome(StrEnum):
    """The result of writing a commit."""

    WRITTEN = "written"
    SAME = "same"
    KEPT_FIRST = "kept first"


def put_product(store: Store, key: str, data: bytes) -> Product:
    """Store the bytes of a product and return its entry for the commit."""
    store.write(key, data)
    return Product(key=key, sha256=sha256(data), size=len(data))


def put_new_product(store: Store, key: str, data: bytes, version: str) -> Product:
    """Store the bytes of a product, but do not overwrite a product of another version of Gozen.

    If workers of different versions reduce one sensor at the same time, their bytes differ, and the other worker's
    commit may name the product under this key. In this case the product gets a key that contains its digest. A product
    of the same version with other bytes is left over from an attempt whose inputs have changed since: it is replaced.

    Parameters
    ----------
    version
        The version of the code that made the bytes; products contain it as text.

    Raises
    ------
    StorageUnavailable
        The archive cannot be written.
    """
    digest = sha256(data)
    for place in (key, keys.beside(key, digest)):
        if store.create(place, data):
            return Product(key=place, sha256=digest, size=len(data))
        present = _present(store, place)
        if sha256(present) != digest and _made_by(version, present):
            store.write(place, data)
            present = data
        if sha256(present) == digest:
            return Product(key=place, sha256=digest, size=len(data))
    raise StorageUnavailable(f"another process writes {store.url_of(key)} at the same time; run again")


def _made_by(version: str, product: bytes) -> bool:
    """Tell whether a product contains this version as a complete word, not as part of a longer version."""
    return re.search(rb"(?<![\w.+])" + re.escape(version.encode()) + rb"(?![\w.+])", product) is not None


def _present(store: Store, key: str) -> bytes:
    try:
        return store.read(key)
    except MissingObject:
        return b""


def write_commit(store: Store, processing: Processing, commit: SensorCommit) -> Outcome:
    """Store the commit of one sensor, unless the sensor has a commit already: commits are never overwritten.

    Returns
    -------
    Outcome
        ``WRITTEN``; ``SAME`` if the same bytes were stored before; ``KEPT_FIRST`` if there is another commit, which is
        kept. To keep the new result too, reduce again with another run name.

    Raises
    ------
    ValueError
        The commit belongs to another processing.
    StorageUnavailable
        The archive cannot be written.
    """
    if commit.processing != processing:
        raise ValueError(f"the commit is of {commit.processing.folder}, but its key is of {processing.folder}")
    key = keys.commit(processing, commit.sensor)
    data = commit.to_json()
    if store.create(key, data):
        return Outcome.WRITTEN
    # The same bytes: the answer to an earlier request was lost, or another worker of this version was first.
    return Outcome.SAME if store.read(key) == data else Outcome.KEPT_FIRST


def read_commit(store: Store, processing: Processing, sensor: str) -> SensorCommit | None:
    """Return the commit of one sensor, or None if it does not exist.

    Raises
    ------
    UnreadableInput
        The object is not a valid commit, or a later version of Gozen wrote it in another format.
    """
    return load_commit(store, keys.commit(processing, sensor))


def load_commit(store: Store, key: str) -> SensorCommit | None:
    """Return the commit under a key, or None if it does not exist; raises the errors of `read_commit`."""
    try:
        data = store.read(key)
    except MissingObject:
        return None
    try:
        content = json.loads(data)
        form = content.get("form")
        # Checked before the fields: otherwise a field that a later version has added would be reported as damage.
        if isinstance(form, int) and form > FORM:
            raise UnreadableInput(
                f"{store.url_of(key)} was written by a newer version of Gozen (format {form}; this version reads up "
                f"to {FORM}): update Gozen"
            )
        return SensorCommit.model_validate(content)
    except (ValueError, AttributeError) as error:
        what = problem_of(error.errors()[0]["msg"]) if isinstance(error, ValidationError) else "it is not a JSON object"
        raise UnreadableInput(
            f"{store.url_of(key)} is not a valid commit of a sensor: {what}; restore it from a copy, or move it away "
            "and reduce again"
        ) from error
