"""Releases (``rerun``): named versions of tables that never change, in separate generations.

``releases/{rerun}.json`` is written last, and only if it does not exist. So everything that it names is complete
(docs/decisions/0017).
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from gozen.archive import keys
from gozen.archive.stores.open_store import Store
from gozen.catalog.format import hats_files, layout, manifest, next_version
from gozen.catalog.format.manifest import Manifest
from gozen.catalog.read.lookup import Catalog
from gozen.catalog.write import margins
from gozen.errors import BadRequest, RerunNotFound, UnreadableInput

FORMAT = 1
_MARGIN_ARCSEC = 5.0


@dataclass(frozen=True)
class Release:
    """A named set of tables that never changes.

    Parameters
    ----------
    name
        The name of the release.
    tables
        The version of each table, by the table's name in the release, e.g. ``forced``.
    """

    name: str
    tables: Mapping[str, Manifest]


def release(store: Store, rerun: str, tables: Mapping[str, str]) -> Release:
    """Release the current versions of tables under a name; a second call returns the existing release.

    On a disk, the release shares its files with the tables by hard links; on S3, the server copies the files. The
    process may be killed at any point. A second call then completes the release; tables that were already added keep
    their version.

    Parameters
    ----------
    store
        The archive.
    rerun
        The name of the release.
    tables
        The name of each table in the archive, by its name in the release.

    Raises
    ------
    BadRequest
        The name belongs to a release of other tables, no tables are given, or a table has no rows.
    MissingObject
        A table does not exist.
    """
    key = keys.release(rerun)
    if not tables:
        raise BadRequest(f"the release {rerun!r} has no table: give at least one, such as forced=s20a_wide_forced")
    if not store.exists(key):
        for name in tables.values():  # check all names before anything is written
            if not manifest.current_or_raise(store, name).files:
                raise BadRequest(f"the table {name!r} has no rows: there is nothing to release")
        named = {word: {"collection": n, "manifest": _frozen(store, rerun, n)} for word, n in sorted(tables.items())}
        content = {"format": FORMAT, "rerun": rerun, "tables": named}
        # Another process may have made this release meanwhile. The code below reads it and compares its tables.
        store.create(key, json.dumps(content, indent=1, sort_keys=True).encode())
    found = read_release(store, rerun)
    held = {word: version.name for word, version in found.tables.items()}
    if held != dict(tables):
        has = ", ".join(f"{word}={name}" for word, name in held.items())
        raise BadRequest(
            f"the release {rerun!r} exists already, with {has}: releases never change, so give another name"
        )
    for version in found.tables.values():
        hats_files.describe(store, version)
    return found


def releases(store: Store) -> list[str]:
    """Return the names of all releases, sorted."""
    # Other objects, such as those that a copying program has not completed yet, are not releases.
    listed = (key.removeprefix("releases/") for key in store.list("releases") if key.endswith(".json"))
    return sorted(name for key in listed if keys.is_name(name := key.removesuffix(".json")))


def read_release(store: Store, rerun: str) -> Release:
    """Read a release with the manifests of its tables.

    Raises
    ------
    RerunNotFound
        There is no release of this name; the message lists similar names.
    UnreadableInput
        The release was written by a newer Gozen, or is damaged.
    """
    key = keys.release(rerun)
    if not store.exists(key):
        raise RerunNotFound(f"the archive {store.url} has no release {rerun!r}: {_known(store, rerun)}")
    try:
        content: dict[str, Any] = json.loads(store.read(key))
        if content["format"] != FORMAT:
            raise UnreadableInput(
                f"{store.url_of(key)} has format {content['format']}, but this version of Gozen reads format "
                f"{FORMAT}: update Gozen"
            )
        at = {w: f"{keys.catalog(one['collection'])}/{one['manifest']}" for w, one in content["tables"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UnreadableInput(
            f"{store.url_of(key)} is not a valid release ({error}): restore it from a copy of the archive"
        ) from error
    found = {word: manifest.read_key(store, one) for word, one in at.items()}
    return Release(rerun, MappingProxyType(found))


def released(store: Store, name: str) -> dict[str, Manifest]:
    """Return the released versions of a table, by release; incomplete releases of killed processes are included."""
    folder = f"{keys.catalog(name)}/release"
    found = [key for key in store.list(folder) if key.endswith(".json")]
    return {key.removeprefix(f"{folder}/").removesuffix(".json"): manifest.read_key(store, key) for key in found}


def _frozen(store: Store, rerun: str, name: str) -> str:
    """Link a table's current version into a separate generation; return the path of its manifest."""
    path = layout.release(rerun)
    key = f"{keys.catalog(name)}/{path}"
    if not store.exists(key):
        base = manifest.current_or_raise(store, name)
        # From here on, not above the table's own: a pattern of keys must tell released folders from all others.
        generation = manifest.claim_generation(store, name, layout.FIRST_RELEASED - 1)
        next_version.link_files(store, base, generation, [file.path for file in base.files])
        version = replace(base, generation=generation)
        if version.kind == "object":  # its own margin, in a folder that shows that it is released
            catalog, arcsec = Catalog(store, version), margins.width(base.margin) if base.margin else _MARGIN_ARCSEC
            version = margins.write(store, version, arcsec, catalog.schema, catalog.within)
        hats_files.describe(store, version)
        # Linking takes long. Until a manifest names this generation, it looks like the leftover of a killed writer.
        manifest.check_not_removed(store, version)
        store.create(key, version.to_json())
    return path


def _known(store: Store, rerun: str) -> str:
    known = releases(store)
    near = difflib.get_close_matches(rerun, known, n=3, cutoff=0.5) or known[:10]
    return f"did you mean {', '.join(near)}?" if near else "it has none yet (gozen catalog release makes one)"
