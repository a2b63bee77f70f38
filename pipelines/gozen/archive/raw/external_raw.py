"""Raw data outside the archive (``rawURL``): check that the site allows the folder, and list its files.

Such files are only read; they are never copied, tagged or deleted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from gozen.archive.keys import frame_id_of, is_raw_file
from gozen.archive.raw.raw_exposure import by_sensor
from gozen.archive.stores.open_store import Store, open_store
from gozen.errors import BadRequest
from gozen.instrument.profile import Profile
from gozen.settings import Settings

_PLAIN = re.compile(r"[a-z][a-z0-9+.-]*://[A-Za-z0-9._~+=,@/-]*")


def refusal(url: str, prefixes: Iterable[str]) -> str | None:
    """Return the reason why raw data must not be read from a URL; None if they may be read.

    Parameters
    ----------
    prefixes
        URLs of folders; all files below them may be read.
    """
    _, _, path = url.partition("://")
    if not _PLAIN.fullmatch(url) or {"..", "."} & set(path.split("/")):
        return f"{url} is not a plain URL of a folder: letters, digits and ._~+=,@- between slashes, without . and .."
    allowed = [one.rstrip("/") for one in prefixes]
    if any(url.rstrip("/") == one or url.startswith(f"{one}/") for one in allowed):
        return None
    if not allowed:
        return f"{url} must not be read, because the setting raw_url_prefixes is empty; add the URL's folder to it"
    return (
        f"{url} is outside the folders that the setting raw_url_prefixes allows: {', '.join(allowed)}; use one of these"
    )


def open_outside(url: str, settings: Settings) -> Store:
    """Open a folder of raw data outside the archive.

    Raises
    ------
    BadRequest
        The settings do not allow it.
    """
    problem = refusal(url, settings.raw_url_prefixes)
    if problem is not None:
        raise BadRequest(problem)
    return open_store(url, settings.storage)


def files_of_sensors(folder: Store, profile: Profile) -> dict[str, tuple[str, ...]]:
    """Return the raw files in a folder by sensor, which the file name gives; files with other names are left out."""
    found: dict[str, list[str]] = {}
    for key in folder.list(""):
        sensor = profile.sensor_of_name(frame_id_of(key)) if is_raw_file(key) else None
        if sensor is not None:
            found.setdefault(sensor, []).append(key)
    return by_sensor(found)
