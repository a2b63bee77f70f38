"""Open storage by its URL: a directory, S3, or another fsspec file system. All storage is opened here.

Writes are atomic: a reader sees the old object, the new one or none. `create` never overwrites an object. Errors of
libraries are turned into errors of `gozen.errors`; their message names the object. `gozen.archive.keys` defines the
keys.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from gozen.archive.stores.directory_store import DirectoryStore
from gozen.archive.stores.store import Store
from gozen.errors import BadRequest
from gozen.settings import Settings, StorageSettings

__all__ = ["Store", "open_archive", "open_store", "require_present"]

_S3 = re.compile(r"(?:^|(?<=::))s3[an]?://", re.IGNORECASE)
"""S3 URLs, also as Hadoop and fsspec spell them; otherwise fsspec would open them with its own S3 client."""


def open_archive(settings: Settings) -> Store:
    """Open the archive of the settings; raises the errors of `open_store`."""
    return open_store(settings.archive, settings.storage)


def open_store(url: str | Path, storage: StorageSettings | None = None) -> Store:
    """Open a store for reading and writing; nothing is created before the first write.

    Parameters
    ----------
    url
        A directory, ``s3://bucket/prefix``, a ``file://`` URL or any other fsspec URL.
    storage
        Address, region and other settings of the S3 server; default: Amazon S3.

    Raises
    ------
    BadRequest
        The URL is not valid, its protocol is unknown, or the package for the protocol is not installed; the path is a
        file, or leads through a file.
    """
    text = _S3.sub("s3://", str(url))
    if "://" not in text or text.startswith("file://"):
        return DirectoryStore(_folder(Path(text.removeprefix("file://")).expanduser().absolute()))
    try:
        # Imported here, so that the libraries of other protocols are not loaded.
        if text.startswith("s3://"):
            from gozen.archive.stores.s3_store import S3Store

            return S3Store(text, storage or StorageSettings())
        if "::" in text and "s3://" in text:
            raise BadRequest(f"cannot open the archive {text!r}: write s3://bucket/prefix, without the part before ::")
        from gozen.archive.stores.fsspec_store import ObjectStore

        return ObjectStore(text)
    except ImportError as error:
        package = "run pip install 'gozen[s3]'" if text.startswith("s3://") else "install this package"
        raise BadRequest(f"cannot open the archive {text!r}: a package is missing ({error}); {package}") from error
    except ValueError as error:
        raise BadRequest(f"cannot open the archive {text!r}: {error}; check the setting archive") from error


def require_present(store: Store) -> Store:
    """Return the store unchanged; raise `BadRequest` if its folder does not exist, so there is nothing to read."""
    if store.is_absent:
        raise BadRequest(
            f"there is no archive {store.url}: check the path that --archive or the setting `archive` gives; "
            "a new archive is made by `gozen simulate`, `run --raw`, `masters` with names of files, `watch` and "
            "`catalog import`"
        )
    return store


def _folder(root: Path) -> Path:
    """Return a path that is a folder or can become one; raise `BadRequest` if a file is in its place or above it."""
    # `Path.exists` raises if a folder above may not be read; whether that matters is seen at the first access.
    nearest = next(one for one in (root, *root.parents) if os.path.exists(one))  # noqa: PTH110
    if not nearest.is_dir():
        raise BadRequest(f"the archive {root} is not a folder: {nearest} is a file; give the path of a folder")
    return root
