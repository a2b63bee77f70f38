"""The facts about a resource that its reconcile gets. Plain data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from gozen.archive.commit import SensorCommit
from gozen.instrument.profile import Apertures
from gozen.resources.pipeline_names import PipelineName


@dataclass(frozen=True)
class RequestProblem:
    """Why a request is invalid: for example, there is no such instrument profile.

    Parameters
    ----------
    reason
        Reason of the condition.
    message
        Names the field of the spec.
    """

    reason: str
    message: str


@dataclass(frozen=True)
class Commit:
    """The commit of one sensor in the archive.

    Parameters
    ----------
    reason, message
        Of the rejection; empty for a sensor that was reduced.
    """

    sensor: str
    reduced: bool
    reason: str = ""
    message: str = ""

    @classmethod
    def of(cls, commit: SensorCommit) -> Commit:
        """Shorten the record of a sensor."""
        refusal = commit.rejection
        if refusal is None:
            return cls(commit.sensor, reduced=True)
        return cls(commit.sensor, reduced=False, reason=refusal.name, message=refusal.message)


@dataclass(frozen=True)
class PodEnd:
    """How a failed pod ended.

    Parameters
    ----------
    index
        Its completion index: which group of sensors.
    code
        Exit code; None if the pod ended without one.
    reason
        Kubernetes' reason, such as ``OOMKilled``.
    message
        Its termination message.
    """

    index: int
    code: int | None
    reason: str = ""
    message: str = ""


@dataclass(frozen=True)
class JobSeen:
    """A Job as the API server shows it.

    Parameters
    ----------
    finished
        ``Complete`` or ``Failed``; None while it runs.
    reason, message
        Why it failed.
    expires
        Whether it has a TTL: `Plan.expire` was carried out.
    queued
        Whether it waits for a quota (Kueue).
    failed
        How many pods have failed so far.
    ends
        How the failed pods ended that still exist.
    """

    name: str
    uid: str
    finished: Literal["Complete", "Failed"] | None = None
    reason: str = ""
    message: str = ""
    expires: bool = False
    queued: bool = False
    failed: int = 0
    ends: Sequence[PodEnd] = ()


@dataclass(frozen=True)
class ExposureFacts:
    """What a reconcile knows about an Exposure in addition to the object itself.

    Parameters
    ----------
    known_sensors
        Of the instrument profile; empty if it cannot be read; `problem` then has the reason.
    problem
        Why the request is invalid by the profile and the settings of the site.
    duplicate_of
        Another Exposure that has the same night, EXP_ID and run, and came first.
    duplicate_stays
        Whether the API server has confirmed that it exists and stays: a watch reports a deletion late.
    suspended
        Whether its Observation is suspended.
    raw
        Sensors whose raw data are in the archive; None if the archive was not read.
    commits
        Commits of its sensors; None if the archive was not read.
    trouble
        Why the archive cannot be read now.
    calibration
        Calibration Exposures of its night for which it waits, because they are not complete.
    job
        Its own Job.
    job_of_another
        Message that another owner's Job has the name that its Job needs; empty if the name is free.
    may_launch
        Whether a place among the active Jobs is free for it.
    ahead
        How many Exposures precede it in the queue.
    held
        Whether something still needs the finished Exposure: its Observation, which counts it.
    watched_since
        Time at which this operator began to reconcile; waiting is counted from then on.
    """

    known_sensors: Sequence[str]
    problem: RequestProblem | None = None
    duplicate_of: str | None = None
    duplicate_stays: bool = True
    suspended: bool = False
    raw: frozenset[str] | None = None
    commits: Mapping[str, Commit] | None = None
    trouble: str | None = None
    calibration: Sequence[str] = ()
    job: JobSeen | None = None
    job_of_another: str = ""
    may_launch: bool = True
    ahead: int = 0
    held: bool = False
    watched_since: float = 0.0


@dataclass(frozen=True)
class ChildExposure:
    """What an Observation needs to know about one of its Exposures."""

    name: str
    complete: bool
    succeeded: bool
    reason: str = ""


@dataclass(frozen=True)
class ObservationFacts:
    """What a reconcile knows about an Observation in addition to the object itself.

    Parameters
    ----------
    known_sensors
        Of the instrument profile.
    children
        Its Exposures.
    problem
        Why the request is invalid by the profile.
    """

    known_sensors: Sequence[str]
    instrument: str = "tomoe"
    run: str = "r1"
    default_pipelines: Sequence[PipelineName] = ("wcs", "stack")
    default_gain: str = "high"
    children: Mapping[str, ChildExposure] = field(default_factory=dict)
    problem: RequestProblem | None = None


@dataclass(frozen=True)
class LightCurveFacts:
    """What a reconcile knows about a LightCurveJob in addition to the object itself.

    Parameters
    ----------
    apertures
        Apertures that the reduction measures by the instrument's profile: diameters, pixel, or ``auto``; None if
        there is no such profile.
    writer
        Another LightCurveJob that writes to the table now or comes first.
    waiting_for
        Exposures of the selection that are not complete yet.
    job, job_of_another
        As in `ExposureFacts`.
    result
        Result that the finished pod left: exposures, rows, version of the table.
    """

    apertures: Apertures | None
    writer: str | None = None
    waiting_for: Sequence[str] = ()
    job: JobSeen | None = None
    job_of_another: str = ""
    result: Mapping[str, int] | None = None
