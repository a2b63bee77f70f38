"""The note of one publication, a file in a hidden folder of the account: which files and shares are its own. No I/O.

The note is in Nextcloud because a pod keeps no files. It is not in the published folder because it names all receivers.
It is written before the first file is sent, and again at the end, so after a kill the next run knows what was done.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from gozen.errors import UnreadableInput, UnsuitableName
from gozen.resources.publish_request import NOTES_FOLDER, NOTES_KEPT

Receiver = tuple[str, str]
"""Kind (``user`` or ``group``) and name."""
_END = ".json"
_VERSION = 1
_DIGITS = 16


@dataclass(frozen=True)
class LinkProperties:
    """The properties with which a link was made: days until its end (None: by the server's rule), and password."""

    days: int | None = None
    password: bool = False


@dataclass(frozen=True)
class PublishedRecord:
    """The note of one publication.

    Parameters
    ----------
    of
        Name of the publication, unique in an account.
    files
        Checksums with which each file was sent, or is being sent, by name.
    made
        Receivers with whom a publication has shared the folder; people may have shared it with others.
    wished
        Receivers with whom a run that has not ended is about to share it. Nobody knows whether the shares exist, or
        whose they are. Notes of earlier versions have none.
    link
        Properties of its link; None without one.
    """

    of: str
    files: Mapping[str, frozenset[str]] = field(default_factory=dict)
    made: frozenset[Receiver] = frozenset()
    link: LinkProperties | None = None
    wished: frozenset[Receiver] = frozenset()

    def to_json(self) -> bytes:
        """Return the note as JSON; equal notes give equal bytes."""
        link = None if self.link is None else {"days": self.link.days, "password": self.link.password}
        data = {
            "about": "Gozen keeps this file: it tells which files and shares here are its own.",
            "version": _VERSION,
            "of": self.of,
            "files": {name: sorted(sums) for name, sums in self.files.items()},
            "made": sorted(map(list, self.made)),
            "wished": sorted(map(list, self.wished)),
            "link": link,
        }
        return json.dumps(data, indent=1, sort_keys=True, ensure_ascii=False).encode()


def records_folder(folder: str) -> str:
    """Return the folder with the notes of all publications in a folder.

    Raises
    ------
    UnsuitableName
        The folder is the folder of the notes, or in it.
    """
    if folder.split("/")[0] == NOTES_FOLDER:
        raise UnsuitableName(NOTES_KEPT)
    return f"{NOTES_FOLDER}/{_digest(folder)}"


def record_name(of: str) -> str:
    """Return the name of the file with the note of a publication."""
    return f"{_digest(of)}{_END}"


def is_record(name: str) -> bool:
    """Tell whether a file has the name of a note."""
    return name.endswith(_END)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]


def read_published(data: bytes, path: str) -> PublishedRecord:
    """Return the note in a file.

    Raises
    ------
    UnreadableInput
        The file is not a note, or is a note of a later version.
    """
    try:
        found = json.loads(data)
        _check_version(found["version"])
        link = found["link"]
        return PublishedRecord(
            str(found["of"]),
            {str(name): frozenset(map(str, sums)) for name, sums in found["files"].items()},
            _receivers(found["made"]),
            None if link is None else LinkProperties(link["days"], bool(link["password"])),
            _receivers(found.get("wished", ())),
        )
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise UnreadableInput(
            f"{path} in Nextcloud is not a note of Gozen about what it has published ({error}); restore an earlier "
            "version of this file, or remove it: files that differ are then kept and reported"
        ) from error


def _receivers(pairs: Iterable[Iterable[object]]) -> frozenset[Receiver]:
    return frozenset((str(kind), str(name)) for kind, name in pairs)


def _check_version(version: object) -> None:
    if version != _VERSION:
        raise ValueError(f"it has the version {version}")
