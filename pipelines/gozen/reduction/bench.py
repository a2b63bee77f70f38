"""Opens what every reduction shares, from the settings: archive, profile, reference catalogue."""

from __future__ import annotations

from pathlib import Path

from gozen.archive.interface import named_errors
from gozen.archive.keys import catalog
from gozen.archive.provenance import ReferenceUsed, sha256
from gozen.archive.store import Store, open_store
from gozen.catalog import manifest
from gozen.catalog.reference import StarSource, read_reference
from gozen.catalog.reference_table import StoredReference
from gozen.errors import UnreadableInput
from gozen.instrument.profile import load_profile
from gozen.reduction.work import Bench
from gozen.settings import Settings

DEFAULT_COLLECTION = "gaia"
SIMULATED_SKY = "truth/reference.parquet"


def open_bench(settings: Settings) -> Bench:
    """Open archive, profile and reference catalogue.

    Without a setting the reference catalogue is the archive's collection ``gaia``, else that of its simulated sky, else
    none: then fields are solved blind and fluxes stay uncalibrated.

    Raises
    ------
    UnreadableInput
        The profile or the reference catalogue cannot be read.
    """
    store = open_store(settings.archive)
    reference, used = _reference(store, settings.reference)
    return Bench(store, load_profile(settings.instrument), settings, reference, used)


def _reference(store: Store, named: str | None) -> tuple[StarSource | None, ReferenceUsed | None]:
    if named is None:
        if manifest.current(store, DEFAULT_COLLECTION):
            return _collection(store, DEFAULT_COLLECTION)
        if store.exists(SIMULATED_SKY):
            digest = sha256(store.read(SIMULATED_SKY))
            return read_reference(store.url_of(SIMULATED_SKY)), ReferenceUsed(name=SIMULATED_SKY, sha256=digest)
        return None, None
    if "/" not in named and "." not in named:
        if manifest.current(store, named) is None:
            raise UnreadableInput(
                f"the archive has no reference catalogue {named!r} ({store.url_of(catalog(named))}); "
                "give the name of one that it has, or the path of a table"
            )
        return _collection(store, named)
    with named_errors(named, "read"):
        digest = sha256(Path(named).read_bytes()) if Path(named).exists() else sha256(named.encode())
    return read_reference(named), ReferenceUsed(name=Path(named).name, sha256=digest)


def _collection(store: Store, name: str) -> tuple[StoredReference, ReferenceUsed]:
    version = manifest.current_or_raise(store, name)
    digest = sha256(version.to_json())
    return StoredReference(store, name), ReferenceUsed(name=name, sha256=digest)
