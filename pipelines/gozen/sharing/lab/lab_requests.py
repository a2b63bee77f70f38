"""The requests of the dialog to the lab's server, as typed records. No I/O."""

from __future__ import annotations

from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gozen.errors import BadRequest

_MOST = 100
Asked = TypeVar("Asked", bound="LabRequest")


class LabRequest(BaseModel):
    """A request; unknown parts are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class LabSelection(LabRequest):
    """Files and folders of the file browser."""

    paths: tuple[str, ...] = Field(min_length=1, max_length=_MOST)


class LabUploadRequest(LabSelection):
    """Files to send, and whether files that changed in Nextcloud are replaced."""

    overwrite: bool = False


class SharingWith(LabSelection):
    """Files, users and groups that should see them, and their rights."""

    users: tuple[str, ...] = Field((), max_length=_MOST)
    groups: tuple[str, ...] = Field((), max_length=_MOST)
    write: bool = False
    reshare: bool = False


class LinkTo(LabSelection):
    """Files, and the properties of a public link to each of them."""

    password: bool = False
    expires: str = Field("", max_length=100)
    label: str = Field("", max_length=1000)


class Withdrawal(LabRequest):
    """A share by its number."""

    id: str = Field(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9:_-]+$")


class LogInAt(LabRequest):
    """The address of a Nextcloud."""

    url: str = Field(min_length=1, max_length=2000)


def asked(kind: type[Asked], body: object) -> Asked:
    """Return the content of an HTTP request as a record of the given class.

    Raises
    ------
    BadRequest
        The content does not fit the class.
    """
    try:
        return kind.model_validate(body)
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, one['loc'])) or 'it'}: {one['msg']}" for one in error.errors())
        raise BadRequest(f"the lab's server does not understand this request: {problems}") from error
