"""All named errors, and their exit codes.

`Rejected` is a result: a gate refused the data. `Failed` and its subclasses mean that the work could not be done. The
name of the class is stable; it is used in the status, the log, the tables and the messages.
"""

from __future__ import annotations

import errno
import re
from enum import IntEnum
from typing import ClassVar


class ExitCode(IntEnum):
    """Exit codes; the restart policy of pods depends on them (docs/reference/errors.md)."""

    DONE = 0
    BAD_REQUEST = 64
    UNREADABLE_INPUT = 65
    NOT_ASKED_FOR = 66
    BUG = 70
    STORAGE = 75
    INTERRUPTED = 130


class GozenError(Exception):
    """Base of all errors; the message is a sentence that names the object and the value, and gives advice."""

    exit_code: ClassVar[ExitCode] = ExitCode.BUG

    @property
    def name(self) -> str:
        """The stable name of the error: the name of the class."""
        return type(self).__name__

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else self.name


class Rejected(GozenError):
    """A gate refused the data: a result, which is recorded with the measured value and the limit.

    Parameters
    ----------
    message
        The data that were refused, and the reason.
    value, limit
        Measured value and limit, in the unit of the gate; None if there is no number.
    """

    exit_code = ExitCode.DONE

    def __init__(self, message: str, *, value: float | None = None, limit: float | None = None) -> None:
        super().__init__(message)
        self.value = value
        self.limit = limit

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild_rejected, (type(self), str(self), self.value, self.limit)


def _rebuild_rejected(kind: type[Rejected], message: str, value: float | None, limit: float | None) -> Rejected:
    return kind(message, value=value, limit=limit)


class SaturatedField(Rejected):
    """The median of the frame is close to saturation: twilight, the Moon or a lamp."""


class NoisyFrame(Rejected):
    """The background noise is far above the noise predicted from sky and read-out."""


class TrailedFrame(Rejected):
    """The stars of the frame are elongated: the mount jumped, drifted or was shaken."""


class InconsistentTime(Rejected):
    """The time stamps contradict one another."""


class InconsistentPointing(Rejected):
    """The coordinates in the header are impossible, or contradict the fitted WCS."""


class AstrometryFailed(Rejected):
    """No WCS was found, or the reference stars do not confirm it."""


class TooFewCalibrators(Rejected):
    """Too few reference stars remain for a zero point, or its fit does not converge."""


class CorruptFile(Rejected):
    """The file is damaged, or is not the image that its name and header describe."""


class Blocked(Rejected):
    """The observatory's block list covers these data: they are not reduced."""


class Failed(GozenError):
    """The software or the cluster could not do the work."""


class BadRequest(Failed):
    """The request is not valid; the same request will fail again."""

    exit_code = ExitCode.BAD_REQUEST


class ApertureNotMeasured(BadRequest):
    """The requested aperture was not measured in the reduction."""


class ColumnNotFound(BadRequest):
    """The tables have no such column; the message names the most similar ones."""


class TableNotFound(BadRequest):
    """There is no table with this name; the message lists the tables."""


class RerunNotFound(BadRequest):
    """There is no release with this name; the message lists the releases."""


class FunctionFailed(BadRequest):
    """The user's function raised, or returned an invalid result; the message has the traceback and the patch."""


class LimitExceeded(BadRequest):
    """A user's function or SQL query used more memory or time than allowed, or its result is too large."""


class IsolationUnavailable(BadRequest):
    """The kernel of this machine cannot isolate a user's function."""


class UnreadableInput(Failed):
    """An input that all sensors of a task need cannot be read: profile, masters, reference catalogue."""

    exit_code = ExitCode.UNREADABLE_INPUT


class MissingObject(UnreadableInput):
    """The archive has no object under this key."""


class RawFileMissing(MissingObject):
    """A raw file that the record of an exposure names is not in the archive."""


class Bug(Failed):
    """A fault in Gozen: an unexpected exception."""

    exit_code = ExitCode.BUG


class StorageUnavailable(Failed):
    """The archive cannot be read or written now: full disk, missing permission, network failure."""

    exit_code = ExitCode.STORAGE


class WorkerLost(Failed):
    """A worker process was killed by a signal, for example because memory ran out, or the user's function ended it."""

    exit_code = ExitCode.STORAGE


class ClusterUnavailable(Failed):
    """The Kubernetes API server cannot be reached, or denies the request."""

    exit_code = ExitCode.STORAGE


class DeviceFailed(Failed):
    """The telescope, dome, focuser or camera did not carry out a command."""

    exit_code = ExitCode.STORAGE


class SharingError(Failed):
    """Files could not be exchanged with Nextcloud, or could not be shared."""

    exit_code = ExitCode.STORAGE


