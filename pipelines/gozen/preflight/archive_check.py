"""Check that the archive is writable, and that an S3 server refuses to create an object twice."""

from __future__ import annotations

import os
import shutil
import socket
from pathlib import Path

from gozen.errors import GozenError
from gozen.preflight.finding import Finding
from gozen.settings import Settings

_GB = 1e9
_MINIMUM_DISK_GB = 1.0


def archive(settings: Settings) -> Finding:
    """Check whether the archive in the settings is writable."""
    if "://" in settings.archive and not settings.archive.startswith("file://"):
        return _object_storage(settings)
    root = Path(settings.archive.removeprefix("file://")).expanduser().absolute()
    nearest = next(folder for folder in (root, *root.parents) if folder.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        hint = "give another directory with --archive, or get permission to write to this one"
        return Finding("archive", "missing", f"{root}: {nearest} cannot be written", hint)
    free = shutil.disk_usage(nearest).free / _GB
    if free < _MINIMUM_DISK_GB:
        return Finding("archive", "missing", f"{root}, {free:.1f} GB free", "free at least 1 GB")
    return Finding("archive", "ok", f"{root}, {free:.1f} GB free")


def _object_storage(settings: Settings) -> Finding:
    from gozen.archive.stores.open_store import open_archive

    key = f"doctor/{socket.gethostname()}-{os.getpid()}"
    try:
        store = open_archive(settings)
        store.create(key, b"")
        exclusive = not store.create(key, b"")
        store.delete(key)
    except GozenError as error:
        return Finding("archive", "missing", settings.archive, str(error))
    if not exclusive:
        hint = "use a server that supports `If-None-Match: *`; without it, two workers can write the same object"
        return Finding("archive", "missing", f"{settings.archive}: an object can be created twice", hint)
    return Finding("archive", "ok", f"{settings.archive}, can be read and written")
