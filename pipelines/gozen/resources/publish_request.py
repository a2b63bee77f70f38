"""The part `publish` of a LightCurveJob: a folder in Nextcloud, who sees it, and what became of it."""

from __future__ import annotations

import unicodedata
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from gozen.resources.exposure import LaunchedJob
from gozen.resources.metadata import Moment, WireModel, rules

NOTES_FOLDER = ".gozen-published"
"""The hidden folder of the account with the notes about published files and shares."""

_PARTS = "every part of folder needs a name that does not end with a dot or a space"
_CHARACTERS = "folder contains a backslash or a control character, which Nextcloud does not accept"
_LONGEST_PART = 250
_LONG = f"a part of folder is longer than {_LONGEST_PART} bytes, which Nextcloud does not accept"
NOTES_KEPT = f"Gozen keeps its notes in {NOTES_FOLDER}, with the names of all receivers; choose another folder"
_LINK = "linkDays and linkPassword are about a link; add link: true"
_FIXED = "publish.folder cannot be changed; apply another LightCurveJob"


def _folder(path: str) -> str:
    """Return a path that Nextcloud and its clients can keep; raise `ValueError` for others."""
    parts = path.split("/")
    if any(not one or one.endswith((".", " ")) for one in parts):
        raise ValueError(_PARTS)
    if "\\" in path or any(unicodedata.category(one) == "Cc" for one in path):
        raise ValueError(_CHARACTERS)
    if any(len(one.encode()) > _LONGEST_PART for one in parts):
        raise ValueError(_LONG)
    if parts[0] == NOTES_FOLDER:
        raise ValueError(NOTES_KEPT)
    return path


def _distinct(names: list[str]) -> list[str]:
    if twice := [one for one in dict.fromkeys(names) if names.count(one) > 1]:
        raise ValueError(f"the list has {twice[0]!r} twice; name each once")
    return names


Folder = Annotated[str, Field(min_length=1, max_length=255), AfterValidator(_folder)]
Receivers = Annotated[
    list[Annotated[str, Field(min_length=1, max_length=64)]],
    Field(max_length=64, json_schema_extra={"x-kubernetes-list-type": "set"}),
    AfterValidator(_distinct),
]


class PublishRequest(WireModel):
    """A folder in Nextcloud for the light curves of a LightCurveJob, and who sees it."""

    model_config = rules(
        ("self.folder.split('/').all(part, part != '' && !part.endsWith('.') && !part.endsWith(' '))", _PARTS),
        (r"!self.folder.matches('[\\\\\\x00-\\x1f\\x7f-\\x9f]')", _CHARACTERS),
        (f"self.folder.split('/').all(part, size(bytes(part)) <= {_LONGEST_PART})", _LONG),
        (f"self.folder.split('/')[0] != '{NOTES_FOLDER}'", NOTES_KEPT),
        ("self.link || (!has(self.linkDays) && !self.linkPassword)", _LINK),
        ("self.folder == oldSelf.folder", _FIXED),
    )

    folder: Folder
    """Folder in the Nextcloud account of the observatory, such as Survey/M31. It is made if it does not exist."""
    users: Receivers = Field(default_factory=list)
    """Users of Nextcloud who may read the folder."""
    groups: Receivers = Field(default_factory=list)
    """Groups of Nextcloud whose members may read the folder."""
    link: bool = False
    """true: make a public link to the folder. Everybody who knows its address may read the folder."""
    link_days: Annotated[int, Field(ge=1, le=3650)] | None = None
    """Days after which the link ends; default: by the rule of the Nextcloud."""
    link_password: bool = False
    """true: the link has the password that the administrator has put into the key link-password of the Secret."""
    on_delete: Literal["Keep", "Remove"] = "Keep"
    """What happens to the files and shares when the LightCurveJob is deleted: Keep or Remove."""
    again: Annotated[int, Field(ge=0)] = 0
    """Increase this number to publish again, for example after you have removed the cause of a failure."""

    @model_validator(mode="after")
    def _days_of_a_link(self) -> Self:
        if not self.link and (self.link_days is not None or self.link_password):
            raise ValueError(_LINK)
        return self


class PublishState(WireModel):
    """Outcome of `publish`, written by the operator."""

    folder: Annotated[str, Field(max_length=255)] = ""
    """Folder in Nextcloud with the files; empty before the first success."""
    link: Annotated[str, Field(max_length=1024)] = ""
    """Address of the public link; empty without one."""
    files: Annotated[int, Field(ge=0)] = 0
    """Number of files in the folder that belong to this LightCurveJob."""
    kept: Annotated[int, Field(ge=0)] = 0
    """Number of files that were not overwritten, because somebody has changed them in Nextcloud."""
    attempts: Annotated[int, Field(ge=0)] = 0
    """Number of Jobs for publishing and removing that have ended."""
    failures: Annotated[int, Field(ge=0)] = 0
    """Number of failures since the last success or change of the spec."""
    generation: Annotated[int, Field(ge=0)] = 0
    """Generation (version number) of the spec that the last attempt carried out."""
    retry_time: Moment | None = None
    """Time of the next attempt after a failure that may pass; absent if there is none."""
    job: LaunchedJob | None = None
    """The Job that publishes or removes now."""


def earlier_form(value: object) -> object:
    """Accept what earlier versions stored: they had a field of this name, true or false, that did nothing."""
    if value is False:
        return None
    if value is True:
        raise ValueError(
            "true is not valid any more (it had no effect): write publish: {folder: NAME}, or remove publish"
        )
    return value