class CloudUnavailable(SharingError):
    """The Nextcloud server cannot be reached, is overloaded, or is in maintenance: try again later."""


class CloudFailed(CloudUnavailable):
    """The Nextcloud server, or a proxy in front of it, failed at one request (for example status 500 or 502)."""


class CloudFileLocked(SharingError):
    """Another client or an editor on the Nextcloud server has locked the file (status 423)."""


class CloudFull(SharingError):
    """The quota of the Nextcloud account is used up, or the server has no space (status 507)."""


class TransferDamaged(SharingError):
    """The checksum of a transferred file is wrong, or the file changed during the transfer."""


class LogInRefused(SharingError):
    """The Nextcloud server does not accept the app password: it is wrong, or it was revoked."""

    exit_code = ExitCode.BAD_REQUEST


class CloudConflict(SharingError):
    """The file that would be overwritten has changed since the last transfer, or its name is in use; it is kept."""

    exit_code = ExitCode.BAD_REQUEST


class CloudRefused(SharingError):
    """The Nextcloud server refuses the request: a permission is missing, or its policy forbids it."""

    exit_code = ExitCode.BAD_REQUEST


class CloudPathNotFound(SharingError):
    """Nextcloud has no such file, folder, share or recipient."""

    exit_code = ExitCode.BAD_REQUEST


class UnsuitableName(SharingError):
    """A file name that Nextcloud or one of its clients cannot keep; the message says why."""

    exit_code = ExitCode.BAD_REQUEST


class CertificateRefused(SharingError):
    """The TLS certificate of the Nextcloud server does not match its address, or its issuer is not trusted."""

    exit_code = ExitCode.BAD_REQUEST


class RedirectRefused(SharingError):
    """The Nextcloud server redirects to another address; the app password was not sent there."""

    exit_code = ExitCode.BAD_REQUEST


class UnexpectedAnswer(SharingError):
    """The answer does not come from a Nextcloud server: the address is wrong, or a proxy has answered."""

    exit_code = ExitCode.BAD_REQUEST


_WORST_FIRST = (
    ExitCode.BAD_REQUEST,
    ExitCode.BUG,
    ExitCode.UNREADABLE_INPUT,
    ExitCode.STORAGE,
    ExitCode.NOT_ASKED_FOR,
)


def worst(codes: list[ExitCode]) -> ExitCode:
    """Return the exit code of a pod: the first code of `_WORST_FIRST` that one of its sensors has, or `DONE`."""
    return next((code for code in _WORST_FIRST if code in codes), ExitCode.DONE)


def as_gozen_error(error: BaseException) -> GozenError:
    """Return an exception as an error of Gozen; any other exception becomes a `Bug`."""
    if isinstance(error, GozenError):
        return error
    bug = Bug(f"{type(error).__name__}: {error}. This is a bug in Gozen; run again with --debug and report it")
    bug.__cause__ = error
    return bug


_REASONS = {
    errno.ENOENT: "there is no such file",
    errno.EISDIR: "it is a folder, not a file: name a file in it",
    errno.ENOTDIR: "a part of its path is a file, not a folder",
    errno.EACCES: "this user does not have the permission",
    errno.EPERM: "this user does not have the permission",
}


def reason_of(error: BaseException) -> str:
    """Return the reason of a foreign error in words: without error numbers, names of codecs and the path again."""
    if isinstance(error, UnicodeDecodeError):
        return f"it is not a text file in {error.encoding.upper()}: byte {error.start + 1} cannot be decoded"
    if isinstance(error, OSError) and error.errno is not None:
        return _REASONS.get(error.errno) or error.strerror or f"error {error.errno} of the operating system"
    return str(error) or type(error).__name__


_PROBLEMS = (
    (r"Value error, ", ""),
    (r"Field required", "it is missing"),
    (r"Extra inputs are not permitted", "this name is not known"),
    (r"\w+ should be a valid integer.*", "it should be a whole number"),
    (r"\w+ should be a valid number.*", "it should be a number"),
    (r"\w+ should be a valid boolean.*", "it should be true or false"),
    (r"\w+ should be a valid string.*", "it should be text"),
    (r"\w+ should be (?:a valid dictionary|an object).*", "it should be a group of names and values"),
    (r"\w+ should be a valid (?:list|tuple|array).*", "it should be a list"),
    (r"\w+ should ", "it should "),
)


def problem_of(message: str) -> str:
    """Return a message of pydantic as the end of a sentence, such as ``it should be a whole number``."""
    for pattern, words in _PROBLEMS:
        if found := re.match(pattern, message):
            return words + message[found.end() :].replace(" after validation", "")
    return message
