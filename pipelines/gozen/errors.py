"""All named errors, and their exit codes.

``Rejected`` is a result (a gate refused the data); everything under ``Failed`` means that the work could not be done.
The class name is the stable name that stands in the status, the log, the tables and the message.
"""

from __future__ import annotations

from enum import IntEnum
from typing import ClassVar


class ExitCode(IntEnum):
    """The contract between a pod and the policy that restarts it (docs/reference/errors.md)."""

    DONE = 0
    BAD_REQUEST = 64
    UNREADABLE_INPUT = 65
    NOT_ASKED_FOR = 66
    BUG = 70
    STORAGE = 75
    INTERRUPTED = 130


class GozenError(Exception):
    """Root of the tree; its message is a sentence that names the thing, the value and what to do."""

    exit_code: ClassVar[ExitCode] = ExitCode.BUG

    @property
    def name(self) -> str:
        """The stable name: that of the class."""
        return type(self).__name__

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else self.name


class Rejected(GozenError):
    """A gate refused the data: a result, recorded with its measured value and its limit.

    Parameters
    ----------
    message
        What was refused and why.
    value, limit
        What the gate measured and what it allows, in the gate's unit; None where there is no number.
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
    """The background noise is far above what sky and read-out predict."""


class TrailedFrame(Rejected):
    """The stars of the frame are drawn out: the mount jumped, drifted or was shaken."""


class InconsistentTime(Rejected):
    """The time stamps contradict one another."""


class InconsistentPointing(Rejected):
    """The coordinates in the header cannot be, or contradict the solution."""


class AstrometryFailed(Rejected):
    """No solution, or one that the reference stars do not confirm."""


class TooFewCalibrators(Rejected):
    """Too few reference stars remain for a zero point, or its fit does not converge."""


class CorruptFile(Rejected):
    """The file is not the image that its name and header promise."""


class Blocked(Rejected):
    """The observatory's block list covers these data: they are not archived."""


class Failed(GozenError):
    """The software or the cluster could not do the work."""


class BadRequest(Failed):
    """What was asked makes no sense; asking again will not help."""

    exit_code = ExitCode.BAD_REQUEST


class ApertureNotMeasured(BadRequest):
    """The aperture that was asked for was not measured at the reduction."""


class ColumnNotFound(BadRequest):
    """The tables have no such column; the message names the nearest ones."""


class TableNotFound(BadRequest):
    """There is no table of this name; the message names those that there are."""


class RerunNotFound(BadRequest):
    """There is no release of this name; the message names those that there are."""


class FunctionFailed(BadRequest):
    """The user's own function raised, or gave what cannot be a result; the message has its traceback and the patch."""


class LimitExceeded(BadRequest):
    """The user's function took more memory, time or room for its result than it may."""


class IsolationUnavailable(BadRequest):
    """The kernel here cannot keep a user's function apart."""


class UnreadableInput(Failed):
    """Something that the whole group of sensors needs cannot be read: profile, masters, reference catalogue."""

    exit_code = ExitCode.UNREADABLE_INPUT


class MissingObject(UnreadableInput):
    """The archive has no object under this key."""


class RawFileMissing(MissingObject):
    """A raw file that an exposure's record names is not in the archive any more."""


class Bug(Failed):
    """Our mistake: an exception that nobody foresaw."""

    exit_code = ExitCode.BUG


class StorageUnavailable(Failed):
    """The archive cannot be read or written now: a full disk, a missing right, the network."""

    exit_code = ExitCode.STORAGE


class WorkerLost(Failed):
    """A worker process was killed by a signal; an out-of-memory kill shows so."""

    exit_code = ExitCode.STORAGE


class ClusterUnavailable(Failed):
    """The Kubernetes API server cannot be reached, or refuses us."""

    exit_code = ExitCode.STORAGE


class DeviceFailed(Failed):
    """The telescope, dome, focuser or camera did not do what it was told."""

    exit_code = ExitCode.STORAGE


_WORST_FIRST = (
    ExitCode.BAD_REQUEST,
    ExitCode.BUG,
    ExitCode.UNREADABLE_INPUT,
    ExitCode.STORAGE,
    ExitCode.NOT_ASKED_FOR,
)


def worst(codes: list[ExitCode]) -> ExitCode:
    """Return the exit code that a pod ends with after all its sensors."""
    return next((code for code in _WORST_FIRST if code in codes), ExitCode.DONE)


def as_gozen_error(error: BaseException) -> GozenError:
    """Give an exception its name in the tree; an unknown one is a `Bug` and says so."""
    if isinstance(error, GozenError):
        return error
    bug = Bug(f"{type(error).__name__}: {error}. This is a bug in Gozen; run again with --debug and report it")
    bug.__cause__ = error
    return bug
