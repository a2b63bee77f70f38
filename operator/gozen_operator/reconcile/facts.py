"""The facts about a resource with which its reconcile decides. Plain data."""

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
        Message for the user; it names the field of the spec.
    """

    reason: str
    message: str


@dataclass(frozen=True)
class Commit:
    """The commit of one sensor in the archive.

    Parameters
    ----------
    reason, message
        Reason and message of the rejection; empty for a sensor that was reduced.
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
        Its completion index, which is the number of its group of sensors.
    code
        Exit code; None if the pod ended without one.
    reason
        Kubernetes' reason, such as ``OOMKilled``.
    message
        Termination message of the pod.
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
        Why the Job failed; empty if it did not fail.
    expires
        Whether it has a TTL, because `Plan.expire` was carried out.
    queued
        Whether it waits for a quota (Kueue).
    failed
        Number of pods that have failed so far.
    ends
        Ends of the failed pods that still exist.
    generation
        Generation of the spec that it carries out, if a label says so; else 0.
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
    generation: int = 0


@dataclass(frozen=True)
class ExposureFacts:
    """Facts for the reconcile of an Exposure, in addition to the object itself.

    Parameters
    ----------
    known_sensors
        Sensors of the instrument profile; empty if it cannot be read, for the reason in `problem`.
    problem
        Why the request is invalid by the profile and the settings of the site.
    duplicate_of
        Another Exposure of the same instrument, night, EXP_ID and run, which precedes this one.
    duplicate_stays
        Whether the API server has confirmed that the other Exposure is not being deleted; a watch reports this late.
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
        The Job that the Exposure owns.
    job_of_another
        Message that another owner's Job has the name that its Job needs; empty if the name is free.
    may_launch
        Whether its Job may start now, because fewer Jobs are active than allowed.
    ahead
        Number of Exposures before it in the queue.
    held
        Whether its Observation still counts the finished Exposure, so it must not be deleted yet.
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
    """The facts about an Exposure that its Observation needs."""

    name: str
    complete: bool
    succeeded: bool
    reason: str = ""


@dataclass(frozen=True)
class ObservationFacts:
    """Facts for the reconcile of an Observation, in addition to the object itself.

    Parameters
    ----------
    known_sensors
        Sensors of the instrument profile.
    children
        Exposures of the Observation.
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
class PublishResult:
    """What a pod reports that has published or removed, also one that failed in the end.

    Parameters
    ----------
    folder, link
        Folder in Nextcloud, and address of its public link; empty without one.
    files
        Number of files of the publication that are as they should be.
    kept
        Number of files that somebody has changed in Nextcloud, so that they were not overwritten or removed.
    found
        Whether a note of an earlier publication was there.
    removed, withdrawn
        Numbers of files that were removed, and of shares that were withdrawn.
    retained
        Sentences about users and groups who are no longer named and keep access.
    settled
        Whether all files and shares were dealt with, so that `files` and an empty `link` are final.
    """

    folder: str
    link: str
    files: int
    kept: int = 0
    found: bool = True
    removed: int = 0
    withdrawn: int = 0
    retained: Sequence[str] = ()
    settled: bool = False


@dataclass(frozen=True)
class PublishFacts:
    """Facts for publishing a LightCurveJob.

    Parameters
    ----------
    publisher, remover
        Its Jobs of the present attempt; None if there is no such Job.
    result, removal
        Reports of the pods of publisher and remover; None if there is none.
    """

    publisher: JobSeen | None = None
    remover: JobSeen | None = None
    result: PublishResult | None = None
    removal: PublishResult | None = None


@dataclass(frozen=True)
class LightCurveFacts:
    """Facts for the reconcile of a LightCurveJob, in addition to the object itself.

    Parameters
    ----------
    apertures
        Apertures that the reduction measures by the instrument's profile: diameters, pixel, or ``auto``; None if
        there is no such profile.
    writer
        Another LightCurveJob that writes to the table now, or that waited for it earlier.
    waiting_for
        Exposures of the selection that are not complete yet.
    job, job_of_another
        As in `ExposureFacts`.
    result
        Result of the finished pod: exposures, rows, version of the table.
    publish
        Facts for publishing.
    """

    apertures: Apertures | None
    writer: str | None = None
    waiting_for: Sequence[str] = ()
    job: JobSeen | None = None
    job_of_another: str = ""
    result: Mapping[str, int] | None = None
    publish: PublishFacts = PublishFacts()
