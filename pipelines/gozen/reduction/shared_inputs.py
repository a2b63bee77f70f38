"""Open the inputs that all reductions share: archive, profile, reference catalogue."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

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


@dataclass(frozen=True)
class ReferenceChoice:
    """The reference catalogue with which exposures are matched.

    Parameters
    ----------
    where
        One of ``file``; ``table`` (of the archive); ``missing`` (the archive lacks the table that the settings name);
        ``simulated`` (the catalogue of the simulated sky); ``none``.
    name
        Path of the file, name of the table, or key of the simulated sky.
    """

    where: Literal["file", "table", "missing", "simulated", "none"]
    name: str = ""


def choose_reference(
    named: str | None, has_table: Callable[[str], bool], has_object: Callable[[str], bool]
) -> ReferenceChoice:
    """Return the reference catalogue that applies.

    Parameters
    ----------
    named
        The setting ``reference``.
    has_table, has_object
        Return whether the archive has a table of a name, and an object under a key.
    """
    if named is not None:
        if "/" in named or "." in named:
            return ReferenceChoice("file", named)
        return ReferenceChoice("table" if has_table(named) else "missing", named)
    if has_table(DEFAULT_COLLECTION):
        return ReferenceChoice("table", DEFAULT_COLLECTION)
    return ReferenceChoice("simulated", SIMULATED_SKY) if has_object(SIMULATED_SKY) else ReferenceChoice("none")


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
    choice = choose_reference(named, lambda name: manifest.current(store, name) is not None, store.exists)
    if said != ReferenceFileSettings() and choice.where != "file":
        given = ", ".join(f"reference_file.{name}" for name in said.model_dump(exclude_defaults=True))
        raise BadRequest(
            f"{given} applies only to a reference catalogue in a file, but reference = {named!r} is not a path (write "
            "./ before a file name without a dot); for a table of the archive, give these options to `gozen catalog "
            "import`"
        )
    match choice.where:
        case "none":
            return None, None
        case "missing":
            raise UnreadableInput(
                f"the archive has no reference catalogue {named!r} ({store.url_of(catalog(choice.name))}); give the "
                "name of a catalogue that it has, or the path of a table"
            )
        case "table":
            return _collection(store, choice.name)
        case "simulated":
            data = store.read(SIMULATED_SKY)
            stars = read_reference(store.url_of(SIMULATED_SKY), data=data)
            return stars, ReferenceUsed(name=SIMULATED_SKY, sha256=sha256(data))
    data = read_bytes(choice.name, settings.storage)
    stars = _read(choice.name, data, said)
    return stars, ReferenceUsed(name=PurePosixPath(choice.name).name, sha256=sha256(data))


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
