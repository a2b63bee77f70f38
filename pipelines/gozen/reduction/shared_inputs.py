"""Open the inputs that all reductions share: archive, profile, reference catalogue."""

from __future__ import annotations

from pathlib import PurePosixPath

from gozen.archive.keys import catalog
from gozen.archive.provenance import ReferenceUsed, sha256
from gozen.archive.stores.open_store import Store, open_archive
from gozen.catalog.format import manifest
from gozen.catalog.reference.reference_catalog import ReferenceCatalogue, StarSource, read_reference
from gozen.catalog.reference.reference_file import read_bytes
from gozen.catalog.reference.reference_table import StoredReference
from gozen.errors import BadRequest, UnreadableInput
from gozen.instrument.profile import load_profile
from gozen.reduction.sensor_work import SharedInputs
from gozen.settings import ReferenceFileSettings, Settings

DEFAULT_COLLECTION = "gaia"
SIMULATED_SKY = "truth/reference.parquet"


def open_shared_inputs(settings: Settings) -> SharedInputs:
    """Open archive, profile and reference catalogue.

    If no reference catalogue is set, the archive's collection ``gaia`` is used, else the catalogue of its simulated
    sky. Without either, fields are solved blind and fluxes are not calibrated.

    Raises
    ------
    BadRequest
        Settings of a reference file are given without a file, or contradict each other.
    UnreadableInput
        The profile or the reference catalogue cannot be read.
    """
    store = open_archive(settings)
    reference, used = _reference(store, settings)
    return SharedInputs(store, load_profile(settings.instrument), settings, reference, used)


def _reference(store: Store, settings: Settings) -> tuple[StarSource | None, ReferenceUsed | None]:
    named, said = settings.reference, settings.reference_file
    is_file = named is not None and ("/" in named or "." in named)
    if said != ReferenceFileSettings() and not is_file:
        given = ", ".join(f"reference_file.{name}" for name in said.model_dump(exclude_defaults=True))
        raise BadRequest(
            f"{given} applies only to a reference catalogue in a file, but reference = {named!r} is not a path (write "
            "./ before a file name without a dot); for a table of the archive, give these options to `gozen catalog "
            "import`"
        )
    if named is None:
        if manifest.current(store, DEFAULT_COLLECTION):
            return _collection(store, DEFAULT_COLLECTION)
        if store.exists(SIMULATED_SKY):
            data = store.read(SIMULATED_SKY)
            stars = read_reference(store.url_of(SIMULATED_SKY), data=data)
            return stars, ReferenceUsed(name=SIMULATED_SKY, sha256=sha256(data))
        return None, None
    if not is_file:
        if manifest.current(store, named) is None:
            raise UnreadableInput(
                f"the archive has no reference catalogue {named!r} ({store.url_of(catalog(named))}); give the name of "
                "a catalogue that it has, or the path of a table"
            )
        return _collection(store, named)
    data = read_bytes(named, settings.storage)
    stars = _read(named, data, said)
    return stars, ReferenceUsed(name=PurePosixPath(named).name, sha256=sha256(data))


def _read(url: str, data: bytes, said: ReferenceFileSettings) -> ReferenceCatalogue:
    try:
        return read_reference(
            url, dict(said.columns), said.epoch, data=data, hdu=said.hdu, unit=said.unit, encoding=said.encoding
        )
    except UnreadableInput as error:
        options = [one for one in ("hdu", "unit", "encoding") if f"--{one}" in str(error)]
        if not options:
            raise
        names = ", ".join(f"reference_file.{one}" for one in options)
        raise UnreadableInput(f"{error} (for a reference catalogue, use the settings {names})") from error


def _collection(store: Store, name: str) -> tuple[StoredReference, ReferenceUsed]:
    version = manifest.current_or_raise(store, name)
    digest = sha256(version.to_json())
    return StoredReference(store, name), ReferenceUsed(name=name, sha256=digest)
