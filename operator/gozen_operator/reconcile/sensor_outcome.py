"""Outcome of an Exposure's sensors, from commits and from the ends of pods. No I/O."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from gozen.errors import ExitCode
from gozen_operator.reconcile.conditions import shortened
from gozen_operator.reconcile.facts import ExposureFacts, JobSeen, PodEnd

MOST_OUTCOMES = 512
_LONGEST_MESSAGE = 512
_MEMORY = "pods.limits.memory"
_NAMES = {
    ExitCode.BAD_REQUEST: "BadRequest",
    ExitCode.UNREADABLE_INPUT: "UnreadableInput",
    ExitCode.BUG: "Bug",
    ExitCode.STORAGE: "StorageUnavailable",
}
_SAID = re.compile(r"gozen: ([A-Z][A-Za-z]+): (.*)")


@dataclass(frozen=True)
class SensorEnd:
    """A sensor that was rejected or failed."""

    sensor: str
    result: Literal["Rejected", "Failed"]
    reason: str
    message: str = ""


@dataclass(frozen=True)
class ExposureOutcome:
    """The outcome of the sensors of an Exposure.

    Parameters
    ----------
    sensors
        Number of sensors of the Exposure.
    ends
        Sensors that were rejected or failed.
    again
        For each pod that failed, but whose work a later pod completed: why it failed.
    """

    sensors: int
    reduced: int = 0
    ends: Sequence[SensorEnd] = ()
    again: Sequence[str] = ()

    @property
    def failed(self) -> Sequence[SensorEnd]:
        """Sensors for which the work could not be done."""
        return [one for one in self.ends if one.result == "Failed"]

    @property
    def succeeded(self) -> Literal["True", "False"]:
        """Whether the work was done; a rejected sensor counts as done."""
        return "False" if self.failed else "True"

    @property
    def reason(self) -> str:
        """The most frequent reason of the failed sensors, else of the rejected ones."""
        names = Counter(one.reason for one in self.failed or self.ends)
        return names.most_common(1)[0][0] if names else "Reduced"

    @property
    def message(self) -> str:
        """One sentence for people; sensors with the same outcome are named together."""
        parts = [f"{self.reduced} of {self.sensors} sensors reduced"]
        groups: dict[tuple[str, str], list[SensorEnd]] = {}
        for one in self.ends:
            groups.setdefault((one.result.lower(), one.reason), []).append(one)
        for (result, reason), several in sorted(groups.items()):
            names = ", ".join(one.sensor for one in several[:6]) + (" ..." if len(several) > 6 else "")
            said = f": {several[0].message}" if several[0].message else ""
            parts.append(f"{len(several)} {result}, {reason} ({names}){said}")
        if self.again:
            reasons = ", ".join(sorted(set(self.again)))
            parts.append(f"{counted(self.again)}, tried again with success ({reasons})")
        return "; ".join(parts)

    def counts(self) -> dict[str, Any]:
        """Return counts and outcomes for a status."""
        return {
            "sensors": self.sensors,
            "reduced": self.reduced,
            "rejected": len(self.ends) - len(self.failed),
            "failed": len(self.failed),
            "outcomes": [
                {"sensor": one.sensor, "result": one.result, "reason": one.reason, "message": one.message}
                for one in self.ends[:MOST_OUTCOMES]
            ],
        }


def counted(ends: Sequence[object]) -> str:
    """Return how many pods failed, in words."""
    return "1 pod failed" if len(ends) == 1 else f"{len(ends)} pods failed"


def outcome_of(sensors_per_pod: int, wanted: Sequence[str], facts: ExposureFacts) -> ExposureOutcome:
    """Return the outcome of the wanted sensors: each from its commit or, if it has none, from how its pod ended."""
    commits = facts.commits or {}
    ends = []
    for place, sensor in enumerate(wanted):
        commit = commits.get(sensor)
        if commit is None:
            ends.append(SensorEnd(sensor, "Failed", *_why(sensor, place // sensors_per_pod, facts)))
        elif not commit.reduced:
            ends.append(SensorEnd(sensor, "Rejected", commit.reason, shortened(commit.message, _LONGEST_MESSAGE)))
    reduced = sum(sensor in commits and commits[sensor].reduced for sensor in wanted)
    missing = {place // sensors_per_pod for place, sensor in enumerate(wanted) if sensor not in commits}
    again = [end_of(end)[0] for end in (facts.job.ends if facts.job else ()) if end.index not in missing]
    return ExposureOutcome(len(wanted), reduced, ends, again)


def job_failure(job: JobSeen | None, memory: str = _MEMORY) -> tuple[str, str]:
    """Return reason and message of a Job with one pod that failed or was deleted.

    Parameters
    ----------
    memory
        Value of the chart that limits the memory of this pod.
    """
    if job is None:
        return "JobLost", "its Job was removed before it was done; delete the resource and apply it again"
    return end_of(job.ends[-1], memory) if job.ends else _job_end(job)


def _why(sensor: str, index: int, facts: ExposureFacts) -> tuple[str, str]:
    """Return reason and message of a sensor without a commit."""
    if facts.raw is not None and sensor not in facts.raw:
        return "RawMissing", "its raw data did not arrive"
    if facts.job is None:
        return job_failure(None)
    last = next((end for end in reversed(facts.job.ends) if end.index == index), None)
    return end_of(last) if last is not None else _job_end(facts.job)


def end_of(end: PodEnd, memory: str = _MEMORY) -> tuple[str, str]:
    """Return reason and message of a failed pod: from the error line of the pod, else the meaning of its exit code."""
    said = _SAID.findall(end.message)
    if said:
        name, text = said[-1]
        return name, shortened(text, _LONGEST_MESSAGE)
    if end.reason == "OOMKilled" or end.code == 137:
        return "WorkerLost", f"the pod was killed, probably because its memory was used up; raise {memory}"
    known: Mapping[int, str] = {int(code): name for code, name in _NAMES.items()}
    return known.get(end.code or -1, end.reason or "WorkerLost"), shortened(end.message, _LONGEST_MESSAGE)


def _job_end(job: JobSeen) -> tuple[str, str]:
    return job.reason or "JobFailed", shortened(job.message, _LONGEST_MESSAGE)
